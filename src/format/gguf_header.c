#include "format/gguf_header.h"

#include "format/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    // Bounds far above any model's, so that a hostile header cannot ask for much.
    MAX_PAIRS = 1 << 16,
    MAX_TENSORS = 1 << 18,
    MAX_STRINGS = 1 << 24, // in one array
    MAX_NAME = 255,        // bytes of a key or of a tensor's name
    MAX_DIMS = 4,
    MAX_ALIGNMENT = 1 << 20,
    DEFAULT_ALIGNMENT = 32,

    // Fewest bytes that one takes in a file.
    MIN_PAIR_BYTES = 8 + 1 + 4 + 1,           // key length, key, type, value
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, // name length, name, dimensions, one of them, type, offset
};

// A place in the file image; 0 <= at <= size.
struct cursor {
    const uint8_t *data; // [size]
    size_t size, at;
};

// Bytes of a scalar; 0 for strings and arrays.
static const uint8_t scalar_bytes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const names[GGUF_TYPE_COUNT] = {"U8",   "I8",     "U16",   "I16", "U32", "I32", "F32",
                                                       "BOOL", "STRING", "ARRAY", "U64", "I64", "F64"};
    return names[type];
}

// ---- Numbers and strings ----------------------------------------------------------------------------------------

// The next `bytes` bytes; NULL, with its message set, if the file has fewer left.
static const uint8_t *take(struct cursor *c, uint64_t bytes, const char *what)
{
    if (bytes > c->size - c->at) {
        status_fail(TERN_BAD_FILE, "byte %zu: %s needs %" PRIu64 " bytes, the file has %zu left", c->at, what, bytes,
                    c->size - c->at);
        return NULL;
    }
    const uint8_t *taken = c->data + c->at;
    c->at += (size_t)bytes;
    return taken;
}

static tern_status take_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p = take(c, 4, what);
    if (!p) return TERN_BAD_FILE;
    *out = bytes_load_u32(p);
    return TERN_OK;
}

static tern_status take_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p = take(c, 8, what);
    if (!p) return TERN_BAD_FILE;
    *out = bytes_load_u64(p);
    return TERN_OK;
}

static tern_status take_string(struct cursor *c, const char *what, struct gguf_string *out)
{
    uint64_t length = 0;
    TRY(take_u64(c, what, &length));
    out->data = (const char *)take(c, length, what);
    if (!out->data) return TERN_BAD_FILE;
    out->length = (size_t)length;
    return TERN_OK;
}

// A count of things of at least `each` bytes: more than fit in the rest of the file, or more than `most`, is refused.
static tern_status take_count(struct cursor *c, const char *what, uint64_t each, uint64_t most, uint64_t *out)
{
    size_t at = c->at;
    TRY(take_u64(c, what, out));
    uint64_t fit = (c->size - c->at) / each;
    if (*out > fit) {
        return status_fail(TERN_BAD_FILE, "byte %zu: %s is %" PRIu64 ", the rest of the file holds at most %" PRIu64,
                           at, what, *out, fit);
    }
    if (*out > most)
        return status_fail(TERN_BAD_FILE, "byte %zu: %s is %" PRIu64 ", at most %" PRIu64 " are read", at, what, *out,
                           most);
    return TERN_OK;
}

// A key or a tensor's name as an owned string. Control bytes are refused: names are shown on terminals.
static tern_status take_name(struct cursor *c, const char *what, char **out)
{
    size_t at = c->at;
    struct gguf_string name;
    TRY(take_string(c, what, &name));
    if (name.length < 1 || name.length > MAX_NAME) {
        return status_fail(TERN_BAD_FILE, "byte %zu: %s has %zu bytes, expected 1 to %d", at, what, name.length,
                           MAX_NAME);
    }
    for (size_t i = 0; i < name.length; i++) {
        unsigned char byte = (unsigned char)name.data[i];
        if (byte < 0x20 || byte == 0x7f)
            return status_fail(TERN_BAD_FILE, "byte %zu: %s has a control byte 0x%02x", at + 8 + i, what, byte);
    }
    *out = malloc(name.length + 1);
    if (!*out) return status_fail(TERN_NO_MEMORY, "no memory for %s", what);
    memcpy(*out, name.data, name.length);
    (*out)[name.length] = '\0';
    return TERN_OK;
}

