// JSON values as nodes of the grammar: whitespace, scalars, listed values, arrays.
#include <stdlib.h>
#include <string.h>

#include "text/constraint_schema.h"

static tern_status emit_byte(struct schema_compiler *c, char byte, uint32_t next, uint32_t *out)
{
    return grammar_literal(c->g, &byte, 1, next, out);
}

static tern_status emit_one_of(struct schema_compiler *c, const char *bytes, uint32_t next, uint32_t *out)
{
    struct byte_set set = {0};
    for (; *bytes; bytes++) {
        byte_set_add(&set, (uint8_t)*bytes, (uint8_t)*bytes);
    }
    return grammar_bytes(c->g, &set, next, out);
}

// ---- Whitespace -----------------------------------------------------------------------------------------------------

enum { MAX_INDENT = 32 };

// Nothing, a space, or a new line and some indentation: as much as people and programs write, and never without end.
tern_status emit_blank(struct schema_compiler *c, uint32_t next, uint32_t *out)
{
    uint32_t ways[3] = {next};
    if (c->compact) return *out = next, TERN_OK;
    if (c->blank_lines == GRAMMAR_NONE) TRY(emit_one_of(c, " \t", grammar_end(), &c->blank_lines));
    TRY(emit_byte(c, ' ', next, &ways[1]));
    TRY(grammar_loop(c->g, c->blank_lines, 0, MAX_INDENT, next, &ways[2]));
    TRY(emit_byte(c, '\n', ways[2], &ways[2]));
    return grammar_split(c->g, ways, 3, out);
}

// ---- Strings --------------------------------------------------------------------------------------------------------

// \uXXXX: no surrogates but in pairs, and no NUL, over which many readers stumble.
static tern_status emit_unicode_escape(struct schema_compiler *c, uint32_t next, uint32_t *out)
{
    static const char hex[] = "0123456789abcdefABCDEF", not_zero[] = "123456789abcdefABCDEF";
    uint32_t one, two, three, pair, zero, ways[4];
    TRY(emit_one_of(c, hex, next, &one));
    TRY(emit_one_of(c, hex, one, &two));
    TRY(emit_one_of(c, hex, two, &three));
    TRY(emit_one_of(c, "cdefCDEF", two, &pair)); // \uD8xx\uDCxx
    TRY(emit_one_of(c, "dD", pair, &pair));
    TRY(grammar_literal(c->g, "\\u", 2, pair, &pair));
    TRY(emit_one_of(c, hex, pair, &pair));
    TRY(emit_one_of(c, hex, pair, &pair));
    TRY(emit_one_of(c, "89abAB", pair, &pair));
    TRY(emit_one_of(c, "01234567", two, &zero)); // \uD0xx to \uD7xx
    TRY(grammar_split(c->g, (uint32_t[]){pair, zero}, 2, &pair));
    TRY(emit_one_of(c, "dD", pair, &ways[0]));
    TRY(emit_one_of(c, "123456789abcefABCEF", three, &ways[1]));
    // \u0001 to \u0fff: some digit is not zero.
    TRY(emit_one_of(c, not_zero, next, &zero));
    TRY(emit_byte(c, '0', zero, &zero));
    TRY(emit_one_of(c, not_zero, one, &one));
    TRY(grammar_split(c->g, (uint32_t[]){zero, one}, 2, &zero));
    TRY(emit_byte(c, '0', zero, &zero));
    TRY(emit_one_of(c, not_zero, two, &two));
    TRY(grammar_split(c->g, (uint32_t[]){zero, two}, 2, &zero));
    TRY(emit_byte(c, '0', zero, &ways[2]));
    TRY(grammar_split(c->g, ways, 3, out));
    return emit_byte(c, 'u', *out, out);
}

// Any character of a string, as it is or with an escape.
static tern_status emit_character(struct schema_compiler *c, uint32_t next, uint32_t *out)
{
    struct code_range ranges[] = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x10FFFF}}; // no quote, no backslash
    struct character_set plain = {.ranges = ranges, .count = 3};
    uint32_t ways[2], escapes[2];
    TRY(grammar_characters(c->g, &plain, next, &ways[0]));
    TRY(emit_one_of(c, "\"\\/bfnrt", next, &escapes[0]));
    TRY(emit_unicode_escape(c, next, &escapes[1]));
    TRY(grammar_split(c->g, escapes, 2, &ways[1]));
    TRY(emit_byte(c, '\\', ways[1], &ways[1]));
    return grammar_split(c->g, ways, 2, out);
}

