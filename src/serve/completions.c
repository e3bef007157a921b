// /v1/completions: https://platform.openai.com/docs/api-reference/completions
#include "serve/answer.h"
#include "serve/completions_request.h"
#include "serve/route.h"
#include "serve/server.h"

#include <stdlib.h>
#include <string.h>

struct completion {
    struct completion_options options;
    char id[48];
};

// ---- The answer -----------------------------------------------------------------------------------------------------

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: offsets count bytes of the answer's text.
static json_t *logprobs(const struct completion *completion, const struct generation *g,
                        const struct generation_logprob *list, size_t count, size_t offset)
{
    if (!completion->options.logprobs) return json_null();
    json_t *tokens = json_array(), *values = json_array(), *tops = json_array(), *offsets = json_array();
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        const char *bytes = generation_token_bytes(g, list[i].drawn.token, &length);
        json_array_append_new(tokens, json_text(bytes, length));
        json_array_append_new(values, json_real((double)list[i].drawn.logprob));
        json_array_append_new(offsets, json_integer((json_int_t)offset));
        json_t *top = json_object();
        for (int32_t k = 0; k < list[i].n_top; k++) {
            size_t n = 0;
            const char *other = generation_token_bytes(g, list[i].top[k].token, &n);
            json_t *name = json_text(other, n);
            json_object_set_new(top, json_string_value(name), json_real((double)list[i].top[k].logprob));
            json_decref(name);
        }
        json_array_append_new(tops, top);
        offset += length;
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values, "top_logprobs", tops,
                     "text_offset", offsets);
}

static const char *echoed(const struct completion *completion, const struct generation *g, int index)
{
    const struct generation_request *request = generation_request(g);
    return completion->options.echo ? request->prompts[index / request->n].text : "";
}

static json_t *choice_object(const struct generation_choice *choice, json_t *text, json_t *token_logprobs,
                             const char *finish)
{
    return json_pack("{s:i, s:o, s:o, s:o}", "index", choice->index, "text", text, "logprobs", token_logprobs,
                     "finish_reason", finish != NULL ? json_string(finish) : json_null());
}

static json_t *answer_object(const struct completion *completion, const struct generation *g, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", completion->id, "object", "text_completion", "created",
                     (json_int_t)exchange_request(generation_exchange(g))->created, "model", generation_model_name(g),
                     "system_fingerprint", generation_fingerprint(g), "choices", choices);
}

static json_t *whole_text(const struct completion *completion, const struct generation *g,
                          const struct generation_choice *choice)
{
    const char *prompt = echoed(completion, g, choice->index);
    const struct buffer *content = &choice->content;
    return json_pack("s#+#", prompt, (int)strlen(prompt), content->length > 0 ? content->data : "",
                     (int)content->length);
}

static void answer_whole(const struct completion *completion, const struct generation *g,
                         const struct generation_usage *usage)
{
    json_t *choices = json_array();
    const struct generation_choice *choice;
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        json_array_append_new(choices, choice_object(choice, whole_text(completion, g, choice),
                                                     logprobs(completion, g, choice->logprobs, choice->n_logprobs, 0),
                                                     answer_finish(choice->finish)));
    json_t *answer = answer_object(completion, g, choices);
    json_object_set_new(answer, "usage", answer_usage(usage));
    exchange_answer_json(generation_exchange(g), 200, answer);
}

static void write_chunk(const struct completion *completion, const struct generation *g, json_t *choice, json_t *usage)
{
    json_t *choices = json_array();
    if (choice != NULL) json_array_append_new(choices, choice);
    json_t *chunk = answer_object(completion, g, choices);
    if (completion->options.stream.include_usage)
        json_object_set_new(chunk, "usage", usage != NULL ? usage : json_null());
    exchange_write_event(generation_exchange(g), NULL, chunk);
}

static void begin_stream(const struct completion *completion, const struct generation *g)
{
    const struct generation_choice *choice;
    exchange_begin_stream(generation_exchange(g));
    for (size_t i = 0; completion->options.echo && (choice = generation_choice(g, i)) != NULL; i++)
        write_chunk(completion, g,
                    choice_object(choice, json_string(echoed(completion, g, choice->index)), json_null(), NULL), NULL);
}

static void stream_event(const struct completion *completion, const struct generation *g,
                         const struct generation_event *event)
{
    static const char done[] = "data: [DONE]\n\n";
    switch (event->kind) {
    case GENERATION_BEGIN:
        begin_stream(completion, g);
        break;
    case GENERATION_CONTENT:
        write_chunk(completion, g,
                    choice_object(event->choice, json_stringn(event->text, event->length),
                                  logprobs(completion, g, event->logprobs, event->n_logprobs,
                                           event->choice->content.length - event->length),
                                  NULL),
                    NULL);
        break;
    case GENERATION_CHOICE_END:
        write_chunk(completion, g,
                    choice_object(event->choice, json_string(""), json_null(), answer_finish(event->choice->finish)),
                    NULL);
        break;
    case GENERATION_END:
        if (completion->options.stream.include_usage) write_chunk(completion, g, NULL, answer_usage(event->usage));
        exchange_write(generation_exchange(g), done, sizeof done - 1);
        exchange_end(generation_exchange(g));
        break;
    default:
        break;
    }
}

static void on_event(void *context, const struct generation *g, const struct generation_event *event)
{
    const struct completion *completion = context;
    if (event->kind == GENERATION_ERROR)
        exchange_fail(generation_exchange(g), event->error);
    else if (completion->options.stream.stream)
        stream_event(completion, g, event);
    else if (event->kind == GENERATION_END)
        answer_whole(completion, g, event->usage);
}

// ---- The endpoint ---------------------------------------------------------------------------------------------------

void completions_handle(struct server *server, struct exchange *exchange)
{
    const struct exchange_request *http = exchange_request(exchange);
    struct generation_request request = {0};
    struct api_error error;
    json_t *root = NULL;
    struct completion *completion = calloc(1, sizeof *completion);
    bool fine = completion != NULL || api_error_from_status(&error, TERN_NO_MEMORY, NULL);
    fine = fine && field_open_body(http->body, http->body_length, &root, &error);
    if (fine) generation_request_init(server, &request, root);
    const struct fields fields = {.object = root, .error = &error};
    if (!fine || !completions_read_request(&fields, &request, &completion->options)) {
        exchange_fail(exchange, &error);
        generation_request_free(&request);
        free(completion);
        return;
    }
    generation_make_id("cmpl-", completion->id, sizeof completion->id);
    generation_start(server, exchange, &request,
                     &(struct generation_sink){.on_event = on_event, .on_close = free, .context = completion});
}
