// What was computed and may be used again: blocks of DEVICE_KV_BLOCK positions in a tree, each below the block before
// it, so that the way from the root to a block says all the tokens that its keys and values depend on. Requests that
// begin alike share blocks; blocks that nobody uses are remembered and make room for new ones, the least recently used
// first. For one thread.
#ifndef ENGINE_PREFIX_H
#define ENGINE_PREFIX_H

#include "device/device.h"

struct prefix;

struct prefix_block {
    struct prefix_block *parent; // the block before it; NULL: found by nobody and not remembered (a private block)
    int32_t index;               // positions index * 64 and on
    uint64_t hash;               // of all tokens from the root to its end; valid once it is whole
    int32_t users;               // 0: remembered
    int32_t n_tokens;            // of `tokens` that are known to come, >= filled
    int32_t filled;              // positions whose keys and values are there; 64: whole, and never changed again
    bool busy;                   // somebody is computing or reading the rest of n_tokens: waiting for it pays
    bool loading;                // it is being read from disk
    bool wanted;                 // to be written to disk
    tern_token tokens[DEVICE_KV_BLOCK];
    uint8_t *slab; // kv_cache_slab_bytes()

    // The tree, newest child first; the chain of a bucket of whole blocks; the lists of remembered and of wanted ones.
    struct prefix_block *first_child, *older, *newer;
    struct prefix_block *next_in_bucket;
    struct prefix_block *less_recent, *more_recent;
    struct prefix_block *next_wanted, *previous_wanted;
};

// At most `max_blocks` blocks, whose memory is taken as they are made. Errors: NO_MEMORY.
tern_status prefix_open(size_t slab_bytes, int32_t max_blocks, struct prefix **out);
void prefix_close(struct prefix *prefix); // NULL is fine; private blocks must have been released

// The block before all: no tokens, always there.
struct prefix_block *prefix_root(struct prefix *prefix);

// The whole block below `parent` with these tokens [64]; NULL if there is none.
struct prefix_block *prefix_find(const struct prefix *prefix, const struct prefix_block *parent,
                                 const tern_token *tokens);

// The block below `parent` (of the PREFIX_SEARCH newest) that begins with the most of tokens[n], n <= 64, counting
// those that are on the way if it is busy. *overlap: how many. NULL if none begins with the first.
enum { PREFIX_SEARCH = 128 };
struct prefix_block *prefix_search(const struct prefix_block *parent, const tern_token *tokens, int32_t n,
                                   int32_t *overlap);

// A new block, used once, with zeros in its slab; below `parent` or private (NULL). The least recently used remembered
// block makes room for it. NULL if all are in use or there is no memory.
struct prefix_block *prefix_create(struct prefix *prefix, struct prefix_block *parent, int32_t index);

// The same for a block that will be read from disk: its slab is whatever it was. prefix_clear() makes it zeros.
struct prefix_block *prefix_create_unset(struct prefix *prefix, struct prefix_block *parent, int32_t index);
void prefix_clear(const struct prefix *prefix, struct prefix_block *block);

// A new block beside `source` with its first `n` positions. NULL as above.
struct prefix_block *prefix_copy(struct prefix *prefix, struct prefix_block *source, int32_t n);

void prefix_use(struct prefix *prefix, struct prefix_block *block);
// When the last user leaves, a block is remembered as far as it is filled, unless a sibling has all of that too. Give
// back a request's blocks from the last to the first, so that a block is forgotten before the one it depends on.
void prefix_release(struct prefix *prefix, struct prefix_block *block);

// Says which tokens come next in a block that is not whole.
void prefix_expect(struct prefix_block *block, const tern_token *tokens, int32_t n);
// `n` more positions of the expected ones were computed. Returns the block to use from now on: where a whole one with
// the same tokens was already there, that one.
struct prefix_block *prefix_fill(struct prefix *prefix, struct prefix_block *block, int32_t n);

// A whole block is to be written to disk. It is forgotten with the block.
void prefix_want(struct prefix *prefix, struct prefix_block *block);
struct prefix_block *prefix_first_wanted(const struct prefix *prefix); // wanted longest; NULL: none is
void prefix_unwant(struct prefix *prefix, struct prefix_block *block);

// The hash that a block with these tokens [64] has below one of the hash `before`.
uint64_t prefix_hash(uint64_t before, const tern_token *tokens);

// All tokens from the start to the end of a whole block: out[(index + 1) * 64].
void prefix_tokens(const struct prefix_block *block, tern_token *out);

int32_t prefix_blocks(const struct prefix *prefix);     // in use and remembered
int32_t prefix_remembered(const struct prefix *prefix); // of those, used by nobody
int32_t prefix_available(const struct prefix *prefix);  // that could be created now

#endif
