#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

// ---- Opening ------------------------------------------------------------------------------------------------------

tern_sampling tern_sampling_default(void)
{
    return (tern_sampling){
        .temperature = 0.7f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1,
        .repetition_penalty = 1,
        .penalty_window = 64,
    };
}

static tern_status choose_context(const tern_model *model, int32_t wanted, int32_t *out)
{
    *out = wanted == 0 ? model->config.context : wanted;
    if (wanted >= 0 && wanted <= model->config.context) return TERN_OK;
    return status_fail(TERN_INVALID, "a context of %d tokens; the model was trained for 1 to %d", (int)wanted,
                       (int)model->config.context);
}

enum { FIRST_BATCH = 64 };

static tern_status open_parts(tern_session *session, const tern_session_options *options)
{
    tern_model *model = session->model;
    TRY(choose_context(model, options->context, &session->context));
    tern_sampling sampling = options->sampling != NULL ? *options->sampling : tern_sampling_default();
    TRY(sampler_open(&sampling, model->config.n_vocabulary, &session->sampler));
    TRY(kv_cache_open(&model->config, options->kv_type, session->context, &session->cache));
    session->guesses = !options->no_prompt_lookup;
    size_t rows = session->guesses ? 1 + DRAFT_MAX : 1;
    session->logits = malloc(rows * (size_t)model->config.n_vocabulary * sizeof *session->logits);
    if (session->logits == NULL) return status_fail(TERN_NO_MEMORY, "no memory for logits");
    session->batch = FIRST_BATCH;
    atomic_init(&session->cancelled, false);
    return TERN_OK;
}

tern_status tern_session_open(tern_model *model, const tern_session_options *options, tern_session **out)
{
    static const tern_session_options defaults;
    *out = NULL;
    tern_session *session = calloc(1, sizeof *session);
    if (session == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a session");
    session->model = model;
    tern_status status = open_parts(session, options != NULL ? options : &defaults);
    if (status != TERN_OK) {
        tern_session_close(session);
        return status;
    }
    *out = session;
    return TERN_OK;
}

void tern_session_close(tern_session *session)
{
    if (session == NULL) return;
    sampler_close(session->sampler);
    if (session->cache != NULL) kv_cache_close(session->cache);
    free(session->tokens);
    free(session->logits);
    free(session);
}

tern_status tern_session_set_sampling(tern_session *session, const tern_sampling *sampling)
{
    tern_sampling defaults = tern_sampling_default();
    struct sampler *sampler;
    TRY(sampler_open(sampling != NULL ? sampling : &defaults, session->model->config.n_vocabulary, &sampler));
    sampler_close(session->sampler);
    session->sampler = sampler;
    return TERN_OK;
}

// ---- Feeding ------------------------------------------------------------------------------------------------------

static tern_status check_tokens(const tern_session *session, const tern_token *tokens, size_t count)
{
    size_t room = (size_t)session->context - session->length;
    if (count > room)
        return status_fail(TERN_LIMIT, "%zu tokens do not fit: the context of %d tokens has %zu left", count,
                           (int)session->context, room);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= session->model->config.n_vocabulary)
            return status_fail(TERN_INVALID, "token %d, the vocabulary has tokens 0 to %d", (int)tokens[i],
                               (int)session->model->config.n_vocabulary - 1);
    return TERN_OK;
}

