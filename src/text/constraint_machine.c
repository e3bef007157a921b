#include "text/constraint_machine.h"

#include <stdlib.h>
#include <string.h>

#include "text/constraint_memory.h"

// ---- Stacks ---------------------------------------------------------------------------------------------------------

static uint64_t hash_stack(uint32_t below, uint32_t node, uint32_t count)
{
    return constraint_hash(constraint_hash((uint64_t)below << 32 | node) ^ count);
}

static tern_status no_memory(void)
{
    return status_fail(TERN_NO_MEMORY, "no memory for the state of a constraint");
}

// Room for one more in a hash table of `n` numbers; true in *moved if they must all be entered again.
static tern_status widen_table(uint32_t **table, size_t *room, size_t n, bool *moved)
{
    *moved = false;
    if (*room && n * 2 < *room) return TERN_OK;
    size_t wider = *room ? *room * 2 : 256;
    uint32_t *grown = calloc(wider, sizeof *grown);
    if (!grown) return no_memory();
    free(*table);
    *table = grown;
    *room = wider;
    *moved = true;
    return TERN_OK;
}

static uint32_t *find_stack(const struct machine *m, uint32_t below, uint32_t node, uint32_t count)
{
    size_t mask = m->stack_table_room - 1, at = (size_t)hash_stack(below, node, count) & mask;
    for (; m->stack_table[at]; at = (at + 1) & mask) {
        const struct machine_stack *s = &m->stacks[m->stack_table[at] - 1];
        if (s->below == below && s->node == node && s->count == count) break;
    }
    return &m->stack_table[at];
}

static tern_status widen_stacks(struct machine *m)
{
    bool moved;
    TRY(constraint_grow(&m->stacks, &m->stacks_room, m->n_stacks + 1, sizeof *m->stacks, MACHINE_MAX_STACKS,
                        "stacks in the state of an answer"));
    TRY(widen_table(&m->stack_table, &m->stack_table_room, m->n_stacks, &moved));
    for (uint32_t i = 1; moved && i < m->n_stacks; i++) {
        *find_stack(m, m->stacks[i].below, m->stacks[i].node, m->stacks[i].count) = i + 1;
    }
    return TERN_OK;
}

static tern_status push_stack(struct machine *m, uint32_t below, uint32_t node, uint32_t count, uint32_t *out)
{
    TRY(widen_stacks(m));
    uint32_t *slot = find_stack(m, below, node, count);
    if (!*slot) {
        bool counts = m->stacks[below].counts || count != GRAMMAR_NONE;
        m->stacks[m->n_stacks] = (struct machine_stack){.below = below, .node = node, .count = count, .counts = counts};
        *slot = (uint32_t)++m->n_stacks;
    }
    *out = *slot - 1;
    return TERN_OK;
}

// ---- States ---------------------------------------------------------------------------------------------------------

static uint64_t hash_places(const uint64_t *places, size_t count, bool accepts)
{
    uint64_t hash = accepts;
    for (size_t i = 0; i < count; i++) {
        hash = constraint_hash(hash ^ places[i]) + i;
    }
    return hash;
}

static uint32_t *find_state(const struct machine *m, const uint64_t *places, size_t count, bool accepts)
{
    size_t mask = m->state_table_room - 1, at = (size_t)hash_places(places, count, accepts) & mask;
    for (; m->state_table[at]; at = (at + 1) & mask) {
        const struct machine_state *s = &m->states[m->state_table[at] - 1];
        if (s->count == count && s->accepts == accepts &&
            (count == 0 || memcmp(m->places + s->first, places, count * sizeof *places) == 0))
            break;
    }
    return &m->state_table[at];
}

static tern_status widen_states(struct machine *m, size_t more_places)
{
    bool moved;
    size_t n_classes = (size_t)m->g->n_classes;
    TRY(constraint_grow(&m->states, &m->states_room, m->n_states + 1, sizeof *m->states, m->max_states,
                        "states of an answer at a time"));
    TRY(constraint_grow(&m->steps, &m->steps_room, (m->n_states + 1) * n_classes, sizeof *m->steps,
                        m->max_states * n_classes, "steps of an answer at a time"));
    TRY(constraint_grow(&m->places, &m->places_room, m->n_places + more_places + 1, sizeof *m->places,
                        MACHINE_MAX_PLACES, "places in the states of an answer"));
    TRY(widen_table(&m->state_table, &m->state_table_room, m->n_states, &moved));
    for (uint32_t i = 0; moved && i < m->n_states; i++) {
        const struct machine_state *s = &m->states[i];
        *find_state(m, m->places + s->first, s->count, s->accepts) = i + 1;
    }
    return TERN_OK;
}