// The rule of all strings.
static tern_status emit_string_rule(struct schema_compiler *c)
{
    uint32_t again, quote, character, node;
    if (c->string_rule != GRAMMAR_NONE) return TERN_OK;
    TRY(grammar_rule(c->g, &c->string_rule));
    TRY(emit_byte(c, '"', grammar_end(), &quote));
    TRY(grammar_split_later(c->g, &again));
    TRY(emit_character(c, again, &character));
    TRY(grammar_split_fill(c->g, again, (uint32_t[]){quote, character}, 2));
    TRY(emit_byte(c, '"', again, &node));
    c->g->rules[c->string_rule] = node;
    return TERN_OK;
}

// Characters are counted where nothing else is asked: a pattern besides needs an automaton that does both.
static tern_status emit_counted(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    if (f->max_length < f->min_length) return grammar_split(c->g, NULL, 0, out);
    if (c->character == GRAMMAR_NONE) TRY(emit_character(c, grammar_end(), &c->character));
    TRY(emit_byte(c, '"', next, out));
    TRY(grammar_loop(c->g, c->character, f->min_length, f->max_length, *out, out));
    return emit_byte(c, '"', *out, out);
}

static tern_status emit_matching(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    struct regular strings;
    TRY(schema_strings(c, f, &strings));
    TRY(emit_byte(c, '"', next, out));
    TRY(grammar_regular(c->g, c->arena, &strings, *out, out));
    return emit_byte(c, '"', *out, out);
}

// The same for one pattern, and made once.
static tern_status emit_counted_matching(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    uint32_t rule, node;
    for (size_t i = 0; i < c->n_counted; i++) {
        const struct schema_counted *made = &c->counted[i];
        if (made->pattern == f->patterns[0] && made->min == f->min_length && made->max == f->max_length)
            return grammar_call(c->g, made->rule, next, out);
    }
    if (c->n_counted == SCHEMA_COUNTED) return emit_matching(c, f, next, out);
    TRY(grammar_rule(c->g, &rule));
    TRY(emit_matching(c, f, grammar_end(), &node));
    c->g->rules[rule] = node;
    c->counted[c->n_counted++] = (struct schema_counted){f->patterns[0], f->min_length, f->max_length, rule};
    return grammar_call(c->g, rule, next, out);
}

static tern_status emit_string(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    bool counted = f->min_length > 0 || f->max_length != GRAMMAR_MANY;
    if (f->n_patterns == 0 && f->n_excluded == 0) {
        if (counted) return emit_counted(c, f, next, out);
        TRY(emit_string_rule(c));
        return grammar_call(c->g, c->string_rule, next, out);
    }
    return counted && f->n_patterns == 1 && f->n_excluded == 0 ? emit_counted_matching(c, f, next, out)
                                                               : emit_matching(c, f, next, out);
}

// ---- Listed values --------------------------------------------------------------------------------------------------

static tern_status emit_text(struct schema_compiler *c, const char *text, size_t length, uint32_t next, uint32_t *out)
{
    struct buffer escaped = {0};
    tern_status status = json_escape(&escaped, text, length);
    if (status == TERN_OK) status = emit_byte(c, '"', next, out);
    if (status == TERN_OK) status = grammar_literal(c->g, escaped.data, escaped.length, *out, out);
    if (status == TERN_OK) status = emit_byte(c, '"', *out, out);
    buffer_free(&escaped);
    return status;
}

static tern_status emit_blank_byte(struct schema_compiler *c, char byte, uint32_t next, uint32_t *out)
{
    TRY(emit_byte(c, byte, next, out));
    return emit_blank(c, *out, out);
}

