#include "cli/answer.h"

#include "cli/terminal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char OPEN_TAG[] = "<think>", CLOSE_TAG[] = "</think>";

void answer_begin(struct answer *answer, FILE *stream, bool thinking)
{
    *answer = (struct answer){.stream = stream, .thinking = thinking};
    if (stream == NULL) return;
    clearerr(stream); // a Ctrl-C in the middle of writing the last answer is no lasting fault
    if (thinking) fputs(terminal_style(stream, STYLE_DIM), stream);
}

void answer_close(struct answer *answer)
{
    buffer_free(&answer->text);
    buffer_free(&answer->held);
}

// Bytes at the end of text[0..length) that are a proper beginning of `tag`.
static size_t partial_tag(const char *text, size_t length, const char *tag)
{
    size_t n = strlen(tag) - 1;
    if (n > length) n = length;
    while (n > 0 && memcmp(text + length - n, tag, n) != 0)
        n--;
    return n;
}

// Writes the first `length` held bytes and forgets them.
static void release(struct answer *answer, size_t length)
{
    struct buffer *held = &answer->held;
    terminal_write(answer->stream, held->data, length);
    memmove(held->data, held->data + length, held->length - length + 1); // with its NUL
    held->length -= length;
}

// Switches style at each tag; a tag itself belongs to the thinking.
static void release_certain(struct answer *answer)
{
    struct buffer *held = &answer->held;
    for (;;) {
        const char *tag = answer->thinking ? CLOSE_TAG : OPEN_TAG;
        const char *found = strstr(held->data, tag);
        if (found == NULL) {
            release(answer, held->length - partial_tag(held->data, held->length, tag));
            return;
        }
        size_t before = (size_t)(found - held->data);
        release(answer, answer->thinking ? before + strlen(tag) : before);
        answer->thinking = !answer->thinking;
        fputs(terminal_style(answer->stream, answer->thinking ? STYLE_DIM : STYLE_PLAIN), answer->stream);
        if (answer->thinking) release(answer, strlen(OPEN_TAG));
    }
}

bool answer_write(void *context, const char *text, size_t length)
{
    struct answer *answer = context;
    answer->lost = answer->lost || buffer_append(&answer->text, text, length) != TERN_OK;
    if (answer->lost) return false;
    if (answer->stream == NULL || length == 0) return true;
    if (!terminal_has_colour(answer->stream)) {
        terminal_write(answer->stream, text, length);
    } else {
        answer->lost = buffer_append(&answer->held, text, length) != TERN_OK;
        if (answer->lost) return false;
        release_certain(answer);
    }
    errno = 0;
    if (fflush(answer->stream) != 0 || ferror(answer->stream)) answer->write_error = errno != 0 ? errno : EIO;
    return answer->write_error == 0;
}

tern_status answer_end(struct answer *answer, tern_status status)
{
    if (answer->stream != NULL) {
        if (answer->held.length > 0) release(answer, answer->held.length);
        fputs(terminal_style(answer->stream, STYLE_PLAIN), answer->stream);
    }
    return answer->lost ? status_fail(TERN_NO_MEMORY, "no memory for the answer") : status;
}

static char *copy_trimmed(const char *text, size_t length)
{
    while (length > 0 && isspace((unsigned char)text[0])) {
        text++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    return strndup(text, length);
}

tern_status answer_split(const struct answer *answer, bool began_thinking, char **reasoning, char **content)
{
    const char *text = answer->text.data != NULL ? answer->text.data : "", *start = text;
    const char *tag = text + strspn(text, " \t\r\n");
    bool thought = began_thinking;
    if (strncmp(tag, OPEN_TAG, strlen(OPEN_TAG)) == 0) {
        thought = true;
        start = tag + strlen(OPEN_TAG);
    }
    const char *end = thought ? strstr(start, CLOSE_TAG) : start;
    const char *rest = !thought ? start : end != NULL ? end + strlen(CLOSE_TAG) : start + strlen(start);
    if (end == NULL) end = rest; // cut off while it was thinking

    *reasoning = thought ? copy_trimmed(start, (size_t)(end - start)) : NULL;
    *content = copy_trimmed(rest, strlen(rest));
    if (*content != NULL && (!thought || *reasoning != NULL)) return TERN_OK;
    free(*reasoning);
    free(*content);
    return status_fail(TERN_NO_MEMORY, "no memory for the answer");
}
