// Strings and numbers of a schema as regular languages.
#include "text/constraint_schema.h"

enum { MAX_DEPTH = 16 };

// ---- Strings --------------------------------------------------------------------------------------------------------

static tern_status list_language(struct schema_compiler *c, const struct json *const *list, size_t count,
                                 enum json_kind kind, struct regular *out)
{
    struct nfa nfa;
    uint32_t all, node;
    struct buffer text = {0};
    TRY(nfa_begin(c->arena, &nfa));
    TRY(nfa_nothing(&nfa, &all));
    for (size_t i = 0; i < count; i++) {
        if (list[i]->kind != kind) continue;
        text.length = 0;
        tern_status status = kind == JSON_STRING ? json_escape(&text, list[i]->text, list[i]->length)
                                                 : schema_canonical(c, list[i], &text);
        if (status == TERN_OK) status = nfa_literal(&nfa, text.data, text.length, 0, &node);
        if (status == TERN_OK) status = nfa_split(&nfa, node, all, &all);
        if (status == TERN_OK) continue;
        buffer_free(&text);
        return status;
    }
    buffer_free(&text);
    return regular_from_nfa(&nfa, all, out);
}

static tern_status listed_values(struct schema_compiler *c, const struct facts *f, enum json_kind kind,
                                 struct regular *out)
{
    const struct json **list;
    size_t count;
    TRY(schema_list_values(c, f, &list, &count));
    return list_language(c, list, count, kind, out);
}

// Values that `not` takes away.
static tern_status subtract_excluded(struct schema_compiler *c, const struct facts *f, enum json_kind kind,
                                     struct regular *out)
{
    for (size_t i = 0; i < f->n_excluded; i++) {
        struct regular excluded, left;
        const struct json *const *list = f->is_excluded_const[i] ? &f->excluded[i] : f->excluded[i]->sorted;
        TRY(list_language(c, list, f->is_excluded_const[i] ? 1 : f->excluded[i]->count, kind, &excluded));
        TRY(regular_subtract(c->arena, out, &excluded, &left));
        *out = left;
    }
    return TERN_OK;
}

tern_status schema_any_string(struct schema_compiler *c, struct regular *out)
{
    if (c->any_string.n_states == 0) TRY(regex_any(c->arena, &c->any_string));
    *out = c->any_string;
    return TERN_OK;
}

tern_status schema_strings(struct schema_compiler *c, const struct facts *f, struct regular *out)
{
    struct regular any, both;
    *out = (struct regular){.n_states = 0};
    if (!(f->types & TYPE_STRING)) return TERN_OK;
    if (f->n_values > 0) return listed_values(c, f, JSON_STRING, out);
    if (f->max_length < f->min_length) return TERN_OK;
    TRY(schema_any_string(c, &any));
    *out = f->n_patterns > 0 ? *f->patterns[0] : any;
    for (size_t i = 1; i < f->n_patterns; i++) {
        TRY(regular_intersect(c->arena, out, f->patterns[i], &both));
        *out = both;
    }
    if (f->min_length > 0 || f->max_length != GRAMMAR_MANY) {
        TRY(regular_count(c->arena, out, &any, f->min_length, f->max_length, &both));
        *out = both;
    }
    return subtract_excluded(c, f, JSON_STRING, out);
}

tern_status schema_set_strings(struct schema_compiler *c, const struct schema_set *set, int depth, struct regular *out)
{
    struct schema_set all, chosen;
    bool impossible;
    struct facts *facts;
    *out = (struct regular){.n_states = 0};
    TRY(schema_expand(c, set, false, &all, &impossible));
    if (impossible) return TERN_OK;
    const struct schema_item *choice = schema_choice(&all);
    if (!choice) {
        TRY(arena_alloc(c->arena, 1, sizeof *facts, &facts));
        TRY(schema_read_facts(c, &all, false, facts));
        return schema_strings(c, facts, out);
    }
    if (depth >= MAX_DEPTH || choice->part == SCHEMA_ONE_OF)
        return schema_unsupported(choice->schema, "oneOf, or many choices in each other, are not supported for keys");
    const struct json *branches = schema_choice_branches(choice);
    for (const struct json *branch = branches->first; branch; branch = branch->next) {
        struct regular one, both;
        TRY(schema_choose(c, &all, choice, branch, &chosen));
        TRY(schema_set_strings(c, &chosen, depth + 1, &one));
        TRY(regular_unite(c->arena, out, &one, &both));
        *out = both;
    }
    return TERN_OK;
}

// ---- Numbers --------------------------------------------------------------------------------------------------------

// Whether a multiple is one is seen by those who read doubles where these have all its digits: up to 15.
static tern_status exact_bounds(const struct facts *f, struct number_bounds *bounds)
{
    static const struct decimal least = {.whole = "999999999999999", .fraction = "", .n_whole = 15, .negative = true};
    static const struct decimal most = {.whole = "999999999999999", .fraction = "", .n_whole = 15};
    *bounds = f->bounds;
    if ((bounds->low && decimal_compare(bounds->low, &most) > 0) ||
        (bounds->high && decimal_compare(bounds->high, &least) < 0))
        return schema_unsupported(f->divisors_at, "multipleOf is supported for numbers of up to 15 digits");
    if (!bounds->low || decimal_compare(bounds->low, &least) < 0) {
        bounds->low = &least;
        bounds->above = false;
    }
    if (!bounds->high || decimal_compare(bounds->high, &most) > 0) {
        bounds->high = &most;
        bounds->below = false;
    }
    return TERN_OK;
}

static tern_status multiples(struct schema_compiler *c, const struct facts *f, struct regular *out)
{
    struct number_bounds bounds;
    TRY(exact_bounds(f, &bounds));
    TRY(number_integers(c->arena, &bounds, out));
    for (size_t i = 0; i < f->n_divisors; i++) {
        struct regular these, both;
        TRY(number_multiples(c->arena, f->divisors[i], &these));
        TRY(regular_intersect(c->arena, out, &these, &both));
        *out = both;
    }
    return TERN_OK;
}

tern_status schema_numbers(struct schema_compiler *c, const struct facts *f, struct regular *out)
{
    *out = (struct regular){.n_states = 0};
    if (!(f->types & TYPE_NUMBER)) return TERN_OK;
    if (f->n_values > 0) return listed_values(c, f, JSON_NUMBER, out);
    for (size_t i = 0; i < f->n_excluded; i++) {
        if (f->excluded[i]->kind == JSON_NUMBER)
            return schema_unsupported(f->excluded[i], "`not` a number is not supported");
    }
    if (f->n_divisors > 0) return multiples(c, f, out);
    return f->types & TYPE_FRACTION ? number_decimals(c->arena, &f->bounds, out)
                                    : number_integers(c->arena, &f->bounds, out);
}
