// A conversation's messages, put together from the smaller pieces that the dialects of /v1/responses and /v1/messages
// send: what the assistant thought, said and called in one turn becomes one message, as templates expect it.
#ifndef SERVE_DIALOGUE_H
#define SERVE_DIALOGUE_H

#include "serve/field.h"
#include "serve/generation.h"

// Begin with {.request = ..., .error = ...}; the messages are added to the request, their strings kept with it.
struct dialogue {
    struct generation_request *request;
    struct api_error *error;
    struct buffer system; // what the system said before anybody else
    bool system_open;     // it is not a message yet
    // The assistant's turn so far:
    struct buffer text, reasoning;
    json_t *calls; // array; NULL: none
    bool open;
};

// Appends a text below what is there.
tern_status dialogue_append_line(struct buffer *out, const char *text);

// What follows what was said before of the same kind stands behind it, with a line between. All return false with the
// error set: no memory, or too many messages.
bool dialogue_say(struct dialogue *c, const char *role, const char *text); // "user", "system"
bool dialogue_answer(struct dialogue *c, const char *text);
bool dialogue_think(struct dialogue *c, const char *text);
// arguments: JSON text
bool dialogue_call(struct dialogue *c, const char *id, const char *name, const char *arguments);
bool dialogue_result(struct dialogue *c, const char *id, const char *text);

// Ends the assistant's turn and frees what is not the request's. Also after an error.
bool dialogue_end(struct dialogue *c);

// ---- Fields of a request that both dialects have --------------------------------------------------------------------
//
// False with an error that names the field.

// What a part is, its `type`: one of the words of "text|refusal". Images and the like are refused as what models of
// text cannot read.
bool dialogue_read_kind(const struct fields *part, const char *words, int *out);

// A string, or an array of parts, each of which read_part() gives the text of: one text, a line for each part, kept
// with the request; "" if the field is absent.
bool dialogue_read_text(const struct fields *f, struct generation_request *request, const char *name,
                        bool (*read_part)(const struct fields *part, const char **text), const char **out);

// The array `tools`, of which read_tool() appends each to request->tools.
bool dialogue_read_tools(const struct fields *f, struct generation_request *request,
                         bool (*read_tool)(const struct fields *tool, json_t *tools));

// Appends a tool in OpenAI's form to the array `tools`. description and parameters may be NULL; parameters is borrowed.
// False without memory.
bool dialogue_add_tool(json_t *tools, const char *name, const char *description, const json_t *parameters, bool strict);

#endif