static tern_status emit_members(struct schema_compiler *c, const struct json *value, uint32_t next, uint32_t *out)
{
    bool is_object = value->kind == JSON_OBJECT;
    const struct json **members;
    uint32_t n = 0, node;
    TRY(arena_alloc(c->arena, value->count, sizeof *members, &members));
    for (const struct json *m = value->first; m; m = m->next) {
        members[n++] = m;
    }
    TRY(emit_blank_byte(c, is_object ? '}' : ']', next, &node));
    while (n > 0) {
        const struct json *member = members[--n];
        TRY(emit_value(c, member, node, &node));
        if (is_object) {
            TRY(emit_blank(c, node, &node));
            TRY(emit_byte(c, ':', node, &node));
            TRY(emit_text(c, member->key, member->key_length, node, &node));
        }
        TRY(emit_blank(c, node, &node));
        if (n > 0) TRY(emit_byte(c, ',', node, &node));
    }
    return emit_byte(c, is_object ? '{' : '[', node, out);
}

// A number may also be written as the integer that it is.
static tern_status emit_number_value(struct schema_compiler *c, const struct json *value, uint32_t next, uint32_t *out)
{
    struct buffer text = {0};
    uint32_t ways[2];
    tern_status status = schema_canonical(c, value, &text);
    if (status == TERN_OK) status = grammar_literal(c->g, text.data, text.length, next, &ways[0]);
    if (status == TERN_OK) status = grammar_literal(c->g, value->text, value->length, next, &ways[1]);
    if (status == TERN_OK) status = grammar_split(c->g, ways, 2, out);
    buffer_free(&text);
    return status;
}

tern_status emit_value(struct schema_compiler *c, const struct json *value, uint32_t next, uint32_t *out)
{
    switch (value->kind) {
    case JSON_NULL:
        return grammar_literal(c->g, "null", 4, next, out);
    case JSON_FALSE:
        return grammar_literal(c->g, "false", 5, next, out);
    case JSON_TRUE:
        return grammar_literal(c->g, "true", 4, next, out);
    case JSON_NUMBER:
        return emit_number_value(c, value, next, out);
    case JSON_STRING:
        return emit_text(c, value->text, value->length, next, out);
    default:
        return emit_members(c, value, next, out);
    }
}

// Strings share their beginnings in one automaton, as there may be thousands.
static tern_status emit_listed_strings(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    struct regular strings;
    TRY(schema_strings(c, f, &strings));
    TRY(emit_byte(c, '"', next, out));
    TRY(grammar_regular(c->g, c->arena, &strings, *out, out));
    return emit_byte(c, '"', *out, out);
}

static tern_status emit_list(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    const struct json **list;
    uint32_t *targets;
    size_t count, n = 0;
    TRY(schema_list_values(c, f, &list, &count));
    TRY(arena_alloc(c->arena, count + 1, sizeof *targets, &targets));
    for (size_t i = 0; i < count; i++) {
        if (list[i]->kind != JSON_STRING) TRY(emit_value(c, list[i], next, &targets[n++]));
    }
    if (n < count) TRY(emit_listed_strings(c, f, next, &targets[n++]));
    return grammar_split(c->g, targets, n, out);
}

// ---- Arrays ---------------------------------------------------------------------------------------------------------

static tern_status emit_item(struct schema_compiler *c, const struct facts *f, uint32_t index, uint32_t next,
                             uint32_t *out)
{
    struct schema_set set;
    uint32_t rule;
    TRY(schema_item_set(c, f, index, &set));
    TRY(schema_rule(c, &set, &rule));
    TRY(grammar_call(c->g, rule, next, out));
    TRY(emit_blank(c, *out, out));
    return index > 0 ? emit_byte(c, ',', *out, out) : TERN_OK;
}

// Items from `index` on, all alike: as many as are still missing, up to as many as still may come.
static tern_status emit_rest(struct schema_compiler *c, const struct facts *f, uint32_t index, uint32_t close,
                             uint32_t *out)
{
    uint32_t min = f->min_items > index ? f->min_items - index : 0;
    uint32_t max = f->max_items == GRAMMAR_MANY ? GRAMMAR_MANY : f->max_items - index, node = close;
    // Behind a prefix, items that no schema speaks of are written only if they are needed.
    if (index > 0 && min == 0 && !schema_describes_items(f)) max = 0;
    if (max > 0) {
        // The first item of all has no comma before it.
        uint32_t first = index == 0, body;
        TRY(emit_item(c, f, index + first, grammar_end(), &body));
        uint32_t less = max == GRAMMAR_MANY ? GRAMMAR_MANY : max - first;
        TRY(grammar_loop(c->g, body, min > first ? min - first : 0, less, close, &node));
        if (first) TRY(emit_item(c, f, 0, node, &node));
        if (first && min == 0) TRY(grammar_optional(c->g, node, close, &node));
    }
    *out = node;
    return TERN_OK;
}

