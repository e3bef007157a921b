// Whether two sets of schemas have no value in common, as far as that can be shown.
#include "text/constraint_schema.h"

enum { MAX_DEPTH = 6 };

static tern_status disjoint_sets(struct schema_compiler *c, const struct schema_set *a, const struct schema_set *b,
                                 int depth, bool *disjoint)
{
    return schema_disjoint(c, a, b, depth + 1, disjoint);
}

// Listed values against keywords and other listed values: which of them fit it all. Changes `other`.
static tern_status disjoint_list(struct schema_compiler *c, const struct facts *listed, struct facts *other,
                                 bool *disjoint)
{
    const struct json **list;
    size_t count;
    *disjoint = false;
    if (listed->n_values + other->n_values > MAX_LISTS) return TERN_OK;
    for (size_t i = 0; i < listed->n_values; i++) {
        other->is_const[other->n_values] = listed->is_const[i];
        other->values[other->n_values++] = listed->values[i];
    }
    tern_status status = schema_list_values(c, other, &list, &count);
    if (status == TERN_UNSUPPORTED) return TERN_OK; // arrays or objects beside keywords for them: who knows
    *disjoint = status == TERN_OK && count == 0;
    return status;
}

static tern_status disjoint_texts(struct schema_compiler *c, const struct facts *a, const struct facts *b,
                                  tern_status (*language)(struct schema_compiler *, const struct facts *,
                                                          struct regular *),
                                  bool *disjoint)
{
    struct regular in_a, in_b, both;
    TRY(language(c, a, &in_a));
    TRY(language(c, b, &in_b));
    TRY(regular_intersect(c->arena, &in_a, &in_b, &both));
    *disjoint = both.n_states == 0;
    return TERN_OK;
}

// Numbers are compared by their bounds: an automaton knows only some of the ways to write one.
static bool disjoint_numbers(const struct facts *a, const struct facts *b)
{
    for (int i = 0; i < 2; i++) {
        const struct decimal *high = a->bounds.high, *low = b->bounds.low;
        int order = high && low ? decimal_compare(high, low) : 1;
        if (order < 0 || (order == 0 && (a->bounds.below || b->bounds.above))) return true;
        const struct facts *other = a;
        a = b;
        b = other;
    }
    return false;
}

static tern_status disjoint_arrays(struct schema_compiler *c, const struct facts *a, const struct facts *b, int depth,
                                   bool *disjoint)
{
    uint32_t both = a->min_items < b->min_items ? a->min_items : b->min_items; // items that each of them has
    uint32_t prefix_a = schema_prefix_count(a), prefix_b = schema_prefix_count(b);
    uint32_t described = (prefix_a > prefix_b ? prefix_a : prefix_b) + 1; // what is behind is all alike
    *disjoint = a->max_items < b->min_items || b->max_items < a->min_items;
    for (uint32_t i = 0; i < both && i < described && !*disjoint; i++) {
        struct schema_set in_a, in_b;
        TRY(schema_item_set(c, a, i, &in_a));
        TRY(schema_item_set(c, b, i, &in_b));
        TRY(disjoint_sets(c, &in_a, &in_b, depth, disjoint));
    }
    return TERN_OK;
}

// A key that is required in `a` and can have no value that both take: in `b` it is required as well, or impossible.
static tern_status disjoint_by_key(struct schema_compiler *c, const struct facts *a, const struct facts *b, int depth,
                                   bool *disjoint)
{
    for (size_t i = 0; i < a->keywords.count && !*disjoint; i++) {
        const struct json *required = json_get(a->keywords.items[i].schema, "required");
        for (const struct json *name = required ? required->first : NULL; name && !*disjoint; name = name->next) {
            struct schema_set in_a, in_b;
            TRY(schema_member_set(c, a, name->text, name->length, &in_a));
            TRY(schema_member_set(c, b, name->text, name->length, &in_b));
            TRY(disjoint_sets(c, &in_a, &in_b, depth, disjoint));
        }
    }
    return TERN_OK;
}

static tern_status disjoint_objects(struct schema_compiler *c, const struct facts *a, const struct facts *b, int depth,
                                    bool *disjoint)
{
    *disjoint = a->max_members < b->min_members || b->max_members < a->min_members;
    if (!*disjoint) TRY(disjoint_by_key(c, a, b, depth, disjoint));
    return *disjoint ? TERN_OK : disjoint_by_key(c, b, a, depth, disjoint);
}

static tern_status disjoint_facts(struct schema_compiler *c, struct facts *a, struct facts *b, int depth,
                                  bool *disjoint)
{
    // What is written for one must not be valid for the other; what is written for neither does not matter.
    unsigned types = (schema_written_types(a) & b->types) | (a->types & schema_written_types(b));
    *disjoint = true;
    if (a->n_values > 0) return disjoint_list(c, a, b, disjoint);
    if (b->n_values > 0) return disjoint_list(c, b, a, disjoint);
    if (types & (TYPE_NULL | TYPE_BOOLEAN)) *disjoint = false;
    if (*disjoint && types & TYPE_NUMBER) *disjoint = disjoint_numbers(a, b);
    if (*disjoint && types & TYPE_STRING) TRY(disjoint_texts(c, a, b, schema_strings, disjoint));
    if (*disjoint && types & TYPE_ARRAY) TRY(disjoint_arrays(c, a, b, depth, disjoint));
    if (*disjoint && types & TYPE_OBJECT) TRY(disjoint_objects(c, a, b, depth, disjoint));
    return TERN_OK;
}

// Every branch of the first choice in `set` against the other set.
static tern_status disjoint_branches(struct schema_compiler *c, const struct schema_set *set,
                                     const struct schema_item *choice, const struct schema_set *other, int depth,
                                     bool *disjoint)
{
    const struct json *branches = schema_choice_branches(choice);
    *disjoint = true;
    for (const struct json *branch = branches->first; branch && *disjoint; branch = branch->next) {
        struct schema_set chosen;
        TRY(schema_choose(c, set, choice, branch, &chosen));
        TRY(disjoint_sets(c, &chosen, other, depth, disjoint));
    }
    return TERN_OK;
}

tern_status schema_disjoint(struct schema_compiler *c, const struct schema_set *a, const struct schema_set *b,
                            int depth, bool *disjoint)
{
    struct schema_set all_a, all_b;
    bool impossible_a, impossible_b;
    struct facts *facts;
    *disjoint = false;
    if (depth > MAX_DEPTH) return TERN_OK;
    TRY(arena_charge(c->arena, 100));
    TRY(schema_expand(c, a, true, &all_a, &impossible_a));
    TRY(schema_expand(c, b, true, &all_b, &impossible_b));
    if (impossible_a || impossible_b) return *disjoint = true, TERN_OK;
    const struct schema_item *choice_a = schema_choice(&all_a), *choice_b = schema_choice(&all_b);
    if (choice_a) return disjoint_branches(c, &all_a, choice_a, &all_b, depth, disjoint);
    if (choice_b) return disjoint_branches(c, &all_b, choice_b, &all_a, depth, disjoint);
    TRY(arena_alloc(c->arena, 2, sizeof *facts, &facts));
    TRY(schema_read_facts(c, &all_a, true, &facts[0]));
    TRY(schema_read_facts(c, &all_b, true, &facts[1]));
    return disjoint_facts(c, &facts[0], &facts[1], depth, disjoint);
}
