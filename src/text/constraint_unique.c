// Arrays without repetitions (uniqueItems) of values that are listed: in the order of the list, so that none comes
// twice. Other arrays without repetitions cannot be described by a grammar.
#include "text/constraint_schema.h"

enum { MAX_VALUES = 64 };

static const char why[] = "uniqueItems is supported with items from an enum (up to 64), or where there is at most one";

// Nodes are made from the last value to the first; [count] is the number of items that are written.
struct unique_rows {
    struct schema_compiler *c;
    const struct facts *f;
    uint32_t close;                 // whitespace and the bracket
    uint32_t item[MAX_VALUES + 2];  // one of the values from the one at hand on
    uint32_t after[MAX_VALUES + 2]; // the end, or a comma and one of them
};

static tern_status emit_after(struct unique_rows *u, uint32_t count)
{
    uint32_t ways[2];
    size_t n = 0;
    if (count < u->f->max_items) {
        TRY(emit_blank(u->c, u->item[count], &ways[n]));
        TRY(grammar_literal(u->c->g, ",", 1, ways[n], &ways[n]));
        n++;
    }
    if (count >= u->f->min_items) ways[n++] = u->close;
    return grammar_split(u->c->g, ways, n, &u->after[count]);
}

static tern_status emit_row(struct unique_rows *u, const struct json *value, size_t n_values)
{
    for (uint32_t count = 0; count < n_values && count < u->f->max_items; count++) {
        uint32_t node;
        TRY(emit_value(u->c, value, u->after[count + 1], &node));
        TRY(grammar_optional(u->c->g, node, u->item[count], &u->item[count]));
    }
    for (uint32_t count = 0; count <= n_values; count++) {
        TRY(emit_after(u, count));
    }
    return TERN_OK;
}

static tern_status emit_rows(struct unique_rows *u, const struct json *const *values, size_t n_values, uint32_t *out)
{
    uint32_t nothing, ways[2];
    TRY(grammar_split(u->c->g, NULL, 0, &nothing));
    for (size_t count = 0; count <= n_values; count++) {
        u->item[count] = nothing;
        TRY(emit_after(u, (uint32_t)count));
    }
    for (size_t i = n_values; i-- > 0;) {
        TRY(emit_row(u, values[i], n_values));
    }
    TRY(emit_blank(u->c, u->item[0], &ways[0]));
    ways[1] = u->close;
    return grammar_split(u->c->g, ways, u->f->min_items == 0 ? 2 : 1, out);
}

// The values that items may have; UNSUPPORTED if they are not listed.
static tern_status list_items(struct schema_compiler *c, const struct facts *f, const struct json ***values,
                              size_t *count)
{
    struct schema_set items, all;
    struct facts *facts;
    bool impossible;
    TRY(schema_item_set(c, f, 0, &items));
    TRY(schema_expand(c, &items, false, &all, &impossible));
    if (impossible) return *count = 0, TERN_OK;
    if (schema_choice(&all) || schema_prefix_count(f) > 0) return schema_unsupported(f->unique, why);
    TRY(arena_alloc(c->arena, 1, sizeof *facts, &facts));
    TRY(schema_read_facts(c, &all, false, facts));
    if (facts->n_values == 0) return schema_unsupported(f->unique, why);
    TRY(schema_list_values(c, facts, values, count));
    return *count <= MAX_VALUES ? TERN_OK : schema_unsupported(f->unique, why);
}

tern_status emit_unique_items(struct schema_compiler *c, const struct facts *f, uint32_t close, uint32_t *out)
{
    struct unique_rows *u;
    const struct json **values = NULL;
    size_t count;
    TRY(list_items(c, f, &values, &count));
    TRY(arena_alloc(c->arena, 1, sizeof *u, &u));
    u->c = c;
    u->f = f;
    u->close = close;
    return emit_rows(u, values, count, out);
}
