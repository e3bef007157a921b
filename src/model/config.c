#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Bounds that no published model comes near; they keep every later size computation far from overflow.
enum {
    MAX_LAYERS = 1024,
    MAX_WIDTH = 1 << 17,
    MAX_FFN = 1 << 19,
    MAX_HEADS = 1024,
    MAX_HEAD_SIZE = 256,
    MAX_VOCABULARY = 1 << 22,
    MAX_CONTEXT = 1 << 24,
};

// What an architecture fixes; the rest is in the file's keys.
struct architecture {
    const char *name;
    bool qk_norm, sub_norm, relu2, token_scales, rope_interleaved;
};

static const struct architecture ARCHITECTURES[] = {
    {.name = "qwen3", .qk_norm = true},
    {.name = "llama", .rope_interleaved = true},
    {.name = "bitnet", .sub_norm = true, .token_scales = true},
    {.name = "bitnet-b1.58", .sub_norm = true, .relu2 = true, .token_scales = true},
    {.name = "bitnet-25", .sub_norm = true, .relu2 = true, .token_scales = true},
};

enum { N_ARCHITECTURES = sizeof ARCHITECTURES / sizeof *ARCHITECTURES };

const char *config_architectures(void)
{
    return "qwen3, llama, bitnet, bitnet-b1.58, bitnet-25";
}

// Keys are "ARCHITECTURE.NAME".
struct reader {
    const struct gguf_file *file;
    const char *architecture;
    char key[128];
};

static const char *key(struct reader *reader, const char *name)
{
    snprintf(reader->key, sizeof reader->key, "%s.%s", reader->architecture, name);
    return reader->key;
}

// A whole number in [low, high]; `missing` if the key is absent, where missing < 0 makes the key required.
static tern_status read_number(struct reader *reader, const char *name, int32_t low, int32_t high, int32_t missing,
                               int32_t *out)
{
    const char *full = key(reader, name);
    if (gguf_find(reader->file, full) == NULL) {
        *out = missing;
        if (missing >= 0) return TERN_OK;
        return status_fail(TERN_BAD_FILE, "%s: key %s is missing, the architecture needs it", reader->file->path, full);
    }
    uint32_t value = 0;
    TRY(gguf_get_u32(reader->file, full, &value));
    if (value < (uint32_t)low || value > (uint32_t)high)
        return status_fail(TERN_BAD_FILE, "%s: key %s is %u, expected %d to %d", reader->file->path, full, value, low,
                           high);
    *out = (int32_t)value;
    return TERN_OK;
}

// A finite float in (0, high]; *out keeps its default if the key is absent.
static tern_status read_positive(struct reader *reader, const char *name, float high, float *out)
{
    const char *full = key(reader, name);
    TRY(gguf_get_f32(reader->file, full, out));
    if (isfinite(*out) && *out > 0 && *out <= high) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: key %s is %g, expected a number above 0 and up to %g", reader->file->path,
                       full, (double)*out, (double)high);
}

static void copy_string(struct gguf_string string, char *out, size_t size)
{
    size_t length = string.length < size - 1 ? string.length : size - 1;
    if (length > 0) memcpy(out, string.data, length);
    out[length] = '\0';
}

static tern_status read_architecture(const struct gguf_file *file, struct config *out)
{
    struct gguf_string name = {0};
    TRY(gguf_get_string(file, "general.architecture", &name));
    if (name.data == NULL)
        return status_fail(TERN_BAD_FILE, "%s: key general.architecture is missing: is this a language model?",
                           file->path);
    copy_string(name, out->architecture, sizeof out->architecture);
    for (int i = 0; i < N_ARCHITECTURES; i++) {
        const struct architecture *a = &ARCHITECTURES[i];
        if (!gguf_string_equal(name, a->name)) continue;
        out->qk_norm = a->qk_norm;
        out->sub_norm = a->sub_norm;
        out->relu2 = a->relu2;
        out->token_scales = a->token_scales;
        out->rope_interleaved = a->rope_interleaved;
        return TERN_OK;
    }
    return status_fail(TERN_UNSUPPORTED, "%s: architecture \"%s\" is not one that tern runs: %s", file->path,
                       out->architecture, config_architectures());
}

static tern_status read_heads(struct reader *reader, struct config *out)
{
    TRY(read_number(reader, "attention.head_count", 1, MAX_HEADS, -1, &out->n_heads));
    TRY(read_number(reader, "attention.head_count_kv", 1, MAX_HEADS, out->n_heads, &out->n_kv_heads));
    if (out->n_heads % out->n_kv_heads != 0)
        return status_fail(TERN_BAD_FILE, "%s: %d heads cannot be shared among %d key/value heads", reader->file->path,
                           out->n_heads, out->n_kv_heads);
    int32_t derived = out->width / out->n_heads, value_size;
    TRY(read_number(reader, "attention.key_length", 2, MAX_HEAD_SIZE, derived, &out->head_size));
    TRY(read_number(reader, "attention.value_length", 2, MAX_HEAD_SIZE, derived, &value_size));
    if (value_size != out->head_size)
        return status_fail(TERN_UNSUPPORTED, "%s: values of %d elements a head beside keys of %d", reader->file->path,
                           value_size, out->head_size);
    if (out->head_size < 2 || out->head_size % 2 != 0 || out->head_size > MAX_HEAD_SIZE)
        return status_fail(TERN_BAD_FILE,
                           "%s: heads of %d elements (width %d, %d heads), expected an even number to %d",
                           reader->file->path, out->head_size, out->width, out->n_heads, MAX_HEAD_SIZE);
    return TERN_OK;
}

