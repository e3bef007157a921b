// Deterministic automata: trimming, intersection, difference, union, and their place in a grammar.
#include "text/constraint_regular.h"

#include <stdlib.h>
#include <string.h>

#include "text/constraint_automaton.h"

// ---- In the making --------------------------------------------------------------------------------------------------

tern_status automaton_state(struct automaton *a, bool accepts, uint32_t *out)
{
    TRY(constraint_grow(&a->accepts, &a->accepts_room, a->n_states + 1, sizeof *a->accepts, REGULAR_MAX_STATES,
                        "states of a pattern"));
    a->accepts[a->n_states] = accepts;
    *out = a->n_states++;
    return TERN_OK;
}

tern_status automaton_edge(struct automaton *a, uint32_t state, uint8_t low, uint8_t high, uint32_t to)
{
    struct automaton_edge *last = a->n_edges ? &a->edges[a->n_edges - 1] : NULL;
    if (last && last->from == state && last->to == to && last->high + 1 == low) return last->high = high, TERN_OK;
    TRY(constraint_grow(&a->edges, &a->edges_room, a->n_edges + 1, sizeof *a->edges, 64 * REGULAR_MAX_STATES,
                        "steps of a pattern"));
    a->edges[a->n_edges++] = (struct automaton_edge){.from = state, .to = to, .low = low, .high = high};
    return TERN_OK;
}

void automaton_free(struct automaton *a)
{
    free(a->accepts);
    free(a->edges);
    *a = (struct automaton){0};
}

// Marks in new_number[n_states] (1: kept) the states from which an end can be reached, walking edges backwards.
static tern_status mark_useful(const struct automaton *a, struct arena *arena, uint32_t *useful)
{
    uint32_t *start, *sources, *work, n_work = 0;
    TRY(arena_alloc(arena, (size_t)a->n_states + 2, sizeof *start, &start));
    TRY(arena_alloc(arena, (size_t)a->n_edges + 1, sizeof *sources, &sources));
    TRY(arena_alloc(arena, (size_t)a->n_states + 1, sizeof *work, &work));
    for (uint32_t i = 0; i < a->n_edges; i++) {
        start[a->edges[i].to + 2]++;
    }
    for (uint32_t i = 0; i < a->n_states; i++) {
        start[i + 2] += start[i + 1];
    }
    for (uint32_t i = 0; i < a->n_edges; i++) {
        sources[start[a->edges[i].to + 1]++] = a->edges[i].from;
    }
    for (uint32_t i = 0; i < a->n_states; i++) {
        if (a->accepts[i]) useful[i] = 1, work[n_work++] = i;
    }
    while (n_work > 0) {
        uint32_t state = work[--n_work];
        for (uint32_t i = start[state]; i < start[state + 1]; i++) {
            if (!useful[sources[i]]) useful[sources[i]] = 1, work[n_work++] = sources[i];
        }
    }
    return TERN_OK;
}

static void copy_useful(const struct automaton *a, const uint32_t *number, struct regular *out)
{
    uint32_t n_edges = 0, at = 0;
    for (uint32_t state = 0; state < a->n_states; state++) {
        if (number[state]) {
            out->first[number[state] - 1] = n_edges;
            out->accepts[number[state] - 1] = a->accepts[state];
        }
        for (; at < a->n_edges && a->edges[at].from == state; at++) {
            const struct automaton_edge *edge = &a->edges[at];
            if (number[state] && number[edge->to])
                out->edges[n_edges++] =
                    (struct regular_edge){.to = number[edge->to] - 1, .low = edge->low, .high = edge->high};
        }
    }
    out->first[out->n_states] = n_edges;
}

tern_status automaton_trim(const struct automaton *a, struct arena *arena, struct regular *out)
{
    uint32_t *number; // 0: left out; otherwise the new number + 1
    *out = (struct regular){.n_states = 0};
    TRY(arena_alloc(arena, (size_t)a->n_states + 1, sizeof *number, &number));
    TRY(mark_useful(a, arena, number));
    if (!number[0]) return TERN_OK;
    for (uint32_t i = 0; i < a->n_states; i++) {
        if (number[i]) number[i] = ++out->n_states;
    }
    TRY(arena_alloc(arena, (size_t)out->n_states + 1, sizeof *out->first, &out->first));
    TRY(arena_alloc(arena, out->n_states, sizeof *out->accepts, &out->accepts));
    TRY(arena_alloc(arena, (size_t)a->n_edges + 1, sizeof *out->edges, &out->edges));
    copy_useful(a, number, out);
    return TERN_OK;
}

// ---- Two at once ----------------------------------------------------------------------------------------------------

#define NOWHERE UINT32_MAX // a way that has come to an end

struct pairs {
    const struct regular *a, *b;
    struct automaton made; // state i is pair[i]
    uint64_t *pair;        // state of a << 32 | state of b
    uint32_t *table;       // hash table: state + 1, 0: empty
    size_t pair_room, table_room;
    bool (*accepts)(bool in_a, bool in_b);
};

