#include "cli/time_left.h"

#include "cli/terminal.h"

#include <time.h>

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void time_left_format(double seconds, char *out, size_t size)
{
    long s = seconds < 1e7 ? (long)(seconds + 0.5) : 10000000;
    if (s < 60)
        snprintf(out, size, "%ld s", s);
    else if (s < 3600)
        snprintf(out, size, "%ld min %ld s", s / 60, s % 60);
    else
        snprintf(out, size, "%ld h %ld min", s / 3600, s % 3600 / 60);
}

void time_left_begin(struct time_left *line, const char *what)
{
    *line = (struct time_left){.what = what, .start = seconds_now()};
}

void time_left_show(struct time_left *line, float fraction, const char *more)
{
    double now = seconds_now(), spent = now - line->start, share = (double)fraction;
    if (!terminal_is(stderr) || spent < 1 || now - line->shown_at < 1 || share <= 0) return;
    char left[48], text[200];
    time_left_format(spent / share * (1 - share), left, sizeof left);
    snprintf(text, sizeof text, "%s %3.0f %%, %s left%s", line->what, share * 100, left, more);
    int width = terminal_width(stderr) - 1; // a full line would wrap
    int columns = fprintf(stderr, "\r%.*s", width, text) - 1;
    fprintf(stderr, "%*s", columns < line->columns ? line->columns - columns : 0, "");
    fflush(stderr);
    line->columns = columns;
    line->shown_at = now;
}

void time_left_end(struct time_left *line)
{
    if (line->columns > 0) fprintf(stderr, "\r%*s\r", line->columns, "");
    line->columns = 0;
}
