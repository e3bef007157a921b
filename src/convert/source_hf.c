// Hugging Face models as a source: a folder with config.json, tokenizer.json and safetensors.
#include "convert/source.h"

#include "base/half.h"
#include "convert/hf_config.h"
#include "convert/hf_files.h"
#include "convert/hf_tokenizer.h"
#include "convert/safetensors.h"
#include "format/bytes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SHARDS = 1000, NAME_BYTES = 64, THEIR_NAME_BYTES = 128, TENSORS_PER_LAYER = 13, TENSORS_OUTSIDE = 4 };

// Everything that the source's tensors lie in.
struct hf_model {
    char *folder;
    struct hf_config config;
    uint32_t n_shards;
    struct safetensors shards[MAX_SHARDS];
    struct mapped_file files[MAX_SHARDS]; // the shards' mappings once more, as the source lists them
    char (*names)[NAME_BYTES];            // [n_tensors] of the output
    uint64_t n_used;                      // tensors of the shards that the source accounts for
};

// Their names and ours, without ".weight".
struct name_pair {
    const char *theirs, *ours;
};

static const struct name_pair layer_matrices[] = {
    {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

static const struct name_pair layer_norms[] = {
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
};

static const struct name_pair qwen3_norms[] = {
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
};

static const struct name_pair bitnet_norms[][2] = {
    [HF_BITNET] = {{"self_attn.attn_sub_norm", "attn_sub_norm"}, {"mlp.ffn_sub_norm", "ffn_sub_norm"}},
    [HF_BITNET_FIRST] = {{"self_attn.inner_attn_ln", "attn_sub_norm"}, {"mlp.ffn_layernorm", "ffn_sub_norm"}},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct builder {
    struct hf_model *model;
    struct source *out;
};

// ---- Shards -----------------------------------------------------------------------------------------------------

static void close_model(void *owner)
{
    struct hf_model *model = owner;
    for (uint32_t i = 0; i < model->n_shards; i++)
        safetensors_close(&model->shards[i]);
    free(model->names);
    free(model->folder);
    free(model);
}

static tern_status open_shard(struct hf_model *model, const char *name)
{
    if (model->n_shards == MAX_SHARDS)
        return status_fail(TERN_LIMIT, "%s: more than %d safetensors files", model->folder, MAX_SHARDS);
    char *path = hf_path(model->folder, name);
    if (path == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    tern_status status = safetensors_open(path, &model->shards[model->n_shards]);
    free(path);
    if (status != TERN_OK) return status;
    model->files[model->n_shards] = model->shards[model->n_shards].image;
    model->n_shards++;
    return TERN_OK;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Opens each file that the index names once. A name is a file of the folder, not a path.
static tern_status open_list(struct hf_model *model, const char **names, size_t n)
{
    qsort(names, n, sizeof *names, compare_strings);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0) continue;
        if (strchr(names[i], '/') != NULL || names[i][0] == '.')
            return status_fail(TERN_BAD_FILE, "%s: model.safetensors.index.json: \"%.100s\" is not the name of a file",
                               model->folder, names[i]);
        TRY(open_shard(model, names[i]));
    }
    return TERN_OK;
}

static tern_status open_indexed(struct hf_model *model, const json_t *index)
{
    json_t *map = json_object_get(index, "weight_map"), *file;
    const char *tensor;
    size_t n = 0;
    if (json_object_size(map) == 0)
        return status_fail(TERN_BAD_FILE, "%s: model.safetensors.index.json has no weight_map", model->folder);
    const char **names = calloc(json_object_size(map), sizeof *names);
    if (names == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a list of files");
    json_object_foreach(map, tensor, file) if (json_is_string(file)) names[n++] = json_string_value(file);
    tern_status status = open_list(model, names, n);
    free(names);
    return status;
}

static tern_status open_shards(struct hf_model *model, const char *file_name)
{
    if (file_name != NULL) return open_shard(model, file_name);
    json_t *index;
    TRY(hf_read_json(model->folder, "model.safetensors.index.json", &index));
    tern_status status = index != NULL ? open_indexed(model, index) : open_shard(model, "model.safetensors");
    json_decref(index);
    return status;
}

// ---- Tensors ----------------------------------------------------------------------------------------------------

static const struct safetensors_tensor *find_tensor(const struct hf_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->n_shards; i++) {
        const struct safetensors_tensor *tensor = safetensors_find(&model->shards[i], name);
        if (tensor != NULL) return tensor;
    }
    return NULL;
}

static tern_status fail(const struct hf_model *model, const char *tensor, const char *what)
{
    return status_fail(TERN_BAD_FILE, "%s: tensor %s %s", model->folder, tensor, what);
}

static tern_status require(struct builder *b, const char *name, const struct safetensors_tensor **out)
{
    *out = find_tensor(b->model, name);
    if (*out == NULL) return fail(b->model, name, "is missing");
    b->model->n_used++;
    return TERN_OK;
}

static bool float_type(enum safetensors_type type, enum dtype *out)
{
    static const enum dtype types[] = {
        [SAFETENSORS_F32] = DTYPE_F32, [SAFETENSORS_F16] = DTYPE_F16, [SAFETENSORS_BF16] = DTYPE_BF16};
    if (type > SAFETENSORS_BF16) return false;
    *out = types[type];
    return true;
}

// A new tensor at the end of the source's list, with its name.
static struct source_tensor *add_tensor(struct builder *b, const char *name)
{
    uint64_t index = b->out->n_tensors++;
    char *own = b->model->names[index];
    snprintf(own, NAME_BYTES, "%s", name);
    b->out->tensors[index].tensor.name = own;
    return &b->out->tensors[index];
}

static void set_shape(struct tensor *t, enum dtype type, uint64_t rows, uint64_t columns, const uint8_t *data)
{
    t->type = type;
    t->n_dims = rows == 1 ? 1 : 2;
    t->dims[0] = columns;
    t->dims[1] = t->rows = rows;
    t->dims[2] = t->dims[3] = 1;
    t->row_bytes = dtype_row_bytes(type, columns);
    t->bytes = rows * t->row_bytes;
    t->data = data;
}

static tern_status read_packed_scale(struct builder *b, const char *their_name, float *out)
{
    const struct safetensors_tensor *scale;
    char name[THEIR_NAME_BYTES];
    enum dtype type;
    snprintf(name, sizeof name, "%s_scale", their_name);
    TRY(require(b, name, &scale));
    if (!float_type(scale->type, &type) || scale->bytes != dtype_row_bytes(type, 1))
        return fail(b->model, name, "is not one float");
    struct tensor view = {.type = type, .data = scale->data, .rows = 1, .row_bytes = scale->bytes, .dims = {1}};
    float value;
    source_read_row(&(struct source_tensor){.tensor = view}, 0, &value);
    *out = b->model->config.scale_divides ? 1 / value : value;
    return isfinite(*out) && value != 0 ? TERN_OK : fail(b->model, name, "is not a number that scales");
}

// BitNet's packing holds four rows in one: see struct source_tensor.
static tern_status set_packed(struct builder *b, const struct safetensors_tensor *tensor, uint64_t rows,
                              uint64_t columns, struct source_tensor *out)
{
    if (rows % 4 != 0 || columns % dtype_info(DTYPE_I2_S)->block_elements != 0 || tensor->dims[0] != rows / 4 ||
        tensor->dims[1] != columns)
        return fail(b->model, tensor->name, "is packed in another shape than config.json says");
    for (uint64_t i = 0; i < tensor->bytes; i++)
        if ((tensor->data[i] & tensor->data[i] >> 1 & 0x55) != 0)
            return fail(b->model, tensor->name, "holds a code 3, which is no trit");
    set_shape(&out->tensor, DTYPE_I2_S, rows, columns, tensor->data);
    out->packed_bitnet = true;
    return read_packed_scale(b, tensor->name, &out->packed_scale);
}

static tern_status add_floats(struct builder *b, const char *their_name, const char *our_name, uint64_t rows,
                              uint64_t columns, uint64_t rotated_half)
{
    const struct safetensors_tensor *tensor;
    TRY(require(b, their_name, &tensor));
    struct source_tensor *out = add_tensor(b, our_name);
    out->rotated_half = rotated_half;
    if (tensor->type == SAFETENSORS_U8 && rows > 1) return set_packed(b, tensor, rows, columns, out);
    enum dtype type;
    if (!float_type(tensor->type, &type)) return fail(b->model, their_name, "is not of type F32, F16 or BF16");
    bool vector = rows == 1 && tensor->n_dims == 1 && tensor->dims[0] == columns;
    bool matrix = tensor->n_dims == 2 && tensor->dims[0] == rows && tensor->dims[1] == columns;
    if (!vector && !matrix)
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %s is %" PRIu64 " x %" PRIu64 ", config.json wants %" PRIu64 " x %" PRIu64,
                           b->model->folder, their_name, tensor->dims[0], tensor->dims[1], rows, columns);
    set_shape(&out->tensor, type, rows, columns, tensor->data);
    return TERN_OK;
}

static tern_status add_layer_tensor(struct builder *b, uint32_t layer, const struct name_pair *names, uint64_t rows,
                                    uint64_t columns, uint64_t rotated_half)
{
    char theirs[THEIR_NAME_BYTES], ours[NAME_BYTES];
    snprintf(theirs, sizeof theirs, "model.layers.%u.%s.weight", layer, names->theirs);
    snprintf(ours, sizeof ours, "blk.%u.%s.weight", layer, names->ours);
    return add_floats(b, theirs, ours, rows, columns, rotated_half);
}

static tern_status add_layer(struct builder *b, uint32_t layer)
{
    const struct hf_config *c = &b->model->config;
    uint64_t q = (uint64_t)c->heads * c->head_size, kv = (uint64_t)c->kv_heads * c->head_size;
    const uint64_t shapes[COUNT(layer_matrices)][2] = {{q, c->width},     {kv, c->width},     {kv, c->width},
                                                       {c->width, q},     {c->ffn, c->width}, {c->ffn, c->width},
                                                       {c->width, c->ffn}};
    for (size_t i = 0; i < COUNT(layer_norms); i++)
        TRY(add_layer_tensor(b, layer, &layer_norms[i], 1, c->width, 0));
    for (size_t i = 0; i < COUNT(layer_matrices); i++) {
        bool rotated = c->kind == HF_LLAMA && i < 2; // q and k
        TRY(add_layer_tensor(b, layer, &layer_matrices[i], shapes[i][0], shapes[i][1], rotated ? c->head_size / 2 : 0));
        b->out->tensors[b->out->n_tensors - 1].rounded_in_use = c->rounded_in_use;
    }
    for (size_t i = 0; c->kind == HF_QWEN3 && i < COUNT(qwen3_norms); i++)
        TRY(add_layer_tensor(b, layer, &qwen3_norms[i], 1, c->head_size, 0));
    bool sub_norms = c->kind == HF_BITNET || c->kind == HF_BITNET_FIRST;
    for (size_t i = 0; sub_norms && i < COUNT(*bitnet_norms); i++)
        TRY(add_layer_tensor(b, layer, &bitnet_norms[c->kind][i], 1, i == 0 ? q : c->ffn, 0));
    return TERN_OK;
}

// Tensors that are not weights, or that repeat one.
static bool is_ignored(const struct hf_model *model, const char *name)
{
    static const char suffix[] = ".rotary_emb.inv_freq";
    size_t length = strlen(name);
    if (length >= sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0) return true;
    return model->config.tied && strcmp(name, "lm_head.weight") == 0;
}

static bool is_taken(const struct source *source, const struct safetensors_tensor *tensor)
{
    for (uint64_t i = 0; i < source->n_tensors; i++)
        if (source->tensors[i].tensor.data == tensor->data) return true;
    return false;
}

// A bias or an expert that nobody reads would mean wrong answers without a word.
static tern_status refuse_unused(const struct builder *b)
{
    const struct hf_model *model = b->model;
    uint64_t total = 0;
    for (uint32_t i = 0; i < model->n_shards; i++)
        for (uint64_t j = 0; j < model->shards[i].n_tensors; j++)
            total += !is_ignored(model, model->shards[i].tensors[j].name);
    if (total == model->n_used) return TERN_OK;
    for (uint32_t i = 0; i < model->n_shards; i++) {
        for (uint64_t j = 0; j < model->shards[i].n_tensors; j++) {
            const struct safetensors_tensor *tensor = &model->shards[i].tensors[j];
            if (is_ignored(model, tensor->name) || is_taken(b->out, tensor)) continue;
            if (strstr(tensor->name, ".weight_scale") != NULL) continue;
            return status_fail(TERN_UNSUPPORTED, "%s: tensor %.100s is not part of a %s model as tern knows it",
                               model->folder, tensor->name, model->config.architecture);
        }
    }
    return status_fail(TERN_BAD_FILE, "%s: a tensor appears twice", model->folder);
}

static tern_status list_tensors(struct builder *b)
{
    struct hf_model *model = b->model;
    const struct hf_config *c = &model->config;
    size_t capacity = (size_t)c->layers * TENSORS_PER_LAYER + TENSORS_OUTSIDE;
    b->out->tensors = calloc(capacity, sizeof *b->out->tensors);
    model->names = calloc(capacity, sizeof *model->names);
    if (b->out->tensors == NULL || model->names == NULL)
        return status_fail(TERN_NO_MEMORY, "%s: no memory for the list of tensors", model->folder);
    TRY(add_floats(b, "model.embed_tokens.weight", "token_embd.weight", c->vocabulary, c->width, 0));
    if (!c->tied) TRY(add_floats(b, "lm_head.weight", "output.weight", c->vocabulary, c->width, 0));
    TRY(add_floats(b, "model.norm.weight", "output_norm.weight", 1, c->width, 0));
    if (c->n_rope_factors > 0)
        set_shape(&add_tensor(b, "rope_freqs.weight")->tensor, DTYPE_F32, 1, c->n_rope_factors,
                  (const uint8_t *)c->rope_factors);
    for (uint32_t i = 0; i < c->layers; i++)
        TRY(add_layer(b, i));
    return refuse_unused(b);
}

// ---- All of it --------------------------------------------------------------------------------------------------

// The folder's own name, where a file calls its model nothing else.
static tern_status add_name(struct hf_model *model, const json_t *config, struct metadata *metadata)
{
    const char *name = json_string_value(json_object_get(config, "_name_or_path"));
    if (name == NULL || name[0] == '\0') name = model->folder;
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && name[start - 1] != '/')
        start--;
    return metadata_add_string(metadata, "general.name", name + start, length - start);
}

static tern_status read_model(struct builder *b, const json_t *config, const char *file_name, const char *pretokenizer)
{
    struct hf_model *model = b->model;
    char *path = hf_path(model->folder, "config.json");
    if (path == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    tern_status status = config != NULL ? hf_config_read(path, config, &model->config, &b->out->metadata)
                                        : status_fail(TERN_BAD_FILE, "%s: there is no such file", path);
    free(path);
    if (status != TERN_OK) return status;
    b->out->trained_ternary = model->config.trained_ternary;
    TRY(add_name(model, config, &b->out->metadata));
    TRY(hf_tokenizer_read(model->folder, config, model->config.vocabulary, pretokenizer, &b->out->metadata));
    TRY(open_shards(model, file_name));
    b->out->files = model->files;
    b->out->n_files = model->n_shards;
    return list_tensors(b);
}

// A folder is itself; a file splits into its folder and its name.
static tern_status split_path(const char *path, char **folder, const char **file_name)
{
    struct stat info;
    if (stat(path, &info) != 0) return status_fail(TERN_IO, "%s: cannot be read", path);
    const char *slash = strrchr(path, '/');
    *file_name = S_ISDIR(info.st_mode) ? NULL : slash != NULL ? slash + 1 : path;
    *folder = *file_name == NULL ? strdup(path)
              : slash != NULL    ? strndup(path, (size_t)(slash - path) + 1)
                                 : strdup(".");
    return *folder != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for a file's name");
}

tern_status source_open_hf(const char *path, const char *pretokenizer, struct source *out)
{
    const char *file_name;
    struct hf_model *model = calloc(1, sizeof *model);
    *out = (struct source){.owner = model, .close_owner = close_model};
    if (model == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a model");
    struct builder builder = {.model = model, .out = out};
    json_t *config = NULL;
    tern_status status = split_path(path, &model->folder, &file_name);
    if (status == TERN_OK) status = hf_read_json(model->folder, "config.json", &config);
    if (status == TERN_OK) status = read_model(&builder, config, file_name, pretokenizer);
    json_decref(config);
    if (status != TERN_OK) source_close(out);
    return status;
}

bool source_is_hf(const char *path)
{
    static const char suffix[] = ".safetensors";
    struct stat info;
    size_t length = strlen(path);
    if (length > sizeof suffix - 1 && strcmp(path + length - (sizeof suffix - 1), suffix) == 0) return true;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
