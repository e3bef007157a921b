#include "text/constraint.h"

#include <stdlib.h>
#include <string.h>

#include "text/constraint_frame.h"
#include "text/constraint_gbnf.h"
#include "text/constraint_machine.h"
#include "text/constraint_schema.h"
#include "text/constraint_vocabulary.h"

struct constraint {
    const struct constraint_vocabulary *vocabulary;
    struct grammar grammar;
    uint32_t free_part; // its node, if any token at all may come there; otherwise GRAMMAR_NONE
    tern_token *marks;  // [n_marks] control tokens that stand for their text
    size_t n_marks;
    uint32_t longest; // bytes of the longest token that may come
};

enum { MASKS_KEPT = 32 };

struct kept_mask {
    uint32_t state; // rounded; MACHINE_DEAD: none is kept here
    uint32_t *bits; // [words] NULL until it is needed
    uint64_t used;  // when
};

struct constraint_state {
    const struct constraint *constraint;
    struct machine machine;
    uint32_t now, free_part; // states of the machine; free_part is MACHINE_DEAD if there is none
    bool ended;              // an end token came
    bool lost;               // there was no memory to look at a token
    uint32_t *path;          // [longest token + 1] the states along the way into the trie
    struct kept_mask masks[MASKS_KEPT];
    uint64_t clock;
};

// ---- Compiling ------------------------------------------------------------------------------------------------------

static tern_status new_constraint(const struct constraint_vocabulary *vocabulary, struct constraint **out)
{
    struct constraint *constraint = calloc(1, sizeof *constraint);
    if (!constraint) return status_fail(TERN_NO_MEMORY, "no memory for a constraint");
    constraint->vocabulary = vocabulary;
    constraint->free_part = GRAMMAR_NONE;
    *out = constraint;
    return grammar_begin(&constraint->grammar);
}

void constraint_close(struct constraint *constraint)
{
    if (!constraint) return;
    grammar_free(&constraint->grammar);
    free(constraint->marks);
    free(constraint);
}

static bool is_text(const char *mark, const char *bytes, size_t length)
{
    return mark && strlen(mark) == length && memcmp(mark, bytes, length) == 0;
}

static bool is_mark(const struct constraint_options *options, const char *bytes, size_t length)
{
    for (size_t i = 0; i < options->n_triggers; i++) {
        if (is_text(options->triggers[i], bytes, length)) return true;
    }
    return is_text(options->prefix, bytes, length) || is_text(options->suffix, bytes, length) ||
           is_text(options->behind, bytes, length);
}

// Models write marks such as [TOOL_CALLS] as one control token.
static tern_status find_marks(struct constraint *constraint, const struct constraint_options *options)
{
    const struct constraint_vocabulary *v = constraint->vocabulary;
    constraint->longest = v->longest;
    if (!options || v->n_controls == 0) return TERN_OK;
    constraint->marks = malloc(v->n_controls * sizeof *constraint->marks);
    if (!constraint->marks) return status_fail(TERN_NO_MEMORY, "no memory for a constraint");
    for (size_t i = 0; i < v->n_controls; i++) {
        size_t length;
        const char *bytes = tokenizer_token_bytes(v->tokenizer, v->controls[i], &length);
        if (!bytes || length == 0 || !is_mark(options, bytes, length)) continue;
        constraint->marks[constraint->n_marks++] = v->controls[i];
        if (length > constraint->longest) constraint->longest = (uint32_t)length;
    }
    return TERN_OK;
}

static tern_status check_free_part(struct constraint *constraint, uint32_t node);

// The options around the rule, and all that is left to do.
static tern_status complete(struct constraint *constraint, uint32_t rule, const struct constraint_options *options)
{
    uint32_t free_part, otherwise = GRAMMAR_NONE;
    if (options && options->otherwise) {
        const char *schema = options->otherwise;
        TRY(schema_compile(&constraint->grammar, schema, strlen(schema), options, &otherwise));
    }
    TRY(find_marks(constraint, options));
    TRY(constraint_frame(&constraint->grammar, rule, otherwise, options, &free_part));
    TRY(grammar_finish(&constraint->grammar, &constraint->vocabulary->available));
    return free_part == GRAMMAR_NONE ? TERN_OK : check_free_part(constraint, free_part);
}

