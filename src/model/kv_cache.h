// The keys and values of one sequence, in blocks of 64 positions: its own, allocated as they are reached, or put in by
// somebody who shares them between sequences.
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
    bool borrows;       // slabs are put in and belong to others
    uint8_t **blocks;   // [n_layers][max_blocks], 64-byte aligned; a slab holds block i of all layers
};

// Errors: INVALID (a type that does not exist, a context below 1), NO_MEMORY.
tern_status kv_cache_open(const struct config *config, tern_kv_type type, int32_t context, struct kv_cache **out);
void kv_cache_close(struct kv_cache *cache);

// Makes room for `positions` in all. Errors: LIMIT (beyond the context), NO_MEMORY.
tern_status kv_cache_reserve(struct kv_cache *cache, int32_t positions);

// Frees (or, if it borrows, lets go of) the blocks that lie wholly at or after `positions`.
void kv_cache_truncate(struct kv_cache *cache, int32_t positions);

// A cache that borrows its slabs: kv_cache_put() makes room in it and kv_cache_reserve() must not be called. Errors: as
// kv_cache_open().
tern_status kv_cache_open_borrowing(const struct config *config, tern_kv_type type, int32_t context,
                                    struct kv_cache **out);

// Puts a slab, kv_cache_slab_bytes() of zeros or of what a sequence with the same beginning stored, in the place of
// block `index`, 0..n_blocks: the next one, or one in place of another.
void kv_cache_put(struct kv_cache *cache, int32_t index, uint8_t *slab);

// Bytes of one block of all layers.
size_t kv_cache_slab_bytes(const struct config *config, tern_kv_type type);

// Bytes that a context of this length takes when full.
uint64_t kv_cache_bytes(const struct config *config, tern_kv_type type, int32_t context);

#endif