static tern_status widen_table(struct pairs *p)
{
    if ((size_t)p->made.n_states * 2 < p->table_room) return TERN_OK;
    free(p->table);
    p->table_room = p->table_room ? p->table_room * 2 : 256;
    p->table = calloc(p->table_room, sizeof *p->table);
    if (!p->table) return status_fail(TERN_NO_MEMORY, "no memory to compile a pattern");
    for (uint32_t i = 0; i < p->made.n_states; i++) {
        size_t at = (size_t)constraint_hash(p->pair[i]) & (p->table_room - 1);
        while (p->table[at]) {
            at = (at + 1) & (p->table_room - 1);
        }
        p->table[at] = i + 1;
    }
    return TERN_OK;
}

static tern_status enter_pair(struct pairs *p, uint32_t a, uint32_t b, bool accepts, uint32_t *out)
{
    uint64_t pair = (uint64_t)a << 32 | b;
    TRY(widen_table(p));
    size_t at = (size_t)constraint_hash(pair) & (p->table_room - 1);
    while (p->table[at] && p->pair[p->table[at] - 1] != pair) {
        at = (at + 1) & (p->table_room - 1);
    }
    if (!p->table[at]) {
        uint32_t state;
        TRY(automaton_state(&p->made, accepts, &state));
        TRY(constraint_grow(&p->pair, &p->pair_room, state + 1, sizeof *p->pair, REGULAR_MAX_STATES, "states"));
        p->pair[state] = pair;
        p->table[at] = state + 1;
    }
    *out = p->table[at] - 1;
    return TERN_OK;
}

// A walk over the edges of one state: which state a byte leads to, and up to which byte that holds.
struct edge_walk {
    const struct regular_edge *at, *end;
};

static struct edge_walk begin_walk(const struct regular *r, uint32_t state)
{
    struct edge_walk walk = {NULL, NULL};
    if (state == NOWHERE) return walk;
    walk.at = r->edges + r->first[state];
    walk.end = r->edges + r->first[state + 1];
    return walk;
}

static uint32_t look_up(struct edge_walk *walk, int byte, int *until)
{
    while (walk->at < walk->end && walk->at->high < byte) {
        walk->at++;
    }
    int edge_end = 255;
    uint32_t to = NOWHERE;
    if (walk->at < walk->end) {
        bool inside = walk->at->low <= byte;
        edge_end = inside ? walk->at->high : walk->at->low - 1;
        if (inside) to = walk->at->to;
    }
    if (edge_end < *until) *until = edge_end;
    return to;
}

// The state of two automata at once.
static tern_status enter_both(struct pairs *p, uint32_t a, uint32_t b, uint32_t *out)
{
    bool in_a = a != NOWHERE && p->a->accepts[a], in_b = b != NOWHERE && p->b->accepts[b];
    return enter_pair(p, a, b, p->accepts(in_a, in_b), out);
}

static tern_status step_pair(struct pairs *p, uint32_t state)
{
    struct edge_walk a = begin_walk(p->a, (uint32_t)(p->pair[state] >> 32));
    struct edge_walk b = begin_walk(p->b, (uint32_t)p->pair[state]);
    for (int low = 0, high; low < 256; low = high + 1) {
        high = 255;
        uint32_t to_a = look_up(&a, low, &high), to_b = look_up(&b, low, &high), to;
        if (!p->accepts(to_a != NOWHERE, to_b != NOWHERE) && !p->accepts(to_a != NOWHERE, false) &&
            !p->accepts(false, to_b != NOWHERE))
            continue; // nothing can come of it
        TRY(enter_both(p, to_a, to_b, &to));
        TRY(automaton_edge(&p->made, state, (uint8_t)low, (uint8_t)high, to));
    }
    return TERN_OK;
}

static tern_status run_pairs(struct pairs *p, struct arena *arena, struct regular *out)
{
    uint32_t start;
    TRY(enter_both(p, p->a->n_states ? 0 : NOWHERE, p->b->n_states ? 0 : NOWHERE, &start));
    for (uint32_t state = 0; state < p->made.n_states; state++) {
        TRY(step_pair(p, state));
        TRY(arena_charge(arena, 16));
    }
    return automaton_trim(&p->made, arena, out);
}

static tern_status combine(struct arena *arena, const struct regular *a, const struct regular *b,
                           bool (*accepts)(bool, bool), struct regular *out)
{
    struct pairs p = {.a = a, .b = b, .accepts = accepts};
    tern_status status = run_pairs(&p, arena, out);
    automaton_free(&p.made);
    free(p.pair);
    free(p.table);
    return status;
}

static bool in_both(bool a, bool b)
{
    return a && b;
}

static bool in_first_only(bool a, bool b)
{
    return a && !b;
}

static bool in_either(bool a, bool b)
{
    return a || b;
}

tern_status regular_intersect(struct arena *arena, const struct regular *a, const struct regular *b,
                              struct regular *out)
{
    return combine(arena, a, b, in_both, out);
}

