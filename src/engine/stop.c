#include "engine/stop.h"

#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

static void compute_fallback(struct stop_string *s)
{
    s->fallback[0] = 0;
    for (size_t i = 1, k = 0; i < s->length; i++) {
        while (k > 0 && s->text[i] != s->text[k])
            k = s->fallback[k - 1];
        if (s->text[i] == s->text[k]) k++;
        s->fallback[i] = (uint16_t)k;
    }
}

static tern_status open_string(struct stop_string *s, const char *text, size_t index)
{
    size_t length = text == NULL ? 0 : strnlen(text, STOP_MAX_BYTES + 1);
    if (length == 0 || length > STOP_MAX_BYTES)
        return status_fail(TERN_INVALID, "stop string %zu is %s, expected 1 to %d bytes", index + 1,
                           length == 0 ? "empty" : "too long", STOP_MAX_BYTES);
    // With it, a partial match begins where a character begins, so that holding it back splits none.
    if (!utf8_valid(text, length)) return status_fail(TERN_INVALID, "stop string %zu is not valid UTF-8", index + 1);
    s->length = length;
    s->text = malloc(length);
    s->fallback = malloc(length * sizeof *s->fallback);
    if (s->text == NULL || s->fallback == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a stop string");
    memcpy(s->text, text, length);
    compute_fallback(s);
    return TERN_OK;
}

tern_status stop_open(struct stop_filter *filter, const char *const *strings, size_t n_strings)
{
    *filter = (struct stop_filter){0};
    if (n_strings > STOP_MAX_STRINGS)
        return status_fail(TERN_INVALID, "%zu stop strings, at most %d are taken", n_strings, STOP_MAX_STRINGS);
    if (n_strings == 0) return TERN_OK;
    if (strings == NULL) return status_fail(TERN_INVALID, "%zu stop strings, but the list is NULL", n_strings);
    filter->strings = calloc(n_strings, sizeof *filter->strings);
    if (filter->strings == NULL) return status_fail(TERN_NO_MEMORY, "no memory for stop strings");
    filter->n_strings = n_strings;
    for (size_t i = 0; i < n_strings; i++)
        TRY(open_string(&filter->strings[i], strings[i], i));
    return TERN_OK;
}

void stop_close(struct stop_filter *filter)
{
    for (size_t i = 0; i < filter->n_strings; i++) {
        free(filter->strings[i].text);
        free(filter->strings[i].fallback);
    }
    free(filter->strings);
    buffer_free(&filter->held);
    *filter = (struct stop_filter){0};
}

// True if the string is complete with this byte.
static bool advance(struct stop_string *s, char byte)
{
    while (s->matched > 0 && s->text[s->matched] != byte)
        s->matched = s->fallback[s->matched - 1];
    if (s->text[s->matched] == byte) s->matched++;
    return s->matched == s->length;
}

// The longest partial match; when strings are complete, the longest of these.
static size_t advance_all(struct stop_filter *filter, char byte, bool *stopped)
{
    size_t longest = 0, complete = 0;
    for (size_t i = 0; i < filter->n_strings; i++) {
        struct stop_string *s = &filter->strings[i];
        if (advance(s, byte) && s->length > complete) complete = s->length;
        if (s->matched > longest) longest = s->matched;
    }
    *stopped = complete > 0;
    return *stopped ? complete : longest;
}

tern_status stop_push(struct stop_filter *filter, const char *text, size_t length, struct buffer *out, bool *stopped)
{
    *stopped = filter->stopped;
    if (filter->stopped) return TERN_OK; // the automata stand behind the ends of their strings
    if (filter->n_strings == 0) return buffer_append(out, text, length);
    size_t partial = filter->held.length;
    TRY(buffer_append(&filter->held, text, length));
    size_t end = filter->held.length - length; // bytes of `held` that the automata have seen
    while (end < filter->held.length && !*stopped)
        partial = advance_all(filter, filter->held.data[end++], stopped);

    size_t certain = end - partial;
    TRY(buffer_append(out, filter->held.data, certain));
    filter->held.length = *stopped ? 0 : end - certain;
    filter->stopped = *stopped;
    if (filter->held.length > 0) memmove(filter->held.data, filter->held.data + certain, filter->held.length);
    return TERN_OK;
}

tern_status stop_finish(struct stop_filter *filter, struct buffer *out)
{
    TRY(buffer_append(out, filter->held.data, filter->held.length));
    filter->held.length = 0;
    return TERN_OK;
}
