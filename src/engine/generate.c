// From a prompt to an answer: feed, draw, and let text out as soon as it is certain.
#include "engine/session.h"
#include "engine/stop.h"

#include "text/utf8.h"

// Token bytes on their way to the caller: put together to characters, then searched for stop strings.
struct answer {
    const tern_generation *generation;
    struct utf8_stream characters;
    struct stop_filter stop;
    struct buffer whole;   // characters of the last token
    struct buffer certain; // text to hand out
};

static tern_status hand_out(struct answer *answer)
{
    const tern_generation *g = answer->generation;
    size_t length = answer->certain.length;
    answer->certain.length = 0;
    if (length == 0 || g->on_text == NULL || g->on_text(g->context, answer->certain.data, length)) return TERN_OK;
    return status_fail(TERN_CANCELLED, "the receiver of the text asked to stop");
}

static tern_status answer_push(struct answer *answer, const struct tokenizer *tokenizer, tern_token token,
                               bool *stopped)
{
    *stopped = false;
    if (tokenizer_is_control(tokenizer, token)) return TERN_OK;
    size_t length = 0;
    const char *bytes = tokenizer_token_bytes(tokenizer, token, &length);
    if (bytes == NULL) return TERN_OK; // padding of the vocabulary
    answer->whole.length = 0;
    TRY(utf8_stream_push(&answer->characters, bytes, length, &answer->whole));
    TRY(stop_push(&answer->stop, answer->whole.data, answer->whole.length, &answer->certain, stopped));
    return hand_out(answer);
}

// Lets go of what was held back: an unfinished character, the beginning of a stop string.
static tern_status answer_finish(struct answer *answer, bool *stopped)
{
    answer->whole.length = 0;
    TRY(utf8_stream_finish(&answer->characters, &answer->whole));
    TRY(stop_push(&answer->stop, answer->whole.data, answer->whole.length, &answer->certain, stopped));
    if (!*stopped) TRY(stop_finish(&answer->stop, &answer->certain));
    return hand_out(answer);
}

static void answer_close(struct answer *answer)
{
    stop_close(&answer->stop);
    buffer_free(&answer->whole);
    buffer_free(&answer->certain);
}

// One token. *ended: the answer is complete, for the reason in result->finish.
static tern_status generate_token(tern_session *session, struct answer *answer, tern_result *result, bool *ended)
{
    const struct tokenizer *tokenizer = session->model->tokenizer;
    *ended = true;
    if (session_take_cancel(session)) return status_fail(TERN_CANCELLED, "cancelled");
    if (result->n_generated == answer->generation->max_tokens || session->length == (size_t)session->context) {
        result->finish = TERN_FINISH_LENGTH;
        return TERN_OK;
    }
    tern_token token = tern_session_sample(session);
    if (tokenizer_is_end(tokenizer, token)) {
        result->finish = TERN_FINISH_END;
        return TERN_OK;
    }
    result->n_generated++;
    bool stopped;
    TRY(answer_push(answer, tokenizer, token, &stopped));
    if (stopped) {
        result->finish = TERN_FINISH_STOP;
        return TERN_OK;
    }
    *ended = false;
    return tern_session_feed(session, &token, 1);
}

static tern_status generate_tokens(tern_session *session, struct answer *answer, tern_result *result)
{
    bool ended = false, stopped = false;
    tern_status status = TERN_OK;
    while (status == TERN_OK && !ended)
        status = generate_token(session, answer, result, &ended);
    if (status == TERN_CANCELLED) result->finish = TERN_FINISH_CANCELLED;
    if (status != TERN_OK || result->finish == TERN_FINISH_STOP) return status;

    status = answer_finish(answer, &stopped);
    if (stopped) result->finish = TERN_FINISH_STOP;
    if (status == TERN_CANCELLED) result->finish = TERN_FINISH_CANCELLED;
    return status;
}

static tern_status feed_prompt(tern_session *session, const tern_token *prompt, size_t n_prompt, tern_result *result)
{
    size_t before = session->length;
    double start = model_clock();
    tern_status status = tern_session_feed(session, prompt, n_prompt);
    result->prompt_seconds = model_clock() - start;
    result->n_prompt = (int32_t)(session->length - before);
    if (status == TERN_CANCELLED) result->finish = TERN_FINISH_CANCELLED;
    return status;
}

static tern_status generate(tern_session *session, const tern_token *prompt, size_t n_prompt,
                            const tern_generation *generation, struct answer *answer, tern_result *result)
{
    TRY(stop_open(&answer->stop, generation->stop, generation->n_stop));
    TRY(feed_prompt(session, prompt, n_prompt, result));
    if (!session->has_logits)
        return status_fail(TERN_INVALID, "nothing to continue: the prompt is empty and so is the session's end");
    double start = model_clock();
    tern_status status = generate_tokens(session, answer, result);
    result->generate_seconds = model_clock() - start;
    return status;
}

tern_status tern_session_generate(tern_session *session, const tern_token *prompt, size_t n_prompt,
                                  const tern_generation *generation, tern_result *result)
{
    static const tern_generation defaults = {.max_tokens = -1};
    tern_result unwanted;
    if (result == NULL) result = &unwanted;
    *result = (tern_result){.finish = TERN_FINISH_END};
    if (generation == NULL) generation = &defaults;
    if (generation->max_tokens < -1)
        return status_fail(TERN_INVALID, "max_tokens is %d, expected -1 (no bound) or more",
                           (int)generation->max_tokens);
    struct answer answer = {.generation = generation};
    tern_status status = generate(session, prompt, n_prompt, generation, &answer, result);
    answer_close(&answer);
    return status;
}
