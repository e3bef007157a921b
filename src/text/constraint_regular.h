// Regular languages over bytes: strings, numbers and keys, where a schema asks for what only automata can answer (two
// patterns at once, any key but these, nothing in common). Everything lies in the arena that is given.
#ifndef TEXT_CONSTRAINT_REGULAR_H
#define TEXT_CONSTRAINT_REGULAR_H

#include "text/constraint_characters.h"
#include "text/constraint_grammar.h"
#include "text/constraint_memory.h"

// ---- Nondeterministic automata --------------------------------------------------------------------------------------
// Put together from back to front: each node is given the one that comes after it.

enum nfa_kind {
    NFA_ACCEPT,
    NFA_BYTES, // one byte in low..high, then a
    NFA_SPLIT, // a or b
    NFA_START, // a, but only before the first byte
    NFA_END,   // a, but only behind the last byte
};

struct nfa_node {
    uint32_t a, b;
    uint8_t kind, low, high;
};

struct nfa {
    struct arena *arena;
    struct nfa_node *nodes; // node 0 is NFA_ACCEPT
    uint32_t n_nodes, room;
};

// Errors of all these: NO_MEMORY, LIMIT.
tern_status nfa_begin(struct arena *arena, struct nfa *nfa);
tern_status nfa_bytes(struct nfa *nfa, uint8_t low, uint8_t high, uint32_t next, uint32_t *out);
tern_status nfa_nothing(struct nfa *nfa, uint32_t *out); // from which there is no way to the end
tern_status nfa_literal(struct nfa *nfa, const char *bytes, size_t length, uint32_t next, uint32_t *out);
tern_status nfa_split(struct nfa *nfa, uint32_t a, uint32_t b, uint32_t *out); // nfa->nodes[*out] may be set later
tern_status nfa_edge(struct nfa *nfa, enum nfa_kind kind, uint32_t next, uint32_t *out); // NFA_START, NFA_END

// ---- Deterministic automata -----------------------------------------------------------------------------------------

struct regular_edge {
    uint32_t to;
    uint8_t low, high;
};

// From every state the end can be reached; of one language all the same there may be several such automata.
struct regular {
    uint32_t n_states;          // 0: the empty language; otherwise it begins in state 0
    uint32_t *first;            // [n_states + 1] edges of state s: edges[first[s] .. first[s + 1]), ascending
    struct regular_edge *edges; // [first[n_states]]
    bool *accepts;              // [n_states]
};

enum { REGULAR_MAX_STATES = 60000 };

// Errors: LIMIT (too many states), NO_MEMORY.
tern_status regular_from_nfa(const struct nfa *nfa, uint32_t start, struct regular *out);
tern_status regular_intersect(struct arena *arena, const struct regular *a, const struct regular *b,
                              struct regular *out);
tern_status regular_subtract(struct arena *arena, const struct regular *a, const struct regular *b,
                             struct regular *out);
tern_status regular_unite(struct arena *arena, const struct regular *a, const struct regular *b, struct regular *out);
// What of `a` has min..max characters (max may be GRAMMAR_MANY); `characters` accepts behind each character.
tern_status regular_count(struct arena *arena, const struct regular *a, const struct regular *characters, uint32_t min,
                          uint32_t max, struct regular *out);
bool regular_matches(const struct regular *r, const char *bytes, size_t length);

// The language, then `next`.
tern_status grammar_regular(struct grammar *g, struct arena *arena, const struct regular *r, uint32_t next,
                            uint32_t *out);

#endif
