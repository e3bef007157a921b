#include "serve/field.h"
#include "serve/generation_parts.h"
#include "serve/json_memory.h"

#include <stdlib.h>
#include <string.h>

// ---- Giving up ------------------------------------------------------------------------------------------------------

static void cancel(struct part *part)
{
    if (part->running) scheduler_cancel(part->generation->model->scheduler, part->id);
}

static void give_up(struct generation *g, tern_status status)
{
    if (g->error.status == 0) api_error_from_status(&g->error, status, NULL);
    for (size_t i = 0; i < g->n_parts; i++) {
        g->parts[i].complete = true;
        cancel(&g->parts[i]);
    }
}

// ---- Events ---------------------------------------------------------------------------------------------------------

void generation_tell(struct generation *g, struct generation_event *event)
{
    if (g->over || atomic_load(&g->gone)) return;
    g->over = event->kind == GENERATION_END || event->kind == GENERATION_ERROR;
    g->dialect->on_event(g->answer, g, event);
    if (!g->over && json_memory_lost()) give_up(g, TERN_NO_MEMORY); // an answer that lost a part is none
}

static void tell_error(struct generation *g)
{
    json_memory_begin();
    generation_tell(g, &(struct generation_event){.kind = GENERATION_ERROR, .error = &g->error});
}

static struct generation_usage sum_usage(const struct generation *g)
{
    struct generation_usage usage = {0};
    for (size_t i = 0; i < g->n_prompts; i++)
        usage.prompt_tokens += (int32_t)g->prompts[i].count;
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct part *part = &g->parts[i];
        usage.completion_tokens += part->choice.n_generated;
        usage.reasoning_tokens += part->choice.n_reasoning;
        if (i % (size_t)g->request.n == 0) usage.cached_tokens += part->n_cached;
    }
    return usage;
}

// ---- From the scheduler's thread ------------------------------------------------------------------------------------

// The writer's turn. With the mutex.
static void wake(struct generation *g)
{
    if (g->queued) return;
    g->queued = true;
    workers_submit(g->server->writer, &g->work);
}

static struct arrival *add_arrival(struct part *part)
{
    if (part->n_arrivals == part->arrival_capacity) {
        size_t capacity = part->arrival_capacity == 0 ? 16 : part->arrival_capacity * 2;
        struct arrival *grown = realloc(part->arrivals, capacity * sizeof *grown);
        if (grown == NULL) return NULL;
        part->arrivals = grown;
        part->arrival_capacity = capacity;
    }
    return &part->arrivals[part->n_arrivals++];
}

static bool take_token(void *context, const struct scheduler_token *token)
{
    struct part *part = context;
    struct generation *g = part->generation;
    pthread_mutex_lock(&g->mutex);
    struct arrival *arrival = add_arrival(part);
    if (arrival != NULL) {
        arrival->time = model_clock();
        arrival->logprob.drawn = (struct scheduler_logprob){token->token, token->logprob};
        arrival->logprob.n_top = token->n_top;
        memcpy(arrival->logprob.top, token->top, (size_t)token->n_top * sizeof *token->top);
    } else {
        part->lost = true;
    }
    wake(g);
    pthread_mutex_unlock(&g->mutex);
    return arrival != NULL;
}

static void take_end(void *context, const struct scheduler_result *result)
{
    struct part *part = context;
    pthread_mutex_lock(&part->generation->mutex);
    part->ended = true;
    part->result = *result;
    snprintf(part->message, sizeof part->message, "%s", result->message);
    wake(part->generation);
    pthread_mutex_unlock(&part->generation->mutex);
}

// From any thread.
static void note_gone(void *context)
{
    struct generation *g = context;
    atomic_store(&g->gone, true);
    models_leave(g->server->models, &g->waiter);
    pthread_mutex_lock(&g->mutex);
    wake(g);
    pthread_mutex_unlock(&g->mutex);
}

// ---- Submitting -----------------------------------------------------------------------------------------------------

static int32_t tokens_left(const struct part *part)
{
    int32_t most = part->generation->request.max_tokens;
    return most < 0 ? -1 : most - part->choice.n_generated;
}