// The state of the places in m->found (ascending) and m->accepts.
static tern_status enter_state(struct machine *m, uint32_t *out)
{
    TRY(widen_states(m, m->n_found));
    uint32_t *slot = find_state(m, m->found, m->n_found, m->accepts);
    if (!*slot) {
        size_t n_classes = (size_t)m->g->n_classes;
        m->states[m->n_states] = (struct machine_state){
            .first = (uint32_t)m->n_places, .count = (uint32_t)m->n_found, .accepts = m->accepts};
        if (m->n_found) memcpy(m->places + m->n_places, m->found, m->n_found * sizeof *m->found);
        memset(m->steps + m->n_states * n_classes, 0xFF, n_classes * sizeof *m->steps);
        m->n_places += m->n_found;
        *slot = (uint32_t)++m->n_states;
    }
    *out = *slot - 1;
    return TERN_OK;
}

// ---- One step -------------------------------------------------------------------------------------------------------

struct machine_visit {
    uint64_t place;
    uint32_t stamp; // of the search that it belongs to
    uint32_t count; // of LOOP_HEAD: the fewest repetitions with which it was left
};

// Marks, in a place, a loop that has repeated often enough.
#define LOOP_HEAD (UINT64_C(1) << 63)

static void start_search(struct machine *m)
{
    m->n_work = m->n_found = m->n_visits = 0;
    m->accepts = false;
    if (++m->stamp == 0) {
        if (m->visits) memset(m->visits, 0, m->visits_room * sizeof *m->visits);
        m->stamp = 1;
    }
}

static struct machine_visit *find_visit(const struct machine *m, uint64_t place)
{
    size_t mask = m->visits_room - 1, at = (size_t)constraint_hash(place) & mask;
    while (m->visits[at].stamp == m->stamp && m->visits[at].place != place) {
        at = (at + 1) & mask;
    }
    return &m->visits[at];
}

static tern_status widen_visits(struct machine *m)
{
    if (m->n_visits * 2 < m->visits_room) return TERN_OK;
    size_t old_room = m->visits_room;
    struct machine_visit *old = m->visits;
    m->visits_room = old_room ? old_room * 2 : 128;
    m->visits = calloc(m->visits_room, sizeof *m->visits);
    for (size_t i = 0; m->visits && i < old_room; i++) {
        if (old[i].stamp == m->stamp) *find_visit(m, old[i].place) = old[i];
    }
    free(old);
    if (m->visits) return TERN_OK;
    m->visits_room = 0;
    return no_memory();
}

// *out: the place's entry; *is_new: it was not seen in this search.
static tern_status visit(struct machine *m, uint64_t place, struct machine_visit **out, bool *is_new)
{
    TRY(widen_visits(m));
    *out = find_visit(m, place);
    *is_new = (*out)->stamp != m->stamp;
    if (!*is_new) return TERN_OK;
    if (++m->n_visits > MACHINE_MAX_VISITS)
        return status_fail(TERN_LIMIT, "constraint: more than %d ways to go on by one byte", MACHINE_MAX_VISITS);
    if (++m->effort > MACHINE_MAX_EFFORT)
        return status_fail(TERN_LIMIT, "constraint: too ambiguous: more than %d steps for one token",
                           MACHINE_MAX_EFFORT);
    **out = (struct machine_visit){.place = place, .stamp = m->stamp};
    return TERN_OK;
}

static tern_status add_place(uint64_t **places, size_t *count, size_t *room, uint64_t place)
{
    TRY(constraint_grow(places, room, *count + 1, sizeof **places, MACHINE_MAX_PLACES, "places of an answer"));
    (*places)[(*count)++] = place;
    return TERN_OK;
}

// To be followed, unless it was already or comes to nothing.
static tern_status follow(struct machine *m, uint32_t node, uint32_t stack)
{
    struct machine_visit *entry;
    bool is_new;
    uint64_t place = (uint64_t)node << 32 | stack;
    if (m->g->nodes[node].dead) return TERN_OK;
    TRY(visit(m, place, &entry, &is_new));
    return is_new ? add_place(&m->work, &m->n_work, &m->work_room, place) : TERN_OK;
}

// At a loop's head after `count` repetitions: once more, or on. Of two ways that have done enough, the one with fewer
// repetitions can do all that the other can.
static tern_status follow_loop(struct machine *m, uint32_t node, uint32_t stack, uint32_t count)
{
    const struct grammar_loop *loop = &m->g->loops[m->g->nodes[node].a];
    if (count >= loop->min) {
        struct machine_visit *entry;
        bool is_new;
        TRY(visit(m, LOOP_HEAD | (uint64_t)node << 32 | stack, &entry, &is_new));
        if (!is_new && entry->count <= count) return TERN_OK;
        entry->count = count;
        TRY(follow(m, m->g->nodes[node].b, stack));
    }
    if (count == loop->max || m->g->nodes[loop->body].dead) return TERN_OK;
    uint32_t inside;
    TRY(push_stack(m, stack, node, count, &inside));
    return follow(m, loop->body, inside);
}

