#include "text/constraint_regex.h"

#include <string.h>

#include "text/constraint_classes.h"
#include "text/utf8.h"

enum { MAX_DEPTH = 100, MAX_COUNT = 100000 };

// ---- Syntax ---------------------------------------------------------------------------------------------------------

enum part_kind { PART_CHARACTERS, PART_GROUP, PART_START, PART_END };

struct choice;

struct part {
    struct part *before; // the next one to the left
    enum part_kind kind;
    uint32_t min, max; // how often; max may be GRAMMAR_MANY
    struct character_set characters;
    struct choice *group;
};

struct choice {
    struct choice *next;
    struct part *last;
};

struct regex_reader {
    struct arena *arena;
    struct nfa nfa;
    const char *text;
    size_t length, at;
    int depth;
    bool widest; // what any implementation matches, not only what all of them do
};

static tern_status expected(const struct regex_reader *r, const char *what)
{
    return status_fail(TERN_INVALID, "pattern: %s expected at byte %zu", what, r->at);
}

static tern_status unsupported(const char *what)
{
    return status_fail(TERN_UNSUPPORTED, "pattern: %s is not supported", what);
}

static int peek_at(const struct regex_reader *r, size_t ahead)
{
    return r->at + ahead < r->length ? (unsigned char)r->text[r->at + ahead] : -1;
}

static int peek(const struct regex_reader *r)
{
    return peek_at(r, 0);
}

static bool take(struct regex_reader *r, const char *text)
{
    size_t n = strlen(text);
    if (r->length - r->at < n || memcmp(r->text + r->at, text, n) != 0) return false;
    r->at += n;
    return true;
}

// ---- Characters and classes -----------------------------------------------------------------------------------------

static tern_status read_hex(struct regex_reader *r, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        int c = peek(r), letter = c | 32;
        bool is_letter = c > 0 && letter >= 'a' && letter <= 'f';
        if (!(c >= '0' && c <= '9') && !is_letter) return expected(r, "a hexadecimal digit");
        *out = *out * 16 + (uint32_t)(is_letter ? letter - 'a' + 10 : c - '0');
        r->at++;
    }
    return TERN_OK;
}

// After "\u": XXXX, {X...}, or two surrogates.
static tern_status read_unicode(struct regex_reader *r, uint32_t *out)
{
    if (take(r, "{")) {
        size_t digits = 0;
        while (digits < 6 && peek_at(r, digits) >= 0 && peek_at(r, digits) != '}') {
            digits++;
        }
        TRY(read_hex(r, digits, out));
        if (!take(r, "}")) return expected(r, "'}'");
    } else {
        TRY(read_hex(r, 4, out));
        size_t back = r->at;
        uint32_t low;
        if (*out >= 0xD800 && *out < 0xDC00 && take(r, "\\u")) {
            TRY(read_hex(r, 4, &low));
            if (low >= 0xDC00 && low < 0xE000)
                *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
            else
                r->at = back;
        }
    }
    return *out <= 0x10FFFF ? TERN_OK : expected(r, "a character of Unicode");
}

// After "\p" or "\P".
static tern_status read_property(struct regex_reader *r, bool negated, struct character_set *out)
{
    size_t length = 0;
    bool known;
    if (!take(r, "{")) return expected(r, "'{'");
    while (peek_at(r, length) >= 0 && peek_at(r, length) != '}') {
        length++;
    }
    const char *name = r->text + r->at;
    TRY(class_of_property(r->arena, name, length, out, &known));
    if (!known)
        return status_fail(TERN_UNSUPPORTED, "pattern: \\p{%.*s} is not supported", (int)(length < 40 ? length : 40),
                           name);
    r->at += length;
    if (!take(r, "}")) return expected(r, "'}'");
    struct character_set set = *out;
    return negated ? character_set_invert(r->arena, &set, out) : TERN_OK;
}

static tern_status add_one(struct regex_reader *r, uint32_t code, struct character_set *out)
{
    return character_set_add(r->arena, out, code, code);
}

