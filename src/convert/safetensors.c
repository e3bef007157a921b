#include "convert/safetensors.h"

#include "format/bytes.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, MAX_DIMS = 4 };

static const struct {
    const char *name;
    uint32_t bits;
    enum safetensors_type type;
} types[] = {
    {"F32", 32, SAFETENSORS_F32},      {"F16", 16, SAFETENSORS_F16},      {"BF16", 16, SAFETENSORS_BF16},
    {"U8", 8, SAFETENSORS_U8},         {"F64", 64, SAFETENSORS_OTHER},    {"I64", 64, SAFETENSORS_OTHER},
    {"U64", 64, SAFETENSORS_OTHER},    {"I32", 32, SAFETENSORS_OTHER},    {"U32", 32, SAFETENSORS_OTHER},
    {"I16", 16, SAFETENSORS_OTHER},    {"U16", 16, SAFETENSORS_OTHER},    {"I8", 8, SAFETENSORS_OTHER},
    {"BOOL", 8, SAFETENSORS_OTHER},    {"F8_E4M3", 8, SAFETENSORS_OTHER}, {"F8_E5M2", 8, SAFETENSORS_OTHER},
    {"F8_E8M0", 8, SAFETENSORS_OTHER}, {"C64", 64, SAFETENSORS_OTHER},
};

// The tensor being read, for messages.
struct place {
    const char *path, *tensor;
};

// Names come from the file: a long one is cut.
static tern_status fail(const struct place *place, const char *what)
{
    return status_fail(TERN_BAD_FILE, "%s: tensor %.100s: %s", place->path, place->tensor, what);
}

// ---- One tensor -------------------------------------------------------------------------------------------------

static bool read_size(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static tern_status read_type(const struct place *place, const json_t *object, struct safetensors_tensor *out,
                             uint32_t *bits)
{
    const char *name = json_string_value(json_object_get(object, "dtype"));
    if (name == NULL) return fail(place, "has no dtype");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) != 0) continue;
        out->type = types[i].type;
        *bits = types[i].bits;
        return TERN_OK;
    }
    return status_fail(TERN_BAD_FILE, "%s: tensor %.100s: dtype \"%.20s\" is not one of the format", place->path,
                       place->tensor, name);
}

static tern_status read_shape(const struct place *place, const json_t *object, struct safetensors_tensor *out,
                              uint64_t *elements)
{
    const json_t *shape = json_object_get(object, "shape");
    if (!json_is_array(shape)) return fail(place, "has no shape");
    if (json_array_size(shape) > MAX_DIMS) return fail(place, "has more than four dimensions");
    out->n_dims = (uint32_t)json_array_size(shape);
    *elements = 1;
    for (uint32_t i = 0; i < MAX_DIMS; i++) {
        out->dims[i] = 1;
        if (i < out->n_dims && !read_size(json_array_get(shape, i), &out->dims[i]))
            return fail(place, "a dimension is not a whole number from 0 on");
        if (__builtin_mul_overflow(*elements, out->dims[i], elements)) return fail(place, "the shape is beyond 2^64");
    }
    return TERN_OK;
}

// data[size]: what is behind the header.
static tern_status read_data(const struct place *place, const json_t *object, const uint8_t *data, uint64_t size,
                             struct safetensors_tensor *out)
{
    const json_t *offsets = json_object_get(object, "data_offsets");
    uint64_t begin, end;
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end))
        return fail(place, "data_offsets are not two whole numbers from 0 on");
    if (begin > end || end > size)
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %.100s: bytes %" PRIu64 " to %" PRIu64 ", the file has %" PRIu64
                           " bytes of data",
                           place->path, place->tensor, begin, end, size);
    out->data = data + begin;
    out->bytes = end - begin;
    return TERN_OK;
}

static tern_status read_tensor(const struct place *place, const json_t *object, const uint8_t *data, uint64_t size,
                               struct safetensors_tensor *out)
{
    uint64_t elements, bits;
    uint32_t element_bits;
    TRY(read_type(place, object, out, &element_bits));
    TRY(read_shape(place, object, out, &elements));
    TRY(read_data(place, object, data, size, out));
    if (__builtin_mul_overflow(elements, (uint64_t)element_bits, &bits) || bits / 8 != out->bytes)
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %.100s: %" PRIu64 " elements of %" PRIu32 " bits are not its %" PRIu64 " bytes",
                           place->path, place->tensor, elements, element_bits, out->bytes);
    return TERN_OK;
}

