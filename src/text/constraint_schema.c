// Sets of schemas, and the rules that they become.
#include "text/constraint_schema.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 256, MAX_RULES = 20000 };

tern_status schema_unsupported(const struct json *where, const char *why)
{
    return status_fail(TERN_UNSUPPORTED, "schema, %s: %s", json_where(where).text, why);
}

tern_status schema_invalid(const struct json *where, const char *expected)
{
    return status_fail(TERN_INVALID, "schema, %s: %s expected", json_where(where).text, expected);
}

// ---- Sets -----------------------------------------------------------------------------------------------------------

static bool has_item(const struct schema_set *set, const struct json *schema, enum schema_part part)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].schema == schema && set->items[i].part == part) return true;
    }
    return false;
}

tern_status schema_set_add(struct schema_compiler *c, struct schema_set *set, const struct json *schema,
                           enum schema_part part)
{
    if (schema->kind != JSON_OBJECT && schema->kind != JSON_TRUE && schema->kind != JSON_FALSE)
        return schema_invalid(schema, "a schema (an object, true or false)");
    if (schema->kind == JSON_TRUE || has_item(set, schema, part)) return TERN_OK;
    if (set->count == set->room) {
        struct schema_item *wider;
        size_t room = set->room ? set->room * 2 : 4;
        if (room > MAX_ITEMS)
            return status_fail(TERN_LIMIT, "schema, %s: more than %d schemas for one value", json_where(schema).text,
                               MAX_ITEMS);
        TRY(arena_alloc(c->arena, room, sizeof *wider, &wider));
        if (set->count) memcpy(wider, set->items, set->count * sizeof *wider);
        set->items = wider;
        set->room = room;
    }
    set->items[set->count++] = (struct schema_item){schema, part};
    return TERN_OK;
}

tern_status schema_set_add_all(struct schema_compiler *c, struct schema_set *set, const struct schema_set *more)
{
    for (size_t i = 0; i < more->count; i++) {
        TRY(schema_set_add(c, set, more->items[i].schema, more->items[i].part));
    }
    return TERN_OK;
}

static int compare_items(const void *a, const void *b)
{
    const struct schema_item *x = a, *y = b;
    if (x->schema->number != y->schema->number) return x->schema->number < y->schema->number ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

// ---- $ref, allOf ----------------------------------------------------------------------------------------------------

static const struct json *branches_of(const struct json *schema, const char *keyword)
{
    return json_get(schema, keyword);
}

static tern_status check_branches(const struct json *branches)
{
    if (branches->kind != JSON_ARRAY || branches->count == 0) return schema_invalid(branches, "a list of schemas");
    return TERN_OK;
}

// "http://json-schema.org/draft-07/schema#" and those before it; later ones have a year there.
static bool is_early_draft(const struct json *name)
{
    static const char words[] = "draft-0";
    const size_t n = sizeof words - 1;
    for (size_t i = 0; i + n <= name->length; i++)
        if (memcmp(name->text + i, words, n) == 0) return true;
    return false;
}

// Until draft 7 nothing counted beside $ref. `$schema` stands in the schema or around it.
static bool ref_stands_alone(const struct json *schema)
{
    if (!json_get(schema, "$ref")) return false;
    for (; schema; schema = schema->parent) {
        const struct json *draft = json_get(schema, "$schema");
        if (draft && draft->kind == JSON_STRING) return is_early_draft(draft);
    }
    return false;
}

static tern_status expand_ref(struct schema_compiler *c, const struct json *schema, struct schema_set *out)
{
    const struct json *ref = json_get(schema, "$ref"), *target;
    if (!ref) return TERN_OK;
    TRY(schema_resolve(c, ref, &target));
    return schema_set_add(c, out, target, SCHEMA_WHOLE);
}

// All but the reference.
static tern_status leave_out(struct schema_compiler *c, const struct json *schema, struct schema_set *all,
                             struct schema_set *out)
{
    TRY(expand_ref(c, schema, all));
    return schema_set_add(c, out, schema, SCHEMA_LEFT_OUT);
}

// Adds what an object schema consists of to the set.
static tern_status expand_schema(struct schema_compiler *c, const struct json *schema, struct schema_set *out)
{
    const struct json *all = branches_of(schema, "allOf");
    const struct json *any = branches_of(schema, "anyOf"), *one = branches_of(schema, "oneOf");
    TRY(schema_set_add(c, out, schema, SCHEMA_KEYWORDS));
    TRY(expand_ref(c, schema, out));
    if (all) {
        TRY(check_branches(all));
        for (const struct json *branch = all->first; branch; branch = branch->next) {
            TRY(schema_set_add(c, out, branch, SCHEMA_WHOLE));
        }
    }
    if (any) {
        TRY(check_branches(any));
        TRY(schema_set_add(c, out, schema, SCHEMA_ANY_OF));
    }
    if (one) {
        TRY(check_branches(one));
        TRY(schema_set_add(c, out, schema, SCHEMA_ONE_OF));
    }
    return TERN_OK;
}

// The set grows while it is read: each schema is expanded once, so that circles of references come to an end.
tern_status schema_expand(struct schema_compiler *c, const struct schema_set *set, bool widest, struct schema_set *out,
                          bool *impossible)
{
    struct schema_set all = {0};
    TRY(arena_charge(c->arena, set->count + 10));
    *impossible = false;
    *out = (struct schema_set){0};
    TRY(schema_set_add_all(c, &all, set));
    for (size_t i = 0; i < all.count; i++) {
        struct schema_item item = all.items[i];
        if (item.schema->kind == JSON_FALSE)
            *impossible = true;
        else if (widest && ref_stands_alone(item.schema))
            TRY(leave_out(c, item.schema, &all, out));
        else if (item.part == SCHEMA_WHOLE)
            TRY(expand_schema(c, item.schema, &all));
        else
            TRY(schema_set_add(c, out, item.schema, item.part));
    }
    return TERN_OK;
}

// ---- anyOf, oneOf ---------------------------------------------------------------------------------------------------

const struct schema_item *schema_choice(const struct schema_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].part == SCHEMA_ANY_OF || set->items[i].part == SCHEMA_ONE_OF) return &set->items[i];
    }
    return NULL;
}

