// The answer of /v1/responses: a list of items (thinking, messages, calls), each as it grows and when it is complete.
#ifndef SERVE_RESPONSES_OUTPUT_H
#define SERVE_RESPONSES_OUTPUT_H

#include "serve/generation.h"

enum responses_kind { RESPONSES_REASONING, RESPONSES_MESSAGE, RESPONSES_CALL };

struct responses_item {
    enum responses_kind kind;
    char id[40];
    struct buffer text; // of a message or thinking; a call's arguments
    struct buffer name; // of a call
    char call_id[32];   // of a call
    json_t *logprobs;   // of a message: array
    const char *status; // "in_progress", "completed", "incomplete"
};

struct responses_items {
    struct responses_item *list; // [count]
    size_t count;
    bool open; // the last one is not complete
};

// The new last item, in progress; NULL without memory. Before it, the last one must be complete.
struct responses_item *responses_open_item(struct responses_items *items, enum responses_kind kind);
void responses_free_items(struct responses_items *items);

// Each returns the caller's reference, NULL without memory.
json_t *responses_item_json(const struct responses_item *item);     // as `output` has it
json_t *responses_new_item_json(const struct responses_item *item); // before it has any content
json_t *responses_part_json(const struct responses_item *item);     // the content of a message or of thinking
json_t *responses_new_part_json(const struct responses_item *item); // ... before it has any
json_t *responses_output_json(const struct responses_items *items); // array

// The object `response` without its output: what the request said, and what became of it. usage and error may be NULL.
struct responses_state {
    const char *status;
    bool cut_off; // max_output_tokens
    const struct generation_usage *usage;
    const struct api_error *error;
};
json_t *responses_object_json(const struct generation *generation, const struct responses_state *state);

#endif
