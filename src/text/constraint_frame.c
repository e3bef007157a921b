// What stands around the constrained part of an answer.
#include "text/constraint_frame.h"

#include <string.h>

#include "text/constraint_memory.h"

enum {
    MAX_TRIGGERS = 256,
    MAX_TRIGGER_BYTES = 4096,
    MAX_BLANKS = 3, // between constrained parts
};

// The free part is the automaton of Aho and Corasick (1975): a state for each beginning of a trigger, the longest one
// that the text ends with.
struct search {
    struct arena arena;
    uint16_t (*next)[256]; // [n_states]
    uint16_t *shorter;     // [n_states] the longest proper end of it that is a state
    bool *found;           // [n_states] a trigger ends here
    size_t n_states, room;
    uint32_t *nodes; // [n_states] of the grammar
};

static tern_status add_trigger(struct search *s, const char *trigger)
{
    size_t state = 0;
    if (!*trigger) return status_fail(TERN_INVALID, "constraint: a trigger is empty");
    for (; *trigger; trigger++) {
        uint16_t *next = &s->next[state][(uint8_t)*trigger];
        if (!*next) *next = (uint16_t)s->n_states++;
        state = *next;
    }
    s->found[state] = true;
    return TERN_OK;
}

// Fills in the steps that leave a trigger's way, in the order of the states' lengths.
static tern_status complete_search(struct search *s)
{
    uint16_t *queue;
    size_t head = 0, tail = 0;
    TRY(arena_alloc(&s->arena, s->n_states, sizeof *queue, &queue));
    for (int byte = 0; byte < 256; byte++) {
        if (s->next[0][byte]) queue[tail++] = s->next[0][byte];
    }
    while (head < tail) {
        uint16_t state = queue[head++], shorter = s->shorter[state];
        s->found[state] |= s->found[shorter];
        for (int byte = 0; byte < 256; byte++) {
            uint16_t *next = &s->next[state][byte];
            if (*next) {
                s->shorter[*next] = s->next[shorter][byte];
                queue[tail++] = *next;
            } else {
                *next = s->next[shorter][byte];
            }
        }
    }
    return TERN_OK;
}

static tern_status build_search(struct search *s, const struct constraint_options *options)
{
    size_t bytes = 0;
    for (size_t i = 0; i < options->n_triggers; i++) {
        bytes += strlen(options->triggers[i]);
        if (i >= MAX_TRIGGERS || bytes > MAX_TRIGGER_BYTES)
            return status_fail(TERN_LIMIT, "constraint: more than %d triggers, or %d bytes of them", MAX_TRIGGERS,
                               MAX_TRIGGER_BYTES);
    }
    s->room = bytes + 1;
    s->n_states = 1;
    TRY(arena_alloc(&s->arena, s->room, sizeof *s->next, &s->next));
    TRY(arena_alloc(&s->arena, s->room, sizeof *s->shorter, &s->shorter));
    TRY(arena_alloc(&s->arena, s->room, sizeof *s->found, &s->found));
    for (size_t i = 0; i < options->n_triggers; i++) {
        TRY(add_trigger(s, options->triggers[i]));
    }
    return complete_search(s);
}

// Where each byte leads from one place; GRAMMAR_NONE: nowhere.
struct branches {
    uint32_t to[256];
    uint32_t others[2]; // [n_others] where it goes on without a byte
    size_t n_others;
};

// The split `node`; bytes that lead to the same node go together.
static tern_status fill_branches(struct grammar *g, const struct branches *b, uint32_t node)
{
    uint32_t targets[256 + 2];
    size_t count = 0;
    bool done[256] = {false};
    for (int byte = 0; byte < 256; byte++) {
        struct byte_set set = {0};
        if (done[byte] || b->to[byte] == GRAMMAR_NONE) continue;
        for (int other = byte; other < 256; other++) {
            if (b->to[other] != b->to[byte]) continue;
            byte_set_add(&set, (unsigned)other, (unsigned)other);
            done[other] = true;
        }
        TRY(grammar_bytes(g, &set, b->to[byte], &targets[count++]));
    }
    for (size_t i = 0; i < b->n_others; i++) {
        targets[count++] = b->others[i];
    }
    return grammar_split_fill(g, node, targets, count);
}

static void find_branches(const struct search *s, const uint32_t *nodes, size_t state, uint32_t found, bool may_end,
                          struct branches *out)
{
    *out = (struct branches){.n_others = may_end, .others = {grammar_end()}};
    for (int byte = 0; byte < 256; byte++) {
        uint16_t to = s->next[state][byte];
        out->to[byte] = s->found[to] ? found : nodes[to];
    }
}

// `start`: a split without targets. `found`: what comes behind a trigger.
static tern_status build_free_part(struct grammar *g, struct search *s, uint32_t start, uint32_t found, bool may_end)
{
    struct branches branches;
    TRY(arena_alloc(&s->arena, s->n_states, sizeof *s->nodes, &s->nodes));
    s->nodes[0] = start;
    for (size_t i = 1; i < s->n_states; i++) {
        TRY(grammar_split_later(g, &s->nodes[i]));
    }
    for (size_t i = 0; i < s->n_states; i++) {
        find_branches(s, s->nodes, i, found, may_end, &branches);
        TRY(fill_branches(g, &branches, s->nodes[i]));
    }
    return TERN_OK;
}

