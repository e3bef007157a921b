// The chat page at "/". It may load nothing from elsewhere, and speaks to this server only.
#include "serve/page.h"

#include "serve/route.h"
#include "serve/server.h"

#include <string.h>

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

static void add_headers(struct exchange *exchange, const struct page_file *file)
{
    exchange_add_header(exchange, "ETag", file->etag);
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

void page_handle(struct server *server, struct exchange *exchange)
{
    (void)server;
    const struct exchange_request *request = exchange_request(exchange);
    const struct page_file *file = find(request->rest);
    struct buffer body = {0};
    if (file == NULL) {
        answer_missing(exchange, request->rest);
        return;
    }
    add_headers(exchange, file);
    const char *known = exchange_header(exchange, "If-None-Match");
    if (known != NULL && strstr(known, file->etag) != NULL) {
        exchange_answer(exchange, 304, "", &body);
    } else if (buffer_append(&body, file->bytes, file->length) == TERN_OK) {
        exchange_answer(exchange, 200, file->type, &body);
    } else {
        buffer_free(&body);
        exchange_fail_memory(exchange);
    }
}