// At each item of the prefix the array may end, once there are enough.
static tern_status emit_prefix(struct schema_compiler *c, const struct facts *f, uint32_t count, uint32_t close,
                               uint32_t node, uint32_t *out)
{
    for (uint32_t i = count; i-- > 0;) {
        TRY(emit_item(c, f, i, node, &node));
        if (i >= f->min_items) TRY(grammar_optional(c->g, node, close, &node));
    }
    *out = node;
    return TERN_OK;
}

static tern_status emit_array(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    uint32_t prefix = schema_prefix_count(f), close, node;
    if (f->max_items < f->min_items) return grammar_split(c->g, NULL, 0, out);
    if (prefix > f->max_items) prefix = f->max_items;
    TRY(emit_blank_byte(c, ']', next, &close));
    if (f->unique && f->max_items > 1) {
        TRY(emit_unique_items(c, f, close, &node));
    } else {
        TRY(emit_rest(c, f, prefix, close, &node));
        TRY(emit_prefix(c, f, prefix, close, node, &node));
    }
    return emit_byte(c, '[', node, out);
}

// ---- Any value ------------------------------------------------------------------------------------------------------

static tern_status emit_numbers(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    struct regular numbers;
    TRY(schema_numbers(c, f, &numbers));
    return grammar_regular(c->g, c->arena, &numbers, next, out);
}

// null, true and false, but for those that are excluded.
static tern_status emit_word(struct schema_compiler *c, const struct facts *f, enum json_kind kind, uint32_t next,
                             uint32_t *out)
{
    static const char *const words[] = {[JSON_NULL] = "null", [JSON_FALSE] = "false", [JSON_TRUE] = "true"};
    for (size_t i = 0; i < f->n_excluded; i++) {
        const struct json *value = f->is_excluded_const[i] ? f->excluded[i] : f->excluded[i]->first;
        for (; value; value = f->is_excluded_const[i] ? NULL : value->next) {
            if (value->kind == kind) return grammar_split(c->g, NULL, 0, out);
        }
    }
    return grammar_literal(c->g, words[kind], strlen(words[kind]), next, out);
}

static tern_status check_excluded(const struct facts *f)
{
    for (size_t i = 0; i < f->n_excluded; i++) {
        const struct json *value = f->is_excluded_const[i] ? f->excluded[i] : f->excluded[i]->first;
        for (; value; value = f->is_excluded_const[i] ? NULL : value->next) {
            unsigned type = value->kind == JSON_ARRAY    ? TYPE_ARRAY
                            : value->kind == JSON_OBJECT ? TYPE_OBJECT
                            : value->kind == JSON_NUMBER ? TYPE_NUMBER
                                                         : 0;
            if (f->types & type)
                return schema_unsupported(value, "`not` is supported with null, booleans and strings only");
        }
    }
    return TERN_OK;
}

tern_status emit_facts(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    uint32_t ways[8];
    size_t n = 0;
    if (f->n_values > 0) return emit_list(c, f, next, out);
    TRY(check_excluded(f));
    if (f->types & TYPE_NULL) TRY(emit_word(c, f, JSON_NULL, next, &ways[n++]));
    if (f->types & TYPE_BOOLEAN) TRY(emit_word(c, f, JSON_FALSE, next, &ways[n++]));
    if (f->types & TYPE_BOOLEAN) TRY(emit_word(c, f, JSON_TRUE, next, &ways[n++]));
    if (f->types & TYPE_NUMBER) TRY(emit_numbers(c, f, next, &ways[n++]));
    if (f->types & TYPE_STRING) TRY(emit_string(c, f, next, &ways[n++]));
    if (f->types & TYPE_ARRAY) TRY(emit_array(c, f, next, &ways[n++]));
    if (f->types & TYPE_OBJECT) TRY(emit_object(c, f, next, &ways[n++]));
    return grammar_split(c->g, ways, n, out);
}
