#include "text/constraint_keys.h"

#include <string.h>

enum { MAX_KEYS = 4096, MAX_KINDS = 64 };

// ---- Named keys -----------------------------------------------------------------------------------------------------

static uint32_t *find_key(const struct object_keys *k, const char *text, size_t length)
{
    uint64_t hash = length;
    for (size_t i = 0; i < length; i++) {
        hash = constraint_hash(hash ^ (uint8_t)text[i]);
    }
    size_t mask = k->table_room - 1, at = (size_t)hash & mask;
    for (; k->table[at]; at = (at + 1) & mask) {
        const struct object_key *key = &k->named[k->table[at] - 1];
        if (json_same_text(key->text, key->length, text, length)) break;
    }
    return &k->table[at];
}

static tern_status add_key(struct object_keys *k, const struct json *where, const char *text, size_t length,
                           bool required)
{
    uint32_t *slot = find_key(k, text, length);
    if (!*slot) {
        if (k->n_named == MAX_KEYS)
            return status_fail(TERN_LIMIT, "schema, %s: more than %d keys of an object", json_where(where).text,
                               MAX_KEYS);
        k->named[k->n_named] = (struct object_key){.text = text, .length = length};
        *slot = (uint32_t)++k->n_named;
    }
    k->named[*slot - 1].required |= required;
    return TERN_OK;
}

static tern_status make_room(struct schema_compiler *c, const struct facts *f, struct object_keys *k)
{
    size_t most = 0;
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *named = json_get(f->keywords.items[i].schema, "properties");
        const struct json *required = json_get(f->keywords.items[i].schema, "required");
        most += (named ? named->count : 0) + (required ? required->count : 0);
    }
    if (most > MAX_KEYS) most = MAX_KEYS;
    k->table_room = 16;
    while (k->table_room < 2 * most) {
        k->table_room *= 2;
    }
    TRY(arena_alloc(c->arena, k->table_room, sizeof *k->table, &k->table));
    return arena_alloc(c->arena, most, sizeof *k->named, &k->named);
}

// Keys of `properties` in the order of their declaration, then those that are only required.
static tern_status list_named(struct schema_compiler *c, const struct facts *f, struct object_keys *k)
{
    TRY(make_room(c, f, k));
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *named = json_get(f->keywords.items[i].schema, "properties");
        for (const struct json *m = named ? named->first : NULL; m; m = m->next) {
            TRY(add_key(k, m, m->key, m->key_length, false));
        }
    }
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *required = json_get(f->keywords.items[i].schema, "required");
        for (const struct json *name = required ? required->first : NULL; name; name = name->next) {
            TRY(add_key(k, name, name->text, name->length, true));
        }
    }
    return TERN_OK;
}

// Bodies of the keys that propertyNames allows; *any: it is not there.
static tern_status allowed_names(struct schema_compiler *c, const struct facts *f, struct regular *out, bool *any)
{
    struct schema_set names = {0};
    *any = true;
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *schema = json_get(f->keywords.items[i].schema, "propertyNames");
        if (!schema) continue;
        *any = false;
        TRY(schema_set_add(c, &names, schema, SCHEMA_WHOLE));
    }
    if (names.count > 0) return schema_set_strings(c, &names, 0, out);
    return schema_any_string(c, out);
}

static tern_status read_named(struct schema_compiler *c, const struct facts *f, const struct regular *names, bool any,
                              struct object_keys *k)
{
    struct buffer escaped = {0};
    tern_status status = TERN_OK;
    for (size_t i = 0; i < k->n_named && status == TERN_OK; i++) {
        struct object_key *key = &k->named[i];
        escaped.length = 0;
        status = json_escape(&escaped, key->text, key->length);
        key->possible = any || regular_matches(names, escaped.data, escaped.length);
        if (status == TERN_OK) status = schema_member_set(c, f, key->text, key->length, &key->values);
    }
    buffer_free(&escaped);
    return status;
}

// ---- Other keys -----------------------------------------------------------------------------------------------------

static tern_status unite_named(struct schema_compiler *c, const struct object_keys *k, struct regular *out)
{
    struct nfa nfa;
    struct buffer escaped = {0};
    uint32_t all = 0, node;
    tern_status status = nfa_begin(c->arena, &nfa);
    if (status == TERN_OK) status = nfa_nothing(&nfa, &all);
    for (size_t i = 0; i < k->n_named && status == TERN_OK; i++) {
        escaped.length = 0;
        status = json_escape(&escaped, k->named[i].text, k->named[i].length);
        if (status == TERN_OK) status = nfa_literal(&nfa, escaped.data, escaped.length, 0, &node);
        if (status == TERN_OK) status = nfa_split(&nfa, node, all, &all);
    }
    buffer_free(&escaped);
    return status == TERN_OK ? regular_from_nfa(&nfa, all, out) : status;
}

