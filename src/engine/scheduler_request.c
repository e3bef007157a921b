#include "engine/scheduler_request.h"

#include "base/elementary.h"
#include "engine/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- Opening

static tern_status check_request(const struct tern_model *model, const struct scheduler_request *asked, int32_t context)
{
    int32_t n_vocabulary = model->config.n_vocabulary;
    if (asked->prompt == NULL || asked->n_prompt == 0) return status_fail(TERN_INVALID, "the prompt has no tokens");
    if (asked->n_prompt > (size_t)context)
        return status_fail(TERN_LIMIT, "a prompt of %zu tokens does not fit the context of %d", asked->n_prompt,
                           (int)context);
    for (size_t i = 0; i < asked->n_prompt; i++)
        if (asked->prompt[i] < 0 || asked->prompt[i] >= n_vocabulary)
            return status_fail(TERN_INVALID, "token %d, the vocabulary has tokens 0 to %d", (int)asked->prompt[i],
                               (int)n_vocabulary - 1);
    if (asked->n_answered > asked->n_prompt)
        return status_fail(TERN_INVALID, "%zu of the prompt's %zu tokens are the answer's", asked->n_answered,
                           asked->n_prompt);
    if (asked->max_tokens < -1)
        return status_fail(TERN_INVALID, "max_tokens is %d, expected -1 (no bound) or more", (int)asked->max_tokens);
    if (asked->n_logprobs < -1 || asked->n_logprobs > SCHEDULER_MAX_TOP)
        return status_fail(TERN_INVALID, "%d logprobs, expected -1 (none) to %d", (int)asked->n_logprobs,
                           SCHEDULER_MAX_TOP);
    if ((unsigned)asked->pooling > SCHEDULER_POOL_CLS)
        return status_fail(TERN_INVALID, "pooling %d, expected 0 to %d", (int)asked->pooling, SCHEDULER_POOL_CLS);
    if (asked->pooling != SCHEDULER_POOL_NONE && asked->embedding == NULL)
        return status_fail(TERN_INVALID, "there is no place for the embedding");
    return TERN_OK;
}