// Back from a rule or a repetition.
static tern_status follow_return(struct machine *m, uint32_t stack)
{
    struct machine_stack top = m->stacks[stack];
    if (stack == 0) return m->accepts = true, TERN_OK;
    const struct grammar_node *node = &m->g->nodes[top.node];
    if (node->kind != GRAMMAR_LOOP || top.count == GRAMMAR_NONE) return follow(m, top.node, top.below);
    const struct grammar_loop *loop = &m->g->loops[node->a];
    bool enough = loop->max == GRAMMAR_MANY && top.count >= loop->min; // how many more does not matter
    return follow_loop(m, top.node, top.below, enough ? top.count : top.count + 1);
}

static tern_status follow_call(struct machine *m, const struct grammar_node *node, uint32_t stack)
{
    uint32_t inside = stack;
    // A call at the end of a rule needs no way back: right recursion takes no room.
    if (m->g->nodes[node->b].kind != GRAMMAR_RETURN) TRY(push_stack(m, stack, node->b, GRAMMAR_NONE, &inside));
    return follow(m, m->g->rules[node->a], inside);
}

static tern_status follow_place(struct machine *m, uint64_t place)
{
    uint32_t number = (uint32_t)(place >> 32), stack = (uint32_t)place;
    const struct grammar_node *node = &m->g->nodes[number];
    switch (node->kind) {
    case GRAMMAR_RETURN:
        return follow_return(m, stack);
    case GRAMMAR_BYTES:
        return add_place(&m->found, &m->n_found, &m->found_room, place);
    case GRAMMAR_CALL:
        return follow_call(m, node, stack);
    case GRAMMAR_LOOP:
        return follow_loop(m, number, stack, 0);
    default:
        for (uint32_t i = 0; i < node->b; i++) {
            TRY(follow(m, m->g->targets[node->a + i], stack));
        }
        return TERN_OK;
    }
}

