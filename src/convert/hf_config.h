// config.json of a Hugging Face model: which architecture it is and its numbers.
#ifndef CONVERT_HF_CONFIG_H
#define CONVERT_HF_CONFIG_H

#include "convert/gguf_writer.h"

#include <jansson.h>

enum hf_kind {
    HF_QWEN3,
    HF_LLAMA,
    HF_BITNET,       // transformers' own, as of BitNet b1.58 2B-4T
    HF_BITNET_FIRST, // 1bitLLM's bitnet_b1_58: SiLU, and names of its own for the sub-norms
};

enum { HF_MAX_ROPE = 256 }; // pairs of dimensions of a head

struct hf_config {
    enum hf_kind kind;
    const char *architecture; // as GGUF names it
    uint32_t layers, width, ffn, heads, kv_heads, head_size, vocabulary;
    bool tied;                       // the head is the embedding
    bool packed;                     // matrices are packed trits (quantization_config: bitnet, offline)
    bool scale_divides;              // packed trits are divided by weight_scale (BitLinear), not multiplied
    bool trained_ternary;            // BitNet's rounding by absmean is part of the model
    bool rounded_in_use;             // and its floats go through it whenever the model runs
    uint32_t n_rope_factors;         // 0: none
    float rope_factors[HF_MAX_ROPE]; // [n_rope_factors] what llama3 scaling divides frequencies by
};

// Reads the configuration and appends its keys, named as llama.cpp's converters name them. `path` is for messages.
// Errors: BAD_FILE, UNSUPPORTED (an architecture, scaling or activation that is not known), NO_MEMORY.
tern_status hf_config_read(const char *path, const json_t *root, struct hf_config *out, struct metadata *metadata);

#endif