static tern_status open_grammar(struct constraint *constraint, const char *text, size_t length,
                                const struct constraint_options *options)
{
    uint32_t rule;
    TRY(gbnf_compile(&constraint->grammar, text, length, &rule));
    return complete(constraint, rule, options);
}

static tern_status hand_over(tern_status status, struct constraint *constraint, struct constraint **out)
{
    *out = status == TERN_OK ? constraint : NULL;
    if (status != TERN_OK) constraint_close(constraint);
    return status;
}

tern_status constraint_open_grammar(const struct constraint_vocabulary *vocabulary, const char *grammar, size_t length,
                                    const struct constraint_options *options, struct constraint **out)
{
    struct constraint *constraint = NULL;
    tern_status status = new_constraint(vocabulary, &constraint);
    if (status == TERN_OK) status = open_grammar(constraint, grammar, length, options);
    return hand_over(status, constraint, out);
}

static tern_status open_schema(struct constraint *constraint, const char *schema, size_t length,
                               const struct constraint_options *options)
{
    uint32_t rule;
    TRY(schema_compile(&constraint->grammar, schema, length, options, &rule));
    return complete(constraint, rule, options);
}

tern_status constraint_open_schema(const struct constraint_vocabulary *vocabulary, const char *schema, size_t length,
                                   const struct constraint_options *options, struct constraint **out)
{
    struct constraint *constraint = NULL;
    tern_status status = new_constraint(vocabulary, &constraint);
    if (status == TERN_OK) status = open_schema(constraint, schema, length, options);
    return hand_over(status, constraint, out);
}

tern_status constraint_open_json(const struct constraint_vocabulary *vocabulary,
                                 const struct constraint_options *options, struct constraint **out)
{
    static const char any_object[] = "{\"type\": \"object\"}";
    return constraint_open_schema(vocabulary, any_object, sizeof any_object - 1, options, out);
}

// ---- The way through ------------------------------------------------------------------------------------------------

static tern_status enter(struct constraint_state *s)
{
    const struct constraint *c = s->constraint;
    TRY(machine_begin(&c->grammar, &s->machine));
    if (c->free_part != GRAMMAR_NONE) TRY(machine_enter(&s->machine, c->free_part, &s->free_part));
    return machine_enter(&s->machine, c->grammar.root, &s->now);
}

tern_status constraint_begin(const struct constraint *constraint, struct constraint_state **out)
{
    *out = NULL;
    struct constraint_state *s = calloc(1, sizeof *s);
    if (!s) return status_fail(TERN_NO_MEMORY, "no memory for the state of a constraint");
    s->constraint = constraint;
    s->path = malloc((constraint->vocabulary->longest + 1) * sizeof *s->path);
    tern_status status = s->path ? enter(s) : status_fail(TERN_NO_MEMORY, "no memory for the state of a constraint");
    if (status != TERN_OK) {
        constraint_end(s);
        return status;
    }
    *out = s;
    return TERN_OK;
}

void constraint_end(struct constraint_state *s)
{
    if (!s) return;
    for (int i = 0; i < MASKS_KEPT; i++) {
        free(s->masks[i].bits);
    }
    machine_free(&s->machine);
    free(s->path);
    free(s);
}

bool constraint_is_free(const struct constraint_state *s)
{
    return !s->ended && s->free_part != MACHINE_DEAD && s->now == s->free_part;
}

bool constraint_may_end(const struct constraint_state *s)
{
    return s->ended || s->machine.states[s->now].accepts;
}

bool constraint_must_end(const struct constraint_state *s)
{
    return s->ended || (s->machine.states[s->now].accepts && s->machine.states[s->now].count == 0);
}

// What was found out about states is forgotten when there is too much of it.
static tern_status make_room(struct constraint_state *s)
{
    s->machine.effort = 0;
    if (!machine_is_full(&s->machine)) return TERN_OK;
    for (int i = 0; i < MASKS_KEPT; i++) {
        s->masks[i].state = MACHINE_DEAD;
    }
    TRY(machine_forget(&s->machine, &s->now));
    return s->free_part == MACHINE_DEAD ? TERN_OK : machine_enter(&s->machine, s->constraint->free_part, &s->free_part);
}