// ---- The header -------------------------------------------------------------------------------------------------

static int compare_data(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); // empty ones come first
}

static int compare_names(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

// The format wants every byte of data to belong to one tensor. Leaves the tensors sorted by name.
static tern_status check_coverage(const char *path, struct safetensors *file, const uint8_t *data, uint64_t size)
{
    uint64_t expected = 0;
    qsort(file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_data);
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        struct place place = {path, file->tensors[i].name};
        uint64_t begin = (uint64_t)(file->tensors[i].data - data);
        if (begin < expected) return fail(&place, "overlaps another tensor");
        if (begin > expected) return fail(&place, "there is a hole before its data");
        expected = begin + file->tensors[i].bytes;
    }
    if (expected != size)
        return status_fail(TERN_BAD_FILE, "%s: %" PRIu64 " bytes behind the last tensor", path, size - expected);
    qsort(file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_names);
    return TERN_OK;
}

static tern_status read_tensors(const char *path, json_t *root, const uint8_t *data, uint64_t size,
                                struct safetensors *out)
{
    const char *name;
    json_t *value;
    out->tensors = calloc(json_object_size(root) + 1, sizeof *out->tensors);
    if (out->tensors == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for the list of tensors", path);
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        struct place place = {path, name};
        if (!json_is_object(value)) return fail(&place, "is not described by an object");
        struct safetensors_tensor *tensor = &out->tensors[out->n_tensors];
        TRY(read_tensor(&place, value, data, size, tensor));
        tensor->name = strdup(name);
        if (tensor->name == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for the list of tensors", path);
        out->n_tensors++;
    }
    return check_coverage(path, out, data, size);
}

static tern_status parse_header(const char *path, const char *text, size_t length, json_t **out)
{
    json_error_t error;
    *out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL)
        return status_fail(TERN_BAD_FILE, "%s: the header is not JSON: %s, at byte %d", path, error.text,
                           error.position);
    if (json_is_object(*out)) return TERN_OK;
    json_decref(*out);
    return status_fail(TERN_BAD_FILE, "%s: the header is not a JSON object", path);
}

static tern_status read_image(const char *path, struct safetensors *out)
{
    const uint8_t *image = out->image.data;
    size_t size = out->image.size;
    if (size < LENGTH_BYTES) return status_fail(TERN_BAD_FILE, "%s: %zu bytes are no safetensors file", path, size);
    uint64_t length = bytes_load_u64(image);
    if (length > size - LENGTH_BYTES)
        return status_fail(TERN_BAD_FILE, "%s: a header of %" PRIu64 " bytes, the file has %zu: no safetensors file?",
                           path, length, size);
    if (length > SAFETENSORS_MAX_HEADER)
        return status_fail(TERN_BAD_FILE, "%s: a header of %" PRIu64 " bytes, expected %d at most", path, length,
                           SAFETENSORS_MAX_HEADER);
    json_t *root;
    TRY(parse_header(path, (const char *)image + LENGTH_BYTES, (size_t)length, &root));
    size_t start = LENGTH_BYTES + (size_t)length;
    tern_status status = read_tensors(path, root, image + start, size - start, out);
    json_decref(root);
    return status;
}

// ---- Files ------------------------------------------------------------------------------------------------------

tern_status safetensors_open(const char *path, struct safetensors *out)
{
    *out = (struct safetensors){0};
    TRY(mapped_file_open(path, &out->image));
    tern_status status = read_image(path, out);
    if (status != TERN_OK) safetensors_close(out);
    return status;
}

tern_status safetensors_open_memory(const uint8_t *data, size_t size, const char *name, struct safetensors *out)
{
    *out = (struct safetensors){.image = {data, size}, .in_memory = true};
    tern_status status = read_image(name, out);
    if (status != TERN_OK) safetensors_close(out);
    return status;
}

void safetensors_close(struct safetensors *file)
{
    for (uint64_t i = 0; i < file->n_tensors; i++)
        free(file->tensors[i].name);
    free(file->tensors);
    if (!file->in_memory) mapped_file_close(&file->image);
    *file = (struct safetensors){0};
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    struct safetensors_tensor wanted = {.name = (char *)(uintptr_t)name};
    if (file->n_tensors == 0) return NULL;
    return bsearch(&wanted, file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_names);
}
