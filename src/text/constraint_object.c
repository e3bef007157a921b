// Objects: the named keys in their order, then others. No named key comes twice; another key may, but all values that
// it can have are described alike, so whichever one a reader keeps is valid.
#include <stdlib.h>
#include <string.h>

#include "text/constraint_keys.h"

enum { MAX_CELLS = 1 << 18 };

// Where an object stands: `at` named keys were passed, `count` members are written (beyond `cap` it does not matter how
// many). Nodes are made row by row, from the last key to the first.
struct object_rows {
    struct schema_compiler *c;
    const struct facts *f;
    struct object_keys keys;
    uint32_t cap;
    uint32_t end;     // whitespace, the bracket, what comes after
    uint32_t nothing; // a node without a way on
    uint32_t other;   // rule: the rest of a key that is not named, and its value
    uint32_t *key;    // [cap + 1] behind an opening quote: one of the keys from `at` on, or another
    uint32_t *member; // [cap + 1] behind a member: the end, or a comma and a key
    uint32_t *named;  // [cap + 1] the rest of key `at` and its value, by the members with it; GRAMMAR_NONE: not made
    bool optional;    // all keys from `at` on
};

// A key's rest (closing quote, colon) and value.
static tern_status emit_named(struct object_rows *o, const struct object_key *key, uint32_t next, uint32_t *out)
{
    struct buffer text = {0};
    uint32_t rule;
    if (!key->possible) return *out = o->nothing, TERN_OK;
    TRY(schema_rule(o->c, &key->values, &rule));
    TRY(grammar_call(o->c->g, rule, next, out));
    TRY(emit_blank(o->c, *out, out));
    tern_status status = json_escape(&text, key->text, key->length);
    if (status == TERN_OK) status = buffer_append(&text, "\":", 2);
    if (status == TERN_OK) status = grammar_literal(o->c->g, text.data, text.length, *out, out);
    buffer_free(&text);
    return status;
}

static tern_status emit_other_kind(struct object_rows *o, const struct other_keys *kind, uint32_t *out)
{
    uint32_t rule;
    TRY(schema_rule(o->c, &kind->values, &rule));
    TRY(grammar_call(o->c->g, rule, grammar_end(), out));
    TRY(emit_blank(o->c, *out, out));
    TRY(grammar_literal(o->c->g, "\":", 2, *out, out));
    return grammar_regular(o->c->g, o->c->arena, &kind->keys, *out, out);
}

static tern_status emit_other_rule(struct object_rows *o)
{
    uint32_t *ways;
    if (o->keys.n_others == 0) return TERN_OK;
    TRY(grammar_rule(o->c->g, &o->other));
    TRY(arena_alloc(o->c->arena, o->keys.n_others, sizeof *ways, &ways));
    for (size_t i = 0; i < o->keys.n_others; i++) {
        TRY(emit_other_kind(o, &o->keys.others[i], &ways[i]));
    }
    return grammar_split(o->c->g, ways, o->keys.n_others, &o->c->g->rules[o->other]);
}

// A comma and the quote before what is at `key`.
static tern_status emit_comma(struct object_rows *o, uint32_t key, uint32_t *out)
{
    TRY(grammar_literal(o->c->g, "\"", 1, key, out));
    TRY(emit_blank(o->c, *out, out));
    return grammar_literal(o->c->g, ",", 1, *out, out);
}

// Other keys behind `count` members: one, of which it is certain that it is new, and more, which may be repetitions.
static tern_status emit_others(struct object_rows *o, uint32_t count, uint32_t *out)
{
    uint32_t max = o->f->max_members, again;
    if (o->keys.n_others == 0 || count >= max || count + 1 < o->f->min_members) return *out = o->nothing, TERN_OK;
    TRY(grammar_call(o->c->g, o->other, grammar_end(), &again));
    TRY(emit_comma(o, again, &again));
    TRY(grammar_loop(o->c->g, again, 0, max == GRAMMAR_MANY ? max : max - count - 1, o->end, out));
    return grammar_call(o->c->g, o->other, *out, out);
}

