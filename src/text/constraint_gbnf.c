#include "text/constraint_gbnf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/constraint_characters.h"
#include "text/utf8.h"

enum { MAX_TEXT = 1 << 20, MAX_DEPTH = 100, MAX_RULES = 8192 };

// ---- Syntax ---------------------------------------------------------------------------------------------------------

enum term_kind { TERM_LITERAL, TERM_CHARACTERS, TERM_RULE, TERM_GROUP };

struct branch;

struct term {
    struct term *before; // the next one to the left
    enum term_kind kind;
    uint32_t min, max; // how often
    uint32_t rule;
    struct character_set characters;
    struct buffer_view {
        char *bytes;
        size_t length;
    } literal;
    struct branch *group;
};

struct branch {
    struct branch *next;
    struct term *last; // terms are emitted from the last to the first
};

struct rule_name {
    const char *name;
    size_t length;
    struct branch *body; // NULL until it is defined
    size_t used_at;      // where it is named first
};

struct gbnf_reader {
    struct grammar *g;
    const char *text;
    size_t length, at;
    int depth;
    struct arena arena;
    struct rule_name *rules; // [g->n_rules]
    size_t rules_room;
    uint32_t *table; // [2 * MAX_RULES] hash table of names: rule + 1, 0: empty
};

// Line and column (from 1, in bytes) of a place in the text.
static void find_line(const struct gbnf_reader *r, size_t at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at && i < r->length; i++) {
        if (r->text[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            ++*column;
        }
    }
}

static tern_status fail_at(const struct gbnf_reader *r, size_t at, const char *what)
{
    size_t line, column;
    find_line(r, at, &line, &column);
    return status_fail(TERN_INVALID, "grammar, line %zu, column %zu: %s", line, column, what);
}

static int peek(const struct gbnf_reader *r)
{
    return r->at < r->length ? (unsigned char)r->text[r->at] : -1;
}

static bool take(struct gbnf_reader *r, char c)
{
    if (peek(r) != (unsigned char)c) return false;
    r->at++;
    return true;
}

static void skip_line(struct gbnf_reader *r)
{
    while (peek(r) >= 0 && peek(r) != '\n') {
        r->at++;
    }
}

// Blanks and comments, and ends of lines if `lines`.
static void skip_blanks(struct gbnf_reader *r, bool lines)
{
    for (;;) {
        int c = peek(r);
        if (c == '#') {
            skip_line(r);
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            r->at++;
        } else {
            return;
        }
    }
}

// A branch may go on in a line that begins with '|'.
static bool take_bar(struct gbnf_reader *r)
{
    size_t back = r->at;
    skip_blanks(r, true);
    if (take(r, '|')) return true;
    r->at = back;
    return false;
}

static bool is_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static tern_status read_name(struct gbnf_reader *r, const char **name, size_t *length)
{
    size_t start = r->at;
    while (is_name(peek(r))) {
        r->at++;
    }
    *name = r->text + start;
    *length = r->at - start;
    return *length ? TERN_OK : fail_at(r, start, "a name of a rule expected");
}

static bool is_rule(const struct rule_name *rule, const char *name, size_t length)
{
    return rule->length == length && memcmp(rule->name, name, length) == 0;
}

static uint32_t *find_slot(const struct gbnf_reader *r, const char *name, size_t length)
{
    uint64_t hash = length;
    for (size_t i = 0; i < length; i++) {
        hash = constraint_hash(hash ^ (unsigned char)name[i]);
    }
    size_t mask = 2 * MAX_RULES - 1, at = (size_t)hash & mask;
    while (r->table[at] && !is_rule(&r->rules[r->table[at] - 1], name, length)) {
        at = (at + 1) & mask;
    }
    return &r->table[at];
}

static tern_status find_rule(struct gbnf_reader *r, const char *name, size_t length, uint32_t *out)
{
    uint32_t *slot = find_slot(r, name, length);
    if (*slot) return *out = *slot - 1, TERN_OK;
    TRY(constraint_grow(&r->rules, &r->rules_room, r->g->n_rules + 1, sizeof *r->rules, MAX_RULES,
                        "rules of the grammar"));
    TRY(grammar_rule(r->g, out));
    r->rules[*out] = (struct rule_name){.name = name, .length = length, .used_at = (size_t)(name - r->text)};
    *slot = *out + 1;
    return TERN_OK;
}

// ---- Characters -----------------------------------------------------------------------------------------------------

