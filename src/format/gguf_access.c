// Typed access to a GGUF file's key-value pairs.
#include "format/gguf_header.h"

#include <float.h>
#include <inttypes.h>
#include <string.h>

const struct gguf_value *gguf_find(const struct gguf_file *file, const char *key)
{
    return gguf_header_find(file->pairs_by_key, file->n_pairs, key);
}

static tern_status fail_type(const struct gguf_file *file, const char *key, const struct gguf_value *value,
                             const char *expected)
{
    return status_fail(TERN_BAD_FILE, "%s: key %s: is of type %s, expected %s", file->path, key,
                       gguf_type_name(value->type), expected);
}

static bool is_integer(enum gguf_type type)
{
    switch (type) {
    case GGUF_F32:
    case GGUF_F64:
    case GGUF_BOOL:
    case GGUF_STRING:
    case GGUF_ARRAY:
        return false;
    default:
        return true;
    }
}

static bool is_signed(enum gguf_type type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

tern_status gguf_get_u32(const struct gguf_file *file, const char *key, uint32_t *out)
{
    const struct gguf_value *value = gguf_find(file, key);
    if (!value) return TERN_OK;
    if (!is_integer(value->type)) return fail_type(file, key, value, "an integer");
    uint64_t n;
    if (gguf_value_to_unsigned(value, UINT32_MAX, &n)) {
        *out = (uint32_t)n;
        return TERN_OK;
    }
    if (is_signed(value->type)) {
        return status_fail(TERN_BAD_FILE, "%s: key %s: is %" PRId64 ", expected 0 to %" PRIu32, file->path, key,
                           value->i, UINT32_MAX);
    }
    return status_fail(TERN_BAD_FILE, "%s: key %s: is %" PRIu64 ", expected 0 to %" PRIu32, file->path, key, value->u,
                       UINT32_MAX);
}

tern_status gguf_get_f32(const struct gguf_file *file, const char *key, float *out)
{
    const struct gguf_value *value = gguf_find(file, key);
    if (!value) return TERN_OK;
    if (value->type != GGUF_F32 && value->type != GGUF_F64) return fail_type(file, key, value, "F32");
    if (!(value->f >= -(double)FLT_MAX && value->f <= (double)FLT_MAX)) {
        return status_fail(TERN_BAD_FILE, "%s: key %s: is %g, expected a finite number within a float's range",
                           file->path, key, value->f);
    }
    *out = (float)value->f;
    return TERN_OK;
}

tern_status gguf_get_bool(const struct gguf_file *file, const char *key, bool *out)
{
    const struct gguf_value *value = gguf_find(file, key);
    if (!value) return TERN_OK;
    if (value->type != GGUF_BOOL) return fail_type(file, key, value, "BOOL");
    *out = value->u != 0;
    return TERN_OK;
}

tern_status gguf_get_string(const struct gguf_file *file, const char *key, struct gguf_string *out)
{
    const struct gguf_value *value = gguf_find(file, key);
    if (!value) return TERN_OK;
    if (value->type != GGUF_STRING) return fail_type(file, key, value, "STRING");
    *out = value->string;
    return TERN_OK;
}

tern_status gguf_get_array(const struct gguf_file *file, const char *key, enum gguf_type type, struct gguf_array *out)
{
    const struct gguf_value *value = gguf_find(file, key);
    if (!value) return TERN_OK;
    if (value->type != GGUF_ARRAY) return fail_type(file, key, value, "ARRAY");
    if (value->array.type != type) {
        return status_fail(TERN_BAD_FILE, "%s: key %s: is an array of %s, expected an array of %s", file->path, key,
                           gguf_type_name(value->array.type), gguf_type_name(type));
    }
    *out = value->array;
    return TERN_OK;
}

bool gguf_string_equal(struct gguf_string string, const char *literal)
{
    return string.length == strlen(literal) && memcmp(string.data, literal, string.length) == 0;
}
