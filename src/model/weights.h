// A model's weights, ready to run.
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "device/device.h"
#include "model/config.h"

struct layer {
    const float *attn_norm;                // [width]
    struct weight *q, *k, *v;              // [n_heads * head_size][width], [n_kv_heads * head_size][width] twice
    const float *q_bias, *k_bias, *v_bias; // NULL if none
    const float *q_norm, *k_norm;          // [head_size]; NULL without qk_norm
    const float *attn_sub_norm;            // [n_heads * head_size]; NULL without sub_norm
    struct weight *attn_output;            // [width][n_heads * head_size]
    const float *ffn_norm;                 // [width]
    struct weight *gate, *up;              // [n_ffn][width]
    const float *ffn_sub_norm;             // [n_ffn]; NULL without sub_norm
    struct weight *down;                   // [width][n_ffn]
};

struct weights {
    struct weight *embedding;  // [n_vocabulary][width]
    struct weight *head;       // [n_vocabulary][width]; the same as embedding if tied
    const float *output_norm;  // [width]
    const float *rope_factors; // [rope_dims / 2] that frequencies are divided by (Llama 3); NULL if none
    struct layer *layers;      // [n_layers]
    struct device *device;     // that holds the matrices
    float **vectors;           // owned: every const float * above
    size_t n_vectors;
};

// Loads and checks every tensor (shape, type) before any work, then brings each to the device.
// progress(context, fraction) may be NULL; false gives CANCELLED. Free with weights_free().
tern_status weights_load(const struct gguf_file *file, const struct config *config, struct device *device,
                         bool (*progress)(void *context, float fraction), void *context, struct weights **out);
void weights_free(struct weights *weights);

// Bytes that decoding one token reads from memory (each matrix once; of the embedding only if it is the head).
uint64_t weights_bytes_per_token(const struct weights *weights);

// Bytes of memory that weights_load would take for tiles, without loading; BAD_FILE as weights_load.
tern_status weights_measure(const struct gguf_file *file, const struct config *config, uint64_t *tile_bytes,
                            uint64_t *file_bytes_kept);

#endif
