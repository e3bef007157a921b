// tern serve: the parts of the server and what they share. The command (cli/serve.c) fills in the options.
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "engine/scheduler.h"
#include "serve/access.h"
#include "serve/http_server.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/models.h"
#include "serve/workers.h"

struct server_options {
    struct http_server_options http;
    struct models_options models;
    struct access_keys keys; // none: everybody may ask
    struct log log;
    int grace;              // seconds for answers in progress to finish when the server stops
    tern_sampling sampling; // where a request says nothing
};

struct server {
    struct server_options options;
    struct workers *workers; // read requests: JSON, templates, tokens
    struct workers *writer;  // one thread: from tokens to answers
    struct models *models;
    struct metrics *metrics;
    struct http_server *http;
};

// Starts everything; the first model is loaded in the background. `options` is copied, but what it points to is
// borrowed. Errors: as http_server_open(); NO_MEMORY.
tern_status server_open(const struct server_options *options, struct server **out);

// Takes no more requests, waits for those in progress, at most `grace` seconds or until *hurry becomes true.
void server_finish(struct server *server, volatile const int *hurry);
void server_close(struct server *server); // breaks off what is still in progress; NULL is fine

// `prefix` and 24 random letters and digits; out: [size], 32 and the prefix's length will do.
void server_make_id(const char *prefix, char *out, size_t size);
uint64_t server_random(void);

// ---- For http_server.c
// -----------------------------------------------------------------------------------------------------

void server_note_request(struct server *server, struct exchange *exchange); // it is over: log and metrics
void server_log_details(struct server *server, const char *format, va_list arguments);

#endif
