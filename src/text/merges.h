// The heart of both kinds of BPE: which neighbouring tokens merge into which, in what order, and the merging itself.
#ifndef TEXT_MERGES_H
#define TEXT_MERGES_H

#include "base/status.h"

struct merge {
    tern_token left, right; // left < 0: an empty slot
    tern_token merged;
    uint32_t rank; // smaller ones go first; equal ones from left to right
};

struct merge_table {
    struct merge *slots; // [mask + 1] hash table keyed by (left, right); linear probing
    uint32_t mask;
};

// Room for `count` merges. Errors: NO_MEMORY. Free with merge_table_free().
tern_status merge_table_open(struct merge_table *table, size_t count);
void merge_table_free(struct merge_table *table);

// Adds a merge; of several with one pair the first stays. Not more often than was asked room for.
// Errors: BAD_FILE (too many hashes collide: the pairs were made to).
tern_status merge_table_add(struct merge_table *table, struct merge merge);

// Ids that come out of an encoder. All zero is empty; free(ids) in the end.
struct token_list {
    tern_token *ids; // [count]
    size_t count, capacity;
};

tern_status token_list_append(struct token_list *list, const tern_token *ids, size_t count);

// A word on its way from single characters to tokens, and the merges that are possible in it. All zero is empty; used
// again for one word after another.
struct merge_symbol {
    tern_token id;
    tern_token merged;       // what this one and the next merge into
    uint32_t rank;           // of that merge; UINT32_MAX: none
    uint32_t previous, next; // indices; UINT32_MAX: none
};

struct merge_word {
    struct merge_symbol *symbols; // [count]
    size_t count, capacity;
    uint64_t *heap; // [n_heap] rank << 32 | index of the left symbol, the smallest on top; entries may be stale
    size_t n_heap, heap_capacity;
};

void merge_word_free(struct merge_word *word);

// Adds one symbol at the end. Errors: NO_MEMORY, LIMIT (2^32 - 2 symbols).
tern_status merge_word_append(struct merge_word *word, tern_token id);

// Merges all that can be merged, in O(n log n), and appends the result to `out`. The word is used up.
tern_status merge_word_encode(struct merge_word *word, const struct merge_table *table, struct token_list *out);

#endif
