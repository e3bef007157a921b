// Nondeterministic automata, and how they become deterministic: the subset construction (Rabin and Scott 1959).
#include <stdlib.h>
#include <string.h>

#include "text/constraint_automaton.h"
#include "text/constraint_regular.h"

enum { MAX_NODES = 1 << 20 };

// ---- Construction ---------------------------------------------------------------------------------------------------

static tern_status add_node(struct nfa *nfa, struct nfa_node node, uint32_t *out)
{
    if (nfa->n_nodes == nfa->room) {
        struct nfa_node *wider;
        uint32_t room = nfa->room ? nfa->room * 2 : 64;
        if (room > MAX_NODES) return status_fail(TERN_LIMIT, "constraint: a pattern of more than %d parts", MAX_NODES);
        TRY(arena_alloc(nfa->arena, room, sizeof *wider, &wider));
        if (nfa->n_nodes) memcpy(wider, nfa->nodes, nfa->n_nodes * sizeof *wider);
        nfa->nodes = wider;
        nfa->room = room;
    }
    nfa->nodes[nfa->n_nodes] = node;
    *out = nfa->n_nodes++;
    return TERN_OK;
}

tern_status nfa_begin(struct arena *arena, struct nfa *nfa)
{
    uint32_t accept;
    *nfa = (struct nfa){.arena = arena};
    return add_node(nfa, (struct nfa_node){.kind = NFA_ACCEPT}, &accept);
}

tern_status nfa_bytes(struct nfa *nfa, uint8_t low, uint8_t high, uint32_t next, uint32_t *out)
{
    return add_node(nfa, (struct nfa_node){.kind = NFA_BYTES, .low = low, .high = high, .a = next}, out);
}

tern_status nfa_nothing(struct nfa *nfa, uint32_t *out)
{
    return nfa_bytes(nfa, 1, 0, 0, out); // no byte is from 1 to 0
}

tern_status nfa_literal(struct nfa *nfa, const char *bytes, size_t length, uint32_t next, uint32_t *out)
{
    while (length-- > 0) {
        TRY(nfa_bytes(nfa, (uint8_t)bytes[length], (uint8_t)bytes[length], next, &next));
    }
    *out = next;
    return TERN_OK;
}

tern_status nfa_split(struct nfa *nfa, uint32_t a, uint32_t b, uint32_t *out)
{
    return add_node(nfa, (struct nfa_node){.kind = NFA_SPLIT, .a = a, .b = b}, out);
}

tern_status nfa_edge(struct nfa *nfa, enum nfa_kind kind, uint32_t next, uint32_t *out)
{
    return add_node(nfa, (struct nfa_node){.kind = (uint8_t)kind, .a = next}, out);
}

// ---- Subsets --------------------------------------------------------------------------------------------------------

struct subset {
    uint32_t first, count; // members[first .. first + count), ascending
    bool accepts;
};

struct subsets {
    const struct nfa *nfa;
    struct automaton made; // in the making: state i is sets[i]
    struct subset *sets;
    uint32_t *members, *table;    // hash table: state + 1, 0: empty
    uint32_t *seen, *work, *list; // [n_nodes] each: the search's stamp, what is to be followed, what was found
    uint32_t *ends;               // [n_nodes] found, to be followed at the end of the text only
    uint32_t *known;              // [n_nodes] state of the subset that follows from one node, + 1; 0: not known
    bool *useful;                 // [n_nodes] the end can be reached from here, once a byte was read
    uint32_t stamp, n_work, n_list, n_ends;
    size_t n_members, sets_room, members_room, table_room, effort;
};

// A fixed point; most nodes come behind those that they lead to, so that few rounds are needed.
static void find_useful(struct subsets *s)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < s->nfa->n_nodes; i++) {
            const struct nfa_node *node = &s->nfa->nodes[i];
            bool useful = node->kind == NFA_ACCEPT || (node->kind != NFA_START && s->useful[node->a]) ||
                          (node->kind == NFA_SPLIT && s->useful[node->b]);
            if (node->kind == NFA_BYTES && node->low > node->high) useful = false;
            if (useful && !s->useful[i]) s->useful[i] = changed = true;
        }
    }
}

static void push(struct subsets *s, uint32_t node)
{
    if (s->seen[node] == s->stamp) return;
    s->seen[node] = s->stamp;
    s->work[s->n_work++] = node;
}

// Follows one node without a byte. Nodes that take a byte are listed, those that wait for the end are put aside.
// True: it is the end.
static bool follow_node(struct subsets *s, uint32_t number, bool at_start, bool at_end)
{
    const struct nfa_node *node = &s->nfa->nodes[number];
    s->effort++;
    switch (node->kind) {
    case NFA_ACCEPT:
        return true;
    case NFA_BYTES:
        if (s->useful[number] && !at_end) s->list[s->n_list++] = number;
        return false;
    case NFA_END:
        if (at_end)
            push(s, node->a);
        else
            s->ends[s->n_ends++] = number;
        return false;
    default:
        if (node->kind == NFA_SPLIT) push(s, node->b);
        if (node->kind == NFA_SPLIT || at_start) push(s, node->a);
        return false;
    }
}

