// /v1/completions: https://platform.openai.com/docs/api-reference/completions
#include "serve/answer.h"
#include "serve/completions_request.h"
#include "serve/route.h"

#include <string.h>

// ---- The answer -----------------------------------------------------------------------------------------------------

static const char object[] = "text_completion";

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: offsets count bytes of the answer's text.
static json_t *logprobs(const struct completion_options *options, const struct generation *g,
                        const struct generation_logprob *list, size_t count, size_t offset)
{
    if (!options->logprobs) return json_null();
    json_t *tokens = json_array(), *values = json_array(), *tops = json_array(), *offsets = json_array();
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        const char *bytes = generation_token_bytes(g, list[i].drawn.token, &length);
        json_array_append_new(tokens, json_text(bytes, length));
        json_array_append_new(values, answer_logprob(list[i].drawn.logprob));
        json_array_append_new(offsets, json_integer((json_int_t)offset));
        json_t *top = json_object();
        for (int32_t k = 0; k < list[i].n_top; k++) {
            size_t n = 0;
            const char *other = generation_token_bytes(g, list[i].top[k].token, &n);
            json_t *name = json_text(other, n);
            json_object_set_new(top, json_string_value(name), answer_logprob(list[i].top[k].logprob));
            json_decref(name);
        }
        json_array_append_new(tops, top);
        offset += length;
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values, "top_logprobs", tops,
                     "text_offset", offsets);
}

static const char *echoed(const struct completion_options *options, const struct generation *g, int index)
{
    const struct generation_request *request = generation_request(g);
    return options->echo ? request->prompts[index / request->n].text : "";
}

static json_t *choice_object(const struct generation_choice *choice, json_t *text, json_t *token_logprobs,
                             const char *finish)
{
    return json_pack("{s:i, s:o, s:o, s:o}", "index", choice->index, "text", text, "logprobs", token_logprobs,
                     "finish_reason", finish != NULL ? json_string(finish) : json_null());
}

static json_t *whole_text(const struct completion_options *options, const struct generation *g,
                          const struct generation_choice *choice)
{
    const char *prompt = echoed(options, g, choice->index);
    const struct buffer *content = &choice->content;
    return json_pack("s#+#", prompt, (int)strlen(prompt), content->length > 0 ? content->data : "",
                     (int)content->length);
}

static void write_whole(const struct completion_options *options, const struct generation *g,
                        const struct generation_usage *usage)
{
    json_t *choices = json_array();
    const struct generation_choice *choice;
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        json_array_append_new(choices, choice_object(choice, whole_text(options, g, choice),
                                                     logprobs(options, g, choice->logprobs, choice->n_logprobs, 0),
                                                     answer_finish(choice->finish)));
    answer_write_whole(g, object, choices, usage);
}

// Takes the references.
static void write_delta(const struct completion_options *options, const struct generation *g,
                        const struct generation_choice *choice, json_t *text, json_t *token_logprobs,
                        const char *finish)
{
    json_t *choices = json_pack("[o]", choice_object(choice, text, token_logprobs, finish));
    answer_write_chunk(g, &options->stream, object, choices);
}

static void begin_stream(const struct completion_options *options, const struct generation *g)
{
    const struct generation_choice *choice;
    exchange_begin_stream(generation_exchange(g));
    for (size_t i = 0; options->echo && (choice = generation_choice(g, i)) != NULL; i++)
        write_delta(options, g, choice, json_string(echoed(options, g, choice->index)), json_null(), NULL);
}

static void stream_event(const struct completion_options *options, const struct generation *g,
                         const struct generation_event *event)
{
    const struct generation_choice *choice = event->choice;
    switch (event->kind) {
    case GENERATION_BEGIN:
        begin_stream(options, g);
        break;
    case GENERATION_CONTENT:
        write_delta(options, g, choice, json_stringn(event->text, event->length),
                    logprobs(options, g, event->logprobs, event->n_logprobs, choice->content.length - event->length),
                    NULL);
        break;
    case GENERATION_CHOICE_END:
        write_delta(options, g, choice, json_string(""), json_null(), answer_finish(choice->finish));
        break;
    case GENERATION_END:
        answer_write_end(g, &options->stream, object, event->usage);
        break;
    default:
        break;
    }
}

// ---- The endpoint ---------------------------------------------------------------------------------------------------

static bool read(const struct fields *fields, struct generation_request *request, void *answer)
{
    return completions_read_request(fields, request, answer);
}

static void on_event(void *answer, const struct generation *g, const struct generation_event *event)
{
    const struct completion_options *options = answer;
    if (event->kind == GENERATION_ERROR)
        exchange_fail(generation_exchange(g), event->error);
    else if (options->stream.wanted)
        stream_event(options, g, event);
    else if (event->kind == GENERATION_END)
        write_whole(options, g, event->usage);
}

void completions_handle(struct server *server, struct exchange *exchange)
{
    static const struct dialect completions = {
        .answer_bytes = sizeof(struct completion_options), .id_prefix = "cmpl-", .read = read, .on_event = on_event};
    generation_start(server, exchange, &completions);
}