// One letter behind the backslash, which is taken already.
static tern_status read_letter(struct regex_reader *r, char c, struct character_set *out)
{
    static const char letters[] = "tnvfr", meanings[] = "\t\n\v\f\r";
    const char *letter = c ? strchr(letters, c) : NULL;
    uint32_t code = (unsigned char)c;
    if (letter) {
        code = (unsigned char)meanings[letter - letters];
    } else if (c == '0' && !(peek(r) >= '0' && peek(r) <= '9')) {
        code = 0;
    } else if ((c >= '0' && c <= '9') || c == 'k') {
        return unsupported("a back-reference");
    } else if (c == 'b' || c == 'B') {
        return unsupported("a word boundary (\\b)");
    } else if (c == 'c') {
        if ((peek(r) | 32) < 'a' || (peek(r) | 32) > 'z') return expected(r, "a letter");
        code = (uint32_t)r->text[r->at++] & 31;
    } else if (c == 'x') {
        TRY(read_hex(r, 2, &code));
    } else if (c == 'u') {
        TRY(read_unicode(r, &code));
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        char words[] = "the escape \\?";
        words[sizeof words - 2] = c;
        return unsupported(words);
    }
    return add_one(r, code, out);
}

// After a backslash. `widest`: what any implementation takes for \w, and not only what all of them do.
static tern_status read_escape(struct regex_reader *r, bool widest, struct character_set *out)
{
    bool known;
    int c = peek(r);
    if (c < 0) return expected(r, "a character behind '\\'");
    r->at++;
    *out = (struct character_set){0};
    TRY(class_of_escape(r->arena, (char)c, widest, out, &known));
    if (known) return TERN_OK;
    if (c == 'p' || c == 'P') return read_property(r, c == 'P', out);
    if (c < 0x80) return read_letter(r, (char)c, out);
    r->at--;
    return expected(r, "an escape");
}

static tern_status read_plain(struct regex_reader *r, struct character_set *out)
{
    uint32_t code;
    int n = utf8_decode(r->text + r->at, r->length - r->at, &code);
    if (n < 0) return expected(r, "valid UTF-8");
    r->at += (size_t)n;
    *out = (struct character_set){0};
    return add_one(r, code, out);
}

static tern_status read_class_atom(struct regex_reader *r, bool widest, struct character_set *out)
{
    if (peek(r) < 0) return expected(r, "']'");
    if (take(r, "\\b")) return *out = (struct character_set){0}, add_one(r, '\b', out);
    return take(r, "\\") ? read_escape(r, widest, out) : read_plain(r, out);
}

static bool is_one(const struct character_set *set)
{
    return set->count == 1 && set->ranges[0].low == set->ranges[0].high;
}

// After '['. What a negated class leaves out is as wide as what it matches is narrow.
static tern_status read_class(struct regex_reader *r, struct character_set *out)
{
    bool negated = take(r, "^");
    struct character_set all = {0}, low, high;
    while (!take(r, "]")) {
        TRY(read_class_atom(r, negated != r->widest, &low));
        if (peek(r) == '-' && peek_at(r, 1) != ']' && is_one(&low)) {
            r->at++;
            TRY(read_class_atom(r, negated != r->widest, &high));
            if (!is_one(&high) || high.ranges[0].low < low.ranges[0].low)
                return expected(r, "a range that ends behind its beginning");
            low.ranges[0].high = high.ranges[0].high;
        }
        TRY(character_set_add_all(r->arena, &all, &low));
    }
    if (negated) return character_set_invert(r->arena, &all, out);
    character_set_sort(&all);
    *out = all;
    return TERN_OK;
}

// '.': no end of a line, of which implementations know different ones.
static tern_status any_but_line_ends(struct regex_reader *r, struct character_set *out)
{
    struct character_set ends = {0};
    TRY(add_one(r, '\n', &ends));
    if (r->widest) return character_set_invert(r->arena, &ends, out);
    TRY(add_one(r, '\r', &ends));
    TRY(add_one(r, 0x85, &ends));
    TRY(character_set_add(r->arena, &ends, 0x2028, 0x2029));
    return character_set_invert(r->arena, &ends, out);
}

