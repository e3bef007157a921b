// A model's answer as it streams in, taken apart: thinking, words, and tool calls. Which marks a model writes is found
// in its chat template: <think>...</think>, Hermes and Qwen <tool_call>{json}</tool_call>, Llama 3's JSON or
// <|python_tag|>, Mistral's [TOOL_CALLS], and so on.
#ifndef TEXT_REPLY_H
#define TEXT_REPLY_H

#include "base/buffer.h"

// How a model writes; found once for each model.
struct reply_style {
    const char *think_open, *think_close; // NULL: it does not think in the open
    bool think_opened;                    // the rendered prompt already ends with think_open
    const char *call_open, *call_close;   // around one call's JSON; NULL: no tools. call_close may be ""
    const char *name_key, *arguments_key; // of that JSON: "name", "arguments" or "parameters"
    bool call_is_list;                    // a JSON array of calls stands between open and close
};

// Reads the style off the chat template's source text (length bytes; NULL, 0: none). Strings are static.
void reply_style_detect(const char *chat_template, size_t length, struct reply_style *out);

struct reply;

// What a reply says as it comes; NULL callbacks are skipped. Text is whole UTF-8 characters. A tool call's arguments
// come in pieces, exactly as the model wrote them.
struct reply_events {
    tern_status (*on_content)(void *context, const char *text, size_t length);
    tern_status (*on_reasoning)(void *context, const char *text, size_t length);
    tern_status (*on_call_begin)(void *context, int32_t index, const char *name);
    tern_status (*on_call_arguments)(void *context, int32_t index, const char *text, size_t length);
    tern_status (*on_call_end)(void *context, int32_t index);
    void *context;
};

// tools: look for calls (a request without tools gets such text as content). The style is copied.
tern_status reply_open(const struct reply_style *style, bool tools, const struct reply_events *events,
                       struct reply **out);
void reply_close(struct reply *reply);

// Takes the next text (whole characters). What may still become a mark is held back. Something that looked like a call
// and is none is given out as content, complete: nothing that a model wrote is ever lost.
tern_status reply_push(struct reply *reply, const char *text, size_t length);
tern_status reply_finish(struct reply *reply);  // at the end: gives out what was held back
int32_t reply_calls(const struct reply *reply); // complete calls so far

#endif
