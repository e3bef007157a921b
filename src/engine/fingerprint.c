#include "engine/fingerprint.h"

#include "engine/prefix_store.h"

#include <string.h>

enum { SAMPLES = 8, SAMPLE_BYTES = 4096 };

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return prefix_store_hash(hash, text, strlen(text));
}

// Shape, and some pages spread over the whole tensor, the last bytes among them.
static uint64_t hash_tensor(uint64_t hash, const struct tensor *t)
{
    hash = hash_text(hash, t->name);
    const uint64_t shape[] = {t->type, t->n_dims, t->dims[0], t->dims[1], t->dims[2], t->dims[3], t->bytes};
    hash = prefix_store_hash(hash, shape, sizeof shape);
    if (t->bytes <= SAMPLES * SAMPLE_BYTES) return prefix_store_hash(hash, t->data, t->bytes);
    for (uint64_t i = 0; i < SAMPLES; i++)
        hash = prefix_store_hash(hash, t->data + (t->bytes - SAMPLE_BYTES) / (SAMPLES - 1) * i, SAMPLE_BYTES);
    return prefix_store_hash(hash, t->data + t->bytes - SAMPLE_BYTES, SAMPLE_BYTES);
}

// Everything before the first tensor of the first part: hyperparameters, vocabulary, names.
static uint64_t hash_header(uint64_t hash, const struct gguf_file *file)
{
    const struct mapped_file *part = &file->parts[0];
    uintptr_t start = (uintptr_t)part->data;
    size_t bytes = part->size;
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        uintptr_t at = (uintptr_t)file->tensors[i].data;
        if (at >= start && at - start < bytes) bytes = at - start;
    }
    return prefix_store_hash(hash, part->data, bytes);
}

uint64_t fingerprint_file(uint64_t seed, const struct gguf_file *file)
{
    uint64_t hash = hash_header(seed, file);
    for (uint64_t i = 0; i < file->n_tensors; i++)
        hash = hash_tensor(hash, &file->tensors[i]);
    return hash;
}
