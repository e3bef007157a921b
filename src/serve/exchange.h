// One HTTP request and its answer. A handler may answer at once or keep the exchange and answer later from any thread;
// the connection costs no thread meanwhile. It must answer exactly once: exchange_answer*(), exchange_fail(), or
// exchange_begin_stream() ... exchange_end(). After that, or once the client is gone, calls do nothing.
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include "serve/api_error.h"

#include <time.h>

struct exchange;

// What came in; lives as long as the exchange.
struct exchange_request {
    const char *method; // "GET", "POST", ...
    const char *path;   // without the query
    const char *rest;   // what the route's last "*" stood for; "" otherwise
    const char *body;   // NUL-terminated (the NUL does not count), never NULL
    size_t body_length;
    const char *id;  // of this request, in log lines and in the answer's X-Request-Id
    uint64_t client; // equal for requests with the same key, or of the same struct client if there are no keys
    time_t created;  // seconds since 1970
};
const struct exchange_request *exchange_request(const struct exchange *exchange);

// The body as field_open_body() reads it. The body itself is gone after that, an answer may take long; only the JSON
// counts as the request's memory from then on. Errors besides: 503.
bool exchange_take_json(struct exchange *exchange, json_t **root, struct api_error *error);

// A header of the request, by its name in any case; NULL if there is none.
const char *exchange_header(const struct exchange *exchange, const char *name);

// An argument of the query (?model=...); NULL if there is none, "" if it has no value.
const char *exchange_argument(const struct exchange *exchange, const char *name);

// Whoever keeps an exchange beyond its handler holds a reference: it outlives its connection.
struct exchange *exchange_hold(struct exchange *exchange);
void exchange_release(struct exchange *exchange);

// Takes the body's bytes (and empties it). `type`: Content-Type.
void exchange_answer(struct exchange *exchange, int status, const char *type, struct buffer *body);
void exchange_answer_json(struct exchange *exchange, int status, json_t *body); // takes the reference
// In the form of its route; once a stream has begun, as its last event, which is named "error".
void exchange_fail(struct exchange *exchange, const struct api_error *error);
void exchange_fail_memory(struct exchange *exchange);

// A header of the answer, before that is made; both strings are static. Without any, answers say Cache-Control:
// no-store.
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);

// Server-sent events. The first call sends status 200 and the headers; from then on errors can only be events.
void exchange_begin_stream(struct exchange *exchange);
// "event: NAME" (unless NULL) and "data: JSON"; takes the reference.
void exchange_write_event(struct exchange *exchange, const char *name, json_t *data);
void exchange_write(struct exchange *exchange, const char *bytes, size_t length); // as they are: "data: [DONE]\n\n"
void exchange_end(struct exchange *exchange);

// What the log line and the metrics say of it besides; the last call counts.
struct exchange_facts {
    char model[128];
    int prompt_tokens, cached_tokens, generated_tokens;
    double queue_seconds, first_token_seconds; // 0: there was none
};
void exchange_set_facts(struct exchange *exchange, const struct exchange_facts *facts);

// Called once, from any thread, if the client goes away before it has the whole answer; at once if it is gone already.
// It must do nothing but tell somebody. NULL takes it back: after that it is not called, nor running.
void exchange_on_gone(struct exchange *exchange, void (*gone)(void *context), void *context);

#endif