const struct json *schema_choice_branches(const struct schema_item *choice)
{
    return branches_of(choice->schema, choice->part == SCHEMA_ANY_OF ? "anyOf" : "oneOf");
}

tern_status schema_choose(struct schema_compiler *c, const struct schema_set *set, const struct schema_item *choice,
                          const struct json *branch, struct schema_set *out)
{
    *out = (struct schema_set){0};
    for (size_t i = 0; i < set->count; i++) {
        if (&set->items[i] != choice) TRY(schema_set_add(c, out, set->items[i].schema, set->items[i].part));
    }
    return schema_set_add(c, out, branch, SCHEMA_WHOLE);
}

// An answer that fits two branches of oneOf would be wrong: they must be apart.
static tern_status check_one_of(struct schema_compiler *c, const struct schema_set *set,
                                const struct schema_item *choice)
{
    const struct json *branches = schema_choice_branches(choice);
    for (const struct json *a = branches->first; a; a = a->next) {
        struct schema_set with_a, with_b;
        TRY(schema_choose(c, set, choice, a, &with_a));
        for (const struct json *b = a->next; b; b = b->next) {
            bool disjoint;
            TRY(schema_choose(c, set, choice, b, &with_b));
            TRY(schema_disjoint(c, &with_a, &with_b, 0, &disjoint));
            if (!disjoint)
                return schema_unsupported(b, "oneOf is not supported where a value might fit two branches (use anyOf, "
                                             "or a required property with a different const in each)");
        }
    }
    return TERN_OK;
}

static tern_status emit_choice(struct schema_compiler *c, const struct schema_set *set,
                               const struct schema_item *choice, uint32_t *out)
{
    const struct json *branches = schema_choice_branches(choice);
    uint32_t *targets, n = 0;
    if (choice->part == SCHEMA_ONE_OF) TRY(check_one_of(c, set, choice));
    TRY(arena_alloc(c->arena, branches->count, sizeof *targets, &targets));
    for (const struct json *branch = branches->first; branch; branch = branch->next) {
        struct schema_set chosen;
        uint32_t rule;
        TRY(schema_choose(c, set, choice, branch, &chosen));
        TRY(schema_rule(c, &chosen, &rule));
        TRY(grammar_call(c->g, rule, grammar_end(), &targets[n++]));
    }
    return grammar_split(c->g, targets, n, out);
}

// ---- Rules ----------------------------------------------------------------------------------------------------------

static bool same_sets(const struct schema_set *a, const struct schema_set *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].schema != b->items[i].schema || a->items[i].part != b->items[i].part) return false;
    }
    return true;
}

static uint32_t *find_rule(const struct schema_compiler *c, const struct schema_set *set)
{
    uint64_t hash = set->count;
    for (size_t i = 0; i < set->count; i++) {
        hash = constraint_hash(hash ^ ((uint64_t)set->items[i].schema->number << 2 | (uint64_t)set->items[i].part));
    }
    size_t mask = c->table_room - 1, at = (size_t)hash & mask;
    while (c->table[at] && !same_sets(&c->rules[c->table[at] - 1].set, set)) {
        at = (at + 1) & mask;
    }
    return &c->table[at];
}