static tern_status read_hex(struct gbnf_reader *r, int digits, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++) {
        int c = peek(r), letter = c | 32;
        bool is_letter = letter >= 'a' && letter <= 'f';
        if (!(c >= '0' && c <= '9') && !is_letter) return fail_at(r, r->at, "a hexadecimal digit expected");
        *out = *out * 16 + (uint32_t)(is_letter ? letter - 'a' + 10 : c - '0');
        r->at++;
    }
    if (*out > 0x10FFFF || (*out >= 0xD800 && *out < 0xE000))
        return fail_at(r, r->at - 1, "not a character of Unicode");
    return TERN_OK;
}

static tern_status read_escape(struct gbnf_reader *r, uint32_t *out)
{
    static const char letters[] = "trn\\\"[]-^", meanings[] = "\t\r\n\\\"[]-^";
    int c = peek(r);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter && c != 'x' && c != 'u' && c != 'U')
        return fail_at(r, r->at, "an escape expected: one of \\t \\r \\n \\\\ \\\" \\[ \\] \\- \\^ \\x \\u \\U");
    r->at++;
    if (letter) return *out = (unsigned char)meanings[letter - letters], TERN_OK;
    return read_hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
}

static tern_status read_character(struct gbnf_reader *r, uint32_t *out)
{
    if (peek(r) < 0) return fail_at(r, r->at, "the grammar ends within a literal or a class");
    if (take(r, '\\')) return read_escape(r, out);
    int n = utf8_decode(r->text + r->at, r->length - r->at, out);
    if (n < 0) return fail_at(r, r->at, "not valid UTF-8");
    r->at += (size_t)n;
    return TERN_OK;
}

// After the opening quote.
static tern_status read_literal(struct gbnf_reader *r, struct term *term)
{
    struct buffer bytes = {0};
    tern_status status = TERN_OK;
    while (status == TERN_OK && !take(r, '"')) {
        uint32_t code = 0;
        char utf8[4];
        status = read_character(r, &code);
        if (status == TERN_OK) status = buffer_append(&bytes, utf8, (size_t)utf8_encode(code, utf8));
    }
    term->literal.length = bytes.length;
    if (status == TERN_OK) status = arena_alloc(&r->arena, bytes.length, 1, &term->literal.bytes);
    if (status == TERN_OK && bytes.length) memcpy(term->literal.bytes, bytes.data, bytes.length);
    buffer_free(&bytes);
    term->kind = TERM_LITERAL;
    return status;
}

static tern_status read_range(struct gbnf_reader *r, struct character_set *set)
{
    uint32_t low, high;
    size_t start = r->at;
    TRY(read_character(r, &low));
    high = low;
    if (peek(r) == '-' && r->at + 1 < r->length && r->text[r->at + 1] != ']') {
        r->at++;
        TRY(read_character(r, &high));
    }
    if (high < low) return fail_at(r, start, "a range that ends before it begins");
    return character_set_add(&r->arena, set, low, high);
}

// After '['.
static tern_status read_class(struct gbnf_reader *r, struct term *term)
{
    struct character_set set = {0};
    bool negated = take(r, '^');
    while (!take(r, ']')) {
        TRY(read_range(r, &set));
    }
    character_set_sort(&set);
    term->kind = TERM_CHARACTERS;
    term->characters = set;
    return negated ? character_set_invert(&r->arena, &set, &term->characters) : TERN_OK;
}

// ---- Terms ----------------------------------------------------------------------------------------------------------

static tern_status read_branches(struct gbnf_reader *r, bool nested, struct branch **out);

static tern_status read_group(struct gbnf_reader *r, struct term *term)
{
    size_t start = r->at - 1;
    if (++r->depth > MAX_DEPTH) return fail_at(r, start, "parentheses nested more than 100 deep");
    term->kind = TERM_GROUP;
    TRY(read_branches(r, true, &term->group));
    r->depth--;
    return take(r, ')') ? TERN_OK : fail_at(r, r->at, "')' expected");
}

static tern_status read_atom(struct gbnf_reader *r, struct term *term)
{
    const char *name;
    size_t length;
    if (take(r, '"')) return read_literal(r, term);
    if (take(r, '[')) return read_class(r, term);
    if (take(r, '(')) return read_group(r, term);
    if (take(r, '.')) {
        term->kind = TERM_CHARACTERS;
        return character_set_add(&r->arena, &term->characters, 0, 0x10FFFF);
    }
    term->kind = TERM_RULE;
    TRY(read_name(r, &name, &length));
    return find_rule(r, name, length, &term->rule);
}

