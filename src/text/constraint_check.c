// What is found out about a grammar when it is complete.
#include <stdlib.h>
#include <string.h>

#include "text/constraint_grammar.h"
#include "text/constraint_memory.h"

// ---- Which nodes can come to an end ---------------------------------------------------------------------------------

// A least fixed point over the graph: `holds` grows until nothing is added. Each edge is looked at once, when the node
// that it leads to is found to hold.
struct fixed_point {
    const struct grammar *g;
    const struct byte_set *available; // NULL: ask for an end without any byte
    bool *holds;                      // [n_nodes]
    uint32_t *users_start, *users;    // the nodes that look at node i: users[users_start[i] .. users_start[i + 1])
    uint32_t *work;                   // [n_nodes] nodes that hold and whose users were not looked at yet
    size_t n_work;
};

// The nodes that a node's answer depends on, or their number if `out` is NULL.
static size_t list_used(const struct grammar *g, uint32_t node, uint32_t *out)
{
    const struct grammar_node *n = &g->nodes[node];
    uint32_t list[2] = {n->b, GRAMMAR_NONE};
    size_t count = n->kind != GRAMMAR_RETURN;
    if (n->kind == GRAMMAR_SPLIT) {
        if (out && n->b) memcpy(out, g->targets + n->a, n->b * sizeof *out);
        return n->b;
    }
    if (n->kind == GRAMMAR_CALL && g->rules[n->a] != GRAMMAR_NONE) list[count++] = g->rules[n->a];
    if (n->kind == GRAMMAR_LOOP) list[count++] = g->loops[n->a].body;
    if (out && count) memcpy(out, list, count * sizeof *out);
    return count;
}

static bool any_available(const struct byte_set *set, const struct byte_set *available)
{
    uint64_t any = 0;
    for (int i = 0; i < 4; i++) {
        any |= set->bits[i] & available->bits[i];
    }
    return any != 0;
}

static bool node_holds(const struct fixed_point *f, uint32_t node)
{
    const struct grammar *g = f->g;
    const struct grammar_node *n = &g->nodes[node];
    switch (n->kind) {
    case GRAMMAR_RETURN:
        return true;
    case GRAMMAR_BYTES:
        return f->available && any_available(&g->sets[n->a], f->available) && f->holds[n->b];
    case GRAMMAR_SPLIT: // asked when one of its targets was found to hold, or at first
        for (uint32_t i = 0; i < n->b; i++) {
            if (f->holds[g->targets[n->a + i]]) return true;
        }
        return false;
    case GRAMMAR_CALL:
        return g->rules[n->a] != GRAMMAR_NONE && f->holds[g->rules[n->a]] && f->holds[n->b];
    default:
        return (g->loops[n->a].min == 0 || f->holds[g->loops[n->a].body]) && f->holds[n->b];
    }
}

static tern_status list_users(struct fixed_point *f)
{
    const struct grammar *g = f->g;
    size_t total = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        total += list_used(g, i, NULL);
    }
    uint32_t *used = malloc((total + 1) * sizeof *used);
    f->users = malloc((total + 1) * sizeof *f->users);
    f->users_start = calloc(g->n_nodes + 2, sizeof *f->users_start);
    if (!used || !f->users || !f->users_start) {
        free(used);
        return status_fail(TERN_NO_MEMORY, "no memory to check a grammar");
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        size_t count = list_used(g, i, used);
        for (size_t j = 0; j < count; j++) {
            f->users_start[used[j] + 2]++;
        }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        f->users_start[i + 2] += f->users_start[i + 1];
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        size_t count = list_used(g, i, used);
        for (size_t j = 0; j < count; j++) {
            f->users[f->users_start[used[j] + 1]++] = i;
        }
    }
    free(used);
    return TERN_OK;
}

static void add_holding(struct fixed_point *f, uint32_t node, bool known)
{
    if (f->holds[node] || !(known || node_holds(f, node))) return;
    f->holds[node] = true;
    f->work[f->n_work++] = node;
}

static void run_fixed_point(struct fixed_point *f)
{
    for (uint32_t i = 0; i < f->g->n_nodes; i++) {
        add_holding(f, i, false);
    }
    while (f->n_work > 0) {
        uint32_t node = f->work[--f->n_work];
        for (uint32_t i = f->users_start[node]; i < f->users_start[node + 1]; i++) {
            add_holding(f, f->users[i], f->g->nodes[f->users[i]].kind == GRAMMAR_SPLIT);
        }
    }
}

