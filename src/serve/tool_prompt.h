// A conversation with tools as a template is to be given it.
//
// A template that knows tools is given them, and the calls of earlier answers with their arguments as JSON objects (the
// API has them as text). For any other, a system text tells the model of the tools and of Hermes' way to call them, and
// earlier calls and their results become text of that form: <tool_call>, and <tool_response> in a user's message.
#ifndef SERVE_TOOL_PROMPT_H
#define SERVE_TOOL_PROMPT_H

#include "serve/generation.h"

struct tool_prompt {
    tern_message *messages; // [n_messages]
    size_t n_messages;
    const char *tools; // for tern_chat_options; NULL: none
    json_t *kept;      // what the strings are borrowed from, besides the request
};

// With tool_choice "none" the model is not told of any tools. The request is borrowed. Errors: NO_MEMORY. Close it
// after an error too.
tern_status tool_prompt_open(const struct reply_style *style, const struct generation_request *request,
                             struct tool_prompt *out);
void tool_prompt_close(struct tool_prompt *prompt);

#endif