// Room for `count` more tokens, in the list and in the cache.
static tern_status reserve_tokens(tern_session *session, size_t count)
{
    size_t needed = session->length + count; // at most the context, so it fits an int32_t
    TRY(kv_cache_reserve(session->cache, (int32_t)needed));
    if (needed <= session->capacity) return TERN_OK;
    size_t capacity = session->capacity < 256 ? 256 : session->capacity;
    while (capacity < needed)
        capacity *= 2;
    tern_token *tokens = realloc(session->tokens, capacity * sizeof *tokens);
    if (tokens == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %zu tokens", capacity);
    session->tokens = tokens;
    session->capacity = capacity;
    return TERN_OK;
}

// A cancellation is noticed between batches: on slow machines they shrink until one takes well under a second.
static void adapt_batch(tern_session *session, int32_t rows, double seconds)
{
    if (seconds > 0.6 && rows > 1)
        session->batch = rows / 2;
    else if (seconds < 0.25 && rows == session->batch && session->batch <= DECODER_MAX_ROWS / 2)
        session->batch *= 2;
}

static float *logits_row(const tern_session *session, size_t row)
{
    return session->logits + row * (size_t)session->model->config.n_vocabulary;
}

// One pass of the decoder over tokens[0 .. count), of which the last `n_logits` rows get logits.
static tern_status feed_rows(tern_session *session, const tern_token *tokens, int32_t count, int32_t n_logits,
                             double *seconds)
{
    int32_t first = count - n_logits;
    for (int32_t i = 0; i < count; i++)
        session->rows[i] = (struct decoder_row){
            .token = tokens[i],
            .position = (int32_t)session->length + i,
            .cache = session->cache,
            .logits = i >= first ? logits_row(session, (size_t)(i - first)) : NULL,
        };
    return model_forward(session->model, session->rows, count, seconds);
}

// Part of a longer text; `last`: its end, after which logits are wanted, is among these.
static tern_status feed_batch(tern_session *session, const tern_token *tokens, int32_t count, bool last)
{
    double seconds;
    TRY(feed_rows(session, tokens, count, last ? 1 : 0, &seconds));
    adapt_batch(session, count, seconds);
    memcpy(session->tokens + session->length, tokens, (size_t)count * sizeof *tokens);
    session->length += (size_t)count;
    session->has_logits = last;
    session->logits_row = 0;
    return TERN_OK;
}

static tern_status feed_batches(tern_session *session, const tern_token *tokens, size_t count)
{
    TRY(reserve_tokens(session, count));
    while (count > 0) {
        if (session_take_cancel(session))
            return status_fail(TERN_CANCELLED, "cancelled with %zu tokens to read", count);
        int32_t rows = count < (size_t)session->batch ? (int32_t)count : session->batch;
        TRY(feed_batch(session, tokens, rows, (size_t)rows == count));
        tokens += rows;
        count -= (size_t)rows;
    }
    return TERN_OK;
}

// A single token with guesses at those that follow it, in one pass.
static tern_status feed_and_guess(tern_session *session, tern_token token)
{
    size_t room = (size_t)session->context - session->length - 1;
    TRY(reserve_tokens(session, 1 + (room < DRAFT_MAX ? room : DRAFT_MAX)));
    tern_token *next = session->tokens + session->length;
    next[0] = token;
    int32_t guesses = draft_propose(&session->draft, session->tokens, session->length + 1, room, next + 1);
    double seconds;
    TRY(feed_rows(session, next, 1 + guesses, 1 + guesses, &seconds));
    draft_count_pass(&session->draft, guesses, seconds);
    session->length++;
    session->n_ahead = (size_t)guesses;
    session->logits_row = 0;
    session->has_logits = true;
    return TERN_OK;
}

// True if the token was guessed: its keys, values and logits are there.
static bool take_guess(tern_session *session, tern_token token)
{
    bool hit = session->n_ahead > 0 && session->tokens[session->length] == token;
    if (hit) {
        session->length++;
        session->n_ahead--;
        session->logits_row++;
        draft_count_hit(&session->draft);
    } else {
        session->n_ahead = 0;
    }
    return hit;
}

tern_status tern_session_feed(tern_session *session, const tern_token *tokens, size_t count)
{
    if (session_take_cancel(session))
        return status_fail(TERN_CANCELLED, "cancelled before %zu tokens were read", count);
    if (count == 0) return TERN_OK;
    if (tokens == NULL) return status_fail(TERN_INVALID, "%zu tokens to feed, but the list is NULL", count);
    TRY(check_tokens(session, tokens, count));
    if (count > 1 || !session->guesses) {
        session->n_ahead = 0;
        return feed_batches(session, tokens, count);
    }
    return take_guess(session, tokens[0]) ? TERN_OK : feed_and_guess(session, tokens[0]);
}

const float *tern_session_logits(const tern_session *session)
{
    return session->has_logits ? logits_row(session, session->logits_row) : NULL;
}

tern_token tern_session_sample(tern_session *session)
{
    if (!session->has_logits) {
        status_fail(TERN_INVALID, "nothing to sample from: no token was fed since the session began or was truncated");
        return -1;
    }
    return sampler_sample(session->sampler, tern_session_logits(session), session->tokens, session->length);
}

// ---- State --------------------------------------------------------------------------------------------------------

size_t tern_session_length(const tern_session *session)
{
    return session->length;
}

const tern_token *tern_session_tokens(const tern_session *session)
{
    return session->tokens;
}

int32_t tern_session_context(const tern_session *session)
{
    return session->context;
}

tern_status tern_session_truncate(tern_session *session, size_t length)
{
    if (length > session->length)
        return status_fail(TERN_INVALID, "cannot truncate to %zu tokens: the session holds %zu", length,
                           session->length);
    if (length == session->length) return TERN_OK;
    session->n_ahead = 0;
    kv_cache_truncate(session->cache, (int32_t)length);
    session->length = length;
    session->has_logits = false;
    return TERN_OK;
}

void tern_session_cancel(tern_session *session)
{
    atomic_store(&session->cancelled, true);
}

bool session_take_cancel(tern_session *session)
{
    return atomic_exchange(&session->cancelled, false);
}
