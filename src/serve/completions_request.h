// The request of /v1/completions.
#ifndef SERVE_COMPLETIONS_REQUEST_H
#define SERVE_COMPLETIONS_REQUEST_H

#include "serve/chat_request.h"

struct completion_options {
    struct stream_options stream;
    bool logprobs;
    bool echo; // the prompt stands before each answer
};

// Reads all that the endpoint knows into a request that was begun with generation_request_init(). False with an error
// that names the field.
bool completions_read_request(const struct fields *fields, struct generation_request *request,
                              struct completion_options *options);

#endif