static tern_status add_kind(struct schema_compiler *c, struct object_keys *k, const struct json *where,
                            const struct other_keys *like, const struct regular *keys, bool matches)
{
    if (keys->n_states == 0) return TERN_OK;
    if (k->n_others == MAX_KINDS)
        return status_fail(TERN_LIMIT, "schema, %s: more than %d kinds of keys", json_where(where).text, MAX_KINDS);
    struct other_keys *kind = &k->others[k->n_others++];
    *kind =
        (struct other_keys){.keys = *keys, .matched = matches || like->matched, .matches = matches || like->matches};
    TRY(schema_set_add_all(c, &kind->values, &like->values));
    return matches ? schema_set_add(c, &kind->values, where, SCHEMA_WHOLE) : TERN_OK;
}

// Cuts every kind in two: keys that match the pattern, whose values fit its schema too, and the rest. Keys of which
// implementations do not agree whether they match are left out.
static tern_status split_kinds(struct schema_compiler *c, struct object_keys *k, const struct json *pattern)
{
    const struct regular *to_all, *to_any;
    size_t count = k->n_others;
    struct other_keys *before;
    TRY(schema_pattern(c, pattern, pattern->key, pattern->key_length, false, &to_all));
    TRY(schema_pattern(c, pattern, pattern->key, pattern->key_length, true, &to_any));
    TRY(arena_alloc(c->arena, count, sizeof *before, &before));
    memcpy(before, k->others, count * sizeof *before);
    k->n_others = 0;
    for (size_t i = 0; i < count; i++) {
        struct regular in, out;
        TRY(regular_intersect(c->arena, &before[i].keys, to_all, &in));
        TRY(regular_subtract(c->arena, &before[i].keys, to_any, &out));
        TRY(add_kind(c, k, pattern, &before[i], &out, false));
        TRY(add_kind(c, k, pattern, &before[i], &in, true));
    }
    return TERN_OK;
}

static bool is_impossible(const struct schema_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].schema->kind == JSON_FALSE) return true;
    }
    return false;
}

// What one of the schemas says of keys that are not named.
static tern_status apply_schema(struct schema_compiler *c, const struct json *schema, struct object_keys *k)
{
    const struct json *patterns = json_get(schema, "patternProperties"), *other = schema_other_members(schema);
    for (size_t i = 0; i < k->n_others; i++) {
        k->others[i].matched = false;
    }
    for (const struct json *p = patterns ? patterns->first : NULL; p; p = p->next) {
        TRY(split_kinds(c, k, p));
    }
    size_t kept = 0;
    for (size_t i = 0; i < k->n_others; i++) {
        struct other_keys *kind = &k->others[i];
        if (!kind->matched && other) TRY(schema_set_add(c, &kind->values, other, SCHEMA_WHOLE));
        if (!is_impossible(&kind->values)) k->others[kept++] = *kind;
    }
    k->n_others = kept;
    return TERN_OK;
}

// Keys that no schema speaks of are written only if one says that there may be some, or if they are needed.
static bool is_open(const struct facts *f, const struct object_keys *k)
{
    for (size_t i = 0; i < f->keywords.count; i++) {
        if (schema_other_members(f->keywords.items[i].schema)) return true;
    }
    return k->n_named == 0 || f->min_members > k->n_named;
}

static tern_status list_others(struct schema_compiler *c, const struct facts *f, const struct regular *names,
                               struct object_keys *k)
{
    struct regular named, left;
    bool open = is_open(f, k);
    TRY(arena_alloc(c->arena, MAX_KINDS, sizeof *k->others, &k->others));
    TRY(unite_named(c, k, &named));
    TRY(regular_subtract(c->arena, names, &named, &left));
    if (left.n_states > 0) k->others[k->n_others++] = (struct other_keys){.keys = left};
    for (size_t i = 0; i < f->keywords.count; i++) {
        TRY(apply_schema(c, f->keywords.items[i].schema, k));
    }
    size_t kept = 0;
    for (size_t i = 0; i < k->n_others; i++) {
        if (open || k->others[i].matches) k->others[kept++] = k->others[i];
    }
    k->n_others = kept;
    return TERN_OK;
}

// Most objects have named keys only: then the automaton of the others is not needed.
static bool may_have_others(const struct facts *f, const struct object_keys *k)
{
    bool patterns = false;
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *schema = f->keywords.items[i].schema, *other = schema_other_members(schema);
        bool here = json_get(schema, "patternProperties") != NULL;
        if (other && other->kind == JSON_FALSE && !here) return false;
        patterns |= here;
    }
    return patterns || is_open(f, k);
}

tern_status object_keys_list(struct schema_compiler *c, const struct facts *f, struct object_keys *out)
{
    struct regular names;
    bool any;
    *out = (struct object_keys){.n_named = 0};
    TRY(list_named(c, f, out));
    TRY(allowed_names(c, f, &names, &any));
    TRY(read_named(c, f, &names, any, out));
    return may_have_others(f, out) ? list_others(c, f, &names, out) : TERN_OK;
}