// ---- Groups and quantifiers -----------------------------------------------------------------------------------------

static tern_status read_choices(struct regex_reader *r, struct choice **out);

// After '('.
static tern_status read_group(struct regex_reader *r, struct part *part)
{
    if (take(r, "?=") || take(r, "?!")) return unsupported("a lookahead");
    if (take(r, "?<=") || take(r, "?<!")) return unsupported("a lookbehind");
    if (take(r, "?<")) {
        while (peek(r) >= 0 && peek(r) != '>') {
            r->at++;
        }
        if (!take(r, ">")) return expected(r, "'>'");
    } else if (!take(r, "?:") && peek(r) == '?') {
        return unsupported("a group that begins with (? and neither : nor <name>");
    }
    if (++r->depth > MAX_DEPTH) return status_fail(TERN_LIMIT, "pattern: nested more than %d deep", MAX_DEPTH);
    part->kind = PART_GROUP;
    TRY(read_choices(r, &part->group));
    r->depth--;
    return take(r, ")") ? TERN_OK : expected(r, "')'");
}

static tern_status read_atom(struct regex_reader *r, struct part *part)
{
    part->kind = PART_CHARACTERS;
    if (take(r, "(")) return read_group(r, part);
    if (take(r, "[")) return read_class(r, &part->characters);
    if (take(r, ".")) return any_but_line_ends(r, &part->characters);
    if (take(r, "^")) return part->kind = PART_START, TERN_OK;
    if (take(r, "$")) return part->kind = PART_END, TERN_OK;
    if (take(r, "\\")) {
        TRY(read_escape(r, r->widest, &part->characters));
    } else {
        if (strchr("*+?", peek(r))) return expected(r, "something to repeat");
        TRY(read_plain(r, &part->characters));
    }
    character_set_sort(&part->characters);
    return TERN_OK;
}

static bool read_count(struct regex_reader *r, uint32_t *out)
{
    size_t start = r->at;
    *out = 0;
    while (peek(r) >= '0' && peek(r) <= '9') {
        if (*out <= MAX_COUNT) *out = *out * 10 + (uint32_t)(peek(r) - '0');
        r->at++;
    }
    return r->at > start;
}

// {m}, {m,} or {m,n}; anything else that begins with a brace stands for itself.
static bool read_braces(struct regex_reader *r, uint32_t *min, uint32_t *max)
{
    size_t back = r->at;
    if (take(r, "{") && read_count(r, min)) {
        *max = *min;
        if (take(r, ",") && !read_count(r, max)) *max = GRAMMAR_MANY;
        if (take(r, "}")) return true;
    }
    r->at = back;
    return false;
}

static tern_status read_quantifier(struct regex_reader *r, struct part *part)
{
    if (take(r, "*")) {
        part->min = 0, part->max = GRAMMAR_MANY;
    } else if (take(r, "+")) {
        part->max = GRAMMAR_MANY;
    } else if (take(r, "?")) {
        part->min = 0;
    } else if (!read_braces(r, &part->min, &part->max)) {
        return TERN_OK;
    }
    take(r, "?"); // lazy or greedy: the same language
    if (part->min > MAX_COUNT || (part->max > MAX_COUNT && part->max != GRAMMAR_MANY))
        return status_fail(TERN_LIMIT, "pattern: more than %d repetitions", MAX_COUNT);
    if (part->max < part->min) return expected(r, "a count that ends behind its beginning");
    return peek(r) == '+' || peek(r) == '*' || peek(r) == '?' ? expected(r, "one quantifier only") : TERN_OK;
}

static tern_status read_choices(struct regex_reader *r, struct choice **out)
{
    struct choice **end = out;
    do {
        struct choice *choice;
        TRY(arena_alloc(r->arena, 1, sizeof *choice, &choice));
        *end = choice;
        end = &choice->next;
        while (peek(r) >= 0 && peek(r) != '|' && peek(r) != ')') {
            struct part *part;
            TRY(arena_alloc(r->arena, 1, sizeof *part, &part));
            part->before = choice->last;
            part->min = part->max = 1;
            TRY(read_atom(r, part));
            TRY(read_quantifier(r, part));
            choice->last = part;
        }
    } while (take(r, "|"));
    return TERN_OK;
}