// Fills holds[n_nodes]: whether a text can be finished from the node (with `available`), or the rule that it is in can
// end without a byte (NULL).
static tern_status find_holding(const struct grammar *g, const struct byte_set *available, bool *holds)
{
    struct fixed_point f = {.g = g, .available = available, .holds = holds};
    f.work = malloc(g->n_nodes * sizeof *f.work);
    tern_status status = f.work ? list_users(&f) : status_fail(TERN_NO_MEMORY, "no memory to check a grammar");
    if (status == TERN_OK) run_fixed_point(&f);
    free(f.work);
    free(f.users);
    free(f.users_start);
    return status;
}

// ---- Left recursion -------------------------------------------------------------------------------------------------

// Steps without a byte form a graph. A cycle in it that puts something on the stack would do so for ever: such a step
// has both its ends in one strongly connected component (Tarjan 1972, without recursion).
struct components {
    const struct grammar *g;
    const bool *empty;  // [n_nodes] the rule can end without a byte
    uint32_t *index;    // [n_nodes] order of discovery from 1; 0: not yet found
    uint32_t *low;      // [n_nodes]
    uint32_t *open;     // [n_nodes] found, component not complete
    uint32_t *path;     // [n_nodes] the way to the node at hand ...
    uint32_t *position; // [n_nodes] ... and which edge of each node comes next
    uint32_t *number;   // [n_nodes] component; 0: open
    size_t n_open, n_path;
    uint32_t n_found, n_components;
};

// Whether the step into rule or loop body leaves something on the stack: a call at the end of a rule does not.
static bool edge_pushes(const struct grammar *g, uint32_t node, uint32_t edge)
{
    const struct grammar_node *n = &g->nodes[node];
    return edge == 0 && (n->kind == GRAMMAR_LOOP || (n->kind == GRAMMAR_CALL && g->nodes[n->b].kind != GRAMMAR_RETURN));
}

// The end of the given edge without a byte. GRAMMAR_NONE: this edge is not there. *last: there are no more.
static uint32_t silent_edge(const struct components *c, uint32_t node, uint32_t edge, bool *last)
{
    const struct grammar *g = c->g;
    const struct grammar_node *n = &g->nodes[node];
    *last = false;
    if (n->kind == GRAMMAR_SPLIT && edge < n->b) return g->targets[n->a + edge];
    if (n->kind == GRAMMAR_CALL && edge == 0) return g->rules[n->a];
    if (n->kind == GRAMMAR_CALL && edge == 1)
        return g->rules[n->a] != GRAMMAR_NONE && c->empty[g->rules[n->a]] ? n->b : GRAMMAR_NONE;
    if (n->kind == GRAMMAR_LOOP && edge == 0) return g->loops[n->a].body;
    if (n->kind == GRAMMAR_LOOP && edge == 1)
        return g->loops[n->a].min == 0 || c->empty[g->loops[n->a].body] ? n->b : GRAMMAR_NONE;
    *last = true;
    return GRAMMAR_NONE;
}

static void find_node(struct components *c, uint32_t node)
{
    c->index[node] = c->low[node] = ++c->n_found;
    c->open[c->n_open++] = node;
    c->path[c->n_path++] = node;
    c->position[node] = 0;
}

static void close_node(struct components *c, uint32_t node)
{
    c->n_path--;
    if (c->n_path > 0) {
        uint32_t before = c->path[c->n_path - 1];
        if (c->low[node] < c->low[before]) c->low[before] = c->low[node];
    }
    if (c->low[node] != c->index[node]) return;
    c->n_components++;
    uint32_t member;
    do {
        member = c->open[--c->n_open];
        c->number[member] = c->n_components;
    } while (member != node);
}

static void find_components(struct components *c, uint32_t start)
{
    find_node(c, start);
    while (c->n_path > 0) {
        uint32_t node = c->path[c->n_path - 1];
        bool last;
        uint32_t next = silent_edge(c, node, c->position[node]++, &last);
        if (last) {
            close_node(c, node);
        } else if (next != GRAMMAR_NONE && !c->index[next]) {
            find_node(c, next);
        } else if (next != GRAMMAR_NONE && !c->number[next] && c->index[next] < c->low[node]) {
            c->low[node] = c->index[next];
        }
    }
}