static tern_status copy_prompt(struct request *r, const struct scheduler_request *asked)
{
    // All of a prompt depends on its first token; that one's row depends on itself alone.
    r->n_prompt = (int32_t)asked->n_prompt;
    r->n_tokens = asked->pooling == SCHEDULER_POOL_CLS ? 1 : r->n_prompt;
    r->capacity = r->n_tokens + 64;
    r->tokens = malloc((size_t)r->capacity * sizeof *r->tokens);
    if (r->tokens == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a prompt of %d tokens", (int)r->n_prompt);
    memcpy(r->tokens, asked->prompt, (size_t)r->n_tokens * sizeof *r->tokens);
    return TERN_OK;
}

static tern_status open_parts(struct request *r, const struct scheduler_request *asked, int32_t context)
{
    TRY(copy_prompt(r, asked));
    int32_t room = context - r->n_prompt;
    if (r->pooling != SCHEDULER_POOL_NONE) {
        r->most_tokens = r->n_tokens;
        if (r->pooling == SCHEDULER_POOL_MEAN) r->sum = calloc((size_t)r->model->config.width, sizeof *r->sum);
        return r->pooling != SCHEDULER_POOL_MEAN || r->sum != NULL
                   ? TERN_OK
                   : status_fail(TERN_NO_MEMORY, "no memory for an embedding");
    }
    r->most_tokens = r->n_prompt + (asked->max_tokens < 0 || asked->max_tokens > room ? room : asked->max_tokens);
    tern_sampling sampling = asked->sampling != NULL ? *asked->sampling : tern_sampling_default();
    TRY(sampler_open(&sampling, r->model->config.n_vocabulary, &r->sampler));
    TRY(sampler_count(r->sampler, r->tokens + r->n_prompt - asked->n_answered, asked->n_answered));
    return asked->constraint != NULL ? constraint_begin(asked->constraint, &r->constraint) : TERN_OK;
}

tern_status request_open(const struct tern_model *model, const struct scheduler_request *asked, int32_t context,
                         struct request **out)
{
    *out = NULL;
    TRY(check_request(model, asked, context));
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a request");
    r->model = model;
    r->id = asked->continues;
    r->continues = asked->continues != 0;
    r->client = asked->client;
    r->n_logprobs = asked->n_logprobs;
    r->ignore_end = asked->ignore_end && asked->constraint == NULL;
    r->pooling = asked->pooling;
    r->embedding = asked->embedding;
    r->on_token = asked->on_token;
    r->on_end = asked->on_end;
    r->context = asked->context;
    r->submitted = model_clock();
    atomic_init(&r->cancelled, false);
    tern_status status = open_parts(r, asked, context);
    if (status != TERN_OK) {
        request_close(r);
        return status;
    }
    *out = r;
    return TERN_OK;
}

void request_close(struct request *r)
{
    if (r == NULL) return;
    sampler_close(r->sampler);
    if (r->constraint != NULL) constraint_end(r->constraint);
    free(r->tokens);
    free(r->sum);
    free(r);
}

int32_t request_left(const struct request *r)
{
    return r->n_tokens - r->computed;
}

bool request_is_answering(const struct request *r)
{
    return r->n_generated > 0 && request_left(r) == 1;
}

tern_status request_append(struct request *r, tern_token token)
{
    if (r->n_tokens == r->capacity) {
        int32_t capacity = r->capacity > INT32_MAX / 2 ? INT32_MAX : 2 * r->capacity;
        tern_token *tokens = realloc(r->tokens, (size_t)capacity * sizeof *tokens);
        if (tokens == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %d tokens", (int)capacity);
        r->tokens = tokens;
        r->capacity = capacity;
    }
    r->tokens[r->n_tokens++] = token;
    r->n_generated++;
    return sampler_count(r->sampler, &token, 1);
}

// ---- Probabilities

static float comparable(float logit)
{
    return isnan(logit) ? -INFINITY : logit;
}

// Puts a token among the `n` most likely, of which *count are there: highest first, lowest id of equals first.
static void insert_top(struct scheduler_logprob *top, int32_t n, int32_t *count, tern_token token, float logit)
{
    int32_t at = *count < n ? (*count)++ : n - 1;
    for (; at > 0 && top[at - 1].logprob < logit; at--)
        top[at] = top[at - 1];
    top[at] = (struct scheduler_logprob){token, logit};
}

static void find_top(const float *logits, int32_t n_vocabulary, int32_t n, struct draw *draw)
{
    int32_t count = 0;
    for (tern_token i = 0; i < n_vocabulary && n > 0; i++) {
        float logit = comparable(logits[i]);
        if (count < n || logit > draw->top[n - 1].logprob) insert_top(draw->top, n, &count, i, logit);
    }
    draw->token.n_top = count;
}

static float highest(const float *logits, int32_t n)
{
    float most = -INFINITY;
    for (int32_t i = 0; i < n; i++)
        if (logits[i] > most) most = logits[i];
    return most;
}

static void find_logprobs(const struct request *r, struct draw *draw)
{
    int32_t n = r->model->config.n_vocabulary;
    float most = highest(r->logits, n);
    if (!isfinite(most)) most = 0; // a broken model: whatever comes out, it is not undefined
    double total = (double)most + elementary_log(softmax_total(r->logits, n, most, 1));
    find_top(r->logits, n, r->n_logprobs, draw);
    for (int32_t i = 0; i < draw->token.n_top; i++)
        draw->top[i].logprob = (float)((double)draw->top[i].logprob - total);
    draw->token.logprob = (float)((double)comparable(r->logits[draw->token.token]) - total);
}

// ---- Drawing

static bool allows(void *context, tern_token token)
{
    return constraint_allows(context, token);
}

static tern_status mask(void *context, uint32_t *bits, int32_t n_vocabulary)
{
    return constraint_mask(context, bits, n_vocabulary);
}

static tern_status draw_token(struct request *r, tern_token *out)
{
    size_t n = (size_t)r->n_tokens;
    if (r->constraint == NULL || constraint_is_free(r->constraint)) {
        *out = sampler_sample(r->sampler, r->logits, r->tokens, n);
        return TERN_OK;
    }
    struct sampler_filter filter = {.allows = allows, .mask = mask, .context = r->constraint};
    TRY(sampler_sample_allowed(r->sampler, r->logits, r->tokens, n, &filter, out));
    return constraint_lost(r->constraint) ? status_fail(TERN_NO_MEMORY, "no memory to look at a token") : TERN_OK;
}

static tern_status draw_answer(struct request *r, struct draw *draw)
{
    tern_token token;
    TRY(draw_token(r, &token));
    draw->token.token = token;
    if (!r->ignore_end && tokenizer_is_end(r->model->tokenizer, token)) {
        draw->ends = true;
        return TERN_OK;
    }
    if (r->n_logprobs >= 0) find_logprobs(r, draw);
    if (r->constraint == NULL) return TERN_OK;
    TRY(constraint_accept(r->constraint, token));
    draw->complete = constraint_must_end(r->constraint);
    return TERN_OK;
}

void request_draw(struct request *r)
{
    struct draw *draw = &r->draw;
    draw->token = (struct scheduler_token){.top = draw->top};
    draw->ends = draw->complete = false;
    draw->status = draw_answer(r, draw);
    // The message belongs to this thread; the scheduler's will tell it.
    if (draw->status != TERN_OK) strcpy(draw->message, status_message());
}

// ---- Embeddings

// In ascending order of positions, one row after the other: the same sums however the prompt was cut.
void request_pool(struct request *r, const float *hidden, int32_t n)
{
    int32_t width = r->model->config.width;
    if (r->pooling != SCHEDULER_POOL_MEAN) {
        memcpy(r->embedding, hidden, (size_t)width * sizeof *hidden);
        return;
    }
    for (int32_t row = 0; row < n; row++)
        for (int32_t i = 0; i < width; i++)
            r->sum[i] += (double)hidden[(int64_t)row * width + i];
}

void request_finish_pool(struct request *r)
{
    if (r->pooling != SCHEDULER_POOL_MEAN) return;
    for (int32_t i = 0; i < r->model->config.width; i++)
        r->embedding[i] = (float)(r->sum[i] / r->n_prompt);
}
