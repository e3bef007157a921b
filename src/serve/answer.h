// Pieces of OpenAI's answers that several endpoints share. JSON values are the caller's; NULL without memory.
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include "serve/generation.h"
#include "serve/json_text.h"

// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details": {"cached_tokens"},
// "completion_tokens_details": {"reasoning_tokens"}}
json_t *answer_usage(const struct generation_usage *usage);

const char *answer_finish(enum generation_finish finish); // "stop", "length", "tool_calls"

// A buffer's text; "" for an empty one.
json_t *answer_buffer(const struct buffer *buffer);

#endif
