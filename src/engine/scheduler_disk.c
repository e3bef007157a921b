// Prompts on disk: what of a prompt is read instead of computed, and what is written. Only whole blocks of prompts are
// written, when the prompt has been computed and the disk has nothing else to do: an answer is worth keeping when it
// comes again as part of the next prompt.
#include "engine/fingerprint.h"
#include "engine/prefix_store.h"
#include "engine/scheduler_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const double FLUSH_SECONDS = 5; // that closing may take to write what is left

// ---- Fingerprint

// All that keys and values depend on but the tokens, as far as a look at some of the file can tell. The kernels are not
// in it: all compute the same.
static uint64_t fingerprint(const struct scheduler *s)
{
    const struct gguf_file *file = s->model->file;
    const uint64_t facts[] = {file->file_bytes, file->n_tensors, (uint64_t)s->options.kv_type, s->slab_bytes,
                              s->model->f32_activations};
    uint64_t hash = fingerprint_file(prefix_store_hash(0, facts, sizeof facts), file);
    struct stat info;
    if (s->options.model_path == NULL || stat(s->options.model_path, &info) != 0) return hash;
    const int64_t written[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    return prefix_store_hash(hash, written, sizeof written);
}

// ---- Opening

static void notify(void *context)
{
    scheduler_disturb(context);
}

tern_status disk_open(struct scheduler *s)
{
    if (s->options.cache_dir == NULL) return TERN_OK;
    struct prefix_store_options options = {.folder = s->options.cache_dir,
                                           .max_bytes = s->options.cache_dir_bytes,
                                           .fingerprint = fingerprint(s),
                                           .slab_bytes = s->slab_bytes,
                                           .notify = notify,
                                           .context = s};
    return prefix_store_open(&options, &s->store);
}

// ---- Reading

// Blocks that are being read belong to nobody but the run as long as it lasts: who wanted them may be gone.
struct run {
    struct prefix_read read;
    struct prefix_block **blocks; // [read.n]
};

static void free_run(struct run *run)
{
    if (run == NULL) return;
    free(run->blocks);
    free(run->read.hashes);
    free(run->read.slabs);
    free(run->read.tokens);
    free(run);
}

static struct run *make_run(const struct request *r, int32_t n)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) return NULL;
    size_t count = (size_t)n, n_tokens = (size_t)r->computed + count * DEVICE_KV_BLOCK;
    run->blocks = malloc(count * sizeof(struct prefix_block *));
    run->read = (struct prefix_read){.first = r->slot->n_blocks,
                                     .hashes = malloc(count * sizeof(uint64_t)),
                                     .slabs = malloc(count * sizeof(uint8_t *)),
                                     .tokens = malloc(n_tokens * sizeof(tern_token)),
                                     .context = run};
    if (run->blocks == NULL || run->read.hashes == NULL || run->read.slabs == NULL || run->read.tokens == NULL) {
        free_run(run);
        return NULL;
    }
    memcpy(run->read.tokens, r->tokens, n_tokens * sizeof(tern_token));
    return run;
}

// Whole blocks behind r->computed, in a row, that are on disk.
static int32_t count_stored(struct scheduler *s, const struct request *r, uint64_t hash)
{
    int32_t n = 0;
    for (int32_t at = r->computed; at + DEVICE_KV_BLOCK < r->n_tokens; at += DEVICE_KV_BLOCK, n++) {
        hash = prefix_hash(hash, r->tokens + at);
        if (!prefix_store_has(s->store, hash)) break;
    }
    return n;
}

static bool add_block(struct scheduler *s, struct request *r, struct run *run, struct prefix_block *parent)
{
    struct prefix_block *block = prefix_create_unset(s->prefix, parent, r->slot->n_blocks);
    if (block == NULL) return false;
    const tern_token *tokens = r->tokens + (size_t)block->index * DEVICE_KV_BLOCK;
    prefix_expect(block, tokens, DEVICE_KV_BLOCK);
    block->busy = block->loading = true;
    block->hash = prefix_hash(parent->hash, tokens);
    prefix_use(s->prefix, block); // the run's
    run->read.hashes[run->read.n] = block->hash;
    run->read.slabs[run->read.n] = block->slab;
    run->blocks[run->read.n++] = block;
    slot_attach(r->slot, block);
    return true;
}

bool disk_find(struct scheduler *s, struct request *r, struct prefix_block *parent)
{
    int32_t n = s->store != NULL ? count_stored(s, r, parent->hash) : 0;
    struct run *run = n > 0 ? make_run(r, n) : NULL;
    if (run == NULL) return false;
    while (run->read.n < n && add_block(s, r, run, parent))
        parent = run->blocks[run->read.n - 1];
    if (run->read.n == 0) {
        free_run(run);
        return false;
    }
    s->n_runs++;
    prefix_store_read(s->store, &run->read);
    return true;
}

// Blocks that could not be read stay empty, for whoever has them to compute.
static void finish_run(struct scheduler *s, struct run *run)
{
    for (int32_t i = 0; i < run->read.n; i++) {
        run->blocks[i]->loading = false;
        if (i < run->read.n_good)
            run->blocks[i] = prefix_fill(s->prefix, run->blocks[i], DEVICE_KV_BLOCK);
        else
            prefix_clear(s->prefix, run->blocks[i]);
    }
    for (int32_t i = run->read.n - 1; i >= 0; i--)
        prefix_release(s->prefix, run->blocks[i]);
    s->n_runs--;
    free_run(run);
}

void disk_collect(struct scheduler *s)
{
    if (s->store == NULL) return;
    for (struct prefix_read *read; (read = prefix_store_take(s->store)) != NULL;)
        finish_run(s, read->context);
}

// ---- Writing

void disk_keep_prompt(struct scheduler *s, const struct request *r)
{
    if (s->store == NULL || r->pooling != SCHEDULER_POOL_NONE) return;
    for (int32_t i = 0; i < r->n_prompt / DEVICE_KV_BLOCK; i++) {
        struct prefix_block *block = r->slot->blocks[i];
        if (prefix_store_has(s->store, block->hash))
            prefix_store_touch(s->store, block->hash, i);
        else
            prefix_want(s->prefix, block);
    }
}

bool disk_write(struct scheduler *s)
{
    struct prefix_block *block = s->store != NULL ? prefix_first_wanted(s->prefix) : NULL;
    if (block == NULL) return false;
    tern_token *tokens = malloc(((size_t)block->index + 1) * sizeof block->tokens);
    if (tokens == NULL) return false;
    prefix_tokens(block, tokens);
    bool taken = prefix_store_write(s->store, block->hash, block->index, tokens, block->slab);
    if (taken) prefix_unwant(s->prefix, block);
    free(tokens);
    return taken;
}

void disk_close(struct scheduler *s)
{
    if (s->store == NULL) return;
    double deadline = model_clock() + FLUSH_SECONDS;
    for (;;) {
        disk_collect(s);
        bool wrote = disk_write(s), more = prefix_first_wanted(s->prefix) != NULL && model_clock() < deadline;
        if (s->n_runs == 0 && !more) break;
        if (!wrote) scheduler_pause(s);
    }
    prefix_store_close(s->store);
    s->store = NULL;
}
