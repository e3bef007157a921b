// One GET request over HTTP, by libcurl: redirects counted and checked, the token kept from strangers, all sizes
// bounded.
#ifndef HUB_HTTP_H
#define HUB_HTTP_H

#include "base/buffer.h"

enum {
    HTTP_MAX_REDIRECTS = 10,
    HTTP_MAX_HEADER_BYTES = 64 << 10, // of one answer
    HTTP_MAX_PAGE_BYTES = 1 << 20,    // of an answer's body that nobody wants: a redirect's or a refusal's
    HTTP_VALUE_BYTES = 256,           // of a header that is kept; longer ones count as absent
};

#define HTTP_UNKNOWN UINT64_MAX

struct http_answer {
    long status;                 // 200, 404, ...; 0: none came
    uint64_t length;             // of this answer's body; HTTP_UNKNOWN
    uint64_t first, total;       // from Content-Range: first byte and size of the whole; HTTP_UNKNOWN
    uint64_t retry_after;        // seconds; 0: not said
    char etag[HTTP_VALUE_BYTES]; // with its quotes; "" if none

    // What the host that was asked first says about the file, before it may send us elsewhere:
    char linked_etag[HTTP_VALUE_BYTES]; // X-Linked-Etag without quotes: the hub's SHA-256; "" if none
    char own_etag[HTTP_VALUE_BYTES];    // ETag without quotes; "" if none
    uint64_t linked_size;               // X-Linked-Size; HTTP_UNKNOWN

    bool transient; // after an error: another attempt may succeed
    bool unreached; // after an error: no connection came about
};

struct http_request {
    const char *url;
    const char *token;        // sent as "Authorization: Bearer ..."; NULL or "": none
    const char *token_origin; // an address: only its scheme, host and port get the token
    const char *ca_file;      // certificates (PEM) to trust instead of the system's; NULL or "": the system's
    uint64_t from;            // first byte wanted; 0: everything
    const char *if_range;     // an ETag; NULL or "": none
    long timeout;             // seconds in which less than a kilobyte a second came, before giving up

    // The body of an answer with status 200 or 206, piece by piece; what it returns but TERN_OK ends the request.
    tern_status (*body)(void *context, const struct http_answer *answer, const void *data, size_t length);
    void *context; // of `body`
    // Called at least once a second; false: give up. May be NULL.
    bool (*tick)(void *context);
    void *tick_context;
};

struct http_client; // one connection's state, kept for the next request

tern_status http_open(struct http_client **out); // Errors: NO_MEMORY. Close with http_close().
void http_close(struct http_client *client);     // NULL is fine

// TERN_OK: an answer came, whatever its status, and its body was taken whole. Errors: IO (the network; see
// `transient`), INVALID (a redirect to where tern does not follow), LIMIT (too many redirects, headers or an unwanted
// body too long), CANCELLED (by tick), and what `body` returned.
tern_status http_get(struct http_client *client, const struct http_request *request, struct http_answer *answer);

// Gathers a small body: appends to `out`, whose limit bounds it; the request's `body` is not used. The same errors.
tern_status http_get_text(struct http_client *client, struct http_request request, struct http_answer *answer,
                          struct buffer *out);

#endif