// The last n_answered tokens are of the answer already.
static tern_status submit(struct part *part, const tern_token *tokens, size_t count, size_t n_answered,
                          const struct constraint *constraint)
{
    struct generation *g = part->generation;
    tern_sampling sampling = g->request.sampling;
    sampling.seed += (uint64_t)part->choice.index % (uint64_t)g->request.n;
    const struct scheduler_request request = {
        .prompt = tokens,
        .n_prompt = count,
        .n_answered = n_answered,
        .sampling = &sampling,
        .max_tokens = tokens_left(part),
        .n_logprobs = g->request.n_logprobs,
        .ignore_end = g->request.ignore_end,
        .client = exchange_request(g->exchange)->client,
        .continues = part->id,
        .constraint = constraint,
        .on_token = take_token,
        .on_end = take_end,
        .context = part,
    };
    TRY(scheduler_submit(g->model->scheduler, &request, &part->id));
    part->running = true;
    return TERN_OK;
}

// Goes on behind the end of thinking, which is put where the model did not put it. What was computed is remembered.
static tern_status submit_after_thinking(struct part *part)
{
    const struct generation *g = part->generation;
    const struct prompt *prompt = &g->prompts[part->prompt];
    struct buffer tokens = {0};
    part->forcing = false;
    part->forced = true;
    TRY(answer_part_push_text(part, g->close_text));
    if (part->complete) return TERN_OK; // that was a stop string
    tern_status status = buffer_append(&tokens, prompt->tokens, prompt->count * sizeof(tern_token));
    if (status == TERN_OK) status = buffer_append(&tokens, part->drawn.data, part->drawn.length);
    if (status == TERN_OK) status = buffer_append(&tokens, g->close_tokens, g->n_close * sizeof(tern_token));
    size_t count = tokens.length / sizeof(tern_token);
    if (status == TERN_OK && (tokens_left(part) == 0 || count >= (size_t)g->model->context)) {
        part->choice.finish = GENERATION_LENGTH;
    } else if (status == TERN_OK) {
        status = submit(part, (const tern_token *)(const void *)tokens.data, count, count - prompt->count,
                        g->after_thinking);
    }
    buffer_free(&tokens);
    return status;
}

// ---- The writer's turns ---------------------------------------------------------------------------------------------

static void observe(struct part *part, double time)
{
    struct generation *g = part->generation;
    if (part->last_token > 0)
        metrics_observe(g->server->metrics, METRIC_TOKEN_SECONDS, time - part->last_token);
    else
        metrics_observe(g->server->metrics, METRIC_FIRST_TOKEN_SECONDS, time - g->started);
    if (part->first_token == 0) part->first_token = time;
    part->last_token = time;
}

static tern_status push_arrivals(struct part *part, const struct arrival *arrivals, size_t count)
{
    for (size_t i = 0; i < count && !part->complete && !part->forcing; i++) {
        observe(part, arrivals[i].time);
        TRY(answer_part_push(part, &arrivals[i]));
    }
    if (part->complete || part->forcing) cancel(part);
    return TERN_OK;
}

static tern_status error_of(const struct part *part, const struct scheduler_result *result)
{
    if (result->end == SCHEDULER_END_ERROR) return status_fail(result->status, "%s", part->message);
    if (result->end == SCHEDULER_END_STOPPED) return status_fail(TERN_NO_MEMORY, "no memory for an answer");
    return status_fail(TERN_CANCELLED, "cancelled");
}

static void set_finish(struct part *part, enum scheduler_end end)
{
    struct generation_choice *choice = &part->choice;
    if (choice->finish != GENERATION_UNFINISHED) return;
    if (end == SCHEDULER_END_LENGTH)
        choice->finish = GENERATION_LENGTH;
    else
        choice->finish = reply_calls(part->reply) > 0 ? GENERATION_CALLS : GENERATION_STOP;
}

static tern_status end_part(struct part *part, const struct scheduler_result *result)
{
    struct generation *g = part->generation;
    bool first = part->queue_seconds == 0 && part->n_cached == 0;
    part->running = false;
    if (first && !part->forced) {
        part->n_cached = result->n_cached;
        part->queue_seconds = result->queue_seconds;
    }
    if (g->error.status != 0 || atomic_load(&g->gone)) return TERN_OK;
    bool is_failure = result->end == SCHEDULER_END_ERROR || result->end == SCHEDULER_END_STOPPED ||
                      (result->end == SCHEDULER_END_CANCELLED && !part->complete && !part->forcing);
    if (is_failure) return error_of(part, result);
    if (part->forcing) {
        TRY(submit_after_thinking(part));
        if (part->running) return TERN_OK;
    }
    TRY(answer_part_finish(part));
    set_finish(part, result->end);
    part->complete = true;
    answer_part_tell_end(part);
    return TERN_OK;
}

