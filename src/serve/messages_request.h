// The request of Anthropic's /v1/messages.
#ifndef SERVE_MESSAGES_REQUEST_H
#define SERVE_MESSAGES_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

// Reads all that the endpoint knows into a request that was begun with generation_request_init(); with count_only set
// in it, as /v1/messages/count_tokens has it, without max_tokens. False with an error that names the field.
bool messages_read_request(const struct fields *fields, struct generation_request *request, bool *stream);

#endif
