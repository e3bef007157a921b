#include "serve/models.h"

#include "base/machine.h"
#include "engine/fingerprint.h"
#include "engine/prefix_store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct entry {
    struct models_source source; // strings owned
    enum models_state state;
    struct served_model served;
    int users;
    bool leaving;       // to be unloaded once nobody uses it
    uint64_t bytes;     // of its file, or of all its parts
    int64_t created;    // of its file
    uint64_t last_used; // by models->uses
    struct models_waiter *waiters;
    struct entry *next_wanted;
    char error[API_ERROR_MESSAGE_BYTES]; // of MODELS_FAILED
};

struct models {
    struct models_options options;
    const struct log *log;
    struct workers *workers;
    struct entry entries[MODELS_MAX];
    size_t n_entries;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct entry *wanted; // to be loaded, in this order
    int32_t n_waiting;
    uint64_t uses;
    atomic_bool closing;
    pthread_t thread;
    bool running;
};

// ---- Loading and unloading ------------------------------------------------------------------------------------------

static void make_fingerprint(struct served_model *served)
{
    const char *kernels = tern_model_kernels(served->model), *version = tern_version();
    uint64_t hash = fingerprint_file(0, served->model->file);
    hash = prefix_store_hash(hash, kernels, strlen(kernels));
    hash = prefix_store_hash(hash, version, strlen(version));
    snprintf(served->fingerprint, sizeof served->fingerprint, "fp_%016llx", (unsigned long long)hash);
}

static bool note_progress(void *context, float fraction)
{
    struct models *models = context;
    const tern_model_options *options = &models->options.model;
    if (atomic_load(&models->closing)) return false;
    return options->progress == NULL || options->progress(options->progress_context, fraction);
}

// The context full of the vocabulary's longest token.
static size_t longest_text(const struct served_model *served)
{
    size_t longest = 1, length;
    for (int32_t token = 0; token < tern_model_vocabulary(served->model); token++)
        if (tern_token_text(served->model, token, &length) != NULL && length > longest) longest = length;
    return longest * (size_t)served->context;
}

// Of the memory that a loaded model leaves, the part that its prompts may take unless somebody says how much.
enum { KV_SHARE = 4 };

static tern_status open_served(struct models *models, const struct entry *entry, struct served_model *served)
{
    struct scheduler_options options = models->options.scheduler;
    options.model_path = entry->source.path;
    tern_model_options model_options = models->options.model;
    model_options.progress = note_progress;
    model_options.progress_context = models;
    TRY(tern_model_open(entry->source.path, &model_options, &served->model));
    if (options.kv_bytes == 0) options.kv_bytes = machine_memory("").available / KV_SHARE;
    TRY(scheduler_open(served->model, &options, &served->scheduler));
    TRY(constraint_vocabulary_open(served->model->tokenizer, &served->vocabulary));
    struct gguf_string source = {0};
    TRY(gguf_get_string(served->model->file, "tokenizer.chat_template", &source));
    reply_style_detect(source.data, source.length, &served->style);

    struct scheduler_stats stats;
    scheduler_get_stats(served->scheduler, &stats);
    served->context = stats.context;
    served->places = stats.parallel + stats.queue;
    served->width = served->model->config.width;
    served->max_text = longest_text(served);
    served->name = entry->source.name;
    served->created = entry->created;
    make_fingerprint(served);
    return TERN_OK;
}

static void close_served(struct served_model *served)
{
    scheduler_close(served->scheduler);
    constraint_vocabulary_close(served->vocabulary);
    tern_model_close(served->model);
    *served = (struct served_model){0};
}

static void look_at_file(struct entry *entry)
{
    struct stat status;
    if (stat(entry->source.path, &status) != 0) return; // opening it will say what is wrong
    entry->bytes = gguf_bytes_on_disk(entry->source.path);
    entry->created = (int64_t)status.st_mtime;
}

// What is loaded besides `entry`; *victim becomes the least recently used of those.
static uint64_t loaded_bytes(struct models *models, const struct entry *entry, struct entry **victim)
{
    uint64_t bytes = 0;
    *victim = NULL;
    for (size_t i = 0; i < models->n_entries; i++) {
        struct entry *e = &models->entries[i];
        if (e == entry || e->state != MODELS_READY) continue;
        bytes += e->bytes;
        if (*victim == NULL || e->last_used < (*victim)->last_used) *victim = e;
    }
    return bytes;
}