static tern_status read_number(struct gbnf_reader *r, uint32_t *out)
{
    size_t start = r->at;
    *out = 0;
    while (peek(r) >= '0' && peek(r) <= '9') {
        *out = *out * 10 + (uint32_t)(r->text[r->at++] - '0');
        if (*out > GRAMMAR_MAX_REPEAT) return fail_at(r, start, "more than 1048576 repetitions");
    }
    return r->at > start ? TERN_OK : fail_at(r, start, "a number expected");
}

// After '{': {m}, {m,}, {m,n} and {,n}.
static tern_status read_counts(struct gbnf_reader *r, uint32_t *min, uint32_t *max)
{
    size_t start = r->at - 1;
    *min = 0;
    skip_blanks(r, false);
    if (peek(r) != ',') TRY(read_number(r, min));
    *max = *min;
    skip_blanks(r, false);
    if (take(r, ',')) {
        *max = GRAMMAR_MANY;
        skip_blanks(r, false);
        if (peek(r) != '}') TRY(read_number(r, max));
    }
    skip_blanks(r, false);
    if (!take(r, '}')) return fail_at(r, r->at, "'}' expected");
    return *max < *min ? fail_at(r, start, "counts that end before they begin") : TERN_OK;
}

// Several in a row are nested: each repeats what is before it.
static tern_status read_repetition(struct gbnf_reader *r, struct term *term, bool *found)
{
    uint32_t min, max;
    *found = true;
    if (take(r, '*')) {
        min = 0, max = GRAMMAR_MANY;
    } else if (take(r, '+')) {
        min = 1, max = GRAMMAR_MANY;
    } else if (take(r, '?')) {
        min = 0, max = 1;
    } else if (take(r, '{')) {
        TRY(read_counts(r, &min, &max));
    } else {
        return *found = false, TERN_OK;
    }
    if (term->min != 1 || term->max != 1) {
        struct term *inner;
        struct branch *group;
        TRY(arena_alloc(&r->arena, 1, sizeof *inner, &inner));
        TRY(arena_alloc(&r->arena, 1, sizeof *group, &group));
        *inner = *term;
        inner->before = NULL;
        group->last = inner;
        term->kind = TERM_GROUP;
        term->group = group;
        if (++r->depth > MAX_DEPTH) return fail_at(r, r->at - 1, "repetitions nested more than 100 deep");
    }
    term->min = min;
    term->max = max;
    return TERN_OK;
}

static tern_status read_term(struct gbnf_reader *r, bool nested, struct term **last)
{
    struct term *term;
    TRY(arena_alloc(&r->arena, 1, sizeof *term, &term));
    term->before = *last;
    term->min = term->max = 1;
    TRY(read_atom(r, term));
    int depth = r->depth;
    for (bool found = true; found;) {
        skip_blanks(r, nested);
        TRY(read_repetition(r, term, &found));
    }
    r->depth = depth;
    *last = term;
    return TERN_OK;
}

static bool starts_term(int c)
{
    return c == '"' || c == '[' || c == '(' || c == '.' || is_name(c);
}

static tern_status read_branches(struct gbnf_reader *r, bool nested, struct branch **out)
{
    struct branch **end = out;
    do {
        struct branch *branch;
        TRY(arena_alloc(&r->arena, 1, sizeof *branch, &branch));
        *end = branch;
        end = &branch->next;
        skip_blanks(r, true);
        while (starts_term(peek(r))) {
            TRY(read_term(r, nested, &branch->last));
            skip_blanks(r, nested);
        }
    } while (take_bar(r));
    return TERN_OK;
}

static tern_status read_rule(struct gbnf_reader *r)
{
    const char *name;
    size_t length, start = r->at;
    uint32_t rule;
    struct branch *body;
    TRY(read_name(r, &name, &length));
    TRY(find_rule(r, name, length, &rule));
    skip_blanks(r, false);
    if (r->length - r->at < 3 || memcmp(r->text + r->at, "::=", 3) != 0) return fail_at(r, r->at, "'::=' expected");
    r->at += 3;
    if (r->rules[rule].body) return fail_at(r, start, "a rule of this name was there before");
    TRY(read_branches(r, false, &body));
    r->rules[rule].body = body;
    if (peek(r) >= 0 && peek(r) != '\n' && peek(r) != '\r')
        return fail_at(r, r->at, "a literal, a class, a rule's name, '(', '|' or the end of the line expected");
    return TERN_OK;
}