// ---- The automaton --------------------------------------------------------------------------------------------------

static tern_status emit_choices(struct regex_reader *r, const struct choice *choice, uint32_t next, uint32_t *out);

// '$': the end; some also match it before a last end of the line.
static tern_status emit_end(struct regex_reader *r, uint32_t next, uint32_t *out)
{
    uint32_t line_end;
    TRY(nfa_edge(&r->nfa, NFA_END, next, out));
    if (!r->widest) return TERN_OK;
    TRY(nfa_literal(&r->nfa, "\\n", 2, *out, &line_end));
    return nfa_split(&r->nfa, *out, line_end, out);
}

static tern_status emit_once(struct regex_reader *r, const struct part *part, uint32_t next, uint32_t *out)
{
    switch (part->kind) {
    case PART_CHARACTERS:
        return nfa_characters(&r->nfa, &part->characters, next, out);
    case PART_START:
        return nfa_edge(&r->nfa, NFA_START, next, out);
    case PART_END:
        return emit_end(r, next, out);
    default:
        return emit_choices(r, part->group, next, out);
    }
}

// What may be repeated without end, then what may be left out, then what must be there: from back to front.
static tern_status emit_part(struct regex_reader *r, const struct part *part, uint32_t next, uint32_t *out)
{
    uint32_t node = next, again;
    if (part->max == GRAMMAR_MANY) {
        TRY(nfa_split(&r->nfa, next, next, &again));
        TRY(emit_once(r, part, again, &node));
        r->nfa.nodes[again].a = node;
        node = again;
    }
    for (uint32_t i = part->min; part->max != GRAMMAR_MANY && i < part->max; i++) {
        TRY(emit_once(r, part, node, &node));
        TRY(nfa_split(&r->nfa, node, next, &node));
    }
    for (uint32_t i = 0, behind = GRAMMAR_NONE; i < part->min && behind != node; i++) {
        behind = node; // if nothing comes of the part, once is as good as often
        TRY(emit_once(r, part, behind, &node));
    }
    *out = node;
    return TERN_OK;
}

static tern_status emit_choices(struct regex_reader *r, const struct choice *choice, uint32_t next, uint32_t *out)
{
    bool first = true;
    for (; choice; choice = choice->next) {
        uint32_t node = next;
        for (const struct part *part = choice->last; part; part = part->before) {
            TRY(emit_part(r, part, node, &node));
        }
        if (!first) TRY(nfa_split(&r->nfa, node, *out, &node));
        *out = node;
        first = false;
    }
    return TERN_OK;
}

// Any characters, then what is at *node.
static tern_status emit_anything(struct regex_reader *r, uint32_t next, uint32_t *out)
{
    struct code_range everything = {0, 0x10FFFF};
    struct character_set any = {.ranges = &everything, .count = 1};
    uint32_t node;
    TRY(nfa_split(&r->nfa, next, next, out));
    TRY(nfa_characters(&r->nfa, &any, *out, &node));
    r->nfa.nodes[*out].a = node;
    return TERN_OK;
}

tern_status regex_compile(struct arena *arena, const char *pattern, size_t length, bool widest, struct regular *out)
{
    struct regex_reader reader = {.arena = arena, .text = pattern, .length = length, .widest = widest};
    struct choice *choices;
    uint32_t node;
    TRY(read_choices(&reader, &choices));
    if (reader.at < length) return expected(&reader, "no ')'");
    TRY(nfa_begin(arena, &reader.nfa));
    TRY(emit_anything(&reader, grammar_end(), &node));
    TRY(emit_choices(&reader, choices, node, &node));
    TRY(emit_anything(&reader, node, &node));
    return regular_from_nfa(&reader.nfa, node, out);
}
