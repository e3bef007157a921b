// Lines from a terminal, with editing and a history that outlives the program.
#ifndef CLI_LINE_EDITOR_H
#define CLI_LINE_EDITOR_H

#include "base/buffer.h"

struct line_editor;

enum line_result {
    LINE_READ,
    LINE_INTERRUPTED, // Ctrl-C
    LINE_TOO_LONG,    // more than a mebibyte, or than memory: tern_last_error() says; nothing of it is of use
    LINE_END          // Ctrl-D on an empty line, or the terminal is gone
};

// The history is $XDG_STATE_HOME/tern/history (~/.local/state/tern/history), readable by its owner only; where it
// cannot be written, it lives as long as the program. NULL if there is no memory. Close with line_editor_close().
struct line_editor *line_editor_open(void);
void line_editor_close(struct line_editor *editor); // saves the history

// Reads a message to *text (emptied first): one line; with "\" at its end also the next one; after """ all up to the
// closing """.
enum line_result line_editor_read(struct line_editor *editor, struct buffer *text);

#endif
