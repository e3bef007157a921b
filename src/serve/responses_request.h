// The request of /v1/responses.
#ifndef SERVE_RESPONSES_REQUEST_H
#define SERVE_RESPONSES_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

// Reads the body, which the request owns, into a request that was begun with generation_request_init().
bool responses_read_request(struct generation_request *request, bool *stream, struct api_error *error);

#endif
