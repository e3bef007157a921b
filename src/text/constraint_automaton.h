// A deterministic automaton in the making: states get their edges in ascending order, one state after the other.
#ifndef TEXT_CONSTRAINT_AUTOMATON_H
#define TEXT_CONSTRAINT_AUTOMATON_H

#include "text/constraint_regular.h"

struct automaton_edge {
    uint32_t from, to;
    uint8_t low, high;
};

struct automaton {
    bool *accepts;                // [n_states]
    struct automaton_edge *edges; // [n_edges]
    uint32_t n_states, n_edges;
    size_t accepts_room, edges_room;
};

// Edges come in ascending order of their state and of their bytes. Errors: NO_MEMORY, LIMIT.
tern_status automaton_state(struct automaton *a, bool accepts, uint32_t *out);
tern_status automaton_edge(struct automaton *a, uint32_t state, uint8_t low, uint8_t high, uint32_t to);
// Leaves out states from which no end can be reached.
tern_status automaton_trim(const struct automaton *a, struct arena *arena, struct regular *out);
void automaton_free(struct automaton *a);

#endif
