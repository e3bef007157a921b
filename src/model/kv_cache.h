// The keys and values of one sequence, in blocks of 64 positions that are allocated as they are reached.
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "device/device.h"
#include "model/config.h"

struct kv_cache {
    tern_kv_type type;
    int32_t n_layers;
    int32_t context;    // most positions
    int32_t n_blocks;   // allocated, for every layer
    int32_t max_blocks; // ceil(context / 64)
    size_t block_bytes; // of one layer's block
    uint8_t **blocks;   // [n_layers][max_blocks], 64-byte aligned; a slab holds block i of all layers
};

// Errors: INVALID (a type that does not exist, a context below 1), NO_MEMORY.
tern_status kv_cache_open(const struct config *config, tern_kv_type type, int32_t context, struct kv_cache **out);
void kv_cache_close(struct kv_cache *cache);

// Makes room for `positions` in all. Errors: LIMIT (beyond the context), NO_MEMORY.
tern_status kv_cache_reserve(struct kv_cache *cache, int32_t positions);

// Frees the blocks that lie wholly at or after `positions`.
void kv_cache_truncate(struct kv_cache *cache, int32_t positions);

// Bytes that a context of this length takes when full.
uint64_t kv_cache_bytes(const struct config *config, tern_kv_type type, int32_t context);

#endif