// Follows all that was pushed. True: the text may end here.
static bool follow(struct subsets *s, bool at_start)
{
    bool accepts = false;
    s->n_list = s->n_ends = 0;
    while (s->n_work > 0) {
        accepts |= follow_node(s, s->work[--s->n_work], at_start, false);
    }
    for (uint32_t i = 0; i < s->n_ends; i++) {
        push(s, s->nfa->nodes[s->ends[i]].a);
    }
    while (s->n_work > 0) {
        accepts |= follow_node(s, s->work[--s->n_work], at_start, true);
    }
    return accepts;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint32_t *find_subset(const struct subsets *s, const uint32_t *list, uint32_t count, bool accepts)
{
    uint64_t hash = accepts;
    for (uint32_t i = 0; i < count; i++) {
        hash = constraint_hash(hash ^ list[i]) + i;
    }
    size_t mask = s->table_room - 1, at = (size_t)hash & mask;
    for (; s->table[at]; at = (at + 1) & mask) {
        const struct subset *set = &s->sets[s->table[at] - 1];
        if (set->count == count && set->accepts == accepts &&
            (count == 0 || memcmp(s->members + set->first, list, count * sizeof *list) == 0))
            break;
    }
    return &s->table[at];
}

static tern_status widen_table(struct subsets *s)
{
    if ((size_t)s->made.n_states * 2 < s->table_room) return TERN_OK;
    free(s->table);
    s->table_room = s->table_room ? s->table_room * 2 : 256;
    s->table = calloc(s->table_room, sizeof *s->table);
    if (!s->table) return status_fail(TERN_NO_MEMORY, "no memory to compile a pattern");
    for (uint32_t i = 0; i < s->made.n_states; i++) {
        *find_subset(s, s->members + s->sets[i].first, s->sets[i].count, s->sets[i].accepts) = i + 1;
    }
    return TERN_OK;
}

// The state of the listed nodes.
static tern_status enter_subset(struct subsets *s, bool accepts, uint32_t *out)
{
    TRY(widen_table(s));
    qsort(s->list, s->n_list, sizeof *s->list, compare_numbers);
    uint32_t *slot = find_subset(s, s->list, s->n_list, accepts);
    if (!*slot) {
        uint32_t state;
        TRY(automaton_state(&s->made, accepts, &state));
        TRY(constraint_grow(&s->sets, &s->sets_room, state + 1, sizeof *s->sets, REGULAR_MAX_STATES, "states"));
        TRY(constraint_grow(&s->members, &s->members_room, s->n_members + s->n_list + 1, sizeof *s->members, 1 << 26,
                            "states of a pattern"));
        s->sets[state] = (struct subset){.first = (uint32_t)s->n_members, .count = s->n_list, .accepts = accepts};
        if (s->n_list) memcpy(s->members + s->n_members, s->list, s->n_list * sizeof *s->list);
        s->n_members += s->n_list;
        *slot = state + 1;
    }
    *out = *slot - 1;
    return TERN_OK;
}

static void push_targets(struct subsets *s, const struct subset *set, int byte)
{
    s->stamp++;
    s->effort += set->count / 4;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct nfa_node *node = &s->nfa->nodes[s->members[set->first + i]];
        if (byte >= node->low && byte <= node->high && s->useful[node->a]) push(s, node->a);
    }
}

// All bytes of an interval lead to the same subset: one of them is tried. Most often they lead to one node, such as the
// one behind a character, whose subset is known already.
static tern_status step_interval(struct subsets *s, uint32_t state, int low, int high)
{
    struct subset set = s->sets[state];
    push_targets(s, &set, low);
    if (s->n_work == 0) return TERN_OK;
    uint32_t only = s->n_work == 1 ? s->work[0] : UINT32_MAX, to;
    if (only != UINT32_MAX && s->known[only]) {
        s->n_work = 0;
        return automaton_edge(&s->made, state, (uint8_t)low, (uint8_t)high, s->known[only] - 1);
    }
    bool accepts = follow(s, false);
    if (s->n_list == 0 && !accepts) return TERN_OK;
    TRY(enter_subset(s, accepts, &to));
    if (only != UINT32_MAX) s->known[only] = to + 1;
    return automaton_edge(&s->made, state, (uint8_t)low, (uint8_t)high, to);
}

static tern_status step_subset(struct subsets *s, uint32_t state)
{
    struct subset set = s->sets[state];
    bool cut[257] = {false}; // an interval begins here
    cut[256] = true;
    for (uint32_t i = 0; i < set.count; i++) {
        const struct nfa_node *node = &s->nfa->nodes[s->members[set.first + i]];
        cut[node->low] = cut[node->high + 1] = true;
    }
    for (int low = 0, high; low < 256; low = high + 1) {
        for (high = low; !cut[high + 1]; high++) {
        }
        TRY(step_interval(s, state, low, high));
    }
    return TERN_OK;
}

static tern_status run_subsets(struct subsets *s, uint32_t start)
{
    uint32_t first;
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->seen, &s->seen));
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->work, &s->work));
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->list, &s->list));
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->ends, &s->ends));
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->known, &s->known));
    TRY(arena_alloc(s->nfa->arena, s->nfa->n_nodes, sizeof *s->useful, &s->useful));
    find_useful(s);
    s->stamp++;
    push(s, start);
    bool accepts = follow(s, true);
    TRY(enter_subset(s, accepts, &first));
    for (uint32_t state = 0; state < s->made.n_states; state++) {
        TRY(step_subset(s, state));
        TRY(arena_charge(s->nfa->arena, s->effort + 16));
        s->effort = 0;
    }
    return TERN_OK;
}

tern_status regular_from_nfa(const struct nfa *nfa, uint32_t start, struct regular *out)
{
    struct subsets s = {.nfa = nfa};
    tern_status status = run_subsets(&s, start);
    if (status == TERN_OK) status = automaton_trim(&s.made, nfa->arena, out);
    automaton_free(&s.made);
    free(s.sets);
    free(s.members);
    free(s.table);
    return status;
}
