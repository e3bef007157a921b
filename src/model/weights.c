#include "model/weights.h"

#include "format/codec.h"
#include "model/memory_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// A model's tensors as a list: where each is found in the file and where it goes. Everything that can be wrong with a
// file is found while the list is made, before any weight is touched.
struct entry {
    const struct tensor *tensor;
    const struct tensor *scale_tensor; // NAME.scale beside NAME.weight (BitNet); NULL if there is none
    struct weight **matrix;            // where a matrix goes, or
    const float **vector;              // where a vector goes
    float scale;                       // what scale_tensor holds, or 1
    bool token_scales;
};

struct loader {
    const struct gguf_file *file;
    const struct config *config;
    struct weights *weights;
    struct entry *entries;
    size_t n_entries, capacity;
    size_t n_used; // tensors of the file that the list accounts for
};

// Most entries that a layer can have: 7 matrices, 6 vectors; outside of layers: embedding, head, norm, RoPE factors.
enum { ENTRIES_PER_LAYER = 13, ENTRIES_OUTSIDE = 4, NAME_BYTES = 64 };

static tern_status find(const struct loader *loader, const char *name, int64_t rows, int64_t columns,
                        const struct tensor **out)
{
    const struct tensor *tensor = *out = gguf_find_tensor(loader->file, name);
    if (tensor == NULL)
        return status_fail(TERN_BAD_FILE, "%s: tensor %s is missing, architecture %s needs it", loader->file->path,
                           name, loader->config->architecture);
    if (tensor->dims[0] != (uint64_t)columns || tensor->rows != (uint64_t)rows)
        return status_fail(TERN_BAD_FILE, "%s: tensor %s is %llu x %llu, expected %lld x %lld (rows x columns)",
                           loader->file->path, name, (unsigned long long)tensor->rows,
                           (unsigned long long)tensor->dims[0], (long long)rows, (long long)columns);
    return TERN_OK;
}

static void add(struct loader *loader, struct entry entry)
{
    loader->entries[loader->n_entries++] = entry;
    loader->n_used += entry.scale_tensor != NULL ? 2 : 1;
}

static tern_status add_vector(struct loader *loader, const char *name, int64_t length, const float **out)
{
    const struct tensor *tensor;
    TRY(find(loader, name, 1, length, &tensor));
    add(loader, (struct entry){.tensor = tensor, .vector = out});
    return TERN_OK;
}

// NAME.weight, and NAME.scale where the file has one.
static tern_status add_matrix(struct loader *loader, const char *name, int64_t rows, int64_t columns,
                              struct weight **out)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.weight", name);
    struct entry entry = {.matrix = out, .scale = 1, .token_scales = loader->config->token_scales};
    TRY(find(loader, full, rows, columns, &entry.tensor));

    snprintf(full, sizeof full, "%s.scale", name);
    if (gguf_find_tensor(loader->file, full) != NULL) {
        TRY(find(loader, full, 1, 1, &entry.scale_tensor));
        codec_unpack_row(entry.scale_tensor, 0, &entry.scale);
        if (!isfinite(entry.scale))
            return status_fail(TERN_BAD_FILE, "%s: tensor %s is not a finite number", loader->file->path, full);
    }
    add(loader, entry);
    return TERN_OK;
}

static const char *layer_name(char *out, int32_t layer, const char *name)
{
    snprintf(out, NAME_BYTES, "blk.%d.%s", layer, name);
    return out;
}

static tern_status add_layer(struct loader *loader, int32_t i)
{
    const struct config *c = loader->config;
    struct layer *layer = &loader->weights->layers[i];
    int64_t q_width = (int64_t)c->n_heads * c->head_size, kv_width = (int64_t)c->n_kv_heads * c->head_size;
    char name[NAME_BYTES];

    TRY(add_vector(loader, layer_name(name, i, "attn_norm.weight"), c->width, &layer->attn_norm));
    TRY(add_matrix(loader, layer_name(name, i, "attn_q"), q_width, c->width, &layer->q));
    TRY(add_matrix(loader, layer_name(name, i, "attn_k"), kv_width, c->width, &layer->k));
    TRY(add_matrix(loader, layer_name(name, i, "attn_v"), kv_width, c->width, &layer->v));
    if (c->qk_norm) {
        TRY(add_vector(loader, layer_name(name, i, "attn_q_norm.weight"), c->head_size, &layer->q_norm));
        TRY(add_vector(loader, layer_name(name, i, "attn_k_norm.weight"), c->head_size, &layer->k_norm));
    }
    if (c->sub_norm)
        TRY(add_vector(loader, layer_name(name, i, "attn_sub_norm.weight"), q_width, &layer->attn_sub_norm));
    TRY(add_matrix(loader, layer_name(name, i, "attn_output"), c->width, q_width, &layer->attn_output));

    TRY(add_vector(loader, layer_name(name, i, "ffn_norm.weight"), c->width, &layer->ffn_norm));
    TRY(add_matrix(loader, layer_name(name, i, "ffn_gate"), c->n_ffn, c->width, &layer->gate));
    TRY(add_matrix(loader, layer_name(name, i, "ffn_up"), c->n_ffn, c->width, &layer->up));
    if (c->sub_norm)
        TRY(add_vector(loader, layer_name(name, i, "ffn_sub_norm.weight"), c->n_ffn, &layer->ffn_sub_norm));
    return add_matrix(loader, layer_name(name, i, "ffn_down"), c->width, c->n_ffn, &layer->down);
}

