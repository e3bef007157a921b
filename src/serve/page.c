// The chat page at "/". It may load nothing from elsewhere, and speaks to this server only.
#include "serve/page.h"

#include "serve/route.h"
#include "serve/server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
                             "font-src 'self'; connect-src 'self'; worker-src 'self' blob:; "
                             "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const struct page_file *find(const char *path)
{
    if (path[0] == '\0') path = "index.html";
    for (size_t i = 0; i < page_file_count; i++)
        if (strcmp(page_files[i].path, path) == 0) return &page_files[i];
    return NULL;
}

// Whether an entry of Accept-Encoding, which ends where `end` points, refuses its coding: "gzip;q=0".
static bool is_refused(const char *entry, const char *end)
{
    const char *weight = memchr(entry, '=', (size_t)(end - entry));
    return weight != NULL && strtod(weight + 1, NULL) <= 0;
}

// Whether an entry names the coding, in any case and whatever blanks and weight follow.
static bool is_coding(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return strncasecmp(entry, name, length) == 0 && strchr(" \t;,", entry[length]) != NULL; // or the NUL
}

// RFC 9110, 12.5.3: gzip's own entry goes before that of "*".
static bool accepts_gzip(const char *header)
{
    bool any = false;
    while (header != NULL && *header != '\0') {
        header += strspn(header, " \t,");
        const char *end = header + strcspn(header, ",");
        if (is_coding(header, "gzip") || is_coding(header, "x-gzip")) return !is_refused(header, end);
        if (is_coding(header, "*")) any = !is_refused(header, end);
        header = end;
    }
    return any;
}

static const struct page_body *choose_body(struct exchange *exchange, const struct page_file *file)
{
    if (file->gzip.bytes == NULL) return &file->plain;
    exchange_add_header(exchange, "Vary", "Accept-Encoding");
    return accepts_gzip(exchange_header(exchange, "Accept-Encoding")) ? &file->gzip : &file->plain;
}

static void add_headers(struct exchange *exchange, const struct page_file *file)
{
    exchange_add_header(exchange, "Cache-Control",
                        file->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    exchange_add_header(exchange, "Content-Security-Policy", policy);
    exchange_add_header(exchange, "Referrer-Policy", "no-referrer");
    exchange_add_header(exchange, "Cross-Origin-Opener-Policy", "same-origin");
    exchange_add_header(exchange, "X-Frame-Options", "DENY");
}

static void answer_missing(struct exchange *exchange, const char *path)
{
    static const char words[] = "<!doctype html><meta charset=utf-8><title>tern</title>"
                                "<p>tern is running; this program was built without its chat page."
                                "<p>The API is at <code>/v1/chat/completions</code>.\n";
    struct api_error error;
    struct buffer body = {0};
    if (page_file_count == 0 && path[0] == '\0' && buffer_append_string(&body, words) == TERN_OK) {
        exchange_answer(exchange, 404, "text/html; charset=utf-8", &body);
        return;
    }
    buffer_free(&body);
    api_error_status(&error, 404, "not_found", "there is nothing at /%.200s", path);
    exchange_fail(exchange, &error);
}

static void answer_file(struct exchange *exchange, const struct page_file *file)
{
    const struct page_body *body = choose_body(exchange, file);
    const char *known = exchange_header(exchange, "If-None-Match");
    struct buffer bytes = {0};
    bool is_known = known != NULL && strstr(known, body->etag) != NULL;
    if (!is_known && buffer_append(&bytes, body->bytes, body->length) != TERN_OK) {
        exchange_fail_memory(exchange); // without the page's headers: nobody is to keep this for a year
        return;
    }
    add_headers(exchange, file);
    exchange_add_header(exchange, "ETag", body->etag);
    if (!is_known && body == &file->gzip) exchange_add_header(exchange, "Content-Encoding", "gzip");
    exchange_answer(exchange, is_known ? 304 : 200, is_known ? "" : file->type, &bytes);
}

void page_handle(struct server *server, struct exchange *exchange)
{
    (void)server;
    const struct exchange_request *request = exchange_request(exchange);
    const struct page_file *file = find(request->rest);
    if (file == NULL)
        answer_missing(exchange, request->rest);
    else
        answer_file(exchange, file);
}
