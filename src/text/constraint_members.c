// What the schemas of a value say of its items and members.
#include "text/constraint_schema.h"

// ---- Items ----------------------------------------------------------------------------------------------------------

// NULL: none.
static const struct json *prefix_items(const struct json *schema)
{
    const struct json *prefix = json_get(schema, "prefixItems"), *items = json_get(schema, "items");
    return prefix ? prefix : items && items->kind == JSON_ARRAY ? items : NULL; // the latter until 2019-09
}

// The schema for items behind the prefix; NULL: anything.
static const struct json *other_items(const struct json *schema)
{
    const struct json *items = json_get(schema, "items");
    return items && items->kind == JSON_ARRAY ? json_get(schema, "additionalItems") : items;
}

bool schema_describes_items(const struct facts *f)
{
    for (size_t i = 0; i < f->keywords.count; i++) {
        if (other_items(f->keywords.items[i].schema)) return true;
    }
    return false;
}

uint32_t schema_prefix_count(const struct facts *f)
{
    uint32_t count = 0;
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *prefix = prefix_items(f->keywords.items[i].schema);
        if (prefix && prefix->count > count) count = prefix->count;
    }
    return count;
}

tern_status schema_item_set(struct schema_compiler *c, const struct facts *f, uint32_t index, struct schema_set *out)
{
    *out = (struct schema_set){0};
    for (size_t i = 0; i < f->keywords.count; i++) {
        const struct json *schema = f->keywords.items[i].schema, *prefix = prefix_items(schema);
        bool in_prefix = prefix && index < prefix->count;
        const struct json *item = in_prefix ? prefix->sorted[index] : other_items(schema);
        if (item) TRY(schema_set_add(c, out, item, SCHEMA_WHOLE));
    }
    return TERN_OK;
}

// ---- Members --------------------------------------------------------------------------------------------------------

// The schema for keys that are neither named nor match a pattern; NULL: anything.
const struct json *schema_other_members(const struct json *schema)
{
    const struct json *additional = json_get(schema, "additionalProperties");
    return additional ? additional : json_get(schema, "unevaluatedProperties");
}

// Implementations may disagree whether a key matches. Then what is written fits the pattern's schema as well as that
// for keys without one, and what any validator accepts need fit neither.
static tern_status add_matching(struct schema_compiler *c, const struct json *schema, const struct buffer *key,
                                bool widest, struct schema_set *out, bool *found)
{
    const struct json *patterns = json_get(schema, "patternProperties");
    for (const struct json *p = patterns ? patterns->first : NULL; p; p = p->next) {
        const struct regular *to_all, *to_any;
        TRY(schema_pattern(c, p, p->key, p->key_length, false, &to_all));
        TRY(schema_pattern(c, p, p->key, p->key_length, true, &to_any));
        bool is_certain = regular_matches(to_all, key->data, key->length);
        bool is_possible = regular_matches(to_any, key->data, key->length);
        if (widest ? is_possible : is_certain) *found = true;
        if (widest ? is_certain : is_possible) TRY(schema_set_add(c, out, p, SCHEMA_WHOLE));
    }
    return TERN_OK;
}

static tern_status add_member(struct schema_compiler *c, const struct json *schema, const char *key, size_t length,
                              const struct buffer *written, bool widest, struct schema_set *out)
{
    const struct json *named = json_get(schema, "properties"), *other = schema_other_members(schema);
    bool found = false;
    named = named ? json_find(named, key, length) : NULL;
    if (named) {
        found = true;
        TRY(schema_set_add(c, out, named, SCHEMA_WHOLE));
    }
    TRY(add_matching(c, schema, written, widest, out, &found));
    return !found && other ? schema_set_add(c, out, other, SCHEMA_WHOLE) : TERN_OK;
}

tern_status schema_member_set(struct schema_compiler *c, const struct facts *f, const char *key, size_t length,
                              struct schema_set *out)
{
    struct buffer written = {0};
    tern_status status = json_escape(&written, key, length);
    *out = (struct schema_set){0};
    for (size_t i = 0; status == TERN_OK && i < f->keywords.count; i++) {
        status = add_member(c, f->keywords.items[i].schema, key, length, &written, f->widest, out);
    }
    buffer_free(&written);
    return status;
}
