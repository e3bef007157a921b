#include "convert/hf_config.h"

#include "base/elementary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 19, MAX_HEADS = 1024, MAX_VOCABULARY = 1 << 22, MAX_CONTEXT = 1 << 24 };

static const struct {
    const char *name; // of config.json
    enum hf_kind kind;
    const char *architecture;
} architectures[] = {
    {"Qwen3ForCausalLM", HF_QWEN3, "qwen3"},
    {"LlamaForCausalLM", HF_LLAMA, "llama"},
    {"BitNetForCausalLM", HF_BITNET, "bitnet-b1.58"},
    {"BitnetForCausalLM", HF_BITNET_FIRST, "bitnet"},
};

enum { N_ARCHITECTURES = sizeof architectures / sizeof *architectures };

struct reader {
    const char *path;
    const json_t *root;
    struct hf_config *config;
    struct metadata *metadata;
    char key[96];
};

// "ARCHITECTURE.NAME"
static const char *key(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->config->architecture, name);
    return r->key;
}

// ---- Values -----------------------------------------------------------------------------------------------------

// A whole number in 1..high; `missing` if it is absent or null, where missing 0 makes it required.
static tern_status read_number(const struct reader *r, const char *name, uint32_t high, uint32_t missing, uint32_t *out)
{
    const json_t *value = json_object_get(r->root, name);
    *out = missing;
    if (value == NULL || json_is_null(value)) {
        if (missing != 0) return TERN_OK;
        return status_fail(TERN_BAD_FILE, "%s: %s is missing", r->path, name);
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > (json_int_t)high)
        return status_fail(TERN_BAD_FILE, "%s: %s is not a whole number from 1 to %u", r->path, name, high);
    *out = (uint32_t)number;
    return TERN_OK;
}

// A positive number; *out keeps its default if it is absent.
static tern_status read_positive(const struct reader *r, const json_t *object, const char *name, double *out)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value)) return TERN_OK;
    *out = json_number_value(value);
    if (json_is_number(value) && *out > 0 && isfinite(*out)) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: %s is not a number above 0", r->path, name);
}