static bool is_left_recursive(const struct components *c, uint32_t node)
{
    bool last;
    uint32_t inside = silent_edge(c, node, 0, &last);
    return edge_pushes(c->g, node, 0) && inside != GRAMMAR_NONE && c->number[node] == c->number[inside];
}

static tern_status report_left_recursion(const struct components *c, uint32_t *rule)
{
    for (uint32_t node = 0; node < c->g->n_nodes; node++) {
        if (!is_left_recursive(c, node)) continue;
        for (uint32_t i = 0; i < c->g->n_rules; i++) {
            uint32_t start = c->g->rules[i];
            if (start != GRAMMAR_NONE && c->number[start] == c->number[node]) *rule = i;
        }
        return status_fail(TERN_UNSUPPORTED, "left recursion: a rule begins with itself");
    }
    return TERN_OK;
}

static tern_status search_left_recursion(const struct grammar *g, const bool *empty, uint32_t *rule)
{
    uint32_t *room = calloc(g->n_nodes * 6, sizeof *room);
    if (!room) return status_fail(TERN_NO_MEMORY, "no memory to check a grammar");
    size_t n = g->n_nodes;
    struct components c = {.g = g,
                           .empty = empty,
                           .index = room,
                           .low = room + n,
                           .open = room + 2 * n,
                           .path = room + 3 * n,
                           .position = room + 4 * n,
                           .number = room + 5 * n};
    for (uint32_t node = 0; node < n; node++) {
        if (!c.index[node]) find_components(&c, node);
    }
    tern_status status = report_left_recursion(&c, rule);
    free(room);
    return status;
}

tern_status grammar_find_left_recursion(const struct grammar *g, uint32_t *rule)
{
    *rule = GRAMMAR_NONE;
    bool *empty = calloc(g->n_nodes, sizeof *empty);
    if (!empty) return status_fail(TERN_NO_MEMORY, "no memory to check a grammar");
    tern_status status = find_holding(g, NULL, empty);
    if (status == TERN_OK) status = search_left_recursion(g, empty, rule);
    free(empty);
    return status;
}

// ---- Classes of bytes -----------------------------------------------------------------------------------------------

static void split_classes(struct grammar *g, const struct byte_set *set)
{
    int moved[256]; // the new class of members of the set
    int before = g->n_classes;
    bool stays[256] = {false};
    for (int byte = 0; byte < 256; byte++) {
        if (!byte_set_has(set, (unsigned)byte)) stays[g->class_of[byte]] = true;
    }
    for (int i = 0; i < before; i++) {
        moved[i] = -1;
    }
    for (int byte = 0; byte < 256; byte++) {
        int class = g->class_of[byte];
        if (!byte_set_has(set, (unsigned)byte) || !stays[class]) continue;
        if (moved[class] < 0) moved[class] = g->n_classes++;
        g->class_of[byte] = (uint8_t)moved[class];
    }
}

static void find_classes(struct grammar *g)
{
    memset(g->class_of, 0, sizeof g->class_of);
    g->n_classes = 1;
    for (size_t i = 0; i < g->n_sets; i++) {
        split_classes(g, &g->sets[i]);
    }
    for (int byte = 255; byte >= 0; byte--) {
        g->class_byte[g->class_of[byte]] = (uint8_t)byte;
    }
}

// ---- All of it ------------------------------------------------------------------------------------------------------

static tern_status finish_with(struct grammar *g, const struct byte_set *available, bool *holds)
{
    TRY(find_holding(g, available, holds));
    for (size_t i = 0; i < g->n_nodes; i++) {
        g->nodes[i].dead = !holds[i];
    }
    memset(holds, 0, g->n_nodes * sizeof *holds);
    TRY(find_holding(g, NULL, holds));
    // A repetition that may be empty may as well not be there.
    for (size_t i = 0; i < g->n_loops; i++) {
        if (holds[g->loops[i].body]) g->loops[i].min = 0;
    }
    if (g->nodes[g->root].dead) return status_fail(TERN_INVALID, "no text at all is allowed");
    return TERN_OK;
}

tern_status grammar_finish(struct grammar *g, const struct byte_set *available)
{
    uint32_t rule;
    TRY(grammar_find_left_recursion(g, &rule));
    bool *holds = calloc(g->n_nodes, sizeof *holds);
    if (!holds) return status_fail(TERN_NO_MEMORY, "no memory to check a grammar");
    tern_status status = finish_with(g, available, holds);
    free(holds);
    if (status == TERN_OK) find_classes(g);
    return status;
}
