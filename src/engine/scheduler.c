#include "engine/prefix_store.h"
#include "engine/scheduler_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_QUEUE = 1 << 16,
    MAX_BLOCKS = 1 << 24,
    FEW = 4, // requests of a client
};

// ---- Ends and statistics

static void publish_disk(const struct scheduler *s, struct scheduler_stats *stats)
{
    if (s->store == NULL) return;
    struct prefix_store_stats disk;
    prefix_store_get_stats(s->store, &disk);
    stats->disk_bytes = disk.bytes;
    stats->disk_hits = disk.hits;
    stats->disk_writes = disk.writes;
    stats->disk_errors = disk.errors;
}

// Called by the thread with the mutex held.
static void publish(struct scheduler *s)
{
    struct scheduler_stats *stats = &s->stats;
    uint64_t rejected = stats->rejected, requests = stats->requests;
    *stats = s->counts;
    stats->rejected = rejected;
    stats->requests = requests;
    stats->active = s->n_active;
    stats->context = s->options.context;
    stats->parallel = s->options.parallel;
    stats->queue = s->options.queue;
    uint64_t slab = s->slab_bytes;
    stats->kv_bytes_limit = slab * (uint64_t)s->max_blocks;
    stats->kv_bytes_used = slab * (uint64_t)prefix_blocks(s->prefix);
    stats->kv_bytes_remembered = slab * (uint64_t)prefix_remembered(s->prefix);
    publish_disk(s, stats);
    for (int32_t i = 0; i < s->n_active; i++) {
        const struct request *r = s->active[i];
        stats->slots[r->slot - s->slots] = (struct scheduler_slot){
            .id = r->id, .n_prompt = r->n_prompt, .n_computed = r->computed, .n_generated = r->n_generated};
    }
}

static struct scheduler_result result_of(const struct request *r, enum scheduler_end end, tern_status status,
                                         const char *message)
{
    double now = model_clock();
    return (struct scheduler_result){
        .end = end,
        .status = status,
        .message = message,
        .n_prompt = r->n_prompt,
        .n_cached = r->n_cached,
        .n_generated = r->n_generated,
        .queue_seconds = (r->started > 0 ? r->started : now) - r->submitted,
        .first_token_second = r->first_token > 0 ? r->first_token - r->submitted : 0,
        .total_seconds = now - r->submitted,
    };
}

static void remove_live(struct scheduler *s, struct request *r)
{
    pthread_mutex_lock(&s->mutex);
    *r->live_link = r->next_live;
    if (r->next_live != NULL) r->next_live->live_link = r->live_link;
    s->n_live--;
    publish(s);
    pthread_mutex_unlock(&s->mutex);
}

void scheduler_end(struct scheduler *s, struct request *r, enum scheduler_end end, tern_status status,
                   const char *message)
{
    queue_remove(s, r);
    if (end == SCHEDULER_END_CANCELLED) s->counts.cancelled++;
    remove_live(s, r);
    struct scheduler_result result = result_of(r, end, status, message);
    if (r->on_end != NULL) r->on_end(r->context, &result);
    request_close(r);
}

// ---- The thread

void scheduler_disturb(struct scheduler *s)
{
    pthread_mutex_lock(&s->mutex);
    s->disturbed = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

void scheduler_pause(struct scheduler *s)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->mutex);
    if (!s->disturbed) pthread_cond_timedwait(&s->wake, &s->mutex, &until);
    s->disturbed = false;
    pthread_mutex_unlock(&s->mutex);
}

void slot_attach(struct slot *slot, struct prefix_block *block)
{
    kv_cache_put(slot->cache, slot->n_blocks, block->slab);
    slot->blocks[slot->n_blocks++] = block;
}

static void end_cancelled(struct scheduler *s)
{
    for (int32_t i = s->n_active - 1; i >= 0; i--)
        if (atomic_load(&s->active[i]->cancelled)) scheduler_end(s, s->active[i], SCHEDULER_END_CANCELLED, TERN_OK, "");
    for (struct request *r = s->waiting, *next; r != NULL; r = next) {
        next = r->next;
        if (atomic_load(&r->cancelled)) scheduler_end(s, r, SCHEDULER_END_CANCELLED, TERN_OK, "");
    }
}

static void end_all(struct scheduler *s)
{
    while (s->n_active > 0)
        scheduler_end(s, s->active[s->n_active - 1], SCHEDULER_END_CANCELLED, TERN_OK, "");
    while (s->waiting != NULL)
        scheduler_end(s, s->waiting, SCHEDULER_END_CANCELLED, TERN_OK, "");
}

