// The body of /v1/chat/completions.
#ifndef SERVE_CHAT_REQUEST_H
#define SERVE_CHAT_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

struct server;

struct chat_options {
    bool stream, include_usage;
    bool logprobs;
};

// Reads all that the endpoint knows into the request (init it before, free it after, after an error too). False with an
// error that names the field.
bool chat_request_read(const struct fields *fields, struct generation_request *request, struct chat_options *options);

// Its messages and tools only, for /apply-template.
bool chat_request_read_messages(const struct fields *fields, struct generation_request *request);

// "stream" and "stream_options", which other endpoints have too.
bool chat_request_read_stream(const struct fields *fields, struct chat_options *options);

// A JSON body as it comes to the endpoint, without a server around: for the fuzzer.
bool chat_request_parse(const struct server *server, const char *body, size_t length,
                        struct generation_request *request, struct chat_options *options, struct api_error *error);

#endif