static int compare_places(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static tern_status finish_search(struct machine *m, uint32_t *out)
{
    while (m->n_work > 0) {
        TRY(follow_place(m, m->work[--m->n_work]));
    }
    if (m->n_found > 1) qsort(m->found, m->n_found, sizeof *m->found, compare_places);
    return enter_state(m, out);
}

tern_status machine_find_step(struct machine *m, uint32_t state, unsigned byte, uint32_t *next)
{
    struct machine_state from = m->states[state];
    start_search(m);
    for (uint32_t i = 0; i < from.count; i++) {
        uint64_t place = m->places[from.first + i];
        const struct grammar_node *node = &m->g->nodes[place >> 32];
        if (byte_set_has(&m->g->sets[node->a], byte)) TRY(follow(m, node->b, (uint32_t)place));
    }
    TRY(finish_search(m, next));
    m->steps[(size_t)state * (size_t)m->g->n_classes + m->g->class_of[byte]] = *next;
    return TERN_OK;
}

// ---- Beginning, forgetting ------------------------------------------------------------------------------------------

// The empty stack and the dead state.
static tern_status enter_first(struct machine *m)
{
    uint32_t dead;
    m->n_stacks = m->n_states = m->n_places = 0;
    if (m->stack_table) memset(m->stack_table, 0, m->stack_table_room * sizeof *m->stack_table);
    if (m->state_table) memset(m->state_table, 0, m->state_table_room * sizeof *m->state_table);
    TRY(widen_stacks(m));
    m->stacks[m->n_stacks++] = (struct machine_stack){0};
    start_search(m);
    return enter_state(m, &dead);
}

tern_status machine_begin(const struct grammar *g, struct machine *m)
{
    *m = (struct machine){.g = g};
    m->max_states = MACHINE_TABLE_BYTES / sizeof *m->steps / (size_t)g->n_classes;
    return enter_first(m);
}

tern_status machine_enter(struct machine *m, uint32_t node, uint32_t *state)
{
    start_search(m);
    TRY(follow(m, node, 0));
    return finish_search(m, state);
}

void machine_free(struct machine *m)
{
    free(m->stacks);
    free(m->states);
    free(m->places);
    free(m->steps);
    free(m->stack_table);
    free(m->state_table);
    free(m->visits);
    free(m->work);
    free(m->found);
    *m = (struct machine){0};
}

bool machine_is_full(const struct machine *m)
{
    return m->n_states > m->max_states / 2 || m->n_places > MACHINE_MAX_PLACES / 2 ||
           m->n_stacks > MACHINE_MAX_STACKS / 2;
}

// ---- Stacks with other counts, or in another machine ----------------------------------------------------------------

// How often a count may go up within `length` bytes is all that matters of it: what is further away is the same.
static uint32_t round_count(const struct grammar_loop *loop, uint32_t count, uint32_t length)
{
    uint32_t missing = count < loop->min ? loop->min - count : 0;
    uint32_t left = loop->max == GRAMMAR_MANY ? GRAMMAR_MANY : loop->max - count;
    if (left < length || (missing > 0 && missing < length)) return count;
    return missing > 0 ? 0 : loop->min;
}

// Stacks of `from` (another machine or the same one) in `m`.
struct stack_copies {
    struct machine *m;
    const struct machine *from;
    uint32_t *copies; // [n_stacks of from at the beginning] + 1; 0: not made yet
    uint32_t *path;   // as many: what lies above a stack that was copied
    uint32_t length;  // counts are rounded to this length; 0: they are kept
};

static tern_status begin_copies(struct stack_copies *c)
{
    c->copies = calloc(c->from->n_stacks * 2, sizeof *c->copies);
    if (!c->copies) return no_memory();
    c->path = c->copies + c->from->n_stacks;
    c->copies[0] = 1; // the empty stack
    return TERN_OK;
}

// Each stack is copied once, however many stand on it.
static tern_status copy_stack(struct stack_copies *c, uint32_t stack, uint32_t *out)
{
    size_t n_path = 0;
    for (; !c->copies[stack]; stack = c->from->stacks[stack].below) {
        c->path[n_path++] = stack;
    }
    *out = c->copies[stack] - 1;
    while (n_path > 0) {
        uint32_t next = c->path[--n_path];
        struct machine_stack s = c->from->stacks[next];
        const struct grammar_node *node = &c->m->g->nodes[s.node];
        if (c->length > 0 && s.count != GRAMMAR_NONE)
            s.count = round_count(&c->m->g->loops[node->a], s.count, c->length);
        TRY(push_stack(c->m, *out, s.node, s.count, out));
        c->copies[next] = *out + 1;
    }
    return TERN_OK;
}

// The state with its stacks copied. Different places may have become the same.
static tern_status copy_state(struct stack_copies *c, uint32_t state, uint32_t *out)
{
    struct machine *m = c->m;
    struct machine_state from = c->from->states[state];
    start_search(m);
    m->accepts = from.accepts;
    for (uint32_t i = 0; i < from.count; i++) {
        uint64_t place = c->from->places[from.first + i];
        uint32_t stack;
        TRY(copy_stack(c, (uint32_t)place, &stack));
        TRY(add_place(&m->found, &m->n_found, &m->found_room, (place >> 32) << 32 | stack));
    }
    if (m->n_found > 1) qsort(m->found, m->n_found, sizeof *m->found, compare_places);
    size_t unique = 0;
    for (size_t i = 0; i < m->n_found; i++) {
        if (i == 0 || m->found[i] != m->found[unique - 1]) m->found[unique++] = m->found[i];
    }
    m->n_found = unique;
    return enter_state(m, out);
}

static bool has_counts(const struct machine *m, uint32_t state)
{
    struct machine_state s = m->states[state];
    for (uint32_t i = 0; i < s.count; i++) {
        if (m->stacks[(uint32_t)m->places[s.first + i]].counts) return true;
    }
    return false;
}

tern_status machine_round_counts(struct machine *m, uint32_t state, uint32_t length, uint32_t *out)
{
    struct stack_copies copies = {.m = m, .from = m, .length = length};
    if (!has_counts(m, state)) return *out = state, TERN_OK;
    tern_status status = begin_copies(&copies);
    if (status == TERN_OK) status = copy_state(&copies, state, out);
    free(copies.copies);
    return status;
}

static tern_status move_state(struct machine *to, const struct machine *from, uint32_t *state)
{
    struct stack_copies copies = {.m = to, .from = from};
    tern_status status = enter_first(to);
    if (status == TERN_OK) status = begin_copies(&copies);
    if (status == TERN_OK) status = copy_state(&copies, *state, state);
    free(copies.copies);
    return status;
}

tern_status machine_forget(struct machine *m, uint32_t *state)
{
    struct machine fresh = {.g = m->g, .max_states = m->max_states};
    uint32_t kept = *state;
    tern_status status = move_state(&fresh, m, &kept);
    if (status != TERN_OK) {
        machine_free(&fresh);
        return status;
    }
    machine_free(m);
    *m = fresh;
    *state = kept;
    return TERN_OK;
}