// Before a free part that is not to begin with "{": that begins the constrained part.
static tern_status build_bare(struct grammar *g, const struct search *s, uint32_t constrained, bool may_end,
                              uint32_t *out)
{
    struct branches branches;
    TRY(grammar_split_later(g, out));
    find_branches(s, s->nodes, 0, constrained, may_end, &branches);
    for (const char *blank = " \t\r\n"; *blank; blank++) {
        branches.to[(uint8_t)*blank] = *out;
    }
    branches.to['{'] = GRAMMAR_NONE;
    branches.others[branches.n_others++] = constrained;
    return fill_branches(g, &branches, *out);
}

static tern_status build_constrained(struct grammar *g, uint32_t rule, const struct constraint_options *options,
                                     uint32_t next, uint32_t *out)
{
    if (options->suffix) TRY(grammar_literal(g, options->suffix, strlen(options->suffix), next, &next));
    return grammar_call(g, rule, next, out);
}

// The node, with a few blanks before it.
static tern_status allow_blanks(struct grammar *g, uint32_t node, uint32_t *out)
{
    struct byte_set blanks = {0};
    byte_set_add(&blanks, ' ', ' ');
    byte_set_add(&blanks, '\n', '\n');
    *out = node;
    for (int i = 0; i < MAX_BLANKS; i++) {
        uint32_t both[] = {node, GRAMMAR_NONE};
        TRY(grammar_bytes(g, &blanks, *out, &both[1]));
        TRY(grammar_split(g, both, 2, out));
    }
    return TERN_OK;
}

// A trigger and the constrained part, which may be bare where the answer begins, or `other`.
static tern_status build_choice(struct grammar *g, const struct constraint_options *options, uint32_t constrained,
                                bool bare, uint32_t other, uint32_t *out)
{
    uint32_t targets[MAX_TRIGGERS + 2];
    size_t n_targets = 0;
    targets[n_targets++] = other;
    if (bare) targets[n_targets++] = constrained;
    for (size_t i = 0; i < options->n_triggers; i++) {
        const char *trigger = options->triggers[i];
        TRY(grammar_literal(g, trigger, strlen(trigger), constrained, &targets[n_targets++]));
    }
    return grammar_split(g, targets, n_targets, out);
}

// Behind a constrained part, at the node `start`: the end, or a trigger and another, with a few blanks before either.
static tern_status build_again(struct grammar *g, const struct constraint_options *options, uint32_t constrained,
                               uint32_t start)
{
    uint32_t again;
    TRY(build_choice(g, options, constrained, false, grammar_end(), &again));
    TRY(allow_blanks(g, again, &again));
    return grammar_split_fill(g, start, &again, 1);
}

static tern_status build_triggered(struct grammar *g, struct search *s, uint32_t rule, uint32_t otherwise,
                                   const struct constraint_options *options, uint32_t *out, uint32_t *free_part)
{
    uint32_t later = grammar_end(), constrained;
    TRY(build_search(s, options));
    if (options->repeat) TRY(grammar_split_later(g, &later));
    TRY(build_constrained(g, rule, options, later, &constrained));
    if (options->repeat) TRY(build_again(g, options, constrained, later));
    *out = constrained;
    if (options->begins) return TERN_OK;
    if (otherwise != GRAMMAR_NONE) {
        TRY(grammar_call(g, otherwise, grammar_end(), &otherwise));
        return build_choice(g, options, constrained, options->bare, otherwise, out);
    }
    TRY(grammar_split_later(g, out));
    if (!options->must_trigger) *free_part = *out;
    TRY(build_free_part(g, s, *out, constrained, !options->must_trigger));
    return options->bare ? build_bare(g, s, constrained, !options->must_trigger, out) : TERN_OK;
}

static tern_status build_behind(struct grammar *g, struct search *s, const char *behind, uint32_t next, uint32_t *out)
{
    const struct constraint_options only = {.triggers = &behind, .n_triggers = 1};
    TRY(build_search(s, &only));
    TRY(allow_blanks(g, next, &next));
    TRY(grammar_split_later(g, out));
    return build_free_part(g, s, *out, next, false);
}

tern_status constraint_frame(struct grammar *g, uint32_t rule, uint32_t otherwise,
                             const struct constraint_options *options, uint32_t *free_part)
{
    static const struct constraint_options none = {.n_triggers = 0};
    struct search triggers = {.n_states = 0}, behind = {.n_states = 0};
    uint32_t node = GRAMMAR_NONE;
    tern_status status;
    *free_part = GRAMMAR_NONE;
    if (!options) options = &none;
    if (options->n_triggers == 0 && (options->repeat || options->must_trigger || options->otherwise || options->bare))
        return status_fail(TERN_INVALID, "constraint: repeat, must_trigger, otherwise and bare need a trigger");
    status = options->n_triggers ? build_triggered(g, &triggers, rule, otherwise, options, &node, free_part)
                                 : build_constrained(g, rule, options, grammar_end(), &node);
    if (status == TERN_OK && options->prefix)
        status = grammar_literal(g, options->prefix, strlen(options->prefix), node, &node);
    if (status == TERN_OK && options->behind) status = build_behind(g, &behind, options->behind, node, &node);
    arena_free(&triggers.arena);
    arena_free(&behind.arena);
    g->root = node;
    return status;
}