// With the mutex.
static void want(struct models *models, struct entry *entry)
{
    struct entry **last = &models->wanted;
    entry->state = MODELS_LOADING;
    while (*last != NULL)
        last = &(*last)->next_wanted;
    *last = entry;
    pthread_cond_broadcast(&models->changed);
}

// With the mutex, which is given up meanwhile. Who asked for it since it was to go waits until it is back.
static void unload(struct models *models, struct entry *entry)
{
    struct served_model served = entry->served;
    entry->served = (struct served_model){0};
    entry->leaving = false;
    entry->state = MODELS_UNLOADED;
    if (entry->waiters != NULL) want(models, entry);
    pthread_mutex_unlock(&models->mutex);
    log_say(models->log, "unloading %s", entry->source.name);
    close_served(&served);
    pthread_mutex_lock(&models->mutex);
}

// Unloads others until `entry` fits, waiting for them to be free: from then on they take no requests, or those that are
// always in use would never go. With the mutex.
static void make_room(struct models *models, const struct entry *entry)
{
    struct entry *victim;
    uint64_t bytes;
    if (models->options.memory == 0) return;
    while ((bytes = loaded_bytes(models, entry, &victim)) > 0 && bytes + entry->bytes > models->options.memory &&
           !models->closing) {
        victim->leaving = true;
        if (victim->users > 0)
            pthread_cond_wait(&models->changed, &models->mutex);
        else
            unload(models, victim);
    }
}

// Gives everybody who waited for the entry what came of it. With the mutex.
static void answer_waiters(struct models *models, struct entry *entry)
{
    while (entry->waiters != NULL) {
        struct models_waiter *waiter = entry->waiters;
        entry->waiters = waiter->next;
        models->n_waiting--;
        if (entry->state == MODELS_READY) {
            waiter->model = &entry->served;
            entry->users++;
        } else if (models->closing) {
            api_error_status(&waiter->error, 503, "stopping", "the server is stopping");
        } else {
            api_error_status(&waiter->error, 500, "model_not_loaded", "the model '%.100s' could not be loaded",
                             entry->source.name);
        }
        workers_submit(models->workers, &waiter->work);
    }
}

// With the mutex, which is given up while the file is read.
static void load(struct models *models, struct entry *entry)
{
    struct served_model served = {0};
    look_at_file(entry);
    make_room(models, entry);
    tern_status status = TERN_CANCELLED;
    if (!models->closing) {
        pthread_mutex_unlock(&models->mutex);
        double start = model_clock();
        log_say(models->log, "loading %s", entry->source.name);
        status = open_served(models, entry, &served);
        if (status == TERN_OK)
            log_say(models->log, "%s is ready after %.1f s: context of %d tokens, %d thread%s, kernels %s%s",
                    entry->source.name, model_clock() - start, (int)served.context, tern_model_threads(served.model),
                    tern_model_threads(served.model) == 1 ? "" : "s", tern_model_kernels(served.model),
                    tern_model_tiles(served.model) == TERN_TILES_DENSE ? ", dense tiles" : "");
        else if (status != TERN_CANCELLED)
            log_warn(models->log, "%s cannot be loaded: %s", entry->source.name, tern_last_error());
        if (status != TERN_OK) close_served(&served);
        pthread_mutex_lock(&models->mutex);
    }
    entry->state = status == TERN_OK ? MODELS_READY : MODELS_FAILED;
    if (status == TERN_OK)
        entry->served = served;
    else
        snprintf(entry->error, sizeof entry->error, "%s", tern_last_error());
    entry->last_used = ++models->uses;
    answer_waiters(models, entry);
    pthread_cond_broadcast(&models->changed);
}

static void *load_models(void *context)
{
    struct models *models = context;
    pthread_mutex_lock(&models->mutex);
    while (!models->closing || models->wanted != NULL) {
        struct entry *entry = models->wanted;
        if (entry == NULL) {
            pthread_cond_wait(&models->changed, &models->mutex);
            continue;
        }
        models->wanted = entry->next_wanted;
        entry->next_wanted = NULL;
        load(models, entry);
    }
    pthread_mutex_unlock(&models->mutex);
    return NULL;
}

