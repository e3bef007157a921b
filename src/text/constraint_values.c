// Values that a schema lists (enum, const).
#include <stdlib.h>
#include <string.h>

#include "text/constraint_schema.h"

// ---- One text for equal values --------------------------------------------------------------------------------------

static tern_status write_number(struct schema_compiler *c, const struct json *value, struct buffer *out)
{
    struct decimal number;
    tern_status status = decimal_read(c->arena, value->text, value->length, &number);
    if (status != TERN_OK) return status_prefix(status, "schema, %s: ", json_where(value).text);
    if (number.negative) TRY(buffer_append(out, "-", 1));
    TRY(number.n_whole ? buffer_append(out, number.whole, number.n_whole) : buffer_append(out, "0", 1));
    if (number.n_fraction == 0) return TERN_OK;
    TRY(buffer_append(out, ".", 1));
    return buffer_append(out, number.fraction, number.n_fraction);
}

static tern_status write_text(const char *text, size_t length, struct buffer *out)
{
    TRY(buffer_append(out, "\"", 1));
    TRY(json_escape(out, text, length));
    return buffer_append(out, "\"", 1);
}

// Members in the order of their keys.
static tern_status write_members(struct schema_compiler *c, const struct json *value, struct buffer *out)
{
    bool is_object = value->kind == JSON_OBJECT;
    TRY(buffer_append(out, is_object ? "{" : "[", 1));
    for (uint32_t i = 0; i < value->count; i++) {
        const struct json *member = value->sorted[i];
        if (i > 0) TRY(buffer_append(out, ",", 1));
        if (is_object) {
            TRY(write_text(member->key, member->key_length, out));
            TRY(buffer_append(out, ":", 1));
        }
        TRY(schema_canonical(c, member, out)); // as deep as JSON may be
    }
    return buffer_append(out, is_object ? "}" : "]", 1);
}

tern_status schema_canonical(struct schema_compiler *c, const struct json *value, struct buffer *out)
{
    switch (value->kind) {
    case JSON_NULL:
        return buffer_append(out, "null", 4);
    case JSON_FALSE:
        return buffer_append(out, "false", 5);
    case JSON_TRUE:
        return buffer_append(out, "true", 4);
    case JSON_NUMBER:
        return write_number(c, value, out);
    case JSON_STRING:
        return write_text(value->text, value->length, out);
    default:
        return write_members(c, value, out);
    }
}

// ---- Lists ----------------------------------------------------------------------------------------------------------

struct listed {
    const struct json *value;
    const char *text; // canonical
    size_t length;
};

struct list {
    struct listed *items;
    size_t count;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, shorter);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static tern_status add_listed(struct schema_compiler *c, const struct json *value, struct list *list)
{
    struct buffer text = {0};
    char *copy;
    tern_status status = schema_canonical(c, value, &text);
    if (status == TERN_OK) status = arena_alloc(c->arena, text.length + 1, 1, &copy);
    if (status == TERN_OK) {
        memcpy(copy, text.data, text.length);
        list->items[list->count++] = (struct listed){.value = value, .text = copy, .length = text.length};
    }
    buffer_free(&text);
    return status;
}

// Each value once.
static tern_status read_list(struct schema_compiler *c, const struct json *value, bool is_const, struct list *out)
{
    *out = (struct list){0};
    TRY(arena_alloc(c->arena, is_const ? 1 : value->count, sizeof *out->items, &out->items));
    if (is_const) return add_listed(c, value, out);
    for (const struct json *item = value->first; item; item = item->next) {
        TRY(add_listed(c, item, out));
    }
    qsort(out->items, out->count, sizeof *out->items, compare_listed);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        if (kept == 0 || compare_listed(&out->items[kept - 1], &out->items[i]) != 0) out->items[kept++] = out->items[i];
    }
    out->count = kept;
    return TERN_OK;
}

