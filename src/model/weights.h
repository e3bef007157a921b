// A model's weights, ready to run.
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "device/device.h"
#include "model/config.h"

struct layer {
    const float *attn_norm;       // [width]
    struct weight *q, *k, *v;     // [n_heads * head_size][width], [n_kv_heads * head_size][width] twice
    const float *q_norm, *k_norm; // [head_size]; NULL without qk_norm
    const float *attn_sub_norm;   // [n_heads * head_size]; NULL without sub_norm
    struct weight *attn_output;   // [width][n_heads * head_size]
    const float *ffn_norm;        // [width]
    struct weight *gate, *up;     // [n_ffn][width]
    const float *ffn_sub_norm;    // [n_ffn]; NULL without sub_norm
    struct weight *down;          // [width][n_ffn]
};

struct weights {
    struct weight *embedding;  // [n_vocabulary][width]
    struct weight *head;       // [n_vocabulary][width]; the same as embedding if tied
    const float *output_norm;  // [width]
    const float *rope_factors; // [rope_dims / 2] that frequencies are divided by (Llama 3); NULL if none
    int32_t n_layers;
    struct layer *layers;  // [n_layers]
    struct device *device; // that holds the matrices
    bool dense_tiles;      // some of them in dense tiles
    float **vectors;       // owned: every const float * above
    size_t n_vectors;
};

// Checks every tensor (presence, shape) before any work, then brings each to the device. The file must stay open as
// long as the weights. Errors: BAD_FILE (missing or misshapen tensor), UNSUPPORTED (a tensor that this architecture
// does not have in tern, or a shape that no tile holds), NO_MEMORY (also if the machine has too little by its own
// words, before any weight is touched). progress(context, fraction) may be NULL; false gives CANCELLED. Free with
// weights_free().
tern_status weights_load(const struct gguf_file *file, const struct config *config, struct device *device,
                         bool (*progress)(void *context, float fraction), void *context, struct weights **out);
void weights_free(struct weights *weights);

// Bytes that decoding one token reads from memory (each matrix once; of the embedding only if it is the head).
uint64_t weights_bytes_per_token(const struct weights *weights);

// What weights_load would need, without loading: bytes of memory for what is copied, and bytes of the file that stay in
// use. Errors as weights_load.
tern_status weights_measure(const struct gguf_file *file, const struct config *config, struct device_measure measure,
                            uint64_t *copied, uint64_t *kept);

#endif
