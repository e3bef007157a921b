// An answer in one of the styles, in pieces that the input chooses: the same is said as when it comes whole, and
// without tools and thinking not a byte is changed.
#include <stdlib.h>
#include <string.h>

#include "text/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What was said: kind and text of each event, neighbours of one kind put together.
struct record {
    struct buffer said;
    char kind;
};

static tern_status write_kind(struct record *record, char kind)
{
    if (record->kind == kind) return TERN_OK;
    record->kind = kind;
    return buffer_append(&record->said, (char[]){'\1', kind}, 2);
}

static tern_status on_content(void *context, const char *text, size_t length)
{
    TRY(write_kind(context, 'c'));
    return buffer_append(&((struct record *)context)->said, text, length);
}

static tern_status on_reasoning(void *context, const char *text, size_t length)
{
    TRY(write_kind(context, 'r'));
    return buffer_append(&((struct record *)context)->said, text, length);
}

static tern_status on_call_begin(void *context, int32_t index, const char *name)
{
    TRY(write_kind(context, 'n'));
    return buffer_append_format(&((struct record *)context)->said, "%d %s", index, name);
}

static tern_status on_call_arguments(void *context, int32_t index, const char *text, size_t length)
{
    (void)index;
    TRY(write_kind(context, 'a'));
    return buffer_append(&((struct record *)context)->said, text, length);
}

static tern_status on_call_end(void *context, int32_t index)
{
    (void)index;
    return write_kind(context, 'e');
}

static void check(bool right)
{
    if (!right) abort();
}

// Pieces of 1 to `longest` bytes, by the bytes themselves.
static struct record take_apart(const struct reply_style *style, bool tools, const char *text, size_t length,
                                size_t longest)
{
    struct record record = {.said = {0}};
    struct reply_events events = {on_content, on_reasoning, on_call_begin, on_call_arguments, on_call_end, &record};
    struct reply *reply;
    check(reply_open(style, tools, &events, &reply) == TERN_OK);
    for (size_t at = 0, n; at < length; at += n) {
        n = 1 + (unsigned char)text[at] % longest;
        if (n > length - at || longest == length) n = length - at;
        check(reply_push(reply, text + at, n) == TERN_OK);
    }
    check(reply_finish(reply) == TERN_OK);
    reply_close(reply);
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const templates[] = {
        "<tool_call></think>",
        "[TOOL_CALLS][/THINK]",
        "{\"name\": function name, \"parameters\":",
        "",
    };
    if (size < 2) return 0;
    const char *template = templates[data[0] % 4], *text = (const char *)data + 1;
    size_t length = size - 1;
    bool tools = data[0] & 4;
    struct reply_style style;
    reply_style_detect(template, strlen(template), &style);
    style.think_opened = style.think_open != NULL && data[0] & 8;

    struct record whole = take_apart(&style, tools, text, length, length);
    for (size_t longest = 1; longest <= 9; longest += 4) {
        struct record pieces = take_apart(&style, tools, text, length, longest);
        check(pieces.said.length == whole.said.length);
        check(whole.said.length == 0 || memcmp(pieces.said.data, whole.said.data, whole.said.length) == 0);
        buffer_free(&pieces.said);
    }
    if (!tools && style.think_open == NULL) {
        check(whole.said.length == length + 2);
        check(memcmp(whole.said.data + 2, text, length) == 0);
    }
    buffer_free(&whole.said);
    return 0;
}
