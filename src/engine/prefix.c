#include "engine/prefix.h"

#include "base/memory.h"
#include "model/memory_plan.h"

#include <stdlib.h>
#include <string.h>

struct prefix {
    size_t slab_bytes;
    int32_t max_blocks;
    int32_t n_blocks, n_remembered;
    struct prefix_block root;
    struct prefix_block **buckets; // of whole blocks; [n_buckets]
    size_t n_buckets;              // a power of two
    struct prefix_block *least_recent, *most_recent;
    struct prefix_block *first_wanted, *last_wanted;
    uint8_t **spare; // slabs of blocks that are gone; [n_spare] of max_blocks
    int32_t n_spare;
};

// ---- Opening

static size_t buckets_for(int32_t max_blocks)
{
    size_t n = 64;
    while (n < (size_t)max_blocks)
        n *= 2;
    return n;
}

tern_status prefix_open(size_t slab_bytes, int32_t max_blocks, struct prefix **out)
{
    *out = NULL;
    struct prefix *p = calloc(1, sizeof *p);
    if (p == NULL) return status_fail(TERN_NO_MEMORY, "no memory for remembered prompts");
    *p = (struct prefix){.slab_bytes = slab_bytes, .max_blocks = max_blocks, .n_buckets = buckets_for(max_blocks)};
    p->buckets = calloc(p->n_buckets, sizeof(struct prefix_block *));
    p->spare = calloc((size_t)max_blocks, sizeof(uint8_t *));
    if (p->buckets == NULL || p->spare == NULL) {
        prefix_close(p);
        return status_fail(TERN_NO_MEMORY, "no memory for %d blocks of remembered prompts", (int)max_blocks);
    }
    p->root = (struct prefix_block){.index = -1, .hash = 0x7465726e20707265u, .users = 1, .filled = DEVICE_KV_BLOCK};
    *out = p;
    return TERN_OK;
}

static void free_block(struct prefix_block *block)
{
    free(block->slab);
    free(block);
}

// Frees what is below a block, without recursion: always the first block that has nothing below it.
static void free_below(struct prefix_block *root)
{
    struct prefix_block *block = root;
    while (block->first_child != NULL || block != root) {
        if (block->first_child != NULL) {
            block = block->first_child;
            continue;
        }
        struct prefix_block *parent = block->parent;
        parent->first_child = block->older;
        free_block(block);
        block = parent;
    }
}

void prefix_close(struct prefix *p)
{
    if (p == NULL) return;
    free_below(&p->root);
    for (int32_t i = 0; i < p->n_spare; i++)
        free(p->spare[i]);
    free(p->spare);
    free(p->buckets);
    free(p);
}

struct prefix_block *prefix_root(struct prefix *p)
{
    return &p->root;
}

// ---- Hashing

// splitmix64's finaliser (Steele, Lea, Flood 2014).
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t prefix_hash(uint64_t before, const tern_token *tokens)
{
    uint64_t hash = before;
    for (int i = 0; i < DEVICE_KV_BLOCK; i++)
        hash = mix(hash + 0x9e3779b97f4a7c15u + (uint64_t)(uint32_t)tokens[i]);
    return hash;
}

static struct prefix_block **bucket_of(const struct prefix *p, uint64_t hash)
{
    return &p->buckets[hash & (p->n_buckets - 1)];
}

struct prefix_block *prefix_find(const struct prefix *p, const struct prefix_block *parent, const tern_token *tokens)
{
    uint64_t hash = prefix_hash(parent->hash, tokens);
    struct prefix_block *block = *bucket_of(p, hash);
    while (block != NULL &&
           (block->hash != hash || block->parent != parent || memcmp(block->tokens, tokens, sizeof block->tokens) != 0))
        block = block->next_in_bucket;
    return block;
}

static void index_block(struct prefix *p, struct prefix_block *block)
{
    struct prefix_block **bucket = bucket_of(p, block->hash);
    block->next_in_bucket = *bucket;
    *bucket = block;
}

static void unindex_block(struct prefix *p, struct prefix_block *block)
{
    struct prefix_block **link = bucket_of(p, block->hash);
    while (*link != block)
        link = &(*link)->next_in_bucket;
    *link = block->next_in_bucket;
}

// ---- The tree

static void link_child(struct prefix_block *parent, struct prefix_block *block)
{
    block->parent = parent;
    block->newer = NULL;
    block->older = parent->first_child;
    if (block->older != NULL) block->older->newer = block;
    parent->first_child = block;
}

