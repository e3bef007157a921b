// A file mapped read-only into memory.
#ifndef BASE_MAPPED_FILE_H
#define BASE_MAPPED_FILE_H

#include "base/status.h"

struct mapped_file {
    const uint8_t *data; // [size], page-aligned; NULL when closed
    size_t size;         // bytes; never 0 while open
};

// Errors: IO (with the path and the system's words), BAD_FILE for a directory or an empty file.
tern_status mapped_file_open(const char *path, struct mapped_file *out);
void mapped_file_close(struct mapped_file *file);

// Tells the system that the pages wholly inside [offset, offset + length) are not needed in memory for now.
// They stay readable; reading them again fetches them from the page cache or the disk.
void mapped_file_release(const struct mapped_file *file, size_t offset, size_t length);

#endif
