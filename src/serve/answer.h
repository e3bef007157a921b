// Pieces of OpenAI's answers that several endpoints share. JSON values are the caller's; NULL without memory.
#ifndef SERVE_ANSWER_H
#define SERVE_ANSWER_H

#include "serve/chat_request.h"
#include "serve/json_text.h"

const char *answer_finish(enum generation_finish finish); // "stop", "length", "tool_calls"

// [{"token", "logprob", "bytes", "top_logprobs"}, ...]
json_t *answer_logprobs(const struct generation *generation, const struct generation_logprob *list, size_t count);
json_t *answer_logprob(float value); // JSON has no -infinity, which a token has that cannot come

// An answer in one piece: {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}; a part of one
// as an event; the last events of a stream: usage, if it is wanted, and the mark of the end. `choices`: takes the
// reference.
void answer_write_whole(const struct generation *generation, const char *object, json_t *choices,
                        const struct generation_usage *usage);
void answer_write_chunk(const struct generation *generation, const struct stream_options *options, const char *object,
                        json_t *choices);
void answer_write_end(const struct generation *generation, const struct stream_options *options, const char *object,
                      const struct generation_usage *usage);

// A buffer's text; "" for an empty one.
json_t *answer_buffer(const struct buffer *buffer);

#endif
