#include "text/merges.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PROBES = 1024 }; // as in vocabulary.c

static const uint32_t NONE = UINT32_MAX;

tern_status merge_table_open(struct merge_table *table, size_t count)
{
    size_t n_slots = 4;
    while (n_slots * 3 < count * 5)
        n_slots *= 2; // at most 60 % full
    table->mask = (uint32_t)(n_slots - 1);
    table->slots = malloc(n_slots * sizeof *table->slots);
    if (!table->slots) return status_fail(TERN_NO_MEMORY, "no memory for %zu merges of a vocabulary", count);
    memset(table->slots, 0xFF, n_slots * sizeof *table->slots);
    return TERN_OK;
}

void merge_table_free(struct merge_table *table)
{
    free(table->slots);
    *table = (struct merge_table){0};
}

// The slot where this pair is or would be put; NULL after MAX_PROBES.
static struct merge *find_slot(const struct merge_table *table, tern_token left, tern_token right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t slot = (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
    slot ^= slot >> 15;
    for (int probe = 0; probe < MAX_PROBES; probe++) {
        struct merge *entry = &table->slots[slot++ & table->mask];
        if (entry->left < 0 || (entry->left == left && entry->right == right)) return entry;
    }
    return NULL;
}

tern_status merge_table_add(struct merge_table *table, struct merge merge)
{
    struct merge *slot = find_slot(table, merge.left, merge.right);
    if (!slot) return status_fail(TERN_BAD_FILE, "too many merges have hashes that collide");
    if (slot->left < 0) *slot = merge;
    return TERN_OK;
}

// Makes room for one element more in a growing array.
static tern_status grow(void **data, size_t *capacity, size_t count, size_t element_bytes)
{
    if (count < *capacity) return TERN_OK;
    size_t wanted = *capacity < 32 ? 64 : *capacity * 2;
    if (wanted < count + 1) wanted = count + 1;
    void *grown = wanted > SIZE_MAX / element_bytes ? NULL : realloc(*data, wanted * element_bytes);
    if (!grown) return status_fail(TERN_NO_MEMORY, "no memory for %zu tokens of a text", wanted);
    *data = grown;
    *capacity = wanted;
    return TERN_OK;
}

tern_status token_list_append(struct token_list *list, const tern_token *ids, size_t count)
{
    if (count == 0) return TERN_OK;
    void *data = list->ids;
    TRY(grow(&data, &list->capacity, list->count + count - 1, sizeof *list->ids));
    list->ids = data;
    memcpy(list->ids + list->count, ids, count * sizeof *ids);
    list->count += count;
    return TERN_OK;
}

void merge_word_free(struct merge_word *word)
{
    free(word->symbols);
    free(word->heap);
    *word = (struct merge_word){0};
}

static void clear_word(struct merge_word *word)
{
    word->count = 0;
    word->n_heap = 0;
}

tern_status merge_word_append(struct merge_word *word, tern_token id)
{
    if (word->count >= NONE - 1) return status_fail(TERN_LIMIT, "a text has a word of more than 2^32 - 2 characters");
    void *data = word->symbols;
    TRY(grow(&data, &word->capacity, word->count, sizeof *word->symbols));
    word->symbols = data;
    uint32_t index = (uint32_t)word->count++;
    word->symbols[index] =
        (struct merge_symbol){.id = id, .rank = NONE, .previous = index == 0 ? NONE : index - 1, .next = NONE};
    if (index > 0) word->symbols[index - 1].next = index;
    return TERN_OK;
}

static tern_status heap_push(struct merge_word *word, uint64_t entry)
{
    void *data = word->heap;
    TRY(grow(&data, &word->heap_capacity, word->n_heap, sizeof *word->heap));
    word->heap = data;
    size_t i = word->n_heap++;
    for (; i > 0 && word->heap[(i - 1) / 2] > entry; i = (i - 1) / 2) {
        word->heap[i] = word->heap[(i - 1) / 2];
    }
    word->heap[i] = entry;
    return TERN_OK;
}

static uint64_t heap_pop(struct merge_word *word)
{
    uint64_t top = word->heap[0], last = word->heap[--word->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < word->n_heap) {
        if (child + 1 < word->n_heap && word->heap[child + 1] < word->heap[child]) child++;
        if (word->heap[child] >= last) break;
        word->heap[i] = word->heap[child];
        i = child;
    }
    word->heap[i] = last;
    return top;
}

// Looks up what a symbol and its next one merge into.
static tern_status consider(struct merge_word *word, const struct merge_table *table, uint32_t index)
{
    struct merge_symbol *symbol = &word->symbols[index];
    symbol->rank = NONE;
    if (symbol->next == NONE) return TERN_OK;
    const struct merge *merge = find_slot(table, symbol->id, word->symbols[symbol->next].id);
    if (!merge || merge->left < 0) return TERN_OK;
    symbol->rank = merge->rank;
    symbol->merged = merge->merged;
    return heap_push(word, (uint64_t)merge->rank << 32 | index);
}

static tern_status merge_at(struct merge_word *word, const struct merge_table *table, uint32_t index)
{
    struct merge_symbol *symbol = &word->symbols[index], *gone = &word->symbols[symbol->next];
    symbol->id = symbol->merged;
    symbol->next = gone->next;
    gone->rank = NONE;
    if (symbol->next != NONE) word->symbols[symbol->next].previous = index;
    TRY(consider(word, table, index));
    return symbol->previous == NONE ? TERN_OK : consider(word, table, symbol->previous);
}

tern_status merge_word_encode(struct merge_word *word, const struct merge_table *table, struct token_list *out)
{
    if (word->count == 0) return TERN_OK;
    for (uint32_t i = 0; i + 1 < word->count; i++) {
        TRY(consider(word, table, i));
    }
    while (word->n_heap > 0) {
        uint64_t top = heap_pop(word);
        uint32_t index = (uint32_t)top;
        // An entry is stale once its symbol has merged or has got another neighbour.
        if (word->symbols[index].rank == (uint32_t)(top >> 32)) TRY(merge_at(word, table, index));
    }
    for (uint32_t i = 0; i != NONE; i = word->symbols[i].next) {
        TRY(token_list_append(out, &word->symbols[i].id, 1));
    }
    clear_word(word);
    return TERN_OK;
}
