// $ref: pointers and anchors within the schema. What lies elsewhere is not fetched.
#include <string.h>

#include "text/constraint_schema.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Undoes the escapes of URIs (%25); the result is not longer.
static tern_status unescape_uri(struct schema_compiler *c, const char *text, size_t length, char **out, size_t *n)
{
    TRY(arena_alloc(c->arena, length + 1, 1, out));
    *n = 0;
    for (size_t i = 0; i < length; i++) {
        bool escaped = text[i] == '%' && length - i > 2 && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
        (*out)[(*n)++] = escaped ? (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])) : text[i];
        if (escaped) i += 2;
    }
    return TERN_OK;
}

// Undoes the escapes of pointers in place: ~1 is a slash, ~0 a tilde.
static size_t unescape_step(char *text, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        bool escaped = text[i] == '~' && length - i > 1 && (text[i + 1] == '0' || text[i + 1] == '1');
        text[n++] = !escaped ? text[i] : text[i + 1] == '1' ? '/' : '~';
        if (escaped) i++;
    }
    return n;
}

static const struct json *find_item(const struct json *array, const char *text, size_t length)
{
    uint32_t index = 0;
    if (length == 0 || length > 8 || (length > 1 && text[0] == '0')) return NULL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return NULL;
        index = index * 10 + (uint32_t)(text[i] - '0');
    }
    if (index >= array->count) return NULL;
    return array->sorted[index];
}

// `pointer` begins with '/' and is changed.
static const struct json *follow_pointer(const struct json *from, char *pointer, size_t length)
{
    while (from && length > 0) {
        char *step = pointer + 1, *slash = memchr(step, '/', length - 1);
        size_t n = slash ? (size_t)(slash - step) : length - 1, consumed = n + 1;
        n = unescape_step(step, n);
        from = from->kind == JSON_ARRAY ? find_item(from, step, n) : json_find(from, step, n);
        pointer += consumed;
        length -= consumed;
    }
    return from;
}

// Members that hold values, not schemas.
static bool holds_values(const struct json *member)
{
    static const char *const names[] = {"const", "enum", "default", "example", "examples"};
    for (size_t i = 0; member->key && i < sizeof names / sizeof names[0]; i++) {
        if (json_same_text(member->key, member->key_length, names[i], strlen(names[i]))) return true;
    }
    return false;
}

// The value after this one in the order of the text, where there may be schemas.
static const struct json *next_value(const struct json *value)
{
    if (value->first && !holds_values(value)) return value->first;
    while (value && !value->next) {
        value = value->parent;
    }
    return value ? value->next : NULL;
}

// A name that is there twice is not followed: there must not be any doubt.
static tern_status find_anchor(const struct json *root, const struct json *ref, const char *name, size_t length,
                               const struct json **out)
{
    *out = NULL;
    for (const struct json *value = root; value; value = next_value(value)) {
        const struct json *anchor = holds_values(value) ? NULL : json_get(value, "$anchor");
        if (!anchor || anchor->kind != JSON_STRING || !json_same_text(anchor->text, anchor->length, name, length))
            continue;
        if (*out) return schema_unsupported(ref, "an $anchor that is there twice is not supported");
        *out = value;
    }
    return TERN_OK;
}

// Cuts the schema's own address off the reference.
static void cut_address(const struct json *root, const char **text, size_t *length)
{
    const struct json *id = json_get(root, "$id");
    if (!id || id->kind != JSON_STRING || id->length > *length || memcmp(id->text, *text, id->length) != 0) return;
    if (id->length < *length && (*text)[id->length] != '#') return;
    *text += id->length;
    *length -= id->length;
}

// The $id of a schema that the reference stands in, but for the outermost one: there it means something else. NULL:
// none.
static const struct json *inner_id(const struct json *root, const struct json *ref)
{
    static const char *const names[] = {"$id", "id"}; // the latter in draft 4
    for (const struct json *value = ref->parent; value && value != root; value = value->parent) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            const struct json *id = json_get(value, names[i]);
            if (id && id->kind == JSON_STRING) return id;
        }
    }
    return NULL;
}

tern_status schema_resolve(struct schema_compiler *c, const struct json *ref, const struct json **out)
{
    if (ref->kind != JSON_STRING) return schema_invalid(ref, "a string");
    const char *text = ref->text;
    size_t length = ref->length, n;
    char *name;
    const struct json *id = inner_id(c->root, ref);
    if (id) return schema_unsupported(id, "$id is supported in the outermost schema only");
    cut_address(c->root, &text, &length);
    if (length == 0) return *out = c->root, TERN_OK;
    if (text[0] != '#') return schema_unsupported(ref, "only references within the schema (\"#...\") are supported");
    TRY(unescape_uri(c, text + 1, length - 1, &name, &n));
    if (n == 0) return *out = c->root, TERN_OK;
    bool is_pointer = name[0] == '/';
    TRY(arena_charge(c->arena, is_pointer ? n : c->n_values));
    if (is_pointer)
        *out = follow_pointer(c->root, name, n);
    else
        TRY(find_anchor(c->root, ref, name, n, out));
    return *out ? TERN_OK : schema_invalid(ref, "a reference to something in the schema");
}
