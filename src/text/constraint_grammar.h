// A language over bytes as a graph: a recursive transition network (Woods 1970) with counted repetition. It is put
// together from back to front: each function that adds a node is given the one that comes after it.
#ifndef TEXT_CONSTRAINT_GRAMMAR_H
#define TEXT_CONSTRAINT_GRAMMAR_H

#include "base/status.h"

enum grammar_kind {
    GRAMMAR_RETURN, // the end of a rule or of one repetition; with an empty stack: of the text
    GRAMMAR_BYTES,  // one byte of sets[a], then node b
    GRAMMAR_SPLIT,  // any of the nodes targets[a .. a + b)
    GRAMMAR_CALL,   // rule a, then node b
    GRAMMAR_LOOP,   // loops[a], then node b
};

struct grammar_node {
    uint32_t a, b;
    uint8_t kind;
    bool dead; // no text can be finished from here
};

struct byte_set {
    uint64_t bits[4];
};

struct grammar_loop {
    uint32_t body;     // ends with GRAMMAR_RETURN
    uint32_t min, max; // how often; max may be GRAMMAR_MANY
};

#define GRAMMAR_MANY UINT32_MAX
#define GRAMMAR_NONE UINT32_MAX // no node, no rule

struct grammar {
    struct grammar_node *nodes; // node 0 is the GRAMMAR_RETURN
    uint32_t *targets;
    struct byte_set *sets;
    struct grammar_loop *loops;
    uint32_t *rules;    // the node that each begins with; GRAMMAR_NONE until it is known
    uint32_t *interned; // hash table: equal GRAMMAR_BYTES are one node
    size_t n_nodes, n_targets, n_sets, n_loops, n_rules, n_interned;
    size_t nodes_room, targets_room, sets_room, loops_room, rules_room, interned_room;
    uint32_t root; // where the text begins

    // Bytes that no set tells apart are one class: by grammar_finish().
    uint8_t class_of[256];
    uint8_t class_byte[256]; // [n_classes] one byte of each
    int n_classes;
};

enum { GRAMMAR_MAX_NODES = 1 << 20, GRAMMAR_MAX_REPEAT = 1 << 20 };

// Makes node 0. After a failure too, give it to grammar_free().
tern_status grammar_begin(struct grammar *g);
void grammar_free(struct grammar *g);

static inline uint32_t grammar_end(void)
{
    return 0;
}

static inline void byte_set_add(struct byte_set *set, unsigned low, unsigned high)
{
    for (unsigned byte = low; byte <= high; byte++) {
        set->bits[byte >> 6] |= UINT64_C(1) << (byte & 63);
    }
}

static inline bool byte_set_has(const struct byte_set *set, unsigned byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}

// All of them write the new node's number to *out. Errors: NO_MEMORY, LIMIT.
tern_status grammar_bytes(struct grammar *g, const struct byte_set *set, uint32_t next, uint32_t *out);
tern_status grammar_literal(struct grammar *g, const char *bytes, size_t length, uint32_t next, uint32_t *out);
tern_status grammar_split(struct grammar *g, const uint32_t *targets, size_t count, uint32_t *out);
tern_status grammar_call(struct grammar *g, uint32_t rule, uint32_t next, uint32_t *out);
// `body` ends with grammar_end().
tern_status grammar_loop(struct grammar *g, uint32_t body, uint32_t min, uint32_t max, uint32_t next, uint32_t *out);
tern_status grammar_optional(struct grammar *g, uint32_t node, uint32_t next, uint32_t *out); // node, or next at once

// For cycles: a split whose targets come later, and are given once.
tern_status grammar_split_later(struct grammar *g, uint32_t *out);
tern_status grammar_split_fill(struct grammar *g, uint32_t node, const uint32_t *targets, size_t count);

tern_status grammar_rule(struct grammar *g, uint32_t *rule); // its node is set later: g->rules[rule] = node

// UNSUPPORTED: a rule begins with itself, so that its stack would grow without a byte; *rule is one of those concerned
// (or GRAMMAR_NONE). Otherwise OK or NO_MEMORY.
tern_status grammar_find_left_recursion(const struct grammar *g, uint32_t *rule);

// Closes the construction, once g->root is set: finds dead nodes and classes of bytes. `available`: the bytes that can
// come one by one; what needs another is dead. Errors: INVALID (nothing can be written: the root is dead), UNSUPPORTED
// (left recursion), NO_MEMORY.
tern_status grammar_finish(struct grammar *g, const struct byte_set *available);

#endif
