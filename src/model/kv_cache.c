#include "model/kv_cache.h"

#include "base/memory.h"
#include "model/memory_plan.h"

#include <stdlib.h>
#include <string.h>

static int32_t blocks_for(int32_t positions)
{
    return (int32_t)(((int64_t)positions + DEVICE_KV_BLOCK - 1) / DEVICE_KV_BLOCK);
}

static size_t block_bytes(const struct config *config, tern_kv_type type)
{
    return (size_t)device_kv_block_bytes(type, config->n_kv_heads, config->head_size);
}

size_t kv_cache_slab_bytes(const struct config *config, tern_kv_type type)
{
    return block_bytes(config, type) * (size_t)config->n_layers;
}

uint64_t kv_cache_bytes(const struct config *config, tern_kv_type type, int32_t context)
{
    return (uint64_t)kv_cache_slab_bytes(config, type) * (uint64_t)blocks_for(context);
}

tern_status kv_cache_open(const struct config *config, tern_kv_type type, int32_t context, struct kv_cache **out)
{
    *out = NULL;
    if ((unsigned)type > TERN_KV_Q4_0)
        return status_fail(TERN_INVALID, "keys and values of type %d, expected 0 to %d", (int)type, (int)TERN_KV_Q4_0);
    if (context < 1) return status_fail(TERN_INVALID, "a context of %d tokens, expected 1 or more", context);
    struct kv_cache *cache = calloc(1, sizeof *cache);
    uint8_t **blocks = calloc((size_t)config->n_layers * (size_t)blocks_for(context), sizeof *blocks);
    if (cache == NULL || blocks == NULL) {
        free(cache);
        free(blocks);
        return status_fail(TERN_NO_MEMORY, "no memory for a context of %d tokens", context);
    }
    *cache = (struct kv_cache){.type = type,
                               .n_layers = config->n_layers,
                               .context = context,
                               .max_blocks = blocks_for(context),
                               .block_bytes = block_bytes(config, type),
                               .blocks = blocks};
    *out = cache;
    return TERN_OK;
}

tern_status kv_cache_open_borrowing(const struct config *config, tern_kv_type type, int32_t context,
                                    struct kv_cache **out)
{
    TRY(kv_cache_open(config, type, context, out));
    (*out)->borrows = true;
    return TERN_OK;
}

void kv_cache_close(struct kv_cache *cache)
{
    if (cache == NULL) return;
    kv_cache_truncate(cache, 0);
    free(cache->blocks);
    free(cache);
}

void kv_cache_put(struct kv_cache *cache, int32_t index, uint8_t *slab)
{
    for (int32_t layer = 0; layer < cache->n_layers; layer++)
        cache->blocks[(size_t)layer * (size_t)cache->max_blocks + (size_t)index] =
            slab + cache->block_bytes * (size_t)layer;
    if (index == cache->n_blocks) cache->n_blocks++;
}

// Asking the system takes a sixth of a millisecond: it is done for some blocks at once.
static tern_status check_room(const struct kv_cache *cache)
{
    enum { BLOCKS = 16 };
    int32_t left = cache->max_blocks - cache->n_blocks;
    if (cache->n_blocks % BLOCKS != 0) return TERN_OK;
    uint64_t blocks = (uint64_t)(left < BLOCKS ? left : BLOCKS);
    return memory_check(blocks * cache->block_bytes * (uint64_t)cache->n_layers, "the next keys and values");
}

tern_status kv_cache_reserve(struct kv_cache *cache, int32_t positions)
{
    if (positions > cache->context)
        return status_fail(TERN_LIMIT, "%d tokens do not fit in the context of %d", positions, cache->context);
    while (cache->n_blocks < blocks_for(positions)) {
        TRY(check_room(cache));
        uint8_t *slab = memory_allocate(cache->block_bytes * (size_t)cache->n_layers);
        if (slab == NULL)
            return status_fail(TERN_NO_MEMORY, "no memory for the cache of tokens %d to %d",
                               cache->n_blocks * DEVICE_KV_BLOCK, (cache->n_blocks + 1) * DEVICE_KV_BLOCK);
        // Kernels read whole blocks and mask what is not visible: what they read must at least be there.
        memset(slab, 0, cache->block_bytes * (size_t)cache->n_layers);
        kv_cache_put(cache, cache->n_blocks, slab);
    }
    return TERN_OK;
}

void kv_cache_truncate(struct kv_cache *cache, int32_t positions)
{
    while (cache->n_blocks > blocks_for(positions)) {
        cache->n_blocks--;
        if (!cache->borrows) free(cache->blocks[cache->n_blocks]); // layer 0's block is where the slab begins
    }
}