tern_status schema_rule(struct schema_compiler *c, const struct schema_set *set, uint32_t *rule)
{
    struct schema_set sorted = {0};
    TRY(schema_set_add_all(c, &sorted, set));
    if (sorted.count > 1) qsort(sorted.items, sorted.count, sizeof *sorted.items, compare_items);
    uint32_t *slot = find_rule(c, &sorted);
    if (!*slot) {
        TRY(constraint_grow(&c->rules, &c->rules_room, c->n_rules + 1, sizeof *c->rules, MAX_RULES,
                            "different values in the schema"));
        TRY(grammar_rule(c->g, rule));
        c->rules[c->n_rules] = (struct schema_rule){.set = sorted, .rule = *rule};
        *slot = (uint32_t)++c->n_rules;
    }
    *rule = c->rules[*slot - 1].rule;
    return TERN_OK;
}

static tern_status emit_set(struct schema_compiler *c, const struct schema_set *set, uint32_t *out)
{
    struct schema_set all;
    bool impossible;
    TRY(schema_expand(c, set, false, &all, &impossible));
    if (impossible) return grammar_split(c->g, NULL, 0, out);
    const struct schema_item *choice = schema_choice(&all);
    if (choice) return emit_choice(c, &all, choice, out);
    struct facts *facts;
    TRY(arena_alloc(c->arena, 1, sizeof *facts, &facts));
    TRY(schema_read_facts(c, &all, false, facts));
    return emit_facts(c, facts, grammar_end(), out);
}

// Says which schema it was at that something became too large, unless that is said already. The last one is the branch
// of a choice, if there is one.
static tern_status add_place(tern_status status, const struct schema_set *set)
{
    if (status != TERN_LIMIT || set->count == 0 || strncmp(status_message(), "schema, ", 8) == 0) return status;
    return status_prefix(status, "schema, %s: ", json_where(set->items[set->count - 1].schema).text);
}

// A rule's node may ask for further rules: they wait for their turn, so that nothing is recursive here.
static tern_status emit_rules(struct schema_compiler *c)
{
    for (; c->n_done < c->n_rules; c->n_done++) {
        struct schema_rule rule = c->rules[c->n_done];
        uint32_t node;
        TRY(add_place(emit_set(c, &rule.set, &node), &rule.set));
        c->g->rules[rule.rule] = node;
    }
    return TERN_OK;
}

static tern_status compile_root(struct schema_compiler *c, uint32_t *root)
{
    struct schema_set set = {0};
    uint32_t rule, node;
    c->table_room = 2 * 32768; // more than MAX_RULES, a power of two
    TRY(arena_alloc(c->arena, c->table_room, sizeof *c->table, &c->table));
    TRY(arena_alloc(c->arena, c->n_values, sizeof *c->patterns[0], &c->patterns[0]));
    TRY(arena_alloc(c->arena, c->n_values, sizeof *c->patterns[1], &c->patterns[1]));
    TRY(schema_set_add(c, &set, c->root, SCHEMA_WHOLE));
    TRY(schema_rule(c, &set, &rule));
    TRY(emit_rules(c));
    TRY(grammar_rule(c->g, root));
    TRY(grammar_call(c->g, rule, grammar_end(), &node));
    TRY(emit_blank(c, node, &node));
    c->g->rules[*root] = node;
    return TERN_OK;
}

static uint32_t count_values(const struct json *value)
{
    const struct json *last = value; // the one with the highest number is the last one inside the last one
    while (last->first) {
        for (last = last->first; last->next; last = last->next) {
        }
    }
    return last->number + 1;
}

tern_status schema_compile(struct grammar *g, const char *text, size_t length, const struct constraint_options *options,
                           uint32_t *root)
{
    size_t *effort = options ? options->effort : NULL;
    struct arena arena = {.effort = effort ? *effort : 0};
    struct schema_compiler c = {.arena = &arena,
                                .g = g,
                                .compact = options && options->no_whitespace,
                                .string_rule = GRAMMAR_NONE,
                                .character = GRAMMAR_NONE,
                                .blank_lines = GRAMMAR_NONE};
    tern_status status = json_read(&arena, text, length, &c.root);
    if (status == TERN_OK) {
        c.n_values = count_values(c.root);
        status = compile_root(&c, root);
    }
    if (effort) *effort = arena.effort;
    free(c.rules);
    arena_free(&arena);
    return status;
}
