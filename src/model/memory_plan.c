#include "model/memory_plan.h"

#include "model/decoder.h"

// A system without any memory for files and other programs stands still long before it kills.
enum { SYSTEM_SHARE = 64 };

tern_status memory_plan_make(const struct gguf_file *file, const struct config *config,
                             const struct memory_plan_options *options, struct memory_plan *out)
{
    *out = (struct memory_plan){.context = options->context, .kv_type = options->kv_type, .memory = options->memory};
    out->cache = kv_cache_bytes(config, options->kv_type, options->context);
    out->working = memory_working_bytes(config);
    return weights_measure(file, config, options->weights, &out->copied, &out->mapped);
}

struct memory_plan memory_plan_bound(const struct gguf_file *file, const struct config *config, tern_kv_type kv_type,
                                     int32_t context, const struct machine_memory *memory)
{
    return (struct memory_plan){.copied = file->file_bytes + file->file_bytes / 3,
                                .cache = kv_cache_bytes(config, kv_type, context),
                                .working = memory_working_bytes(config),
                                .context = context,
                                .kv_type = kv_type,
                                .memory = *memory};
}

bool memory_plan_needs_dense(const struct gguf_file *file, const struct config *config,
                             struct memory_plan_options options)
{
    struct memory_plan plan = memory_plan_bound(file, config, options.kv_type, options.context, &options.memory);
    if (memory_plan_fits(&plan)) return false;
    options.weights.dense_tiles = false;
    if (memory_plan_make(file, config, &options, &plan) != TERN_OK || memory_plan_fits(&plan)) return false;
    options.weights.dense_tiles = true;
    return memory_plan_make(file, config, &options, &plan) == TERN_OK && memory_plan_fits(&plan);
}

uint64_t memory_plan_resident(const struct memory_plan *plan)
{
    return plan->copied + plan->cache + plan->working;
}

uint64_t memory_plan_total(const struct memory_plan *plan)
{
    return memory_plan_resident(plan) + plan->mapped;
}

uint64_t memory_spare(const struct machine_memory *memory)
{
    uint64_t kept = memory->total / SYSTEM_SHARE;
    if (memory->total == 0) return UINT64_MAX;
    return memory->available > kept ? memory->available - kept : 0;
}

bool memory_plan_fits(const struct memory_plan *plan)
{
    return memory_plan_resident(plan) <= memory_spare(&plan->memory);
}

uint64_t memory_plan_from_disk(const struct memory_plan *plan)
{
    uint64_t spare = memory_spare(&plan->memory), resident = memory_plan_resident(plan);
    uint64_t room = spare > resident ? spare - resident : 0;
    return plan->mapped > room ? plan->mapped - room : 0;
}

int32_t memory_plan_longest(const struct memory_plan *plan, const struct config *config, tern_kv_type kv_type)
{
    uint64_t spare = memory_spare(&plan->memory), others = plan->copied + plan->working;
    if (spare <= others) return 0;
    uint64_t blocks = (spare - others) / kv_cache_bytes(config, kv_type, DEVICE_KV_BLOCK);
    uint64_t most = ((uint64_t)plan->context + DEVICE_KV_BLOCK - 1) / DEVICE_KV_BLOCK;
    return blocks >= most ? plan->context : (int32_t)blocks * DEVICE_KV_BLOCK;
}

uint64_t memory_working_bytes(const struct config *c)
{
    uint64_t q = (uint64_t)c->n_heads * (uint64_t)c->head_size, kv = (uint64_t)c->n_kv_heads * (uint64_t)c->head_size;
    uint64_t row = 4 * (uint64_t)c->width + 3 * q + 2 * kv + 3 * (uint64_t)c->n_ffn;
    uint64_t sampler = 40 * (uint64_t)c->n_vocabulary; // logits, and two lists of candidates
    return row * DECODER_MAX_ROWS * sizeof(float) + sampler;
}

tern_status memory_check(uint64_t bytes, const char *what)
{
    struct machine_memory memory = machine_memory("");
    uint64_t spare = memory_spare(&memory);
    if (bytes <= spare) return TERN_OK;
    bool large = bytes >= (uint64_t)1 << 30;
    double unit = large ? 0x1p30 : 0x1p20;
    return status_fail(TERN_NO_MEMORY, "%s: %.2f %s of memory wanted, %.2f can be had", what, (double)bytes / unit,
                       large ? "GiB" : "MiB", (double)spare / unit);
}