static tern_status emit_member(struct object_rows *o, uint32_t count)
{
    uint32_t ways[2];
    size_t n = 0;
    if (count < o->f->max_members) TRY(emit_comma(o, o->key[count], &ways[n++]));
    if (o->optional && count >= o->f->min_members) ways[n++] = o->end;
    return grammar_split(o->c->g, ways, n, &o->member[count]);
}

// Behind all named keys.
static tern_status emit_last_row(struct object_rows *o)
{
    o->optional = true;
    for (uint32_t count = 0; count <= o->cap; count++) {
        TRY(emit_others(o, count, &o->key[count]));
        TRY(emit_member(o, count));
    }
    return TERN_OK;
}

static tern_status emit_row(struct object_rows *o, const struct object_key *key)
{
    for (uint32_t count = 0; count <= o->cap; count++) {
        o->named[count] = GRAMMAR_NONE;
    }
    for (uint32_t count = 0; count <= o->cap; count++) {
        uint32_t with = count < o->cap ? count + 1 : count;
        if (o->named[with] == GRAMMAR_NONE) TRY(emit_named(o, key, o->member[with], &o->named[with]));
    }
    o->optional = o->optional && !key->required;
    for (uint32_t count = 0; count <= o->cap; count++) {
        uint32_t with = count < o->cap ? count + 1 : count;
        bool full = count >= o->f->max_members;
        if (key->required || full)
            o->key[count] = full ? o->nothing : o->named[with];
        else
            TRY(grammar_optional(o->c->g, o->named[with], o->key[count], &o->key[count]));
    }
    for (uint32_t count = 0; count <= o->cap; count++) {
        TRY(emit_member(o, count));
    }
    return TERN_OK;
}

static uint32_t at_most(size_t n, uint32_t bound)
{
    return n < bound ? (uint32_t)n : bound;
}

static tern_status prepare(struct object_rows *o, uint32_t next)
{
    const struct facts *f = o->f;
    uint32_t min = at_most(o->keys.n_named, f->min_members);
    uint32_t max = f->max_members == GRAMMAR_MANY ? 0 : at_most(o->keys.n_named, f->max_members);
    o->cap = min > max ? min : max;
    if (o->cap < 1) o->cap = 1;
    if (o->keys.n_others > 0 && f->min_members > o->keys.n_named + 1)
        return schema_unsupported(f->min_members_at,
                                  "minProperties is supported up to one more than the named properties");
    if ((size_t)(o->cap + 1) * (o->keys.n_named + 1) > MAX_CELLS)
        return schema_unsupported(f->keywords.items[0].schema, "so many counted properties are not supported");
    TRY(arena_alloc(o->c->arena, o->cap + 1, sizeof *o->key, &o->key));
    TRY(arena_alloc(o->c->arena, o->cap + 1, sizeof *o->member, &o->member));
    TRY(arena_alloc(o->c->arena, o->cap + 1, sizeof *o->named, &o->named));
    TRY(grammar_split(o->c->g, NULL, 0, &o->nothing));
    TRY(grammar_literal(o->c->g, "}", 1, next, &o->end));
    TRY(emit_blank(o->c, o->end, &o->end));
    return emit_other_rule(o);
}

tern_status emit_object(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out)
{
    struct object_rows o = {.c = c, .f = f};
    uint32_t ways[2];
    size_t n = 0;
    if (f->max_members < f->min_members) return grammar_split(c->g, NULL, 0, out);
    TRY(object_keys_list(c, f, &o.keys));
    TRY(prepare(&o, next));
    TRY(emit_last_row(&o));
    for (size_t i = o.keys.n_named; i-- > 0;) {
        TRY(emit_row(&o, &o.keys.named[i]));
    }
    TRY(grammar_literal(c->g, "\"", 1, o.key[0], &ways[n]));
    TRY(emit_blank(c, ways[n], &ways[n]));
    n++;
    if (o.optional && f->min_members == 0) ways[n++] = o.end;
    TRY(grammar_split(c->g, ways, n, out));
    return grammar_literal(c->g, "{", 1, *out, out);
}
