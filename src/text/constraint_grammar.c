#include "text/constraint_grammar.h"

#include <stdlib.h>
#include <string.h>

#include "text/constraint_memory.h"

static tern_status add_node(struct grammar *g, enum grammar_kind kind, uint32_t a, uint32_t b, uint32_t *out)
{
    TRY(constraint_grow(&g->nodes, &g->nodes_room, g->n_nodes + 1, sizeof *g->nodes, GRAMMAR_MAX_NODES,
                        "nodes of the grammar"));
    g->nodes[g->n_nodes] = (struct grammar_node){.kind = (uint8_t)kind, .a = a, .b = b};
    *out = (uint32_t)g->n_nodes++;
    return TERN_OK;
}

tern_status grammar_begin(struct grammar *g)
{
    uint32_t end;
    *g = (struct grammar){.root = GRAMMAR_NONE};
    return add_node(g, GRAMMAR_RETURN, 0, 0, &end);
}

void grammar_free(struct grammar *g)
{
    free(g->nodes);
    free(g->targets);
    free(g->sets);
    free(g->loops);
    free(g->rules);
    free(g->interned);
    *g = (struct grammar){0};
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

static uint64_t hash_bytes(const struct byte_set *set, uint32_t next)
{
    uint64_t hash = next;
    for (int i = 0; i < 4; i++) {
        hash = constraint_hash(hash ^ set->bits[i]);
    }
    return hash;
}

static bool is_bytes(const struct grammar *g, uint32_t node, const struct byte_set *set, uint32_t next)
{
    return g->nodes[node].b == next && memcmp(&g->sets[g->nodes[node].a], set, sizeof *set) == 0;
}

// The slot where that node is or may be put.
static uint32_t *find_slot(const struct grammar *g, const struct byte_set *set, uint32_t next)
{
    size_t mask = g->interned_room - 1, at = (size_t)hash_bytes(set, next) & mask;
    while (g->interned[at] && !is_bytes(g, g->interned[at], set, next)) {
        at = (at + 1) & mask;
    }
    return &g->interned[at];
}

static tern_status widen_table(struct grammar *g)
{
    if (g->n_interned * 2 < g->interned_room) return TERN_OK;
    size_t room = g->interned_room ? g->interned_room * 2 : 256, old_room = g->interned_room;
    uint32_t *old = g->interned, *table = calloc(room, sizeof *table);
    if (!table) return status_fail(TERN_NO_MEMORY, "no memory to compile a constraint");
    g->interned = table;
    g->interned_room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i]) *find_slot(g, &g->sets[g->nodes[old[i]].a], g->nodes[old[i]].b) = old[i];
    }
    free(old);
    return TERN_OK;
}

tern_status grammar_bytes(struct grammar *g, const struct byte_set *set, uint32_t next, uint32_t *out)
{
    TRY(widen_table(g));
    uint32_t *slot = find_slot(g, set, next);
    if (!*slot) {
        TRY(constraint_grow(&g->sets, &g->sets_room, g->n_sets + 1, sizeof *g->sets, GRAMMAR_MAX_NODES, "sets"));
        g->sets[g->n_sets] = *set;
        TRY(add_node(g, GRAMMAR_BYTES, (uint32_t)g->n_sets++, next, slot));
        g->n_interned++;
    }
    *out = *slot;
    return TERN_OK;
}

tern_status grammar_literal(struct grammar *g, const char *bytes, size_t length, uint32_t next, uint32_t *out)
{
    while (length-- > 0) {
        struct byte_set set = {0};
        byte_set_add(&set, (uint8_t)bytes[length], (uint8_t)bytes[length]);
        TRY(grammar_bytes(g, &set, next, &next));
    }
    *out = next;
    return TERN_OK;
}

// ---- Branches, rules, repetition ------------------------------------------------------------------------------------

tern_status grammar_split_later(struct grammar *g, uint32_t *out)
{
    return add_node(g, GRAMMAR_SPLIT, 0, 0, out);
}

tern_status grammar_split_fill(struct grammar *g, uint32_t node, const uint32_t *targets, size_t count)
{
    TRY(constraint_grow(&g->targets, &g->targets_room, g->n_targets + count, sizeof *g->targets, 8 * GRAMMAR_MAX_NODES,
                        "branches of the grammar"));
    g->nodes[node].a = (uint32_t)g->n_targets;
    g->nodes[node].b = (uint32_t)count;
    if (count) memcpy(g->targets + g->n_targets, targets, count * sizeof *targets);
    g->n_targets += count;
    return TERN_OK;
}

tern_status grammar_split(struct grammar *g, const uint32_t *targets, size_t count, uint32_t *out)
{
    if (count == 1) return *out = targets[0], TERN_OK;
    uint32_t node;
    TRY(grammar_split_later(g, &node));
    *out = node;
    return grammar_split_fill(g, node, targets, count);
}

tern_status grammar_optional(struct grammar *g, uint32_t node, uint32_t next, uint32_t *out)
{
    uint32_t both[] = {node, next};
    return grammar_split(g, both, 2, out);
}

tern_status grammar_call(struct grammar *g, uint32_t rule, uint32_t next, uint32_t *out)
{
    return add_node(g, GRAMMAR_CALL, rule, next, out);
}

tern_status grammar_loop(struct grammar *g, uint32_t body, uint32_t min, uint32_t max, uint32_t next, uint32_t *out)
{
    TRY(constraint_grow(&g->loops, &g->loops_room, g->n_loops + 1, sizeof *g->loops, GRAMMAR_MAX_NODES, "loops"));
    g->loops[g->n_loops] = (struct grammar_loop){.body = body, .min = min, .max = max};
    return add_node(g, GRAMMAR_LOOP, (uint32_t)g->n_loops++, next, out);
}

tern_status grammar_rule(struct grammar *g, uint32_t *rule)
{
    TRY(constraint_grow(&g->rules, &g->rules_room, g->n_rules + 1, sizeof *g->rules, GRAMMAR_MAX_NODES, "rules"));
    g->rules[g->n_rules] = GRAMMAR_NONE;
    *rule = (uint32_t)g->n_rules++;
    return TERN_OK;
}