// What came since the last turn.
struct news {
    struct arrival *arrivals; // owned
    size_t n_arrivals;
    bool ended;
    struct scheduler_result result;
};

static void take_news(struct part *part, struct news *news)
{
    pthread_mutex_lock(&part->generation->mutex);
    *news = (struct news){part->arrivals, part->n_arrivals, part->ended, part->result};
    part->arrivals = NULL;
    part->n_arrivals = part->arrival_capacity = 0;
    part->ended = false;
    pthread_mutex_unlock(&part->generation->mutex);
}

static void look_at_part(struct part *part)
{
    struct generation *g = part->generation;
    struct news news;
    take_news(part, &news);
    tern_status status = TERN_OK;
    if (g->error.status == 0 && !atomic_load(&g->gone)) status = push_arrivals(part, news.arrivals, news.n_arrivals);
    if (status == TERN_OK && news.ended) status = end_part(part, &news.result);
    if (news.ended && status != TERN_OK) part->running = false;
    free(news.arrivals);
    if (status != TERN_OK) give_up(g, status);
}

static void begin(struct generation *g)
{
    tern_status status = TERN_OK;
    g->begun = true;
    if (g->request.count_only) return;
    const struct generation_usage usage = sum_usage(g);
    for (size_t i = 0; i < g->n_parts && status == TERN_OK; i++) {
        const struct prompt *prompt = &g->prompts[g->parts[i].prompt];
        status = submit(&g->parts[i], prompt->tokens, prompt->count, 0, g->constraint);
    }
    if (status != TERN_OK)
        give_up(g, status);
    else
        generation_tell(g, &(struct generation_event){.kind = GENERATION_BEGIN, .usage = &usage});
}

static bool is_running(const struct generation *g)
{
    for (size_t i = 0; i < g->n_parts; i++)
        if (g->parts[i].running) return true;
    return false;
}

// ---- The end --------------------------------------------------------------------------------------------------------

static void note_facts(const struct generation *g)
{
    const struct generation_usage usage = sum_usage(g);
    struct exchange_facts facts = {
        .prompt_tokens = usage.prompt_tokens,
        .cached_tokens = usage.cached_tokens,
        .generated_tokens = usage.completion_tokens,
    };
    if (g->model != NULL) snprintf(facts.model, sizeof facts.model, "%s", g->model->name);
    if (g->n_parts > 0) facts.queue_seconds = g->parts[0].queue_seconds;
    if (g->n_parts > 0 && g->parts[0].first_token > 0) facts.first_token_seconds = g->parts[0].first_token - g->started;
    exchange_set_facts(g->exchange, &facts);
}