// Keeps what is in `others` too, or what is not.
static void filter(struct list *list, const struct list *others, bool keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        bool found = bsearch(&list->items[i], others->items, others->count, sizeof *others->items, compare_listed);
        if (found == keep) list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

static int compare_places(const void *a, const void *b)
{
    const struct json *x = *(const struct json *const *)a, *y = *(const struct json *const *)b;
    return (x->number > y->number) - (x->number < y->number);
}

// ---- What else is said of them --------------------------------------------------------------------------------------

static bool number_fits(const struct facts *f, const struct decimal *number)
{
    int low = f->bounds.low ? decimal_compare(number, f->bounds.low) : 1;
    int high = f->bounds.high ? decimal_compare(number, f->bounds.high) : -1;
    bool fits = (low > 0 || (low == 0 && !f->bounds.above)) && (high < 0 || (high == 0 && !f->bounds.below));
    for (size_t i = 0; i < f->n_divisors; i++) {
        uint64_t remainder = 0;
        for (size_t k = 0; k < number->n_whole; k++) {
            remainder = (remainder * 10 + (uint64_t)(number->whole[k] - '0')) % f->divisors[i];
        }
        if (remainder != 0 || !decimal_is_whole(number)) fits = false;
    }
    return fits;
}

static size_t count_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += ((uint8_t)text[i] & 0xC0) != 0x80;
    }
    return count;
}

static tern_status string_fits(const struct facts *f, const struct json *value, bool *fits)
{
    struct buffer text = {0};
    size_t count = count_characters(value->text, value->length);
    tern_status status = json_escape(&text, value->text, value->length);
    *fits = count >= f->min_length && (count <= f->max_length || f->max_length == GRAMMAR_MANY);
    for (size_t i = 0; status == TERN_OK && i < f->n_patterns; i++) {
        *fits = *fits && regular_matches(f->patterns[i], text.data, text.length);
    }
    buffer_free(&text);
    return status;
}

static tern_status structure_fits(const struct facts *f, const struct json *value, bool *fits)
{
    unsigned type = value->kind == JSON_ARRAY ? TYPE_ARRAY : TYPE_OBJECT;
    *fits = true;
    if (f->hinted & type)
        return schema_unsupported(value,
                                  "arrays and objects in enum or const are not supported beside keywords for them");
    return TERN_OK;
}

// Whether a value that is listed fits what else is said. UNSUPPORTED if that would need a validator of arrays and
// objects.
static tern_status value_fits(struct schema_compiler *c, const struct facts *f, const struct json *value, bool *fits)
{
    static const unsigned types[] = {
        [JSON_NULL] = TYPE_NULL,       [JSON_FALSE] = TYPE_BOOLEAN, [JSON_TRUE] = TYPE_BOOLEAN,
        [JSON_NUMBER] = TYPE_FRACTION, [JSON_STRING] = TYPE_STRING, [JSON_ARRAY] = TYPE_ARRAY,
        [JSON_OBJECT] = TYPE_OBJECT};
    unsigned type = types[value->kind];
    struct decimal number;
    if (value->kind == JSON_NUMBER) {
        TRY(decimal_read(c->arena, value->text, value->length, &number));
        if (decimal_is_whole(&number)) type = TYPE_INTEGER;
    }
    *fits = (f->types & type) != 0;
    if (!*fits) return TERN_OK;
    if (value->kind == JSON_NUMBER) return *fits = number_fits(f, &number), TERN_OK;
    if (value->kind == JSON_STRING) return string_fits(f, value, fits);
    return type == TYPE_ARRAY || type == TYPE_OBJECT ? structure_fits(f, value, fits) : TERN_OK;
}

// ---- Those that are left --------------------------------------------------------------------------------------------

tern_status schema_list_values(struct schema_compiler *c, const struct facts *f, const struct json ***list,
                               size_t *count)
{
    struct list all, others;
    *count = 0;
    TRY(read_list(c, f->values[0], f->is_const[0], &all));
    for (size_t i = 1; i < f->n_values; i++) {
        TRY(read_list(c, f->values[i], f->is_const[i], &others));
        filter(&all, &others, true);
    }
    for (size_t i = 0; i < f->n_excluded; i++) {
        TRY(read_list(c, f->excluded[i], f->is_excluded_const[i], &others));
        filter(&all, &others, false);
    }
    TRY(arena_alloc(c->arena, all.count, sizeof **list, list));
    for (size_t i = 0; i < all.count; i++) {
        bool fits;
        TRY(value_fits(c, f, all.items[i].value, &fits));
        if (fits) (*list)[(*count)++] = all.items[i].value;
    }
    if (*count > 1) qsort(*list, *count, sizeof **list, compare_places);
    return TERN_OK;
}