static void unlink_child(struct prefix_block *block)
{
    if (block->newer != NULL)
        block->newer->older = block->older;
    else
        block->parent->first_child = block->older;
    if (block->older != NULL) block->older->newer = block->newer;
}

static int32_t count_equal(const tern_token *a, const tern_token *b, int32_t n)
{
    int32_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

struct prefix_block *prefix_search(const struct prefix_block *parent, const tern_token *tokens, int32_t n,
                                   int32_t *overlap)
{
    struct prefix_block *best = NULL, *block = parent->first_child;
    *overlap = 0;
    for (int searched = 0; block != NULL && searched < PREFIX_SEARCH; searched++, block = block->older) {
        int32_t known = block->busy ? block->n_tokens : block->filled;
        int32_t equal = count_equal(block->tokens, tokens, known < n ? known : n);
        if (equal <= *overlap) continue;
        *overlap = equal;
        best = block;
    }
    return best;
}

// ---- Blocks for the disk

void prefix_want(struct prefix *p, struct prefix_block *block)
{
    if (block->wanted) return;
    block->wanted = true;
    block->next_wanted = NULL;
    block->previous_wanted = p->last_wanted;
    if (p->last_wanted != NULL) p->last_wanted->next_wanted = block;
    p->last_wanted = block;
    if (p->first_wanted == NULL) p->first_wanted = block;
}

struct prefix_block *prefix_first_wanted(const struct prefix *p)
{
    return p->first_wanted;
}

void prefix_unwant(struct prefix *p, struct prefix_block *block)
{
    if (!block->wanted) return;
    block->wanted = false;
    if (block->previous_wanted != NULL)
        block->previous_wanted->next_wanted = block->next_wanted;
    else
        p->first_wanted = block->next_wanted;
    if (block->next_wanted != NULL)
        block->next_wanted->previous_wanted = block->previous_wanted;
    else
        p->last_wanted = block->previous_wanted;
}

// ---- Remembered blocks
//
// A block is remembered after those below it (they are released first, and whoever uses one of them uses it too), so
// the least recently used one never has any below it.

static void remember(struct prefix *p, struct prefix_block *block)
{
    block->more_recent = NULL;
    block->less_recent = p->most_recent;
    if (p->most_recent != NULL) p->most_recent->more_recent = block;
    p->most_recent = block;
    if (p->least_recent == NULL) p->least_recent = block;
    p->n_remembered++;
}

static void recall(struct prefix *p, struct prefix_block *block)
{
    if (block->more_recent != NULL)
        block->more_recent->less_recent = block->less_recent;
    else
        p->most_recent = block->less_recent;
    if (block->less_recent != NULL)
        block->less_recent->more_recent = block->more_recent;
    else
        p->least_recent = block->more_recent;
    p->n_remembered--;
}

// Takes a block that is on no list of users or remembered ones out of the tree; its slab becomes spare.
static void discard(struct prefix *p, struct prefix_block *block)
{
    prefix_unwant(p, block);
    if (block->parent != NULL) {
        if (block->filled == DEVICE_KV_BLOCK) unindex_block(p, block);
        unlink_child(block);
    }
    p->spare[p->n_spare++] = block->slab;
    p->n_blocks--;
    free(block);
}

static bool forget_one(struct prefix *p)
{
    struct prefix_block *block = p->least_recent;
    if (block == NULL) return false;
    recall(p, block);
    discard(p, block);
    return true;
}

// ---- Making blocks

static uint8_t *take_slab(struct prefix *p)
{
    if (p->n_blocks == p->max_blocks) forget_one(p);
    if (p->n_spare > 0) return p->spare[--p->n_spare];
    if (p->n_blocks == p->max_blocks) return NULL;
    bool spare = memory_check(p->slab_bytes, "keys and values") == TERN_OK;
    uint8_t *slab = spare ? memory_allocate(p->slab_bytes) : NULL;
    if (slab == NULL && forget_one(p)) slab = p->spare[--p->n_spare];
    return slab;
}

struct prefix_block *prefix_create_unset(struct prefix *p, struct prefix_block *parent, int32_t index)
{
    struct prefix_block *block = calloc(1, sizeof *block);
    if (block == NULL) return NULL;
    block->slab = take_slab(p);
    if (block->slab == NULL) {
        free(block);
        return NULL;
    }
    block->index = index;
    block->users = 1;
    if (parent != NULL) link_child(parent, block);
    p->n_blocks++;
    return block;
}

// Kernels read whole blocks and mask what is not visible: what an earlier sequence left must not be there.
void prefix_clear(const struct prefix *p, struct prefix_block *block)
{
    memset(block->slab, 0, p->slab_bytes);
}

struct prefix_block *prefix_create(struct prefix *p, struct prefix_block *parent, int32_t index)
{
    struct prefix_block *block = prefix_create_unset(p, parent, index);
    if (block != NULL) prefix_clear(p, block);
    return block;
}

struct prefix_block *prefix_copy(struct prefix *p, struct prefix_block *source, int32_t n)
{
    prefix_use(p, source); // so that it is not what makes room
    struct prefix_block *block = prefix_create_unset(p, source->parent, source->index);
    if (block != NULL) {
        memcpy(block->slab, source->slab, p->slab_bytes);
        memcpy(block->tokens, source->tokens, (size_t)n * sizeof *block->tokens);
        block->n_tokens = block->filled = n;
    }
    prefix_release(p, source);
    return block;
}

// ---- Using blocks

void prefix_use(struct prefix *p, struct prefix_block *block)
{
    if (block->users++ == 0) recall(p, block);
}

// True if a block has nothing that its sibling lacks.
static bool is_covered(const struct prefix_block *block, const struct prefix_block *sibling)
{
    return block != sibling && block->filled < DEVICE_KV_BLOCK && block->filled <= sibling->filled &&
           !sibling->loading && count_equal(block->tokens, sibling->tokens, block->filled) == block->filled;
}

// A block that covers this one among the newest of its siblings; NULL if there is none.
static struct prefix_block *find_cover(const struct prefix_block *block)
{
    struct prefix_block *sibling = block->parent->first_child;
    for (int i = 0; i < PREFIX_SEARCH && sibling != NULL; i++, sibling = sibling->older)
        if (is_covered(block, sibling)) return sibling;
    return NULL;
}

// Forgets remembered ones among the newest siblings that a block covers.
static void forget_covered(struct prefix *p, const struct prefix_block *block)
{
    struct prefix_block *sibling = block->parent->first_child;
    for (int i = 0; i < PREFIX_SEARCH && sibling != NULL; i++) {
        struct prefix_block *older = sibling->older;
        if (sibling->users == 0 && is_covered(sibling, block)) {
            recall(p, sibling);
            discard(p, sibling);
        }
        sibling = older;
    }
}

// The same prompt, asked again and again, takes the room of one: what another block covers is not remembered.
static void remember_once(struct prefix *p, struct prefix_block *block)
{
    struct prefix_block *cover = find_cover(block);
    if (cover == NULL) {
        forget_covered(p, block);
        remember(p, block);
        return;
    }
    discard(p, block);
    if (cover->users > 0) return;
    recall(p, cover); // it was of use just now
    remember(p, cover);
}

void prefix_release(struct prefix *p, struct prefix_block *block)
{
    if (--block->users > 0) return;
    block->busy = false;
    block->n_tokens = block->filled;
    if (block->parent == NULL || block->filled == 0)
        discard(p, block);
    else
        remember_once(p, block);
}

void prefix_expect(struct prefix_block *block, const tern_token *tokens, int32_t n)
{
    memcpy(block->tokens + block->n_tokens, tokens, (size_t)n * sizeof *tokens);
    block->n_tokens += n;
}

// A block became whole. A twin may have become so before it, where two answers said the same.
static struct prefix_block *complete(struct prefix *p, struct prefix_block *block)
{
    struct prefix_block *twin = prefix_find(p, block->parent, block->tokens);
    block->busy = false;
    if (twin != NULL && block->first_child == NULL && block->users == 1) {
        prefix_use(p, twin);
        block->filled = 0; // it is not worth remembering
        prefix_release(p, block);
        return twin;
    }
    block->hash = prefix_hash(block->parent->hash, block->tokens);
    index_block(p, block);
    return block;
}

struct prefix_block *prefix_fill(struct prefix *p, struct prefix_block *block, int32_t n)
{
    block->filled += n;
    if (block->filled < DEVICE_KV_BLOCK || block->parent == NULL) return block;
    return complete(p, block);
}

void prefix_tokens(const struct prefix_block *block, tern_token *out)
{
    for (; block->index >= 0; block = block->parent)
        memcpy(out + (size_t)block->index * DEVICE_KV_BLOCK, block->tokens, sizeof block->tokens);
}

// ---- Facts

int32_t prefix_blocks(const struct prefix *p)
{
    return p->n_blocks;
}

int32_t prefix_remembered(const struct prefix *p)
{
    return p->n_remembered;
}

int32_t prefix_available(const struct prefix *p)
{
    return p->max_blocks - p->n_blocks + p->n_remembered;
}