// ---- Opening and closing --------------------------------------------------------------------------------------------

static tern_status copy_sources(struct models *models)
{
    models->n_entries = models->options.n_sources;
    for (size_t i = 0; i < models->n_entries; i++) {
        struct entry *entry = &models->entries[i];
        entry->source.name = strdup(models->options.sources[i].name);
        entry->source.path = strdup(models->options.sources[i].path);
        if (entry->source.name == NULL || entry->source.path == NULL)
            return status_fail(TERN_NO_MEMORY, "no memory for the models' names");
        look_at_file(entry);
    }
    return TERN_OK;
}

static tern_status start(struct models *models)
{
    TRY(copy_sources(models));
    if (models->n_entries == 0) return status_fail(TERN_INVALID, "there is no model to serve");
    int error = pthread_create(&models->thread, NULL, load_models, models);
    if (error != 0) return status_fail(TERN_IO, "a thread of the server cannot be started: %s", strerror(error));
    models->running = true;
    return TERN_OK;
}

tern_status models_open(const struct models_options *options, const struct log *log, struct workers *workers,
                        struct models **out)
{
    struct models *models = calloc(1, sizeof *models);
    *out = NULL;
    if (models == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the models");
    *models = (struct models){.options = *options, .log = log, .workers = workers};
    pthread_mutex_init(&models->mutex, NULL);
    pthread_cond_init(&models->changed, NULL);
    tern_status status = start(models);
    if (status == TERN_OK)
        *out = models;
    else
        models_close(models);
    return status;
}

void models_load_first(struct models *models)
{
    pthread_mutex_lock(&models->mutex);
    if (models->entries[0].state == MODELS_UNLOADED) want(models, &models->entries[0]);
    pthread_mutex_unlock(&models->mutex);
}

static bool is_used(const struct models *models)
{
    bool used = false;
    for (size_t i = 0; i < models->n_entries; i++)
        used = used || models->entries[i].users > 0;
    return used;
}

void models_stop(struct models *models)
{
    if (models == NULL) return;
    pthread_mutex_lock(&models->mutex);
    models->closing = true;
    pthread_cond_broadcast(&models->changed);
    pthread_mutex_unlock(&models->mutex);
    if (models->running) pthread_join(models->thread, NULL);
    models->running = false;
    pthread_mutex_lock(&models->mutex);
    while (is_used(models))
        pthread_cond_wait(&models->changed, &models->mutex);
    for (size_t i = 0; i < models->n_entries; i++)
        models->entries[i].state = MODELS_UNLOADED;
    pthread_mutex_unlock(&models->mutex);
    for (size_t i = 0; i < models->n_entries; i++)
        close_served(&models->entries[i].served);
}

void models_close(struct models *models)
{
    if (models == NULL) return;
    models_stop(models);
    for (size_t i = 0; i < models->n_entries; i++) {
        free((char *)(uintptr_t)models->entries[i].source.name);
        free((char *)(uintptr_t)models->entries[i].source.path);
    }
    pthread_cond_destroy(&models->changed);
    pthread_mutex_destroy(&models->mutex);
    free(models);
}

// ---- Asking for a model ---------------------------------------------------------------------------------------------

static struct entry *find(struct models *models, const char *name)
{
    if (models->n_entries == 1) return &models->entries[0];
    for (size_t i = 0; name != NULL && i < models->n_entries; i++)
        if (strcmp(models->entries[i].source.name, name) == 0) return &models->entries[i];
    return NULL;
}

// True if there is an answer at once. With the mutex.
static bool ask(struct models *models, struct entry *entry, struct models_waiter *waiter)
{
    if (waiter->left) {
        api_error_from_status(&waiter->error, TERN_CANCELLED, NULL);
        return true;
    }
    if (models->closing) {
        api_error_status(&waiter->error, 503, "stopping", "the server is stopping");
        return true;
    }
    if (entry->state == MODELS_READY && !entry->leaving) {
        entry->users++;
        entry->last_used = ++models->uses;
        waiter->model = &entry->served;
        return true;
    }
    // Who has a model loaded waits for it even if nobody may wait: else none would ever be.
    bool unwanted = entry->state == MODELS_UNLOADED || entry->state == MODELS_FAILED;
    if (!unwanted && models->n_waiting >= models->options.waiting) {
        api_error_status(&waiter->error, 429, "queue_full", "too many requests are waiting for a model to be loaded");
        waiter->error.retry_after = 5;
        return true;
    }
    if (unwanted) want(models, entry);
    struct models_waiter **last = &entry->waiters;
    while (*last != NULL)
        last = &(*last)->next;
    *last = waiter;
    models->n_waiting++;
    return false;
}

static void be_ready(struct work *work)
{
    struct models_waiter *waiter = (struct models_waiter *)((char *)work - offsetof(struct models_waiter, work));
    waiter->ready(waiter, waiter->model, waiter->model == NULL ? &waiter->error : NULL);
}

void models_wait(struct models *models, struct models_waiter *waiter)
{
    waiter->work.run = be_ready;
    waiter->next = NULL;
    waiter->model = NULL;
    struct entry *entry = find(models, waiter->name);
    bool now = true;
    if (entry == NULL) {
        if (waiter->name == NULL)
            api_error_invalid(&waiter->error, "model", NULL, "model: which one? This server has several");
        else
            api_error_status(&waiter->error, 404, "model_not_found",
                             "the model '%.100s' does not exist here; /v1/models lists those that do", waiter->name);
    } else {
        pthread_mutex_lock(&models->mutex);
        now = ask(models, entry, waiter);
        pthread_mutex_unlock(&models->mutex);
    }
    if (now) be_ready(&waiter->work);
}

void models_leave(struct models *models, struct models_waiter *waiter)
{
    struct entry *entry = find(models, waiter->name);
    if (entry == NULL) return;
    pthread_mutex_lock(&models->mutex);
    waiter->left = true;
    struct models_waiter **link = &entry->waiters;
    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    if (*link != NULL) {
        *link = waiter->next;
        models->n_waiting--;
        api_error_from_status(&waiter->error, TERN_CANCELLED, NULL);
        workers_submit(models->workers, &waiter->work);
    }
    pthread_mutex_unlock(&models->mutex);
}

static struct entry *entry_of(struct served_model *model)
{
    return (struct entry *)((char *)model - offsetof(struct entry, served));
}

void models_release(struct models *models, struct served_model *model)
{
    pthread_mutex_lock(&models->mutex);
    struct entry *entry = entry_of(model);
    if (--entry->users == 0) pthread_cond_broadcast(&models->changed);
    pthread_mutex_unlock(&models->mutex);
}

// ---- Facts ----------------------------------------------------------------------------------------------------------

size_t models_count(const struct models *models)
{
    return models->n_entries;
}

const struct models_source *models_source(const struct models *models, size_t index)
{
    return &models->entries[index].source;
}

int64_t models_created(struct models *models, size_t index)
{
    pthread_mutex_lock(&models->mutex);
    int64_t created = models->entries[index].created;
    pthread_mutex_unlock(&models->mutex);
    return created;
}

enum models_state models_state(struct models *models, size_t index)
{
    pthread_mutex_lock(&models->mutex);
    enum models_state state = models->entries[index].state;
    pthread_mutex_unlock(&models->mutex);
    return state;
}

struct served_model *models_peek(struct models *models, size_t index)
{
    struct served_model *served = NULL;
    pthread_mutex_lock(&models->mutex);
    if (models->entries[index].state == MODELS_READY) {
        models->entries[index].users++;
        served = &models->entries[index].served;
    }
    pthread_mutex_unlock(&models->mutex);
    return served;
}

bool models_are_ready(struct models *models)
{
    bool ready = false;
    pthread_mutex_lock(&models->mutex);
    for (size_t i = 0; i < models->n_entries; i++)
        ready = ready || models->entries[i].state == MODELS_READY;
    pthread_mutex_unlock(&models->mutex);
    return ready;
}

void models_error(struct models *models, size_t index, char *message, size_t size)
{
    pthread_mutex_lock(&models->mutex);
    snprintf(message, size, "%s", models->entries[index].error);
    pthread_mutex_unlock(&models->mutex);
}