static tern_status check_rules(const struct gbnf_reader *r, uint32_t *root)
{
    *root = GRAMMAR_NONE;
    for (uint32_t i = 0; i < r->g->n_rules; i++) {
        if (!r->rules[i].body) return fail_at(r, r->rules[i].used_at, "this rule is defined nowhere");
        if (is_rule(&r->rules[i], "root", 4)) *root = i;
    }
    return *root == GRAMMAR_NONE ? status_fail(TERN_INVALID, "grammar: there is no rule named root") : TERN_OK;
}

// ---- The graph ------------------------------------------------------------------------------------------------------

static tern_status emit_branches(struct gbnf_reader *r, const struct branch *branch, uint32_t next, uint32_t *out);

static tern_status emit_atom(struct gbnf_reader *r, const struct term *term, uint32_t next, uint32_t *out)
{
    switch (term->kind) {
    case TERM_LITERAL:
        return grammar_literal(r->g, term->literal.bytes, term->literal.length, next, out);
    case TERM_CHARACTERS:
        return grammar_characters(r->g, &term->characters, next, out);
    case TERM_RULE:
        return grammar_call(r->g, term->rule, next, out);
    default:
        return emit_branches(r, term->group, next, out);
    }
}

static tern_status emit_term(struct gbnf_reader *r, const struct term *term, uint32_t next, uint32_t *out)
{
    uint32_t node;
    if (term->max == 0) return *out = next, TERN_OK;
    if (term->max == 1) {
        TRY(emit_atom(r, term, next, &node));
        if (term->min == 0) return grammar_optional(r->g, node, next, out);
        return *out = node, TERN_OK;
    }
    if (term->max == GRAMMAR_MANY && term->min <= 1) {
        uint32_t again;
        TRY(grammar_split_later(r->g, &again));
        TRY(emit_atom(r, term, again, &node));
        uint32_t both[] = {node, next};
        *out = term->min ? node : again;
        return grammar_split_fill(r->g, again, both, 2);
    }
    TRY(emit_atom(r, term, grammar_end(), &node));
    return grammar_loop(r->g, node, term->min, term->max, next, out);
}

static tern_status emit_branches(struct gbnf_reader *r, const struct branch *branch, uint32_t next, uint32_t *out)
{
    uint32_t *targets;
    size_t count = 0;
    for (const struct branch *b = branch; b; b = b->next) {
        count++;
    }
    TRY(arena_alloc(&r->arena, count, sizeof *targets, &targets));
    for (size_t i = 0; i < count; i++, branch = branch->next) {
        uint32_t node = next;
        for (const struct term *term = branch->last; term; term = term->before) {
            TRY(emit_term(r, term, node, &node));
        }
        targets[i] = node;
    }
    return grammar_split(r->g, targets, count, out);
}

static tern_status check_left_recursion(const struct gbnf_reader *r)
{
    uint32_t rule;
    char words[160];
    tern_status status = grammar_find_left_recursion(r->g, &rule);
    if (status != TERN_UNSUPPORTED || rule == GRAMMAR_NONE) return status;
    const struct rule_name *name = &r->rules[rule];
    snprintf(words, sizeof words, "left recursion: the rule %.*s begins with itself",
             (int)(name->length < 64 ? name->length : 64), name->name);
    fail_at(r, name->used_at, words);
    return status;
}

static tern_status compile(struct gbnf_reader *r, uint32_t *root)
{
    TRY(arena_alloc(&r->arena, 2 * MAX_RULES, sizeof *r->table, &r->table));
    for (skip_blanks(r, true); r->at < r->length; skip_blanks(r, true)) {
        TRY(read_rule(r));
    }
    TRY(check_rules(r, root));
    for (uint32_t i = 0; i < r->g->n_rules; i++) {
        TRY(emit_branches(r, r->rules[i].body, grammar_end(), &r->g->rules[i]));
    }
    return check_left_recursion(r);
}

tern_status gbnf_compile(struct grammar *g, const char *text, size_t length, uint32_t *root)
{
    if (length > MAX_TEXT) return status_fail(TERN_LIMIT, "grammar: more than %d bytes", MAX_TEXT);
    struct gbnf_reader reader = {.g = g, .text = text, .length = length};
    tern_status status = compile(&reader, root);
    arena_free(&reader.arena);
    free(reader.rules);
    return status;
}
