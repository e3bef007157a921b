// From tokens to events: bytes to characters, stop strings, then thinking, words and calls.
#include "serve/generation_parts.h"

#include <stdlib.h>
#include <string.h>

// ---- Logprobs -------------------------------------------------------------------------------------------------------

static tern_status note_logprob(struct part *part, const struct generation_logprob *logprob)
{
    if (part->generation->request.n_logprobs < 0) return TERN_OK;
    if (part->n_noted == part->noted_capacity) {
        size_t capacity = part->noted_capacity == 0 ? 64 : part->noted_capacity * 2;
        struct generation_logprob *list = realloc(part->choice.logprobs, capacity * sizeof *list);
        if (list != NULL) part->choice.logprobs = list;
        size_t *begins = realloc(part->begins, capacity * sizeof *begins);
        if (begins != NULL) part->begins = begins;
        if (list == NULL || begins == NULL) return status_fail(TERN_NO_MEMORY, "no memory for logprobs");
        part->noted_capacity = capacity;
    }
    part->begins[part->n_noted] = part->n_in;
    part->choice.logprobs[part->n_noted++] = *logprob;
    return TERN_OK;
}

// Those of tokens whose text is out (a stop string's tokens never are) go with this event.
static void add_logprobs(struct part *part, struct generation_event *event)
{
    size_t first = part->choice.n_logprobs, last = first;
    while (last < part->n_noted && part->begins[last] < part->n_out)
        last++;
    part->choice.n_logprobs = last;
    event->logprobs = part->choice.logprobs + first;
    event->n_logprobs = last - first;
}

// Logprobs are of what is said, not of what is thought.
static void forget_thought(struct part *part)
{
    if (part->thinking && part->n_noted > part->choice.n_logprobs) part->n_noted--;
}

// ---- What the reply says --------------------------------------------------------------------------------------------

static void tell(struct part *part, struct generation_event *event)
{
    event->choice = &part->choice;
    generation_tell(part->generation, event);
}

static tern_status on_content(void *context, const char *text, size_t length)
{
    struct part *part = context;
    struct buffer *content = &part->choice.content;
    struct generation_event event = {.kind = GENERATION_CONTENT};
    part->thinking = false;
    TRY(buffer_append(content, text, length));
    event.text = content->data + content->length - length;
    event.length = length;
    add_logprobs(part, &event);
    tell(part, &event);
    return TERN_OK;
}

static tern_status on_reasoning(void *context, const char *text, size_t length)
{
    struct part *part = context;
    struct buffer *reasoning = &part->choice.reasoning;
    part->thinking = true;
    TRY(buffer_append(reasoning, text, length));
    tell(part, &(struct generation_event){.kind = GENERATION_REASONING,
                                          .text = reasoning->data + reasoning->length - length,
                                          .length = length});
    return TERN_OK;
}

// Some templates take only ids of nine letters and digits, and they shall take their own model's back.
static void make_call_id(const struct part *part, struct generation_call *call)
{
    bool is_short = part->generation->style.short_ids;
    server_make_id(is_short ? "" : "call_", call->id, is_short ? 10 : sizeof call->id);
}