// Takes what was submitted since; with nothing to do, sleeps until there is something. *cancelling: some of all
// requests are to be cancelled. False: the scheduler closes.
static bool take_incoming(struct scheduler *s, bool idle, bool *cancelling)
{
    pthread_mutex_lock(&s->mutex);
    publish(s);
    while (idle && !s->closing && !s->disturbed)
        pthread_cond_wait(&s->wake, &s->mutex);
    struct request *incoming = s->incoming;
    bool closing = s->closing;
    s->incoming = NULL;
    s->incoming_end = &s->incoming;
    s->disturbed = false;
    *cancelling = s->cancelling;
    s->cancelling = false;
    pthread_mutex_unlock(&s->mutex);

    for (struct request *next; incoming != NULL; incoming = next) {
        next = incoming->next;
        queue_add(s, incoming);
    }
    return !closing;
}

static void *run(void *argument)
{
    struct scheduler *s = argument;
    bool idle = true, cancelling;
    while (take_incoming(s, idle, &cancelling)) {
        disk_collect(s);
        if (cancelling) end_cancelled(s);
        queue_admit(s);
        idle = !step_run(s);
        if (disk_write(s)) idle = false;
    }
    end_all(s);
    disk_close(s);
    return NULL;
}

// ---- Opening

struct scheduler_options scheduler_options_default(void)
{
    return (struct scheduler_options){
        .parallel = 16, .queue = 64, .max_delay = 0.25, .cache_dir_bytes = (uint64_t)8 << 30};
}

static tern_status check_options(const struct tern_model *model, const struct scheduler_options *o)
{
    if (o->context < 0 || o->context > model->config.context)
        return status_fail(TERN_INVALID, "a context of %d tokens; the model was trained for 1 to %d", (int)o->context,
                           (int)model->config.context);
    if (o->parallel < 0 || o->parallel > SCHEDULER_MAX_PARALLEL)
        return status_fail(TERN_INVALID, "%d answers at once, expected 1 to %d", (int)o->parallel,
                           SCHEDULER_MAX_PARALLEL);
    if (o->queue < -1 || o->queue > MAX_QUEUE)
        return status_fail(TERN_INVALID, "a queue of %d requests, expected -1 (none) to %d", (int)o->queue, MAX_QUEUE);
    if (!(o->max_delay >= 0 && o->max_delay <= 3600))
        return status_fail(TERN_INVALID, "a delay of %g seconds, expected 0 (default) to 3600", o->max_delay);
    return TERN_OK;
}

static void set_options(struct scheduler *s, const struct scheduler_options *options)
{
    const struct scheduler_options usual = scheduler_options_default();
    struct scheduler_options *o = &s->options;
    const struct config *config = &s->model->config;
    *o = *options;
    if (o->context == 0) o->context = config->context;
    if (o->parallel == 0) o->parallel = usual.parallel;
    o->queue = o->queue == 0 ? usual.queue : o->queue < 0 ? 0 : o->queue;
    if (o->max_delay == 0) o->max_delay = usual.max_delay;
    if (o->cache_dir_bytes == 0) o->cache_dir_bytes = usual.cache_dir_bytes;
    s->slab_bytes = kv_cache_slab_bytes(config, o->kv_type);
    uint64_t least = kv_cache_bytes(config, o->kv_type, o->context) / s->slab_bytes;
    uint64_t wanted = o->kv_bytes / s->slab_bytes;
    uint64_t blocks = wanted > least ? wanted : least;
    s->max_blocks = (int32_t)(blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS);
}

static tern_status open_slots(struct scheduler *s)
{
    for (int32_t i = 0; i < s->options.parallel; i++) {
        struct slot *slot = &s->slots[i];
        TRY(kv_cache_open_borrowing(&s->model->config, s->options.kv_type, s->options.context, &slot->cache));
        slot->blocks = calloc((size_t)slot->cache->max_blocks, sizeof(struct prefix_block *));
        if (slot->blocks == NULL) return status_fail(TERN_NO_MEMORY, "no memory for answers in parallel");
    }
    return TERN_OK;
}

static tern_status open_parts(struct scheduler *s)
{
    TRY(open_slots(s));
    TRY(prefix_open(s->slab_bytes, s->max_blocks, &s->prefix));
    TRY(pool_open(tern_model_threads(s->model), &s->pool));
    size_t rows = s->options.parallel > 1 + DRAFT_MAX ? (size_t)s->options.parallel : 1 + DRAFT_MAX;
    size_t n_logits = rows * (size_t)s->model->config.n_vocabulary;
    s->logits = malloc(n_logits * sizeof *s->logits);
    if (s->logits == NULL) return status_fail(TERN_NO_MEMORY, "no memory for logits");
    TRY(disk_open(s));
    s->options.cache_dir = s->options.model_path = NULL; // the caller's
    publish(s);
    int error = pthread_create(&s->thread, NULL, run, s);
    if (error != 0) return status_fail(TERN_NO_MEMORY, "cannot start the scheduler's thread: %s", strerror(error));
    return TERN_OK;
}

