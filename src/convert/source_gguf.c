// GGUF files as a source: names, keys and the order of rows stay as they are.
#include "convert/source.h"

#include <stdlib.h>
#include <string.h>

// Keys that say how the file is laid out, not what the model is.
static bool is_layout_key(const char *key)
{
    return strcmp(key, "general.alignment") == 0 || strcmp(key, "general.file_type") == 0 ||
           strcmp(key, "general.quantization_version") == 0 || strncmp(key, "split.", 6) == 0;
}

static tern_status copy_metadata(const struct gguf_file *file, struct metadata *out)
{
    for (uint64_t i = 0; i < file->n_pairs; i++)
        if (!is_layout_key(file->pairs[i].key)) TRY(metadata_add_value(out, file->pairs[i].key, &file->pairs[i].value));
    return TERN_OK;
}

// BitNet's architectures are called bitnet, bitnet-b1.58 and bitnet-25.
static bool is_bitnet(const struct gguf_file *file)
{
    static const char prefix[] = "bitnet";
    const struct gguf_value *name = gguf_find(file, "general.architecture");
    return name != NULL && name->type == GGUF_STRING && name->string.length >= sizeof prefix - 1 &&
           memcmp(name->string.data, prefix, sizeof prefix - 1) == 0;
}

static tern_status list_tensors(const struct gguf_file *file, struct source *out)
{
    out->tensors = calloc((size_t)(file->n_tensors ? file->n_tensors : 1), sizeof *out->tensors);
    if (out->tensors == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for the list of tensors", file->path);
    out->n_tensors = file->n_tensors;
    out->trained_ternary = is_bitnet(file);
    for (uint64_t i = 0; i < file->n_tensors; i++)
        out->tensors[i].tensor = file->tensors[i];
    return copy_metadata(file, &out->metadata);
}

static void close_file(void *owner)
{
    gguf_close(owner);
}

tern_status source_open_gguf(const char *path, enum i2_s_order i2_s_order, struct source *out)
{
    struct gguf_file *file;
    *out = (struct source){0};
    TRY(gguf_open(path, &file));
    *out = (struct source){.owner = file, .close_owner = close_file, .files = file->parts, .n_files = file->n_parts};
    out->path = strdup(path);
    tern_status status = out->path != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory");
    if (status == TERN_OK) status = i2_s_reorder(file, i2_s_order);
    if (status == TERN_OK) status = list_tensors(file, out);
    if (status != TERN_OK) source_close(out);
    return status;
}
