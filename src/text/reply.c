#include "text/reply.h"

#include <stdlib.h>
#include <string.h>

#include "text/reply_call.h"

enum {
    MAX_MARK = 32,    // bytes of the longest mark
    MAX_BLANKS = 1024 // that are held back; in a longer run there is no mark to come
};

enum place {
    AT_START,    // of the answer, or behind the thinking or a call: nothing but blanks since
    IN_TEXT,     // thinking or content
    IN_CALL,     // behind its opening mark, or in its JSON without one
    BEHIND_CALL, // where its closing mark is expected
};

struct reply {
    struct reply_style style;
    bool tools;
    struct reply_events events;
    enum place place;
    bool thinks;    // text is thinking
    bool has_begun; // more than blanks came: no thinking begins any more
    bool beside;    // a mark was the last thing before the blanks that come: they are dropped
    char partial[MAX_MARK];
    size_t n_partial; // bytes of it: the beginning of a mark, perhaps
    struct buffer blanks;
    struct buffer text; // certain, not yet given out
    // Of a call:
    struct reply_call call;
    struct buffer held; // all of it that was not given out: if it is none, this was text
    bool bare;          // there was no opening mark
    bool announced;     // on_call_begin was called
    int32_t n_begun, n_complete;
};

tern_status reply_open(const struct reply_style *style, bool tools, const struct reply_events *events,
                       struct reply **out)
{
    const char *const marks[] = {style->think_open, style->think_close, style->call_open, style->call_close};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (marks[i] != NULL && strlen(marks[i]) > MAX_MARK)
            return status_fail(TERN_INVALID, "the mark \"%s\" has more than %d bytes", marks[i], MAX_MARK);
    }
    struct reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a reply");
    reply->style = *style;
    reply->tools = tools && style->call_open != NULL;
    reply->events = *events;
    reply->thinks = reply->has_begun = reply->beside = style->think_opened;
    reply->place = style->think_opened ? IN_TEXT : AT_START;
    reply->call.name_key = style->name_key;
    reply->call.arguments_key = style->arguments_key;
    *out = reply;
    return TERN_OK;
}

void reply_close(struct reply *reply)
{
    if (reply == NULL) return;
    reply_call_free(&reply->call);
    buffer_free(&reply->blanks);
    buffer_free(&reply->text);
    buffer_free(&reply->held);
    free(reply);
}

int32_t reply_calls(const struct reply *reply)
{
    return reply->n_complete;
}

// ---- Giving out -------------------------------------------------------------------------------------------------

static tern_status give_out_text(struct reply *r)
{
    tern_status (*give)(void *, const char *, size_t) = r->thinks ? r->events.on_reasoning : r->events.on_content;
    size_t length = r->text.length;
    r->text.length = 0;
    return length == 0 || give == NULL ? TERN_OK : give(r->events.context, r->text.data, length);
}