static bool is_used(const struct loader *loader, const struct tensor *tensor)
{
    for (size_t i = 0; i < loader->n_entries; i++)
        if (loader->entries[i].tensor == tensor || loader->entries[i].scale_tensor == tensor) return true;
    return false;
}

// A tensor that nobody reads (a bias, an expert) would mean wrong answers without a word.
static tern_status refuse_unused(const struct loader *loader)
{
    if (loader->n_used == loader->file->n_tensors) return TERN_OK;
    for (uint64_t i = 0; i < loader->file->n_tensors; i++)
        if (!is_used(loader, &loader->file->tensors[i]))
            return status_fail(TERN_UNSUPPORTED, "%s: tensor %s is not part of a %s model as tern knows it",
                               loader->file->path, loader->file->tensors[i].name, loader->config->architecture);
    return TERN_OK;
}

static tern_status list_tensors(struct loader *loader)
{
    const struct config *c = loader->config;
    struct weights *w = loader->weights;
    TRY(add_matrix(loader, "token_embd", c->n_vocabulary, c->width, &w->embedding));
    if (!c->tied_head) TRY(add_matrix(loader, "output", c->n_vocabulary, c->width, &w->head));
    TRY(add_vector(loader, "output_norm.weight", c->width, &w->output_norm));
    if (gguf_find_tensor(loader->file, "rope_freqs.weight") != NULL)
        TRY(add_vector(loader, "rope_freqs.weight", c->rope_dims / 2, &w->rope_factors));
    for (int32_t i = 0; i < c->n_layers; i++)
        TRY(add_layer(loader, i));
    return refuse_unused(loader);
}

static tern_status loader_open(const struct gguf_file *file, const struct config *config, struct loader *loader)
{
    *loader = (struct loader){.file = file, .config = config};
    loader->capacity = (size_t)config->n_layers * ENTRIES_PER_LAYER + ENTRIES_OUTSIDE;
    loader->weights = calloc(1, sizeof *loader->weights);
    loader->entries = calloc(loader->capacity, sizeof *loader->entries);
    if (loader->weights != NULL) {
        loader->weights->layers = calloc((size_t)config->n_layers, sizeof *loader->weights->layers);
        loader->weights->vectors = calloc(loader->capacity, sizeof *loader->weights->vectors);
    }
    if (loader->weights == NULL || loader->entries == NULL || loader->weights->layers == NULL ||
        loader->weights->vectors == NULL)
        return status_fail(TERN_NO_MEMORY, "%s: no memory for the list of tensors", file->path);
    loader->weights->n_layers = config->n_layers;
    return list_tensors(loader);
}

static tern_status load_vector(struct weights *weights, const struct entry *entry)
{
    float *vector = malloc((size_t)entry->tensor->dims[0] * sizeof *vector);
    if (vector == NULL) return status_fail(TERN_NO_MEMORY, "no memory for tensor %s", entry->tensor->name);
    codec_unpack_row(entry->tensor, 0, vector);
    weights->vectors[weights->n_vectors++] = vector;
    *entry->vector = vector;
    return TERN_OK;
}

static tern_status load_entry(struct loader *loader, const struct entry *entry)
{
    if (entry->vector != NULL) return load_vector(loader->weights, entry);
    TRY(device_load_weight(loader->weights->device, entry->tensor, entry->token_scales, entry->matrix));
    device_scale_weight(*entry->matrix, entry->scale);
    if (device_weight_is_dense(*entry->matrix)) loader->weights->dense_tiles = true;
    if (device_weight_is_copy(*entry->matrix)) gguf_release_tensor(loader->file, entry->tensor);
    return TERN_OK;
}