// ---- Key-value pairs --------------------------------------------------------------------------------------------

static tern_status take_type(struct cursor *c, const char *what, enum gguf_type *out)
{
    size_t at = c->at;
    uint32_t type;
    TRY(take_u32(c, what, &type));
    if (type >= GGUF_TYPE_COUNT) {
        return status_fail(TERN_BAD_FILE, "byte %zu: %s is %" PRIu32 ", expected 0 to %d", at, what, type,
                           GGUF_TYPE_COUNT - 1);
    }
    *out = (enum gguf_type)type;
    return TERN_OK;
}

static tern_status take_scalar(struct cursor *c, struct gguf_value *out)
{
    size_t at = c->at;
    const uint8_t *p = take(c, scalar_bytes[out->type], gguf_type_name(out->type));
    if (!p) return TERN_BAD_FILE;
    uint64_t bits64 = scalar_bytes[out->type] == 8 ? bytes_load_u64(p) : 0;
    uint32_t bits32 = scalar_bytes[out->type] == 4 ? bytes_load_u32(p) : 0;
    float single;
    switch (out->type) {
    case GGUF_U8:
    case GGUF_BOOL:
        out->u = *p;
        break;
    case GGUF_I8:
        out->i = (int8_t)*p;
        break;
    case GGUF_U16:
        out->u = bytes_load_u16(p);
        break;
    case GGUF_I16:
        out->i = (int16_t)bytes_load_u16(p);
        break;
    case GGUF_U32:
        out->u = bits32;
        break;
    case GGUF_I32:
        out->i = (int32_t)bits32;
        break;
    case GGUF_F32:
        memcpy(&single, &bits32, sizeof single);
        out->f = (double)single;
        break;
    case GGUF_U64:
        out->u = bits64;
        break;
    case GGUF_I64:
        out->i = (int64_t)bits64;
        break;
    case GGUF_F64:
        memcpy(&out->f, &bits64, sizeof out->f);
        break;
    default: // strings and arrays are read elsewhere
        break;
    }
    if (out->type == GGUF_BOOL && out->u > 1)
        return status_fail(TERN_BAD_FILE, "byte %zu: BOOL is %" PRIu64 ", expected 0 or 1", at, out->u);
    return TERN_OK;
}

// Walks over the strings once to know that they are all there, and only then allocates their table.
static tern_status take_strings(struct cursor *c, struct gguf_array *out)
{
    struct cursor start = *c;
    struct gguf_string string;
    for (uint64_t i = 0; i < out->count; i++)
        TRY(take_string(c, "array element", &string));
    out->strings = calloc((size_t)(out->count ? out->count : 1), sizeof *out->strings);
    if (!out->strings) return status_fail(TERN_NO_MEMORY, "no memory for %" PRIu64 " strings", out->count);
    for (uint64_t i = 0; i < out->count; i++)
        TRY(take_string(&start, "array element", &out->strings[i]));
    return TERN_OK;
}

static tern_status take_array(struct cursor *c, struct gguf_array *out)
{
    size_t at = c->at;
    TRY(take_type(c, "array element type", &out->type));
    if (out->type == GGUF_ARRAY)
        return status_fail(TERN_BAD_FILE, "byte %zu: array of arrays, expected scalars or strings", at);
    bool strings = out->type == GGUF_STRING;
    uint64_t each = strings ? 8 : scalar_bytes[out->type];
    TRY(take_count(c, "array length", each, strings ? MAX_STRINGS : UINT64_MAX, &out->count));
    out->data = c->data + c->at;
    if (strings) return take_strings(c, out);
    c->at += (size_t)(out->count * each);
    return TERN_OK;
}