static tern_status give_out_arguments(struct reply *r)
{
    struct buffer *arguments = &r->call.arguments;
    size_t length = arguments->length;
    if (!r->announced || length == 0) return TERN_OK;
    arguments->length = 0;
    if (r->events.on_call_arguments == NULL) return TERN_OK;
    return r->events.on_call_arguments(r->events.context, r->n_begun - 1, arguments->data, length);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Whether a mark may come, before which blanks would be dropped.
static bool awaits_mark(const struct reply *r)
{
    bool may_think = r->style.think_open != NULL && !r->has_begun;
    return r->tools || r->thinks || may_think;
}

static tern_status release_blanks(struct reply *r)
{
    TRY(buffer_append(&r->text, r->blanks.data, r->blanks.length));
    r->blanks.length = 0;
    return TERN_OK;
}

static tern_status take_text(struct reply *r, char byte)
{
    bool blank = is_blank(byte);
    if (blank && r->beside) return TERN_OK;
    if (blank && awaits_mark(r) && r->blanks.length < MAX_BLANKS) return buffer_append(&r->blanks, &byte, 1);
    TRY(release_blanks(r));
    TRY(buffer_append(&r->text, &byte, 1));
    r->beside = false;
    if (blank) return TERN_OK;
    r->has_begun = true;
    r->place = IN_TEXT;
    return TERN_OK;
}

// ---- Calls ------------------------------------------------------------------------------------------------------

static void begin_call(struct reply *r, bool bare)
{
    r->call.in_list = false;
    reply_call_next(&r->call);
    r->held.length = 0;
    r->bare = bare;
    r->announced = false;
    r->place = IN_CALL;
}

static void leave_calls(struct reply *r)
{
    r->place = BEHIND_CALL;
    r->beside = true;
}

static tern_status announce_call(struct reply *r)
{
    r->blanks.length = r->held.length = 0;
    r->has_begun = r->announced = true;
    r->n_begun++;
    TRY(give_out_text(r));
    if (r->events.on_call_begin == NULL) return TERN_OK;
    return r->events.on_call_begin(r->events.context, r->n_begun - 1, r->call.name.data);
}

// Arguments that were left out are none.
static tern_status end_call(struct reply *r)
{
    if (!r->announced) TRY(announce_call(r));
    if (!r->call.argued) TRY(buffer_append(&r->call.arguments, "{}", 2));
    TRY(give_out_arguments(r));
    r->announced = false;
    r->n_complete++;
    if (r->events.on_call_end == NULL) return TERN_OK;
    return r->events.on_call_end(r->events.context, r->n_begun - 1);
}

// What is held is no call, or no more of one: it is text.
static tern_status give_up_call(struct reply *r)
{
    if (r->announced && r->call.argued_out) TRY(end_call(r));
    TRY(give_out_arguments(r));
    r->announced = r->beside = false;
    r->place = IN_TEXT;
    for (size_t i = 0; i < r->held.length; i++)
        TRY(take_text(r, r->held.data[i]));
    r->held.length = 0;
    return TERN_OK;
}

static tern_status end_object(struct reply *r)
{
    if (r->bare && !r->call.argued) return give_up_call(r); // any JSON may have a "name"
    TRY(end_call(r));
    r->held.length = 0;
    reply_call_next(&r->call);
    if (!r->call.in_list) leave_calls(r);
    return TERN_OK;
}

static tern_status take_byte(struct reply *r, char byte);

static tern_status take_call_byte(struct reply *r, char byte)
{
    enum call_step step = CALL_IS_NONE;
    bool streamed = r->announced && !r->call.argued_out; // on its way out: nothing to hold
    if (r->held.length < REPLY_MAX_HELD) TRY(reply_call_push(&r->call, byte, &step));
    if (step == CALL_IS_NONE) {
        TRY(give_up_call(r));
        return take_byte(r, byte);
    }
    if (!streamed) TRY(buffer_append(&r->held, &byte, 1));
    if (!r->announced && r->call.named && r->call.argued) TRY(announce_call(r));
    if (step == CALL_OBJECT_ENDS) return end_object(r);
    if (step == CALL_LIST_ENDS) leave_calls(r);
    return TERN_OK;
}

// ---- Marks ------------------------------------------------------------------------------------------------------

enum mark { THINK_OPEN, THINK_CLOSE, CALL_OPEN, CALL_CLOSE, N_MARKS };

// The mark's text if it means something here, else NULL. A call is one amid the thinking too.
static const char *awaited(const struct reply *r, enum mark mark)
{
    switch (mark) {
    case THINK_OPEN:
        return r->has_begun ? NULL : r->style.think_open;
    case THINK_CLOSE:
        return r->thinks ? r->style.think_close : NULL;
    case CALL_OPEN:
        return r->tools ? r->style.call_open : NULL;
    default:
        return r->place == BEHIND_CALL ? r->style.call_close : NULL;
    }
}

static tern_status meet_mark(struct reply *r, enum mark mark, const char *text)
{
    if (mark == CALL_OPEN) {
        begin_call(r, false);
        return buffer_append_string(&r->held, text);
    }
    r->blanks.length = 0;
    TRY(give_out_text(r));
    if (mark != CALL_CLOSE) r->thinks = mark == THINK_OPEN;
    r->has_begun = r->beside = true;
    r->place = mark == THINK_OPEN ? IN_TEXT : AT_START;
    return TERN_OK;
}

// Lets go of the bytes that begin no mark; no mark is longer than MAX_MARK, so this takes a bounded time for each byte.
static tern_status search_marks(struct reply *r)
{
    while (r->n_partial > 0) {
        bool begins_one = false;
        for (enum mark mark = 0; mark < N_MARKS; mark++) {
            const char *text = awaited(r, mark);
            if (text == NULL || text[0] == '\0' || strncmp(text, r->partial, r->n_partial) != 0) continue;
            begins_one = true;
            if (strlen(text) > r->n_partial) continue;
            r->n_partial = 0;
            return meet_mark(r, mark, text);
        }
        if (begins_one) return TERN_OK;
        char first = r->partial[0];
        memmove(r->partial, r->partial + 1, --r->n_partial);
        TRY(take_text(r, first));
    }
    return TERN_OK;
}

// An answer's own JSON may be a call only where nothing stands before it.
static bool begins_bare_call(const struct reply *r, char byte)
{
    bool alone = r->place == AT_START || r->place == BEHIND_CALL;
    return byte == '{' && r->tools && r->style.call_is_bare && alone && !r->thinks && r->n_partial == 0;
}

static tern_status take_byte(struct reply *r, char byte)
{
    if (begins_bare_call(r, byte)) begin_call(r, true);
    if (r->place == IN_CALL) return take_call_byte(r, byte);
    r->partial[r->n_partial++] = byte;
    return search_marks(r);
}

tern_status reply_push(struct reply *reply, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        TRY(take_byte(reply, text[i]));
    TRY(give_out_arguments(reply));
    return give_out_text(reply);
}

tern_status reply_finish(struct reply *reply)
{
    if (reply->place == IN_CALL) TRY(give_up_call(reply));
    for (size_t i = 0; i < reply->n_partial; i++)
        TRY(take_text(reply, reply->partial[i]));
    reply->n_partial = 0;
    TRY(release_blanks(reply));
    return give_out_text(reply);
}
