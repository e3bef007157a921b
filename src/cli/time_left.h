// A line on stderr about long work: how far it is and how long it will take. Shown on a terminal only, once a second.
#ifndef CLI_TIME_LEFT_H
#define CLI_TIME_LEFT_H

#include <stddef.h>

struct time_left {
    const char *what; // "evaluating"
    double start;     // by time_left_begin
    double shown_at;  // 0: not yet
    int columns;      // of the line on the screen
};

void time_left_begin(struct time_left *line, const char *what);

// "evaluating  37 %, 1 min 20 s left" and `more` after it. fraction: 0..1.
void time_left_show(struct time_left *line, float fraction, const char *more);
void time_left_end(struct time_left *line); // wipes the line

// "12 s", "1 min 20 s", "2 h 5 min"; times beyond 115 days all count as that.
void time_left_format(double seconds, char *out, size_t size);

#endif
