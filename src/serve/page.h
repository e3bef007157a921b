// The chat page's files, embedded when the program is built (cmake/page.cmake makes them of web/dist/).
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct page_body {
    const unsigned char *bytes; // [length]
    size_t length;
    const char *etag; // in quotes
};

struct page_file {
    const char *path;             // "index.html", "assets/index-1a2b3c.js"
    const char *type;             // Content-Type
    bool immutable;               // the name changes with the bytes
    struct page_body plain, gzip; // gzip.bytes is NULL where it would be no smaller
};

extern const struct page_file page_files[]; // [page_file_count]
extern const size_t page_file_count;        // 0: the program was built without the page

#endif
