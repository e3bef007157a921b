// A chat: its messages, and the session whose tokens are kept from turn to turn.
#ifndef CLI_CONVERSATION_H
#define CLI_CONVERSATION_H

#include "cli/answer.h"

enum { CONVERSATION_MAX_MESSAGES = 10000 };

struct message {
    const char *role; // "user" or "assistant": static
    char *content;    // owned, valid UTF-8
    char *reasoning;  // owned, NULL if none
};

struct conversation {
    tern_model *model;     // borrowed
    tern_session *session; // borrowed
    char *system;          // owned, NULL if none
    int thinking;          // template variable enable_thinking: 0 or 1; -1: not given
    struct message *messages;
    size_t n_messages, capacity;
    size_t first; // messages before it are left out: they no longer fit the context
};

void conversation_begin(struct conversation *chat, tern_model *model, tern_session *session, int thinking);
void conversation_end(struct conversation *chat);

tern_status conversation_set_system(struct conversation *chat, const char *text); // NULL or "": none
tern_status conversation_add_user(struct conversation *chat, const char *text);
void conversation_drop_last(struct conversation *chat); // takes back the last message
void conversation_clear(struct conversation *chat);     // all messages but the system's

// Lets the model answer the messages and adds its answer to them, unless it is empty. Tokens that the session holds
// already are not read again; when the context cannot hold all, the oldest turns are left out from now on (`first`
// moves). Text goes to `stream` (NULL: nowhere) and to *answer, which must be closed. `generation` gives the bounds;
// its callback is not used. Errors: as the engine's; LIMIT if the last message alone is too long; CANCELLED.
tern_status conversation_answer(struct conversation *chat, const tern_generation *generation, FILE *stream,
                                struct answer *answer, tern_result *result);

// A JSON array of {"role", "content"} objects, as in the OpenAI API, for the user's eyes only (mode 0600). What `path`
// held before is replaced when all is on the disk, and only if it was such a file. Errors: IO, BAD_FILE (it was not),
// INVALID (no ordinary file), NO_MEMORY.
tern_status conversation_save(const struct conversation *chat, const char *path);
// Replaces everything; on errors (IO, BAD_FILE with place and expectation) all stays as it was.
tern_status conversation_load(struct conversation *chat, const char *path);

#endif
