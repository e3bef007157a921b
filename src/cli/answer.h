// An answer on its way to the screen: thinking is dimmed, all of it is kept.
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "base/buffer.h"

#include <stdio.h>

struct answer {
    FILE *stream;       // NULL: only kept
    bool thinking;      // inside <think> ... </think>
    int write_error;    // errno of a failed write, 0 if none
    bool lost;          // there was no memory for some of the text
    struct buffer text; // all of it, tags included
    struct buffer held; // the end of `text` that may be the beginning of a tag
};

// `thinking`: the prompt has opened the thinking block already. Close with answer_close().
void answer_begin(struct answer *answer, FILE *stream, bool thinking);
void answer_close(struct answer *answer);

// A tern_generation's on_text; `context` is the struct answer. False if the stream cannot be written, or without
// memory.
bool answer_write(void *context, const char *text, size_t length);

// Writes what is held, ends dimming. Returns `status`, what generating came to, unless that was stopped for want of
// memory here: NO_MEMORY.
tern_status answer_end(struct answer *answer, tern_status status);

// Splits the text: *reasoning is what stands in the thinking block, *content the rest, without the white space around
// them. Both are malloc'd; *reasoning is NULL if there was no thinking.
tern_status answer_split(const struct answer *answer, bool began_thinking, char **reasoning, char **content);

#endif