static void generation_close(struct generation *g)
{
    if (g->dialect->on_close != NULL) g->dialect->on_close(g->answer);
    free(g->answer);
    for (size_t i = 0; i < g->n_parts; i++)
        answer_part_close(&g->parts[i]);
    free(g->parts);
    for (size_t i = 0; i < g->n_prompts; i++)
        tern_free(g->prompts[i].tokens);
    free(g->prompts);
    constraint_close(g->constraint);
    constraint_close(g->after_thinking);
    free(g->close_text);
    tern_free(g->close_tokens);
    generation_request_free(&g->request);
    if (g->model != NULL) models_release(g->server->models, g->model);
    exchange_release(g->exchange);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

// True if nobody will ask for a turn any more.
static bool is_left_alone(struct generation *g)
{
    exchange_on_gone(g->exchange, NULL, NULL);
    pthread_mutex_lock(&g->mutex);
    bool alone = !g->queued;
    pthread_mutex_unlock(&g->mutex);
    return alone;
}

static void end(struct generation *g)
{
    const struct generation_usage usage = sum_usage(g);
    note_facts(g);
    if (g->error.status != 0)
        tell_error(g);
    else
        generation_tell(g, &(struct generation_event){.kind = GENERATION_END, .usage = &usage});
    g->over = true;
    if (is_left_alone(g)) generation_close(g);
}

static void take_turn(struct work *work)
{
    struct generation *g = (struct generation *)((char *)work - offsetof(struct generation, work));
    pthread_mutex_lock(&g->mutex);
    g->queued = false;
    pthread_mutex_unlock(&g->mutex);
    if (!g->begun && !g->request.count_only && g->error.status == 0 && !atomic_load(&g->gone)) begin(g);
    for (size_t i = 0; i < g->n_parts; i++) {
        look_at_part(&g->parts[i]);
        if (atomic_load(&g->gone)) cancel(&g->parts[i]);
    }
    if (!is_running(g)) end(g);
}

// ---- Starting -------------------------------------------------------------------------------------------------------

// Whatever seems wrong with a request of which a part was lost, it is not the client's fault.
static void prepare(struct generation *g)
{
    generation_prepare(g);
    if (json_memory_lost()) api_error_from_status(&g->error, TERN_NO_MEMORY, NULL);
}

static void be_prepared(struct models_waiter *waiter, struct served_model *model, const struct api_error *error)
{
    struct generation *g = (struct generation *)((char *)waiter - offsetof(struct generation, waiter));
    g->model = model;
    if (model == NULL)
        g->error = *error;
    else if (!atomic_load(&g->gone))
        prepare(g);
    pthread_mutex_lock(&g->mutex);
    g->queued = false; // until here the turn was kept from coming
    wake(g);
    pthread_mutex_unlock(&g->mutex);
}

static struct generation *generation_open(struct server *server, struct exchange *exchange,
                                          const struct dialect *dialect)
{
    struct generation *g = calloc(1, sizeof *g);
    void *answer = calloc(1, dialect->answer_bytes);
    if (g == NULL || answer == NULL) {
        free(g);
        free(answer);
        return NULL;
    }
    *g = (struct generation){.server = server,
                             .exchange = exchange_hold(exchange),
                             .dialect = dialect,
                             .answer = answer,
                             .started = model_clock(),
                             .waiter.ready = be_prepared,
                             .work.run = take_turn,
                             .queued = true};
    generation_make_id(dialect->id_prefix, g->id, sizeof g->id);
    pthread_mutex_init(&g->mutex, NULL);
    return g;
}

static bool read_request(struct generation *g)
{
    json_t *root;
    if (!exchange_take_json(g->exchange, &root, &g->error)) return false;
    generation_request_init(g->server, &g->request, root);
    const struct fields fields = {.object = root, .error = &g->error};
    if (g->request.kept == NULL) return field_fail_memory(&fields);
    bool fine = g->dialect->read(&fields, &g->request, g->answer);
    if (json_memory_lost()) return field_fail_memory(&fields);
    if (!fine) return false;
    if (g->request.random_seed) g->request.sampling.seed = server_random();
    g->waiter.name = g->request.model;
    return true;
}

void generation_start(struct server *server, struct exchange *exchange, const struct dialect *dialect)
{
    struct generation *g = generation_open(server, exchange, dialect);
    if (g == NULL) {
        exchange_fail_memory(exchange);
    } else if (!read_request(g)) {
        exchange_fail(exchange, &g->error);
        generation_close(g);
    } else {
        exchange_on_gone(exchange, note_gone, g);
        models_wait(server->models, &g->waiter);
    }
}

// ---- For dialects ---------------------------------------------------------------------------------------------------

struct exchange *generation_exchange(const struct generation *generation)
{
    return generation->exchange;
}

const char *generation_id(const struct generation *generation)
{
    return generation->id;
}

const char *generation_model_name(const struct generation *generation)
{
    return generation->model->name;
}

const struct generation_choice *generation_choice(const struct generation *generation, size_t index)
{
    return index < generation->n_parts ? &generation->parts[index].choice : NULL;
}

const struct generation_request *generation_request(const struct generation *generation)
{
    return &generation->request;
}

const char *generation_fingerprint(const struct generation *generation)
{
    return generation->model->fingerprint;
}

const char *generation_token_bytes(const struct generation *generation, tern_token token, size_t *length)
{
    return tokenizer_token_bytes(generation->model->model->tokenizer, token, length);
}

void generation_make_id(const char *prefix, char *out, size_t size)
{
    server_make_id(prefix, out, size);
}
