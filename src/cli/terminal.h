// What the program writes on: terminals, their width and colours, progress, errors.
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// What a command returns and the program exits with.
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,       // model, file or runtime error
    EXIT_USAGE = 2,        // the command line makes no sense
    EXIT_INTERRUPTED = 130 // Ctrl-C
};

bool terminal_is(FILE *stream); // stream is a terminal

// True if the stream is a terminal that shows colours and the user did not say otherwise (NO_COLOR, TERM=dumb).
bool terminal_has_colour(FILE *stream);

int terminal_width(FILE *stream); // columns; 80 if it is no terminal

enum terminal_style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD };

// The escape sequence for a style, "" where the stream shows no colours.
const char *terminal_style(FILE *stream, enum terminal_style style);

// Writes text that came from a model or a file. On a terminal, control characters but newline and tab are replaced by
// U+FFFD: what a stranger wrote shall not steer it.
void terminal_write(FILE *stream, const char *text, size_t length);

// "tern: message" on stderr; returns `code`.
int terminal_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A line on stderr that is overwritten: shown on a terminal only, and once a second has gone by.
struct progress {
    const char *what; // "loading"
    double start;     // by progress_begin
    bool shown;
};

void progress_begin(struct progress *progress, const char *what);
void progress_show(struct progress *progress, float fraction); // 0..1
void progress_end(struct progress *progress);                  // wipes the line

// Flushes stdout. EXIT_OK, or EXIT_FAILED after saying why it could not be written (nothing is said of a closed pipe).
int terminal_finish_output(void);

#endif
