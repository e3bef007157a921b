#include "cli/fetching.h"

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/time_left.h"
#include "hub/cache.h"
#include "hub/pull.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RATE_SECONDS = 5, LINE_SECONDS = 10 }; // what a rate is measured over; between lines that are no terminal's

struct display {
    bool quiet, terminal;
    double shown_at;            // 0: not yet
    double rate_at, rate;       // bytes a second since `rate_at`
    uint64_t rate_bytes, bytes; // at `rate_at`; now
    int columns;                // of the line on the screen
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int fetching_error(int code)
{
    const char *message = tern_last_error();
    fputs("tern: ", stderr);
    terminal_write(stderr, message, strlen(message));
    fputc('\n', stderr);
    return code;
}

void fetching_format_bytes(uint64_t bytes, char *out, size_t size)
{
    double count = (double)bytes;
    if (count >= 1e9)
        snprintf(out, size, "%.2f GB", count / 1e9);
    else
        snprintf(out, size, "%.1f MB", count / 1e6);
}

// ---- Display ------------------------------------------------------------------------------------------------------

static void wipe(struct display *d)
{
    if (d->columns > 0) fprintf(stderr, "\r%*s\r", d->columns, "");
    d->columns = 0;
}

static void format_line(const struct display *d, uint64_t total, char *out, size_t size)
{
    char have[32], all[32], left[48];
    fetching_format_bytes(d->bytes, have, sizeof have);
    if (total == UINT64_MAX) {
        snprintf(out, size, "%s, %.1f MB/s", have, d->rate / 1e6);
        return;
    }
    fetching_format_bytes(total, all, sizeof all);
    if (d->rate > 0)
        time_left_format((double)(total - d->bytes) / d->rate, left, sizeof left);
    else
        snprintf(left, sizeof left, "?");
    snprintf(out, size, "%3.0f %%  %s of %s, %.1f MB/s, %s left",
             total > 0 ? 100 * (double)d->bytes / (double)total : 100, have, all, d->rate / 1e6, left);
}

static void measure_rate(struct display *d, uint64_t done, double now)
{
    if (d->rate_at <= 0 || done < d->rate_bytes) { // the first bytes; or the file is begun anew
        d->rate_at = now;
        d->rate_bytes = done;
    }
    double spent = now - d->rate_at;
    if (spent >= 0.5) d->rate = (double)(done - d->rate_bytes) / spent;
    if (spent < RATE_SECONDS) return;
    d->rate_at = now;
    d->rate_bytes = done;
}

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    struct display *d = context;
    double now = seconds_now();
    char line[160];
    d->bytes = done;
    measure_rate(d, done, now);
    if (d->shown_at <= 0) d->shown_at = now; // nothing is shown of what is quick
    if (d->quiet || now - d->shown_at < (d->terminal ? 0.5 : LINE_SECONDS)) return;
    d->shown_at = now;
    format_line(d, total, line, sizeof line);
    if (!d->terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    int width = terminal_width(stderr) - 1, columns = fprintf(stderr, "\r%.*s", width, line) - 1;
    fprintf(stderr, "%*s", columns < d->columns ? d->columns - columns : 0, "");
    fflush(stderr);
    d->columns = columns;
}

static void show_note(void *context, const char *text)
{
    struct display *d = context;
    wipe(d);
    if (d->quiet) return;
    terminal_write(stderr, text, strlen(text));
    fputc('\n', stderr);
}

static bool go_on(void *context)
{
    (void)context;
    return !interrupt_seen();
}

// ---- Running ------------------------------------------------------------------------------------------------------

static const char *endpoint(struct buffer *text)
{
    const char *value = getenv("HF_ENDPOINT");
    if (value == NULL || value[0] == '\0') value = "https://huggingface.co";
    if (buffer_append_string(text, value) != TERN_OK) return NULL;
    while (text->length > 0 && text->data[text->length - 1] == '/')
        text->data[--text->length] = '\0';
    return text->data;
}

tern_status fetching_parse(const char *text, struct hub_source *out)
{
    struct buffer hub = {0};
    const char *address = endpoint(&hub);
    tern_status status = TERN_NO_MEMORY;
    if (address != NULL && strncmp(address, "https://", 8) != 0 && strncmp(address, "http://", 7) != 0)
        status = status_fail(TERN_INVALID, "HF_ENDPOINT: expected https://..., got '%s'", address);
    else if (address != NULL && (status = source_parse(text, address, out)) != TERN_OK)
        status_prefix(status, "%s: ", text);
    buffer_free(&hub);
    return status;
}

tern_status fetching_append_path(const struct hub_source *source, struct buffer *out)
{
    TRY(cache_append_folder(out));
    return buffer_append_format(out, "/%s", source->path);
}

// A token often comes from a file, with the end of its line.
static tern_status check_token(const char *token)
{
    for (const char *c = token != NULL ? token : ""; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return status_fail(TERN_INVALID,
                               "HF_TOKEN holds a blank, the end of a line or another character of no token");
    return TERN_OK;
}

static tern_status pull(const struct fetching *fetching, struct hub_source *source, struct display *display)
{
    struct buffer hub = {0}, cache = {0};
    struct pull_options options = {
        .endpoint = endpoint(&hub),
        .token = getenv("HF_TOKEN"),
        .ca_file = getenv("SSL_CERT_FILE"), // as the curl command does
        .sha256 = fetching->sha256,
        .retries = fetching->retries,
        .timeout = fetching->timeout,
        .force = fetching->force != 0,
        .events = {.context = display, .tick = go_on, .progress = show_progress, .note = show_note},
    };
    tern_status status = options.endpoint != NULL ? check_token(options.token) : TERN_NO_MEMORY;
    if (status == TERN_OK) status = cache_append_folder(&cache);
    options.cache = cache.data;
    if (status == TERN_OK) status = pull_model(&options, source);
    buffer_free(&hub);
    buffer_free(&cache);
    return status;
}

int fetching_run(const struct fetching *fetching, struct hub_source *source)
{
    struct display display = {.quiet = fetching->quiet != 0, .terminal = terminal_is(stderr)};
    signal(SIGXFSZ, SIG_IGN); // a bound on file sizes is an error of write(), with words
    tern_status status = pull(fetching, source, &display);
    wipe(&display);
    if (status == TERN_OK) return EXIT_OK;
    if (status != TERN_CANCELLED) return fetching_error(EXIT_FAILED);
    char have[32];
    fetching_format_bytes(display.bytes, have, sizeof have);
    if (display.bytes > 0)
        fprintf(stderr, "tern: interrupted; the %s that came are kept, the same command goes on from there\n", have);
    else
        fputs("tern: interrupted\n", stderr);
    return EXIT_INTERRUPTED;
}