static bool read_flag(const json_t *object, const char *name, bool missing)
{
    const json_t *value = json_object_get(object, name);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

static bool equals(const json_t *value, const char *text)
{
    const char *string = json_string_value(value);
    return string != NULL && strcmp(string, text) == 0;
}

// ---- Architecture -----------------------------------------------------------------------------------------------

static tern_status read_architecture(struct reader *r)
{
    const json_t *name = json_array_get(json_object_get(r->root, "architectures"), 0);
    if (!json_is_string(name)) return status_fail(TERN_BAD_FILE, "%s: architectures is missing", r->path);
    for (int i = 0; i < N_ARCHITECTURES; i++) {
        if (!equals(name, architectures[i].name)) continue;
        r->config->kind = architectures[i].kind;
        r->config->architecture = architectures[i].architecture;
        return TERN_OK;
    }
    return status_fail(TERN_UNSUPPORTED,
                       "%s: architecture \"%.60s\" is not one that tern converts: Qwen3ForCausalLM, LlamaForCausalLM, "
                       "BitNetForCausalLM, BitnetForCausalLM",
                       r->path, json_string_value(name));
}

static tern_status check_activation(const struct reader *r)
{
    const char *wanted = r->config->kind == HF_BITNET ? "relu2" : "silu";
    const json_t *value = json_object_get(r->root, "hidden_act");
    if (value == NULL || equals(value, wanted)) return TERN_OK;
    return status_fail(TERN_UNSUPPORTED, "%s: hidden_act \"%.40s\", %s models have %s", r->path,
                       json_is_string(value) ? json_string_value(value) : "?", r->config->architecture, wanted);
}

// What would change the answers without a word.
static tern_status check_attention(const struct reader *r)
{
    if (read_flag(r->root, "use_sliding_window", false))
        return status_fail(TERN_UNSUPPORTED, "%s: use_sliding_window: attention over a window is not supported",
                           r->path);
    return TERN_OK;
}

// How the matrices are packed, if they are.
static tern_status read_quantization(const struct reader *r)
{
    const json_t *object = json_object_get(r->root, "quantization_config");
    struct hf_config *c = r->config;
    c->rounded_in_use = c->kind == HF_BITNET_FIRST;
    c->trained_ternary = c->rounded_in_use || c->kind == HF_BITNET;
    if (object == NULL || json_is_null(object)) return TERN_OK;
    if (!equals(json_object_get(object, "quant_method"), "bitnet"))
        return status_fail(TERN_UNSUPPORTED, "%s: quantization_config is of another method than bitnet", r->path);
    const json_t *mode = json_object_get(object, "quantization_mode");
    c->trained_ternary = true;
    c->packed = mode == NULL || equals(mode, "offline");
    c->rounded_in_use = c->rounded_in_use || !c->packed;
    c->scale_divides = !equals(json_object_get(object, "linear_class"), "autobitlinear");
    return TERN_OK;
}

// ---- Numbers ----------------------------------------------------------------------------------------------------

static tern_status read_shape(struct reader *r)
{
    struct hf_config *c = r->config;
    TRY(read_number(r, "num_hidden_layers", MAX_LAYERS, 0, &c->layers));
    TRY(read_number(r, "hidden_size", MAX_WIDTH, 0, &c->width));
    TRY(read_number(r, "intermediate_size", MAX_WIDTH, 0, &c->ffn));
    TRY(read_number(r, "num_attention_heads", MAX_HEADS, 0, &c->heads));
    TRY(read_number(r, "num_key_value_heads", MAX_HEADS, c->heads, &c->kv_heads));
    TRY(read_number(r, "head_dim", 2 * HF_MAX_ROPE, c->width / c->heads, &c->head_size));
    TRY(read_number(r, "vocab_size", MAX_VOCABULARY, 0, &c->vocabulary));
    if (c->head_size == 0 || c->head_size % 2 != 0 || c->head_size > 2 * HF_MAX_ROPE)
        return status_fail(TERN_BAD_FILE, "%s: heads of %u elements, expected an even number to %d", r->path,
                           c->head_size, 2 * HF_MAX_ROPE);
    c->tied = read_flag(r->root, "tie_word_embeddings", c->kind == HF_BITNET);
    return TERN_OK;
}

static tern_status add_shape(struct reader *r)
{
    const struct hf_config *c = r->config;
    struct metadata *m = r->metadata;
    uint32_t context;
    double epsilon = 1e-6;
    TRY(read_number(r, "max_position_embeddings", MAX_CONTEXT, 2048, &context));
    TRY(read_positive(r, r->root, "rms_norm_eps", &epsilon));
    TRY(metadata_add_u32(m, key(r, "block_count"), c->layers));
    TRY(metadata_add_u32(m, key(r, "context_length"), context));
    TRY(metadata_add_u32(m, key(r, "embedding_length"), c->width));
    TRY(metadata_add_u32(m, key(r, "feed_forward_length"), c->ffn));
    TRY(metadata_add_u32(m, key(r, "attention.head_count"), c->heads));
    TRY(metadata_add_u32(m, key(r, "attention.head_count_kv"), c->kv_heads));
    TRY(metadata_add_f32(m, key(r, "attention.layer_norm_rms_epsilon"), (float)epsilon));
    TRY(metadata_add_u32(m, key(r, "attention.key_length"), c->head_size));
    TRY(metadata_add_u32(m, key(r, "attention.value_length"), c->head_size));
    if (c->kind == HF_QWEN3) return TERN_OK;
    TRY(metadata_add_u32(m, key(r, "vocab_size"), c->vocabulary));
    return metadata_add_u32(m, key(r, "rope.dimension_count"), c->head_size);
}

// ---- RoPE -------------------------------------------------------------------------------------------------------

// Llama 3.1's scaling: low frequencies are divided by `factor`, high ones are not, in between is a ramp. The numbers
// are those of transformers' _compute_llama3_parameters; GGUF holds them as a vector, rope_freqs.weight.
static tern_status read_llama3_factors(struct reader *r, const json_t *rope, double base)
{
    struct hf_config *c = r->config;
    double factor = 8, low = 1, high = 4, original = 8192;
    TRY(read_positive(r, rope, "factor", &factor));
    TRY(read_positive(r, rope, "low_freq_factor", &low));
    TRY(read_positive(r, rope, "high_freq_factor", &high));
    TRY(read_positive(r, rope, "original_max_position_embeddings", &original));
    if (!(high > low)) return status_fail(TERN_BAD_FILE, "%s: high_freq_factor is not above low_freq_factor", r->path);
    c->n_rope_factors = c->head_size / 2;
    for (uint32_t i = 0; i < c->n_rope_factors; i++) {
        double wavelength = 2 * 3.14159265358979323846 * pow(base, 2.0 * i / c->head_size);
        double ramp = (original / wavelength - low) / (high - low);
        if (wavelength < original / high)
            c->rope_factors[i] = 1;
        else if (wavelength > original / low)
            c->rope_factors[i] = (float)factor;
        else
            c->rope_factors[i] = (float)(1 / ((1 - ramp) / factor + ramp));
    }
    return TERN_OK;
}

static tern_status add_linear(struct reader *r, const json_t *rope)
{
    double factor = 1;
    TRY(read_positive(r, rope, "factor", &factor));
    TRY(metadata_add_string(r->metadata, key(r, "rope.scaling.type"), "linear", strlen("linear")));
    return metadata_add_f32(r->metadata, key(r, "rope.scaling.factor"), (float)factor);
}

static tern_status add_optional(struct reader *r, const json_t *rope, const char *name, const char *gguf_name)
{
    double value = 0;
    TRY(read_positive(r, rope, name, &value));
    return value > 0 ? metadata_add_f32(r->metadata, key(r, gguf_name), (float)value) : TERN_OK;
}

// What transformers (modeling_rope_utils.py) multiplies cosines and sines by; readers of a GGUF file multiply by
// 1 + 0.1 ln(factor) themselves, and by what is written here.
static tern_status add_yarn_magnitude(struct reader *r, const json_t *rope, double factor)
{
    const double growth = factor > 1 ? 0.1 * elementary_log(factor) : 0;
    const double scale = json_number_value(json_object_get(rope, "mscale")),
                 scale_all = json_number_value(json_object_get(rope, "mscale_all_dim"));
    double given = 0;
    TRY(read_positive(r, rope, "attention_factor", &given));
    if (given == 0 && scale > 0 && scale_all > 0) given = (1 + scale * growth) / (1 + scale_all * growth);
    if (given == 0) return TERN_OK;
    return metadata_add_f32(r->metadata, key(r, "rope.scaling.yarn_attn_factor"), (float)(given / (1 + growth)));
}

static tern_status add_yarn(struct reader *r, const json_t *rope)
{
    double factor = 1, original = 0;
    TRY(read_positive(r, rope, "factor", &factor));
    TRY(read_positive(r, rope, "original_max_position_embeddings", &original));
    if (original < 1 || original > MAX_CONTEXT)
        return status_fail(TERN_BAD_FILE, "%s: YaRN needs original_max_position_embeddings", r->path);
    TRY(metadata_add_string(r->metadata, key(r, "rope.scaling.type"), "yarn", strlen("yarn")));
    TRY(metadata_add_f32(r->metadata, key(r, "rope.scaling.factor"), (float)factor));
    TRY(metadata_add_u32(r->metadata, key(r, "rope.scaling.original_context_length"), (uint32_t)original));
    TRY(add_yarn_magnitude(r, rope, factor));
    TRY(add_optional(r, rope, "beta_fast", "rope.scaling.yarn_beta_fast"));
    return add_optional(r, rope, "beta_slow", "rope.scaling.yarn_beta_slow");
}

static tern_status add_rope(struct reader *r)
{
    const json_t *rope = json_object_get(r->root, "rope_parameters"); // transformers 5; before, rope_scaling
    if (!json_is_object(rope)) rope = json_object_get(r->root, "rope_scaling");
    double base = 10000;
    TRY(read_positive(r, r->root, "rope_theta", &base));
    TRY(read_positive(r, rope, "rope_theta", &base));
    TRY(metadata_add_f32(r->metadata, key(r, "rope.freq_base"), (float)base));
    const json_t *type = json_object_get(rope, "rope_type");
    if (type == NULL) type = json_object_get(rope, "type");
    if (type == NULL || json_is_null(type) || equals(type, "default"))
        return r->config->kind == HF_BITNET_FIRST ? add_linear(r, NULL)
                                                  : TERN_OK; // by 1, as llama.cpp's converter has it
    if (equals(type, "linear")) return add_linear(r, rope);
    if (equals(type, "yarn")) return add_yarn(r, rope);
    if (equals(type, "llama3")) return read_llama3_factors(r, rope, base);
    return status_fail(TERN_UNSUPPORTED, "%s: RoPE scaling \"%.40s\" is not one of default, linear, yarn, llama3",
                       r->path, json_is_string(type) ? json_string_value(type) : "?");
}

// ---- All of it --------------------------------------------------------------------------------------------------

tern_status hf_config_read(const char *path, const json_t *root, struct hf_config *out, struct metadata *metadata)
{
    *out = (struct hf_config){0};
    struct reader r = {.path = path, .root = root, .config = out, .metadata = metadata};
    TRY(read_architecture(&r));
    TRY(check_activation(&r));
    TRY(check_attention(&r));
    TRY(read_quantization(&r));
    TRY(read_shape(&r));
    TRY(metadata_add_string(metadata, "general.architecture", out->architecture, strlen(out->architecture)));
    TRY(metadata_add_string(metadata, "general.type", "model", strlen("model")));
    TRY(add_shape(&r));
    return add_rope(&r);
}