static void free_scheduler(struct scheduler *s)
{
    prefix_store_close(s->store); // the thread that never began would have done it
    pool_close(s->pool);
    prefix_close(s->prefix);
    for (int32_t i = 0; i < s->options.parallel; i++) {
        kv_cache_close(s->slots[i].cache);
        free(s->slots[i].blocks);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    free(s->logits);
    free(s->hidden);
    free(s);
}

tern_status scheduler_open(tern_model *model, const struct scheduler_options *options, struct scheduler **out)
{
    static const struct scheduler_options defaults;
    *out = NULL;
    if (options == NULL) options = &defaults;
    TRY(check_options(model, options));
    struct scheduler *s = calloc(1, sizeof *s);
    if (s == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a scheduler");
    s->model = model;
    s->incoming_end = &s->incoming;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    set_options(s, options);
    tern_status status = open_parts(s);
    if (status != TERN_OK) {
        free_scheduler(s);
        return status;
    }
    *out = s;
    return TERN_OK;
}

void scheduler_close(struct scheduler *s)
{
    if (s == NULL) return;
    pthread_mutex_lock(&s->mutex);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    free_scheduler(s);
}

// ---- Requests

// Memory for the rows after the last norm, before the first embedding enters: a step must not fail for want of it, all
// its answers would.
static tern_status make_hidden(struct scheduler *s)
{
    pthread_mutex_lock(&s->mutex);
    if (s->hidden == NULL)
        s->hidden = malloc((size_t)DECODER_MAX_ROWS * (size_t)s->model->config.width * sizeof *s->hidden);
    bool made = s->hidden != NULL;
    pthread_mutex_unlock(&s->mutex);
    return made ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for embeddings");
}

static bool has_few(const struct scheduler *s, uint64_t client)
{
    int n = 0;
    for (const struct request *r = s->live; r != NULL && n < FEW; r = r->next_live)
        n += r->client == client;
    return n < FEW;
}

// A quarter of the queue is there beside it for clients that have few requests: one client cannot keep all others out.
static bool is_full(const struct scheduler *s, uint64_t client)
{
    int32_t most = s->options.parallel + s->options.queue;
    if (s->n_live < most) return false;
    return s->n_live >= most + s->options.queue / 4 || !has_few(s, client);
}

static tern_status enter(struct scheduler *s, struct request *r, uint64_t *id)
{
    pthread_mutex_lock(&s->mutex);
    int32_t most = s->options.parallel + s->options.queue;
    bool full = !r->continues && is_full(s, r->client);
    if (full) {
        s->stats.rejected++;
    } else {
        if (!r->continues) {
            r->id = ++s->last_id;
            s->stats.requests++;
        }
        *id = r->id;
        s->n_live++;
        r->next_live = s->live;
        r->live_link = &s->live;
        if (s->live != NULL) s->live->live_link = &r->next_live;
        s->live = r;
        *s->incoming_end = r;
        s->incoming_end = &r->next;
        s->disturbed = true;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
    return full ? status_fail(TERN_BUSY, "%d requests are in progress or waiting, the most there may be", (int)most)
                : TERN_OK;
}

tern_status scheduler_submit(struct scheduler *s, const struct scheduler_request *asked, uint64_t *id)
{
    struct request *r;
    TRY(request_open(s->model, asked, s->options.context, &r));
    uint64_t ignored;
    tern_status status = r->pooling != SCHEDULER_POOL_NONE ? make_hidden(s) : TERN_OK;
    if (status == TERN_OK) status = enter(s, r, id != NULL ? id : &ignored);
    if (status != TERN_OK) request_close(r);
    return status;
}

void scheduler_cancel(struct scheduler *s, uint64_t id)
{
    pthread_mutex_lock(&s->mutex);
    for (struct request *r = s->live; r != NULL; r = r->next_live)
        if (r->id == id) atomic_store(&r->cancelled, true);
    s->cancelling = true;
    s->disturbed = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

void scheduler_get_stats(struct scheduler *s, struct scheduler_stats *out)
{
    pthread_mutex_lock(&s->mutex);
    *out = s->stats;
    out->waiting = s->n_live - out->active;
    pthread_mutex_unlock(&s->mutex);
}
