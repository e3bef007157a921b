#include "serve/log.h"

#include "base/buffer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void format_time(char out[40])
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out + n, 40 - n, ".%03ldZ", now.tv_nsec / 1000000);
}

// One call a line, so that lines of several threads do not mix.
static void print_line(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

// What comes from clients must not look like a line of its own, nor steer a terminal.
static void make_harmless(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

static void print_json(const char *level, const char *what, json_t *facts)
{
    char time[40];
    format_time(time);
    json_t *line = json_pack("{s:s, s:s, s:s}", "time", time, "level", level, "message", what);
    if (line != NULL && facts != NULL) json_object_update(line, facts);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) : NULL;
    if (text != NULL) print_line(text);
    free(text);
    json_decref(line);
}

static void say(const struct log *log, const char *level, const char *format, va_list arguments)
{
    char text[2048], time[40];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0'; // libraries end their sentences with one
    make_harmless(text);
    if (log->json) {
        print_json(level, text, NULL);
        return;
    }
    format_time(time);
    fprintf(stderr, "%s %s%s\n", time, strcmp(level, "warning") == 0 ? "warning: " : "", text);
}

void log_say(const struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(log, "info", format, arguments);
    va_end(arguments);
}

void log_warn(const struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(log, "warning", format, arguments);
    va_end(arguments);
}

void log_detail_list(const struct log *log, const char *format, va_list arguments)
{
    if (log->verbose) say(log, "detail", format, arguments);
}

static tern_status append_fact(struct buffer *line, const char *key, const json_t *value)
{
    if (json_is_string(value)) return buffer_append_format(line, " %s=%s", key, json_string_value(value));
    if (json_is_integer(value))
        return buffer_append_format(line, " %s=%lld", key, (long long)json_integer_value(value));
    return buffer_append_format(line, " %s=%.3f", key, json_number_value(value));
}

static void print_facts(const char *what, json_t *facts)
{
    struct buffer line = {0};
    char time[40];
    const char *key;
    json_t *value;
    format_time(time);
    tern_status status = buffer_append_format(&line, "%s %s", time, what);
    json_object_foreach(facts, key, value)
    {
        if (status == TERN_OK) status = append_fact(&line, key, value);
    }
    if (status == TERN_OK) {
        make_harmless(line.data);
        print_line(line.data);
    }
    buffer_free(&line);
}

void log_facts(const struct log *log, const char *what, json_t *facts)
{
    if (facts != NULL && log->json) print_json("info", what, facts);
    if (facts != NULL && !log->json) print_facts(what, facts);
    json_decref(facts);
}
