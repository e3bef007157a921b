#include "cli/terminal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

bool terminal_is(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

bool terminal_has_colour(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no_colour != NULL && no_colour[0] != '\0') return false;
    return terminal_is(stream) && term != NULL && strcmp(term, "dumb") != 0;
}

int terminal_width(FILE *stream)
{
    struct winsize size;
    if (!terminal_is(stream) || ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

const char *terminal_style(FILE *stream, enum terminal_style style)
{
    static const char *const sequences[] = {"\x1b[0m", "\x1b[2m", "\x1b[1m"};
    return terminal_has_colour(stream) ? sequences[style] : "";
}

// Bytes of the control character at the start of text, 0 if there is none: C0, DEL, or C1 as UTF-8.
static size_t control_bytes(const char *text, size_t length)
{
    unsigned char first = (unsigned char)text[0];
    if ((first < 0x20 && first != '\n' && first != '\t') || first == 0x7f) return 1;
    bool c1 = first == 0xc2 && length > 1 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0;
    return c1 ? 2 : 0;
}

void terminal_write(FILE *stream, const char *text, size_t length)
{
    bool filtered = terminal_is(stream);
    size_t start = 0;
    for (size_t i = 0; filtered && i < length;) {
        size_t control = control_bytes(text + i, length - i);
        if (control > 0) {
            fwrite(text + start, 1, i - start, stream);
            fputs("\xef\xbf\xbd", stream);
            start = i + control;
        }
        i += control > 0 ? control : 1;
    }
    fwrite(text + start, 1, length - start, stream);
}

int terminal_error(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tern: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return code;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void progress_begin(struct progress *progress, const char *what)
{
    *progress = (struct progress){.what = what, .start = seconds_now()};
}

void progress_show(struct progress *progress, float fraction)
{
    if (!terminal_is(stderr) || seconds_now() - progress->start < 1) return;
    fprintf(stderr, "\r%s %3.0f %%", progress->what, (double)fraction * 100);
    fflush(stderr);
    progress->shown = true;
}

void progress_end(struct progress *progress)
{
    if (progress->shown) fprintf(stderr, "\r%*s\r", (int)strlen(progress->what) + 6, "");
    progress->shown = false;
}

int terminal_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_OK;
    if (errno == EPIPE) return EXIT_FAILED;
    return terminal_error(EXIT_FAILED, "standard output: %s", strerror(errno));
}