static tern_status load_entries(struct loader *loader, bool (*progress)(void *context, float fraction), void *context)
{
    uint64_t all = 0, done = 0;
    for (size_t i = 0; i < loader->n_entries; i++)
        all += loader->entries[i].tensor->bytes;
    for (size_t i = 0; i < loader->n_entries; i++) {
        if (progress != NULL && !progress(context, (float)((double)done / (double)all)))
            return status_fail(TERN_CANCELLED, "%s: loading was cancelled", loader->file->path);
        tern_status status = load_entry(loader, &loader->entries[i]);
        if (status != TERN_OK) return status_prefix(status, "%s: ", loader->file->path);
        done += loader->entries[i].tensor->bytes;
    }
    if (progress != NULL) progress(context, 1);
    return TERN_OK;
}

static tern_status measure_entries(const struct loader *loader, struct device_measure measure, uint64_t *copied,
                                   uint64_t *kept)
{
    *copied = *kept = 0;
    for (size_t i = 0; i < loader->n_entries; i++) {
        const struct entry *entry = &loader->entries[i];
        uint64_t bytes = entry->vector != NULL ? entry->tensor->dims[0] * sizeof(float) : 0;
        if (entry->matrix != NULL) TRY(device_measure_weight(entry->tensor, entry->token_scales, measure, &bytes));
        *copied += bytes;
        if (bytes == 0) *kept += entry->tensor->bytes;
    }
    return TERN_OK;
}

// Measuring looks at some types' scales, all over the file; it can be spared where there is plenty: tiles take a third
// more than the file at most (2.125 bits for 1.6875).
static tern_status check_memory(const struct loader *loader)
{
    uint64_t working = memory_working_bytes(loader->config), file_bytes = 0, copied, kept;
    for (size_t i = 0; i < loader->n_entries; i++)
        file_bytes += loader->entries[i].tensor->bytes;
    if (memory_check(file_bytes + file_bytes / 3 + working, "") == TERN_OK) return TERN_OK;
    struct device_measure measure = {.dense_tiles = device_dense_tiles(loader->weights->device)};
    TRY(measure_entries(loader, measure, &copied, &kept));
    return memory_check(copied + working, "weights and working space");
}

tern_status weights_load(const struct gguf_file *file, const struct config *config, struct device *device,
                         bool (*progress)(void *context, float fraction), void *context, struct weights **out)
{
    *out = NULL;
    struct loader loader;
    tern_status status = loader_open(file, config, &loader);
    if (status == TERN_OK) {
        loader.weights->device = device;
        status = check_memory(&loader);
        if (status != TERN_OK) status_prefix(status, "%s: ", file->path);
    }
    if (status == TERN_OK) status = load_entries(&loader, progress, context);
    free(loader.entries);
    if (status != TERN_OK) {
        weights_free(loader.weights);
        return status;
    }
    if (config->tied_head) loader.weights->head = loader.weights->embedding;
    *out = loader.weights;
    return TERN_OK;
}

void weights_free(struct weights *weights)
{
    if (weights == NULL) return;
    if (weights->head != weights->embedding) device_free_weight(weights->device, weights->head);
    device_free_weight(weights->device, weights->embedding);
    for (int32_t i = 0; weights->layers != NULL && i < weights->n_layers; i++) {
        struct layer *layer = &weights->layers[i];
        struct weight *matrices[] = {layer->q,    layer->k,  layer->v,   layer->attn_output,
                                     layer->gate, layer->up, layer->down};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++)
            device_free_weight(weights->device, matrices[j]);
    }
    for (size_t i = 0; i < weights->n_vectors; i++)
        free(weights->vectors[i]);
    free(weights->vectors);
    free(weights->layers);
    free(weights);
}

uint64_t weights_bytes_per_token(const struct weights *weights)
{
    uint64_t bytes = device_weight_bytes(weights->head);
    for (int32_t i = 0; i < weights->n_layers; i++) {
        const struct layer *layer = &weights->layers[i];
        bytes += device_weight_bytes(layer->q) + device_weight_bytes(layer->k) + device_weight_bytes(layer->v) +
                 device_weight_bytes(layer->attn_output) + device_weight_bytes(layer->gate) +
                 device_weight_bytes(layer->up) + device_weight_bytes(layer->down);
    }
    return bytes;
}

tern_status weights_measure(const struct gguf_file *file, const struct config *config, struct device_measure measure,
                            uint64_t *copied, uint64_t *kept)
{
    *copied = *kept = 0;
    struct loader loader;
    tern_status status = loader_open(file, config, &loader);
    if (status == TERN_OK) status = measure_entries(&loader, measure, copied, kept);
    weights_free(loader.weights);
    free(loader.entries);
    return status;
}
