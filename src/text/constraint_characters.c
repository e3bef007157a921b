#include "text/constraint_characters.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum { LAST_CODE = 0x10FFFF, FIRST_SURROGATE = 0xD800, LAST_SURROGATE = 0xDFFF };

// ---- Sets -----------------------------------------------------------------------------------------------------------

tern_status character_set_add(struct arena *arena, struct character_set *set, uint32_t low, uint32_t high)
{
    if (set->count == set->room) {
        struct code_range *wider;
        size_t room = set->room ? set->room * 2 : 8;
        TRY(arena_alloc(arena, room, sizeof *wider, &wider));
        if (set->count) memcpy(wider, set->ranges, set->count * sizeof *wider);
        set->ranges = wider;
        set->room = room;
    }
    set->ranges[set->count++] = (struct code_range){low, high};
    return TERN_OK;
}

tern_status character_set_add_all(struct arena *arena, struct character_set *set, const struct character_set *more)
{
    for (size_t i = 0; i < more->count; i++) {
        TRY(character_set_add(arena, set, more->ranges[i].low, more->ranges[i].high));
    }
    return TERN_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct code_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

void character_set_sort(struct character_set *set)
{
    size_t kept = 0;
    if (set->count > 1) qsort(set->ranges, set->count, sizeof *set->ranges, compare_ranges);
    for (size_t i = 0; i < set->count; i++) {
        struct code_range range = set->ranges[i];
        if (kept > 0 && range.low <= set->ranges[kept - 1].high + 1) {
            if (range.high > set->ranges[kept - 1].high) set->ranges[kept - 1].high = range.high;
        } else {
            set->ranges[kept++] = range;
        }
    }
    set->count = kept;
}

tern_status character_set_invert(struct arena *arena, struct character_set *set, struct character_set *out)
{
    uint32_t from = 0;
    *out = (struct character_set){0};
    character_set_sort(set);
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].low > from) TRY(character_set_add(arena, out, from, set->ranges[i].low - 1));
        from = set->ranges[i].high + 1;
    }
    return from <= LAST_CODE ? character_set_add(arena, out, from, LAST_CODE) : TERN_OK;
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

// The last code point of as many bytes as `code` has.
static uint32_t last_of_length(uint32_t code)
{
    return code < 0x80 ? 0x7F : code < 0x800 ? 0x7FF : code < 0x10000 ? 0xFFFF : LAST_CODE;
}

// In a run, wherever one byte can differ, those behind it are free: ranges are cut at multiples of 64, 64 * 64 and
// 64 * 64 * 64.
bool utf8_next_run(uint32_t *low, uint32_t high, struct utf8_run *out)
{
    if (*low >= FIRST_SURROGATE && *low <= LAST_SURROGATE) *low = LAST_SURROGATE + 1;
    if (*low > high) return false;
    uint32_t from = *low, to = high < last_of_length(from) ? high : last_of_length(from);
    if (from < FIRST_SURROGATE && to >= FIRST_SURROGATE) to = FIRST_SURROGATE - 1;
    for (uint32_t rest = 63; rest < 1 << 18 && from > 0x7F && (from | rest) < to; rest = rest << 6 | 63) {
        if (from & rest)
            to = from | rest;
        else if ((to & rest) != rest)
            to = (to & ~rest) - 1;
    }
    char first[4], last[4];
    out->length = utf8_encode(from, first);
    utf8_encode(to, last);
    memcpy(out->low, first, 4);
    memcpy(out->high, last, 4);
    *low = to + 1;
    return true;
}

// Ways that begin with different bytes and lead to the same node are one way.
struct ways {
    struct byte_set sets[64];
    uint32_t targets[64];
    size_t count;
};

static tern_status flush_ways(struct grammar *g, struct ways *ways, uint32_t *all, size_t *n_all)
{
    for (size_t i = 0; i < ways->count; i++) {
        TRY(grammar_bytes(g, &ways->sets[i], ways->targets[i], &all[(*n_all)++]));
    }
    ways->count = 0;
    return TERN_OK;
}

static void add_way(struct ways *ways, uint8_t low, uint8_t high, uint32_t target)
{
    size_t i = 0;
    while (i < ways->count && ways->targets[i] != target) {
        i++;
    }
    if (i == ways->count) {
        ways->sets[i] = (struct byte_set){0};
        ways->targets[i] = target;
        ways->count++;
    }
    byte_set_add(&ways->sets[i], low, high);
}

static tern_status run_tail(struct grammar *g, const struct utf8_run *run, uint32_t next, uint32_t *out)
{
    for (int i = run->length - 1; i > 0; i--) {
        struct byte_set set = {0};
        byte_set_add(&set, run->low[i], run->high[i]);
        TRY(grammar_bytes(g, &set, next, &next));
    }
    *out = next;
    return TERN_OK;
}

static tern_status collect_runs(struct grammar *g, const struct character_set *set, uint32_t next, uint32_t *all,
                                size_t room, size_t *n_all)
{
    struct ways ways = {.count = 0};
    for (size_t i = 0; i < set->count; i++) {
        struct utf8_run run;
        for (uint32_t low = set->ranges[i].low; utf8_next_run(&low, set->ranges[i].high, &run);) {
            uint32_t tail;
            TRY(run_tail(g, &run, next, &tail));
            if (ways.count == 64) TRY(flush_ways(g, &ways, all, n_all));
            if (*n_all + 64 > room) return status_fail(TERN_LIMIT, "constraint: a class of characters is too large");
            add_way(&ways, run.low[0], run.high[0], tail);
        }
    }
    return flush_ways(g, &ways, all, n_all);
}

tern_status grammar_characters(struct grammar *g, const struct character_set *set, uint32_t next, uint32_t *out)
{
    size_t room = set->count * 12 + 64, n_all = 0;
    uint32_t *all = malloc(room * sizeof *all);
    if (!all) return status_fail(TERN_NO_MEMORY, "no memory for a class of characters");
    tern_status status = collect_runs(g, set, next, all, room, &n_all);
    if (status == TERN_OK) status = grammar_split(g, all, n_all, out);
    free(all);
    return status;
}
