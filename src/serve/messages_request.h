// The request of Anthropic's /v1/messages.
#ifndef SERVE_MESSAGES_REQUEST_H
#define SERVE_MESSAGES_REQUEST_H

#include "serve/field.h"
#include "serve/generation.h"

// Reads the body, which the request owns, into a request that was begun with generation_request_init(). count_only: as
// /v1/messages/count_tokens has it, without max_tokens.
bool messages_read_request(struct generation_request *request, bool count_only, bool *stream, struct api_error *error);

#endif
