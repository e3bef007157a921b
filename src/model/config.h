// A model's hyperparameters, read from its file and checked. Where architectures differ, they differ here.
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "format/gguf.h"

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN };

struct config {
    char architecture[32]; // "qwen3", "llama", "bitnet", "bitnet-b1.58", "bitnet-25"
    char name[128];        // general.name, "" if none
    int32_t n_layers, width, n_ffn;
    int32_t n_heads, n_kv_heads, head_size;
    int32_t n_vocabulary;
    int32_t context; // tokens it was trained for
    float norm_eps;

    bool qk_norm;      // RMSNorm of each query and key head before rotation (Qwen3)
    bool sub_norm;     // RMSNorm before attn_output and ffn_down (BitNet)
    bool relu2;        // squared ReLU gate instead of SiLU (BitNet 2B-4T)
    bool tied_head;    // no output.weight: the embedding is the head
    bool token_scales; // activations rounded with one scale a token in ternary products, as BitNet was trained

    int32_t rope_dims; // elements of a head that are rotated
    bool rope_interleaved;
    float rope_base;
    enum rope_scaling rope_scaling;
    float rope_factor;                                    // linear, YaRN: context is stretched by this
    int32_t rope_original;                                // YaRN: context before stretching
    float yarn_beta_fast, yarn_beta_slow, yarn_attention; // attention: the log multiplier of the magnitude, usually 1
};

// Errors: UNSUPPORTED (architecture: names it and the known ones), BAD_FILE (missing or impossible values).
tern_status config_read(const struct gguf_file *file, struct config *out);

// "qwen3, llama, bitnet, bitnet-b1.58, bitnet-25"
const char *config_architectures(void);

#endif