static tern_status read_rope_scaling(struct reader *reader, struct config *out)
{
    out->rope_factor = 1;
    out->yarn_beta_fast = 32;
    out->yarn_beta_slow = 1;
    out->yarn_attention = 1;

    struct gguf_string type = {0};
    TRY(gguf_get_string(reader->file, key(reader, "rope.scaling.type"), &type));
    if (type.data == NULL) {
        // Older files say no more than a factor.
        TRY(read_positive(reader, "rope.scale_linear", 1e4F, &out->rope_factor));
        out->rope_scaling = out->rope_factor != 1 ? ROPE_LINEAR : ROPE_NONE;
        return TERN_OK;
    }
    if (gguf_string_equal(type, "none")) return TERN_OK;
    TRY(read_positive(reader, "rope.scaling.factor", 1e4F, &out->rope_factor));
    if (gguf_string_equal(type, "linear")) {
        out->rope_scaling = ROPE_LINEAR;
        return TERN_OK;
    }
    if (!gguf_string_equal(type, "yarn"))
        return status_fail(TERN_UNSUPPORTED, "%s: RoPE scaling \"%.*s\" is not one that tern knows: none, linear, yarn",
                           reader->file->path, (int)(type.length < 64 ? type.length : 64), type.data);
    out->rope_scaling = ROPE_YARN;
    TRY(read_number(reader, "rope.scaling.original_context_length", 1, MAX_CONTEXT, out->context, &out->rope_original));
    TRY(read_positive(reader, "rope.scaling.yarn_beta_fast", 1e4F, &out->yarn_beta_fast));
    TRY(read_positive(reader, "rope.scaling.yarn_beta_slow", 1e4F, &out->yarn_beta_slow));
    return read_positive(reader, "rope.scaling.yarn_attn_factor", 1e4F, &out->yarn_attention);
}

static tern_status read_rope(struct reader *reader, struct config *out)
{
    TRY(read_number(reader, "rope.dimension_count", 2, MAX_HEAD_SIZE, out->head_size, &out->rope_dims));
    if (out->rope_dims % 2 != 0 || out->rope_dims > out->head_size)
        return status_fail(TERN_BAD_FILE, "%s: rotation of %d elements in heads of %d", reader->file->path,
                           out->rope_dims, out->head_size);
    out->rope_base = 10000;
    TRY(read_positive(reader, "rope.freq_base", 1e12F, &out->rope_base));
    return read_rope_scaling(reader, out);
}

tern_status config_read(const struct gguf_file *file, struct config *out)
{
    *out = (struct config){0};
    TRY(read_architecture(file, out));
    struct gguf_string name = {0};
    TRY(gguf_get_string(file, "general.name", &name));
    copy_string(name, out->name, sizeof out->name);

    struct reader reader = {.file = file, .architecture = out->architecture};
    TRY(read_number(&reader, "block_count", 1, MAX_LAYERS, -1, &out->n_layers));
    TRY(read_number(&reader, "context_length", 1, MAX_CONTEXT, -1, &out->context));
    TRY(read_number(&reader, "embedding_length", 1, MAX_WIDTH, -1, &out->width));
    TRY(read_number(&reader, "feed_forward_length", 1, MAX_FFN, -1, &out->n_ffn));
    TRY(read_heads(&reader, out));
    out->norm_eps = 1e-5F;
    TRY(read_positive(&reader, "attention.layer_norm_rms_epsilon", 1, &out->norm_eps));
    TRY(read_rope(&reader, out));

    // The embedding is the one witness of the vocabulary's size: the key is often absent, the list may be padded.
    const struct tensor *embedding = gguf_find_tensor(file, "token_embd.weight");
    if (embedding == NULL) return status_fail(TERN_BAD_FILE, "%s: tensor token_embd.weight is missing", file->path);
    if (embedding->rows < 1 || embedding->rows > MAX_VOCABULARY)
        return status_fail(TERN_BAD_FILE, "%s: tensor token_embd.weight has %llu rows, expected 1 to %d tokens",
                           file->path, (unsigned long long)embedding->rows, MAX_VOCABULARY);
    out->n_vocabulary = (int32_t)embedding->rows;
    out->tied_head = gguf_find_tensor(file, "output.weight") == NULL;
    return TERN_OK;
}
