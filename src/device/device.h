// What a machine must offer to run a decoder: memory, weights in the form it runs best, and the few operations of a
// transformer. A device knows no model. cpu.c implements it on the kernels; a GPU would implement the same.
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "format/tensor.h"

// A device runs one operation at a time: its scratch memory is shared by them.
struct device;
struct weight; // one matrix as the device runs it

struct device_options {
    int threads;          // 0: cpu_cores()
    const char *kernels;  // name of a kernel table; NULL: the best for this CPU (TERN_CPU is read by the caller)
    bool f32_activations; // multiply unrounded activations
    bool dense_tiles;     // ternary weights in 1.75 bits in place of 2.125: less memory, the same results
};

// Errors: INVALID (unknown kernels), NO_MEMORY. Close with device_close().
tern_status device_open(const struct device_options *options, struct device **out);
void device_close(struct device *device);
int device_threads(const struct device *device);
const char *device_kernels(const struct device *device);
bool device_dense_tiles(const struct device *device); // as opened
// Whether a device opened with these options would be as fast with dense tiles, which then are the better ones. False
// for unknown kernels.
bool device_prefers_dense(const struct device_options *options);

// Streaming read bandwidth of this machine with the device's threads, bytes a second: the median of `repeats` passes
// over `bytes` of memory made for it.
tern_status device_bandwidth(struct device *device, uint64_t bytes, int repeats, double *out);

// ---- Weights ------------------------------------------------------------------------------------------------------

// For which device a weight is measured, and how.
struct device_measure {
    bool dense_tiles; // as in device_options
    bool unread;      // weights are not looked at: a measure that few files exceed (codes of +2, scales of 64 weights)
};

// Bytes of memory that device_load_weight would take for this tensor; 0 if it runs where it lies in the file. Errors:
// as device_load_weight.
tern_status device_measure_weight(const struct tensor *tensor, bool token_scales, struct device_measure measure,
                                  uint64_t *bytes);

// Brings a 2-D tensor into the form that runs: tiles are made (the file's pages are then no longer needed), everything
// else stays in the file, which must stay open. token_scales: see tile_plan(). Free with device_free_weight().
tern_status device_load_weight(struct device *device, const struct tensor *tensor, bool token_scales,
                               struct weight **out);
void device_free_weight(struct device *device, struct weight *weight);
// Multiplies every output of a weight (BitNet's per-tensor scale).
void device_scale_weight(struct weight *weight, float scale);
uint64_t device_weight_bytes(const struct weight *weight); // that one pass over the matrix reads
bool device_weight_is_copy(const struct weight *weight);   // true: the tensor's pages in the file are not needed
bool device_weight_is_dense(const struct weight *weight);  // true: ternary, in dense tiles

// ---- Operations. Activations are float rows in memory that the caller owns: [n_rows][width], row-major. -------------

// out[i] = row tokens[i] of the embedding; ids are in range.
void device_embed(struct device *device, const struct weight *embedding, const int32_t *tokens, int64_t n, float *out);

void device_norm(struct device *device, const float *x, const float *weight, int64_t n_rows, int64_t width, float eps,
                 float *out);

// outs[i][row] = weights[i] * x[row] for up to DEVICE_MAX_SHARED matrices that share their input: [n_rows][columns].
// outs[i] is [n_rows][rows of weights[i]]. Errors: NO_MEMORY.
enum { DEVICE_MAX_SHARED = 4 };
tern_status device_matmul(struct device *device, struct weight *const *weights, float *const *outs, int n_weights,
                          const float *x, int64_t n_rows);

// Called by device_matmul() for each weight before it multiplies: x is [n_rows][columns of the weight]. For statistics
// of a model's activations (tern pack --calibrate). NULL: nobody.
typedef void (*device_observer)(void *context, const struct weight *weight, const float *x, int64_t n_rows,
                                int64_t columns);
void device_observe(struct device *device, device_observer observer, void *context);

// Rotary embedding of n_heads heads in each row; cosine, sine: [n_rows][n_pairs].
void device_rope(struct device *device, float *x, int64_t n_rows, int64_t n_heads, int64_t head_size,
                 const float *cosine, const float *sine, int64_t n_pairs, bool interleaved);

// Keys and values of one layer come in blocks of DEVICE_KV_BLOCK positions, whose inside is the device's. A new block
// is zeros.
enum { DEVICE_KV_BLOCK = 64 };

// Bytes of a block; a multiple of 64.
int64_t device_kv_block_bytes(tern_kv_type type, int64_t n_kv_heads, int64_t head_size);

struct device_attention {
    int64_t n_rows, n_heads, n_kv_heads, head_size;
    tern_kv_type kv_type;
    float scale;
    const float *q;                // [n_rows][n_heads * head_size], rotated
    const float *k, *v;            // [n_rows][n_kv_heads * head_size], k rotated
    const int32_t *position;       // [n_rows]
    uint8_t *const *const *blocks; // [n_rows] -> that row's sequence: [position / 64] -> block of this layer
    float *out;                    // [n_rows][n_heads * head_size]
};

// Stores the rows' keys and values at their positions, then attends each row to all positions up to its own.
// Rows of one sequence may come in any number, ascending. Errors: NO_MEMORY.
tern_status device_attend(struct device *device, const struct device_attention *attention);

enum device_gate { DEVICE_SILU, DEVICE_RELU2 };
void device_gate(struct device *device, enum device_gate gate, const float *a, const float *b, int64_t n, float *out);

void device_add(struct device *device, float *x, const float *y, int64_t n); // x += y

#endif