static bool is_marked(const struct constraint *constraint, tern_token token)
{
    for (size_t i = 0; i < constraint->n_marks; i++) {
        if (constraint->marks[i] == token) return true;
    }
    return false;
}

// The state behind the token, from the state `from` on; MACHINE_DEAD if it is not allowed there.
static tern_status walk_token(struct constraint_state *s, uint32_t from, tern_token token, uint32_t *out)
{
    const struct tokenizer *tokenizer = s->constraint->vocabulary->tokenizer;
    size_t length;
    const char *bytes = tokenizer_token_bytes(tokenizer, token, &length);
    *out = MACHINE_DEAD;
    if (!bytes || length == 0) return TERN_OK;
    if (tokenizer_is_control(tokenizer, token) && !is_marked(s->constraint, token)) return TERN_OK;
    *out = from;
    for (size_t i = 0; i < length && *out != MACHINE_DEAD; i++) {
        TRY(machine_step(&s->machine, *out, (uint8_t)bytes[i], out));
    }
    return TERN_OK;
}

static bool is_token(const struct constraint_state *s, tern_token token)
{
    return token >= 0 && token < s->constraint->vocabulary->n_tokens;
}

bool constraint_allows(struct constraint_state *s, tern_token token)
{
    uint32_t next;
    if (s->ended || !is_token(s, token)) return false;
    if (constraint_is_free(s)) return true;
    if (tokenizer_is_end(s->constraint->vocabulary->tokenizer, token)) return constraint_may_end(s);
    tern_status status = make_room(s);
    if (status == TERN_OK) status = walk_token(s, s->now, token, &next);
    s->lost = s->lost || status == TERN_NO_MEMORY;
    return status == TERN_OK && next != MACHINE_DEAD;
}

bool constraint_lost(const struct constraint_state *s)
{
    return s->lost;
}

static tern_status accept_text(struct constraint_state *s, tern_token token)
{
    uint32_t next;
    TRY(make_room(s));
    TRY(walk_token(s, s->now, token, &next));
    if (next != MACHINE_DEAD) return s->now = next, TERN_OK;
    if (constraint_is_free(s)) return TERN_OK; // a control token, or one without bytes
    return status_fail(TERN_INVALID, "constraint: token %d is not allowed here", token);
}

tern_status constraint_accept(struct constraint_state *s, tern_token token)
{
    if (s->ended || !is_token(s, token))
        return status_fail(TERN_INVALID, "constraint: token %d %s", token,
                           s->ended ? "after the end" : "is not in the vocabulary");
    if (!tokenizer_is_end(s->constraint->vocabulary->tokenizer, token)) return accept_text(s, token);
    if (!constraint_may_end(s))
        return status_fail(TERN_INVALID, "constraint: token %d ends the answer before it is complete", token);
    s->ended = true;
    return TERN_OK;
}

// ---- Masks ----------------------------------------------------------------------------------------------------------

static size_t mask_words(int32_t n)
{
    return ((size_t)n + 31) / 32;
}

static void set_bit(uint32_t *mask, tern_token token)
{
    mask[token / 32] |= UINT32_C(1) << (token % 32);
}

// All tokens of the trie that can be read from the state path[0].
static tern_status walk_trie(struct machine *m, const struct constraint_vocabulary *v, uint32_t *path, uint32_t *mask)
{
    for (size_t i = 0; i < v->n_nodes;) {
        const struct trie_node *node = &v->nodes[i];
        uint32_t next;
        TRY(machine_step(m, path[node->depth], node->byte, &next));
        if (next == MACHINE_DEAD) {
            i = node->skip;
            continue;
        }
        path[node->depth + 1] = next;
        for (tern_token token = node->token; token >= 0; token = v->same[token]) {
            set_bit(mask, token);
        }
        i++;
    }
    return TERN_OK;
}

