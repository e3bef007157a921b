// The request of /v1/responses.
#ifndef SERVE_RESPONSES_REQUEST_H
#define SERVE_RESPONSES_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

// Reads all that the endpoint knows into a request that was begun with generation_request_init(). False with an error
// that names the field.
bool responses_read_request(const struct fields *fields, struct generation_request *request, bool *stream);

#endif