static tern_status take_value(struct cursor *c, struct gguf_value *out)
{
    TRY(take_type(c, "value type", &out->type));
    if (out->type == GGUF_STRING) return take_string(c, "string", &out->string);
    if (out->type == GGUF_ARRAY) return take_array(c, &out->array);
    return take_scalar(c, out);
}

static tern_status take_pairs(struct cursor *c, uint64_t count, struct gguf_header *out)
{
    out->pairs = calloc((size_t)(count ? count : 1), sizeof *out->pairs);
    if (!out->pairs) return status_fail(TERN_NO_MEMORY, "no memory for %" PRIu64 " keys", count);
    while (out->n_pairs < count) {
        struct gguf_pair *pair = &out->pairs[out->n_pairs];
        char *key;
        TRY(take_name(c, "key", &key));
        pair->key = key;
        out->n_pairs++;
        tern_status status = take_value(c, &pair->value);
        if (status != TERN_OK) return status_prefix(status, "key %s: ", key);
    }
    return TERN_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct gguf_pair *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static tern_status sort_pairs(struct gguf_header *header)
{
    uint64_t n = header->n_pairs;
    header->pairs_by_key = calloc((size_t)(n ? n : 1), sizeof *header->pairs_by_key);
    if (!header->pairs_by_key) return status_fail(TERN_NO_MEMORY, "no memory for %" PRIu64 " keys", n);
    for (uint64_t i = 0; i < n; i++)
        header->pairs_by_key[i] = &header->pairs[i];
    qsort(header->pairs_by_key, (size_t)n, sizeof *header->pairs_by_key, compare_keys);
    for (uint64_t i = 1; i < n; i++) {
        if (compare_keys(&header->pairs_by_key[i - 1], &header->pairs_by_key[i]) == 0)
            return status_fail(TERN_BAD_FILE, "key %s: appears twice", header->pairs_by_key[i]->key);
    }
    return TERN_OK;
}

const struct gguf_value *gguf_header_find(const struct gguf_pair *const *pairs_by_key, uint64_t n_pairs,
                                          const char *key)
{
    struct gguf_pair wanted = {.key = key};
    const struct gguf_pair *probe = &wanted;
    const struct gguf_pair *const *found =
        bsearch(&probe, pairs_by_key, (size_t)n_pairs, sizeof(struct gguf_pair *), compare_keys);
    return found ? &(*found)->value : NULL;
}

bool gguf_value_to_unsigned(const struct gguf_value *value, uint64_t maximum, uint64_t *out)
{
    switch (value->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        *out = value->u;
        return value->u <= maximum;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        *out = (uint64_t)value->i;
        return value->i >= 0 && *out <= maximum;
    default:
        return false;
    }
}

static tern_status find_alignment(struct gguf_header *header)
{
    static const char key[] = "general.alignment";
    const struct gguf_value *value = gguf_header_find(header->pairs_by_key, header->n_pairs, key);
    header->alignment = DEFAULT_ALIGNMENT;
    if (!value) return TERN_OK;
    uint64_t n;
    if (!gguf_value_to_unsigned(value, MAX_ALIGNMENT, &n) || n == 0 || (n & (n - 1)) != 0)
        return status_fail(TERN_BAD_FILE, "key %s: expected a power of two up to %d", key, MAX_ALIGNMENT);
    header->alignment = n;
    return TERN_OK;
}

// ---- Tensor descriptions ----------------------------------------------------------------------------------------

static tern_status take_dims(struct cursor *c, struct tensor *out)
{
    size_t at = c->at;
    TRY(take_u32(c, "number of dimensions", &out->n_dims));
    if (out->n_dims < 1 || out->n_dims > MAX_DIMS) {
        return status_fail(TERN_BAD_FILE, "byte %zu: %" PRIu32 " dimensions, expected 1 to %d", at, out->n_dims,
                           MAX_DIMS);
    }
    uint64_t elements = 1;
    for (unsigned i = 0; i < MAX_DIMS; i++) {
        out->dims[i] = 1;
        if (i >= out->n_dims) continue;
        at = c->at;
        TRY(take_u64(c, "dimension", &out->dims[i]));
        if (out->dims[i] == 0) return status_fail(TERN_BAD_FILE, "byte %zu: dimension %u is 0", at, i);
        if (__builtin_mul_overflow(elements, out->dims[i], &elements))
            return status_fail(TERN_BAD_FILE, "byte %zu: the product of the dimensions is above 2^64", at);
    }
    return TERN_OK;
}

static tern_status take_tensor_rest(struct cursor *c, struct tensor *out, uint64_t *offset)
{
    TRY(take_dims(c, out));
    size_t at = c->at;
    uint32_t id;
    TRY(take_u32(c, "tensor type", &id));
    if (!dtype_from_gguf_id(id, &out->type))
        return status_fail(TERN_UNSUPPORTED, "byte %zu: unknown tensor type %" PRIu32, at, id);
    return take_u64(c, "tensor offset", offset);
}

static tern_status take_tensors(struct cursor *c, uint64_t count, struct gguf_header *out)
{
    out->tensors = calloc((size_t)(count ? count : 1), sizeof *out->tensors);
    out->offsets = calloc((size_t)(count ? count : 1), sizeof *out->offsets);
    if (!out->tensors || !out->offsets) return status_fail(TERN_NO_MEMORY, "no memory for %" PRIu64 " tensors", count);
    while (out->n_tensors < count) {
        uint64_t i = out->n_tensors;
        char *name;
        TRY(take_name(c, "tensor name", &name));
        out->tensors[i].name = name;
        out->n_tensors++;
        tern_status status = take_tensor_rest(c, &out->tensors[i], &out->offsets[i]);
        if (status != TERN_OK) return status_prefix(status, "tensor %s: ", name);
    }
    return TERN_OK;
}

// ---- The header -------------------------------------------------------------------------------------------------

static tern_status take_version(struct cursor *c, uint32_t *out)
{
    const uint8_t *magic = take(c, 4, "magic");
    if (!magic) return TERN_BAD_FILE;
    if (memcmp(magic, "GGUF", 4) != 0) {
        return status_fail(TERN_BAD_FILE,
                           "not a GGUF file: it starts with bytes %02x %02x %02x %02x, expected \"GGUF\"", magic[0],
                           magic[1], magic[2], magic[3]);
    }
    TRY(take_u32(c, "version", out));
    if (*out != 0 && (*out & 0xffff) == 0)
        return status_fail(TERN_UNSUPPORTED, "byte 4: a big-endian GGUF file, expected little-endian");
    if (*out != 2 && *out != 3)
        return status_fail(TERN_UNSUPPORTED, "byte 4: GGUF version %" PRIu32 ", expected 2 or 3", *out);
    return TERN_OK;
}

tern_status gguf_header_read(const uint8_t *data, size_t size, struct gguf_header *out)
{
    struct cursor c = {.data = data, .size = size};
    uint64_t n_tensors, n_pairs;
    *out = (struct gguf_header){0};
    TRY(take_version(&c, &out->version));
    TRY(take_count(&c, "number of tensors", MIN_TENSOR_BYTES, MAX_TENSORS, &n_tensors));
    TRY(take_count(&c, "number of keys", MIN_PAIR_BYTES, MAX_PAIRS, &n_pairs));
    TRY(take_pairs(&c, n_pairs, out));
    TRY(sort_pairs(out));
    TRY(find_alignment(out));
    TRY(take_tensors(&c, n_tensors, out));
    out->data_start = (c.at + out->alignment - 1) & ~(out->alignment - 1);
    return TERN_OK;
}

void gguf_header_free(struct gguf_header *header)
{
    for (uint64_t i = 0; i < header->n_pairs; i++) {
        struct gguf_pair *pair = &header->pairs[i];
        if (pair->value.type == GGUF_ARRAY) free(pair->value.array.strings);
        free((char *)pair->key);
    }
    for (uint64_t i = 0; i < header->n_tensors; i++)
        free((char *)header->tensors[i].name);
    free(header->pairs);
    free(header->pairs_by_key);
    free(header->tensors);
    free(header->offsets);
    *header = (struct gguf_header){0};
}