static tern_status find_mask(struct constraint_state *s, uint32_t state, struct kept_mask *out)
{
    const struct constraint_vocabulary *v = s->constraint->vocabulary;
    size_t words = mask_words(v->n_tokens);
    out->state = MACHINE_DEAD;
    if (!out->bits) out->bits = malloc((words + 1) * sizeof *out->bits);
    if (!out->bits) return status_fail(TERN_NO_MEMORY, "no memory for a mask of %d tokens", v->n_tokens);
    memset(out->bits, 0, words * sizeof *out->bits);
    s->path[0] = state;
    TRY(walk_trie(&s->machine, v, s->path, out->bits));
    for (size_t i = 0; i < s->constraint->n_marks; i++) {
        uint32_t next;
        TRY(walk_token(s, state, s->constraint->marks[i], &next));
        if (next != MACHINE_DEAD) set_bit(out->bits, s->constraint->marks[i]);
    }
    for (size_t i = 0; s->machine.states[state].accepts && i < v->n_ends; i++) {
        set_bit(out->bits, v->ends[i]);
    }
    out->state = state;
    return TERN_OK;
}

// The mask of the state, if it is kept, or the one unused for longest.
static struct kept_mask *choose_mask(struct constraint_state *s, uint32_t state)
{
    struct kept_mask *oldest = &s->masks[0];
    for (int i = 0; i < MASKS_KEPT; i++) {
        if (s->masks[i].state == state) return &s->masks[i];
        if (s->masks[i].used < oldest->used) oldest = &s->masks[i];
    }
    return oldest;
}

static void copy_mask(const uint32_t *bits, int32_t n_bits, uint32_t *mask, int32_t n_vocabulary)
{
    size_t words = mask_words(n_vocabulary), known = mask_words(n_bits);
    memcpy(mask, bits, (words < known ? words : known) * sizeof *mask);
    if (words > known) memset(mask + known, 0, (words - known) * sizeof *mask);
    if (words <= known && n_vocabulary % 32) mask[words - 1] &= (UINT32_C(1) << (n_vocabulary % 32)) - 1;
}

// Every token of the vocabulary.
static void fill_mask(uint32_t *mask, int32_t n_tokens, int32_t n_vocabulary)
{
    memset(mask, 0, mask_words(n_vocabulary) * sizeof *mask);
    for (tern_token token = 0; token < n_tokens && token < n_vocabulary; token++) {
        set_bit(mask, token);
    }
}

tern_status constraint_mask(struct constraint_state *s, uint32_t *mask, int32_t n_vocabulary)
{
    const struct constraint_vocabulary *v = s->constraint->vocabulary;
    uint32_t state;
    if (n_vocabulary <= 0) return status_fail(TERN_INVALID, "constraint: a mask of %d tokens", n_vocabulary);
    if (constraint_is_free(s)) return fill_mask(mask, v->n_tokens, n_vocabulary), TERN_OK;
    if (s->ended) return memset(mask, 0, mask_words(n_vocabulary) * sizeof *mask), TERN_OK;
    TRY(make_room(s));
    TRY(machine_round_counts(&s->machine, s->now, s->constraint->longest + 1, &state));
    struct kept_mask *kept = choose_mask(s, state);
    if (kept->state != state) TRY(find_mask(s, state, kept));
    kept->used = ++s->clock;
    copy_mask(kept->bits, v->n_tokens, mask, n_vocabulary);
    return TERN_OK;
}

// ---- The free part --------------------------------------------------------------------------------------------------

// Whether all tokens are allowed at the free part's beginning: not if one holds a trigger and something behind it that
// cannot come there.
static tern_status check_free_part(struct constraint *constraint, uint32_t node)
{
    struct constraint_state *s;
    struct kept_mask all = {.state = MACHINE_DEAD};
    const struct constraint_vocabulary *v = constraint->vocabulary;
    TRY(constraint_begin(constraint, &s));
    uint32_t state;
    tern_status status = machine_enter(&s->machine, node, &state);
    if (status == TERN_OK) status = find_mask(s, state, &all);
    bool every = status == TERN_OK;
    for (size_t i = 0; every && i < v->n_nodes; i++) {
        tern_token token = v->nodes[i].token;
        every = token < 0 || (all.bits[token / 32] >> (token % 32) & 1);
    }
    if (every) constraint->free_part = node;
    free(all.bits);
    constraint_end(s);
    return status;
}