tern_status regular_subtract(struct arena *arena, const struct regular *a, const struct regular *b, struct regular *out)
{
    return combine(arena, a, b, in_first_only, out);
}

tern_status regular_unite(struct arena *arena, const struct regular *a, const struct regular *b, struct regular *out)
{
    return combine(arena, a, b, in_either, out);
}

// ---- So many characters ---------------------------------------------------------------------------------------------

// The second automaton reads one character after another and accepts behind each: its number in a pair is its state and
// how often it did.
struct counting {
    struct pairs pairs;
    uint32_t min, max;
};

static tern_status enter_counted(struct counting *c, uint32_t a, uint32_t b, uint32_t count, uint32_t *out)
{
    bool accepts = c->pairs.a->accepts[a] && c->pairs.b->accepts[b] && count >= c->min;
    return enter_pair(&c->pairs, a, count * c->pairs.b->n_states + b, accepts, out);
}

static tern_status step_counted(struct counting *c, uint32_t state)
{
    struct pairs *p = &c->pairs;
    uint32_t second = (uint32_t)p->pair[state], before = second / p->b->n_states;
    struct edge_walk a = begin_walk(p->a, (uint32_t)(p->pair[state] >> 32));
    struct edge_walk b = begin_walk(p->b, second % p->b->n_states);
    for (int low = 0, high; low < 256; low = high + 1) {
        high = 255;
        uint32_t to_a = look_up(&a, low, &high), to_b = look_up(&b, low, &high), to;
        if (to_a == NOWHERE || to_b == NOWHERE) continue;
        uint32_t count = before + p->b->accepts[to_b];
        if (c->max == GRAMMAR_MANY && count > c->min) count = c->min; // how many more does not matter
        if (count > c->max) continue;
        TRY(enter_counted(c, to_a, to_b, count, &to));
        TRY(automaton_edge(&p->made, state, (uint8_t)low, (uint8_t)high, to));
    }
    return TERN_OK;
}

static tern_status run_counting(struct counting *c, struct arena *arena, struct regular *out)
{
    uint32_t start;
    TRY(enter_counted(c, 0, 0, 0, &start));
    for (uint32_t state = 0; state < c->pairs.made.n_states; state++) {
        TRY(step_counted(c, state));
        TRY(arena_charge(arena, 16));
    }
    return automaton_trim(&c->pairs.made, arena, out);
}

tern_status regular_count(struct arena *arena, const struct regular *a, const struct regular *characters, uint32_t min,
                          uint32_t max, struct regular *out)
{
    struct counting c = {.pairs = {.a = a, .b = characters}, .min = min, .max = max};
    *out = (struct regular){.n_states = 0};
    if (a->n_states == 0) return TERN_OK;
    tern_status status = run_counting(&c, arena, out);
    automaton_free(&c.pairs.made);
    free(c.pairs.pair);
    free(c.pairs.table);
    return status;
}

bool regular_matches(const struct regular *r, const char *bytes, size_t length)
{
    uint32_t state = 0;
    if (r->n_states == 0) return false;
    for (size_t i = 0; i < length; i++) {
        struct edge_walk walk = begin_walk(r, state);
        int until = 255;
        state = look_up(&walk, (uint8_t)bytes[i], &until);
        if (state == NOWHERE) return false;
    }
    return r->accepts[state];
}

// ---- In a grammar ---------------------------------------------------------------------------------------------------

// Edges of a state that lead to the same one are one node.
static tern_status fill_state(struct grammar *g, const struct regular *r, const uint32_t *nodes, uint32_t state,
                              uint32_t next)
{
    uint32_t targets[257], to[256];
    struct byte_set sets[256];
    size_t count = 0;
    for (uint32_t i = r->first[state]; i < r->first[state + 1]; i++) {
        size_t k = 0;
        while (k < count && to[k] != r->edges[i].to) {
            k++;
        }
        if (k == count) {
            sets[count] = (struct byte_set){0};
            to[count++] = r->edges[i].to;
        }
        byte_set_add(&sets[k], r->edges[i].low, r->edges[i].high);
    }
    for (size_t k = 0; k < count; k++) {
        TRY(grammar_bytes(g, &sets[k], nodes[to[k]], &targets[k]));
    }
    if (r->accepts[state]) targets[count++] = next;
    return grammar_split_fill(g, nodes[state], targets, count);
}

tern_status grammar_regular(struct grammar *g, struct arena *arena, const struct regular *r, uint32_t next,
                            uint32_t *out)
{
    uint32_t *nodes;
    if (r->n_states == 0) return grammar_split(g, NULL, 0, out);
    TRY(arena_alloc(arena, r->n_states, sizeof *nodes, &nodes));
    for (uint32_t i = 0; i < r->n_states; i++) {
        TRY(grammar_split_later(g, &nodes[i]));
    }
    for (uint32_t i = 0; i < r->n_states; i++) {
        TRY(fill_state(g, r, nodes, i, next));
    }
    *out = nodes[0];
    return TERN_OK;
}