static tern_status on_call_begin(void *context, int32_t index, const char *name)
{
    struct part *part = context;
    struct generation_choice *choice = &part->choice;
    part->thinking = false;
    struct generation_call *calls = realloc(choice->calls, (choice->n_calls + 1) * sizeof *calls);
    if (calls == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a tool call");
    choice->calls = calls;
    struct generation_call *call = &calls[choice->n_calls];
    *call = (struct generation_call){0};
    make_call_id(part, call);
    TRY(buffer_append_string(&call->name, name));
    choice->n_calls++;
    tell(part, &(struct generation_event){.kind = GENERATION_CALL_BEGIN, .call = call, .call_index = index});
    return TERN_OK;
}

static tern_status on_call_arguments(void *context, int32_t index, const char *text, size_t length)
{
    struct part *part = context;
    if (index < 0 || (size_t)index >= part->choice.n_calls) return TERN_OK;
    struct generation_call *call = &part->choice.calls[index];
    TRY(buffer_append(&call->arguments, text, length));
    tell(part, &(struct generation_event){.kind = GENERATION_CALL_ARGUMENTS,
                                          .call = call,
                                          .call_index = index,
                                          .text = call->arguments.data + call->arguments.length - length,
                                          .length = length});
    return TERN_OK;
}

static tern_status on_call_end(void *context, int32_t index)
{
    struct part *part = context;
    if (index < 0 || (size_t)index >= part->choice.n_calls) return TERN_OK;
    struct generation_call *call = &part->choice.calls[index];
    call->complete = true;
    tell(part, &(struct generation_event){.kind = GENERATION_CALL_END, .call = call, .call_index = index});
    return TERN_OK;
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------

tern_status answer_part_open(struct part *part)
{
    const struct generation *g = part->generation;
    const struct generation_request *request = &g->request;
    const struct reply_events events = {
        .on_content = on_content,
        .on_reasoning = on_reasoning,
        .on_call_begin = on_call_begin,
        .on_call_arguments = on_call_arguments,
        .on_call_end = on_call_end,
        .context = part,
    };
    bool tools = json_array_size(request->tools) > 0 && request->tool_choice != TOOL_CHOICE_NONE;
    // Prompts that are no conversation are continued, and nothing in what comes is taken apart.
    const struct reply_style plain = {0};
    TRY(stop_open(&part->stop, request->stop, request->n_stop));
    part->thinking = g->style.think_opened;
    return reply_open(request->prompts == NULL ? &g->style : &plain, tools, &events, &part->reply);
}

void answer_part_close(struct part *part)
{
    struct generation_choice *choice = &part->choice;
    stop_close(&part->stop);
    reply_close(part->reply);
    for (size_t i = 0; i < choice->n_calls; i++) {
        buffer_free(&choice->calls[i].name);
        buffer_free(&choice->calls[i].arguments);
    }
    free(choice->calls);
    free(choice->logprobs);
    buffer_free(&choice->content);
    buffer_free(&choice->reasoning);
    buffer_free(&part->drawn);
    buffer_free(&part->whole);
    buffer_free(&part->certain);
    free(part->begins);
    free(part->arrivals);
}

// The request's own string: the filter's copies are not NUL-terminated.
static const char *complete_stop(const struct part *part)
{
    for (size_t i = 0; i < part->stop.n_strings; i++)
        if (part->stop.strings[i].matched == part->stop.strings[i].length) return part->generation->request.stop[i];
    return NULL;
}

static tern_status push_whole(struct part *part)
{
    bool stopped = false;
    part->n_in += part->whole.length;
    part->certain.length = 0;
    TRY(stop_push(&part->stop, part->whole.data, part->whole.length, &part->certain, &stopped));
    part->n_out += part->certain.length;
    if (part->certain.length > 0) TRY(reply_push(part->reply, part->certain.data, part->certain.length));
    if (!stopped) return TERN_OK;
    part->complete = true;
    part->choice.finish = GENERATION_STOP_STRING;
    part->choice.stop_string = complete_stop(part);
    return TERN_OK;
}

// A control token is no part of the text, unless it is a mark that the reply looks for, <tool_call> for one.
static bool is_text(const struct part *part, tern_token token, const char *bytes, size_t length)
{
    const struct generation *g = part->generation;
    if (!tokenizer_is_control(g->model->model->tokenizer, token)) return true;
    return g->request.prompts == NULL && reply_style_has_mark(&g->style, bytes, length);
}

static tern_status push_bytes(struct part *part, tern_token token)
{
    const struct tokenizer *tokenizer = part->generation->model->model->tokenizer;
    size_t length = 0;
    const char *bytes = tokenizer_token_bytes(tokenizer, token, &length);
    if (bytes == NULL || !is_text(part, token, bytes, length)) return TERN_OK;
    part->whole.length = 0;
    TRY(utf8_stream_push(&part->characters, bytes, length, &part->whole));
    return push_whole(part);
}

tern_status answer_part_push(struct part *part, const struct arrival *arrival)
{
    const struct generation_request *request = &part->generation->request;
    const tern_token token = arrival->logprob.drawn.token;
    part->choice.n_generated++;
    if (part->generation->close_text != NULL) TRY(buffer_append(&part->drawn, &token, sizeof token));
    TRY(note_logprob(part, &arrival->logprob));
    TRY(push_bytes(part, token));
    forget_thought(part);
    if (!part->thinking) return TERN_OK;
    part->choice.n_reasoning++;
    bool enough = request->thinking_budget >= 0 && part->choice.n_reasoning >= request->thinking_budget;
    bool may_go_on = !part->complete && !part->forced && part->generation->close_text != NULL;
    if (enough && may_go_on) part->forcing = true;
    return TERN_OK;
}

tern_status answer_part_push_text(struct part *part, const char *text)
{
    part->whole.length = 0;
    TRY(utf8_stream_finish(&part->characters, &part->whole));
    TRY(buffer_append_string(&part->whole, text));
    return push_whole(part);
}

tern_status answer_part_finish(struct part *part)
{
    if (part->choice.finish != GENERATION_STOP_STRING) {
        part->whole.length = 0;
        TRY(utf8_stream_finish(&part->characters, &part->whole));
        TRY(push_whole(part));
    }
    if (part->choice.finish != GENERATION_STOP_STRING) {
        part->certain.length = 0;
        TRY(stop_finish(&part->stop, &part->certain));
        part->n_out += part->certain.length;
        if (part->certain.length > 0) TRY(reply_push(part->reply, part->certain.data, part->certain.length));
    }
    return reply_finish(part->reply);
}

void answer_part_tell_end(struct part *part)
{
    struct generation_event event = {.kind = GENERATION_CHOICE_END};
    add_logprobs(part, &event);
    tell(part, &event);
}
