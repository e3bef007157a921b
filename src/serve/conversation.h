// A conversation's messages, put together from the smaller pieces that the dialects of /v1/responses and /v1/messages
// send: what the assistant thought, said and called in one turn becomes one message, as templates expect it.
#ifndef SERVE_CONVERSATION_H
#define SERVE_CONVERSATION_H

#include "serve/generation.h"

// Begin with {.request = ..., .error = ...}; the messages are added to the request, their strings kept with it.
struct conversation {
    struct generation_request *request;
    struct api_error *error;
    // The assistant's turn so far:
    struct buffer text, reasoning;
    json_t *calls; // array; NULL: none
    bool open;
};

// What follows what was said before of the same kind stands behind it, with a line between. All return false with the
// error set: no memory, or too many messages.
bool conversation_say(struct conversation *c, const char *role, const char *text); // "user", "system"
bool conversation_answer(struct conversation *c, const char *text);
bool conversation_think(struct conversation *c, const char *text);
// arguments: JSON text
bool conversation_call(struct conversation *c, const char *id, const char *name, const char *arguments);
bool conversation_result(struct conversation *c, const char *id, const char *text);

// Ends the assistant's turn and frees what is not the request's. Also after an error.
bool conversation_end(struct conversation *c);

// Appends a tool in OpenAI's form to the array `tools`. description and parameters may be NULL; parameters is borrowed.
// False without memory.
bool conversation_add_tool(json_t *tools, const char *name, const char *description, const json_t *parameters,
                           bool strict);

#endif
