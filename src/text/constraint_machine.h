// One text's way through a grammar. A state is a set of places: each a GRAMMAR_BYTES node and a stack of what comes
// after its rule; stacks share their lower parts. States, stacks and the steps between states are found once and kept,
// so that a byte mostly costs one look into a table: a deterministic automaton, built where it is walked.
#ifndef TEXT_CONSTRAINT_MACHINE_H
#define TEXT_CONSTRAINT_MACHINE_H

#include "text/constraint_grammar.h"

enum {
    MACHINE_DEAD = 0, // the state from which nothing can follow and in which no text ends
    MACHINE_MAX_PLACES = 1 << 20,
    MACHINE_MAX_STACKS = 1 << 19,
    MACHINE_MAX_VISITS = 1 << 14, // nodes looked at for one byte: bounds the ambiguity that is followed
    MACHINE_MAX_EFFORT = 1 << 22,
    MACHINE_TABLE_BYTES = 4 << 20,
};

#define MACHINE_UNKNOWN UINT32_MAX // a step that was not taken yet

struct machine_stack {
    uint32_t below; // the stack under it; stack 0 is the empty one
    uint32_t node;  // where to go on: a node, or a GRAMMAR_LOOP, whose repetition ends
    uint32_t count; // a loop's repetitions before this one
    bool counts;    // there is a loop's count here or below
};

struct machine_state {
    uint32_t first, count; // places[first .. first + count), ascending
    bool accepts;          // the text may end here
};

struct machine_visit;

struct machine {
    const struct grammar *g;
    struct machine_stack *stacks;
    struct machine_state *states;
    uint64_t *places;                    // node << 32 | stack
    uint32_t *steps;                     // [n_states][n_classes]
    uint32_t *stack_table, *state_table; // hash tables of the two: number + 1, 0: empty
    size_t n_stacks, n_states, n_places;
    size_t stacks_room, states_room, places_room, steps_room, stack_table_room, state_table_room;
    size_t max_states;

    // The search for one step.
    struct machine_visit *visits; // hash table
    uint64_t *work, *found;       // places to look at, and those of the new state
    size_t n_work, n_found, n_visits, work_room, found_room, visits_room;
    uint32_t stamp;
    bool accepts;

    uint32_t effort; // nodes looked at; set to 0 before each token, bounded by MACHINE_MAX_EFFORT
};

// The (finished) grammar is borrowed. Errors: NO_MEMORY, LIMIT. After a failure too, give it to machine_free().
tern_status machine_begin(const struct grammar *g, struct machine *m);
// The state before the first byte of what begins at the node, with nothing to come after it.
tern_status machine_enter(struct machine *m, uint32_t node, uint32_t *state);
void machine_free(struct machine *m);

// Errors: NO_MEMORY, LIMIT (with the bound that was reached).
tern_status machine_find_step(struct machine *m, uint32_t state, unsigned byte, uint32_t *next);

static inline tern_status machine_step(struct machine *m, uint32_t state, unsigned byte, uint32_t *next)
{
    uint32_t known = m->steps[(size_t)state * (size_t)m->g->n_classes + m->g->class_of[byte]];
    if (known == MACHINE_UNKNOWN) return machine_find_step(m, state, byte, next);
    *next = known;
    return TERN_OK;
}

// A state that allows and refuses the same continuations of up to `length` bytes, whose counts are as few different
// ones as that permits.
tern_status machine_round_counts(struct machine *m, uint32_t state, uint32_t length, uint32_t *out);

// Whether so much is kept that some should be forgotten before the next walk.
bool machine_is_full(const struct machine *m);
// Forgets all but this state, whose number changes.
tern_status machine_forget(struct machine *m, uint32_t *state);

#endif
