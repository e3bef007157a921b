// A model's answer as it streams in, taken apart: thinking, words, and tool calls. Which marks a model writes is found
// in its chat template: <think>...</think>, Hermes' and Qwen's <tool_call>{json}</tool_call>, Llama 3's JSON or
// <|python_tag|>, Mistral's [TOOL_CALLS][{json}, ...], and others of these kinds.
#ifndef TEXT_REPLY_H
#define TEXT_REPLY_H

#include "base/buffer.h"

enum {
    REPLY_MAX_HELD = 64 << 10, // bytes held back before a call is known to be one, or seen to be none
};

// How a model writes; found once for each model. Strings are static.
struct reply_style {
    const char *think_open, *think_close; // NULL: it does not think in the open
    bool think_opened;                    // the rendered prompt already ends with think_open
    const char *call_open, *call_close;   // around one call's JSON, or a list of them; call_close may be ""
    const char *name_key, *arguments_key; // of that JSON: "name", "arguments" or "parameters"
    bool call_is_list;                    // calls are written as a JSON array (either way is understood)
    bool short_ids;                       // ids of calls must be 9 letters and digits in the template's eyes
    bool call_is_bare;                    // an answer that begins with a call's JSON, without marks, is one too
    bool
        shows_tools; // the template tells the model of its tools; if not, a system text must, and the marks are Hermes'
};

// Reads the style off the chat template's source text (length bytes; NULL, 0: none).
void reply_style_detect(const char *chat_template, size_t length, struct reply_style *out);

// Sets think_opened for a rendered prompt.
void reply_style_read_prompt(struct reply_style *style, const char *prompt, size_t length);

// True if these bytes are a mark of the style: a control token of that name is part of the answer's text, while others
// are left out of it.
bool reply_style_has_mark(const struct reply_style *style, const char *text, size_t length);

struct reply;

// What a reply says as it comes; NULL callbacks are skipped. Text is whole UTF-8 characters if that is what came in. A
// tool call's arguments come in pieces, exactly as the model wrote them; only where it wrote them as a JSON string does
// what the string says come instead. Calls are counted from 0. A call that the answer's end cut off has no on_call_end.
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
void reply_close(struct reply *reply); // NULL is fine

// Takes the next text (whole characters). What may still become a mark is held back, and so are blanks before one:
// blanks beside a mark belong to it. Something that looked like a call and is none is given out as content, complete:
// nothing else that a model wrote is ever lost. The events do not depend on how the text was cut, except that text may
// come in other pieces. Errors: of the callbacks; NO_MEMORY.
tern_status reply_push(struct reply *reply, const char *text, size_t length);
tern_status reply_finish(struct reply *reply);  // at the end: gives out what was held back
int32_t reply_calls(const struct reply *reply); // complete calls so far

#endif
