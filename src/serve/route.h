// Where requests go. A new endpoint is a handler in a file of its own, a declaration here, and a line in routes.c.
#ifndef SERVE_ROUTE_H
#define SERVE_ROUTE_H

#include "serve/exchange.h"

struct server;

struct route {
    const char *method; // "POST", or "GET" (which answers HEAD too)
    const char *path;   // "/v1/responses"; a last "*" stands for one character or more ("/v1/models/*")

    // Called from a worker thread: it may take time (JSON, templates, tokenizing), and must not wait for others.
    void (*handle)(struct server *server, struct exchange *exchange);

    bool quiet; // not worth a line in the log if all is well
    bool page;  // browsers ask for it: they are told to ask for a password, which is the key
    bool open;  // answers without an API key
    bool fast;  // handle() takes no time worth speaking of and runs on the thread that read the request

    // The body of an error, about the request of this id; NULL: OpenAI's form, api_error_json().
    json_t *(*write_error)(const struct api_error *error, const char *id);
    const char *id_header; // of answers, besides X-Request-Id; NULL: none
};

// The route of a request; *rest: see exchange_request. NULL with an error (404, or 405 with *allowed = the methods that
// the path has).
const struct route *route_find(const char *method, const char *path, const char **rest, const char **allowed,
                               struct api_error *error);

void chat_handle(struct server *server, struct exchange *exchange);           // /v1/chat/completions
void completions_handle(struct server *server, struct exchange *exchange);    // /v1/completions
void embeddings_handle(struct server *server, struct exchange *exchange);     // /v1/embeddings
void models_list_handle(struct server *server, struct exchange *exchange);    // /v1/models
void models_one_handle(struct server *server, struct exchange *exchange);     // /v1/models/*
void responses_handle(struct server *server, struct exchange *exchange);      // /v1/responses
void messages_handle(struct server *server, struct exchange *exchange);       // /v1/messages, Anthropic's
void messages_count_handle(struct server *server, struct exchange *exchange); // /v1/messages/count_tokens
json_t *messages_error_json(const struct api_error *error, const char *id);   // in their form
void tokenize_handle(struct server *server, struct exchange *exchange);
void detokenize_handle(struct server *server, struct exchange *exchange);
void template_handle(struct server *server, struct exchange *exchange); // /apply-template
void health_handle(struct server *server, struct exchange *exchange);
void metrics_handle(struct server *server, struct exchange *exchange);
void props_handle(struct server *server, struct exchange *exchange);
void slots_handle(struct server *server, struct exchange *exchange);
void page_handle(struct server *server, struct exchange *exchange); // the chat page and its files

#endif
