// The body of /v1/chat/completions.
#ifndef SERVE_CHAT_REQUEST_H
#define SERVE_CHAT_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

struct stream_options {
    bool wanted, include_usage;
};

struct chat_options {
    struct stream_options stream;
    bool logprobs;
};

// Reads all that the endpoint knows into a request that was begun with generation_request_init(). False with an error
// that names the field.
bool chat_request_read(const struct fields *fields, struct generation_request *request, struct chat_options *options);

// "stream" and "stream_options", which other endpoints have too.
bool chat_request_read_stream(const struct fields *fields, struct stream_options *options);

#endif
