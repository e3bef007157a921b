// The inner loops, one table of function pointers for each instruction set; reference.c is the truth and every other
// table returns its bits (memcmp), for every input without NaN. The order of arithmetic is part of each contract.
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "base/cpu.h"
#include "kernel/tile.h"

// Rows of activations in the form a matrix wants.
struct activations {
    enum activation_form form;
    int64_t n_tokens, columns;
    const float *f32;   // ACTIVATION_F32: [n_tokens][columns]
    const int8_t *q;    // others: [n_tokens][columns], -127..127
    const float *scale; // [n_tokens][n_scales], n_scales = ceil(columns / 32) for GROUP32, else ceil(columns / 128)
    int64_t n_scales;
    const uint8_t *table; // [n_tokens][table_bytes], what table_build() made
    int64_t table_bytes;  // table_bytes(w, n_tokens); 0: no table
};

// One product: out[t][r] = sum over c of w[r][c] * x[t][c].
struct multiply {
    const struct matrix *w;
    const struct activations *x; // form == w->form, columns == w->columns
    float *out;                  // [n_tokens][out_stride], the first w->rows of each are written
    int64_t out_stride;
};

// Attention over keys in blocks of a fixed size, so that the order of sums does not depend on how tokens arrived.
enum { ATTENTION_BLOCK = 64 };

// One block of keys and values of one kv head, and the queries that look at it.
struct attention_block {
    int64_t head_size;            // even, <= 256
    tern_kv_type kv_type;         // of both
    const uint8_t *keys, *values; // as kv_block.h lays them out
    // Those of the block that comes next, which kernels ask memory for while they compute. NULL: nothing is read ahead.
    const uint8_t *next_keys;
    int64_t n_queries;
    const float *const *query; // [n_queries] -> [head_size]
    const int32_t *visible;    // [n_queries] keys of this block that the query may see, 0..64: the first ones
    float scale;               // usually 1 / sqrt(head_size)
    // Running state of each query, carried from block to block in ascending order; start with max -INFINITY, sum 0, 0s.
    float *max, *sum;  // [n_queries]
    float *const *acc; // [n_queries] -> [head_size]
};

enum { ATTENTION_MAX_HEAD = 256 };

struct kernels {
    const char *name; // "reference", "sse41", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm"

    // int8 activations. For each group: absmax over |x| (elements that are not finite are taken as 0), and if it is
    // at least 1e-30f: scale = absmax / 127, q = rintf(x * (127 / absmax)), ties to even; else scale = 0, q = 0.
    // The last group may be shorter. x[n], q[n], scale[ceil(n / group)]. group is a multiple of 32, or >= n.
    void (*quantise)(const float *x, int64_t n, int64_t group, int8_t *q, float *scale);

    // True: tiles lie in pairs, and products begin at an even tile. False: they lie one after the other.
    bool pairs_tiles;

    // What a kernel makes of int8 activations once for all tiles: lookup tables, or an order that suits it. Bytes for
    // one token of a product of n_tokens (a multiple of 64; 0: nothing), and its making from one token's q. Depends on
    // n_tokens and the matrix's kind, form, group and columns, and dense ones' type, so that q, k and v share one.
    int64_t (*table_bytes)(const struct matrix *w, int64_t n_tokens);
    void (*table_build)(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table);
    // Whether products take dense tiles as they are, and as fast as loose ones; false or NULL: they are unpacked first.
    bool (*takes_packed)(void);
    // Up to here one call takes all tokens, and its time is that of reading the weights or grows with tiles alone.
    int64_t few_tokens;

    // Asks memory for what a product of few tokens that begins at this tile reads first. One that goes on where the one
    // before it ended has asked for that already. NULL: the processor guesses well enough.
    void (*read_ahead)(const struct matrix *w, int64_t tile);

    // Products for tiles [tile, tile_end) (rows 32 * tile ...) and tokens [token, token_end).
    //
    // Tiles, int8: dot = exact int32 sum over one group of (code - 1) * q, then groups in ascending order
    //     acc = fmaf((float)dot, w_scale * x_scale, acc), acc from 0; out = acc * w->scale.
    // Tiles, F32: s = 0; columns of the group ascending: s = fmaf((float)(code - 1), x, s); acc = fmaf(s, w_scale,
    //     acc).
    // Dense, GROUP32 (codec_unpack_parts() says what codes, steps and minima are): 8 lanes; for each 32 columns
    //     ascending, lane j takes the exact int32 sum of code * q over columns 4j .. 4j+3:
    //     lane_j = fmaf((float)dot_j, step * x_scale, lane_j), with the step of those columns (one for all 32, but two
    //     for Q6_K: lanes 0 .. 3 and 4 .. 7). Q4_1, Q4_K and Q5_K also have
    //     m_sum = fmaf((float)sum_of_x_q, minimum * x_scale, m_sum). Then tree8(lanes) (+ m_sum where there is one).
    // Every other dense case: 16 lanes, lane (i mod 16) = fmaf(w_i, x_i, lane), i ascending, w_i the float that
    //     codec_unpack_row gives; then tree16.
    // tree16: l[i] += l[i + 8] for i < 8, then tree8; tree8: l[i] += l[i + 4], then + 2, then + 1.
    // out = result * w->scale in all cases.
    void (*multiply)(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
    // Tokens that one call handles best once there are more than few_tokens: of matrices in tiles, and of those that
    // lie as in their file, whose rows it unpacks once for all its tokens. Such a call first makes sums of its tokens
    // that all its tiles share: give it many tiles (32 and more).
    int64_t token_tile, dense_token_tile;
    // Bytes of 64-byte-aligned scratch that such a call needs.
    int64_t (*scratch_bytes)(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

    // out[i] = (x[i] * s) * weight[i], s = 1 / sqrtf(sum / n + eps), sum over squares in 16 lanes
    // (lane (i mod 16) = fmaf(x_i, x_i, lane)), tree16. out may be x. weight may be NULL (all ones).
    void (*rms_norm)(const float *x, const float *weight, int64_t n, float eps, float *out);

    void (*add)(float *x, const float *y, int64_t n); // x[i] += y[i]

    // out[i] = (gate / (1 + exp(-gate))) * up, with kernel_expf; out may be gate.
    void (*silu_gate)(const float *gate, const float *up, int64_t n, float *out);
    // r = max(gate, 0); out[i] = (r * r) * up
    void (*relu2_gate)(const float *gate, const float *up, int64_t n, float *out);

    // Rotates the first 2 * n_pairs elements of one head in place. Pair i is (2i, 2i+1) if interleaved, else
    // (i, i + n_pairs): (a, b) -> (fmaf(a, cos, -(b * sin)), fmaf(a, sin, b * cos)).
    void (*rope)(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved);

    void (*to_half)(const float *x, int64_t n, uint16_t *out); // as half_from_float

    // One block for each query: s_j = scale * (sum over d ascending of fmaf(q_d, k_dj, s)) for visible j;
    // m = max(max, max_j s_j), -0 made +0; c = kernel_expf(max - m); p_j = kernel_expf(s_j - m), 0 for j not visible;
    // sum = fmaf(sum, c, tree16 of lanes (j mod 16) with plain adds, j ascending); acc_d = acc_d * c, then
    // acc_d = fmaf(p_j, v_jd, acc_d) for visible j ascending. A query that sees no key is left alone.
    // k and v are the floats that kv_block.h says. scratch: attention_scratch_bytes, 64-byte aligned.
    void (*attend)(const struct attention_block *block, void *scratch);
    int64_t attention_scratch_bytes;
};

// The tables that were built into this program, slowest first; *count of them.
const struct kernels *const *kernel_tables(int *count);

// The best table for this CPU, or the one named (NULL: best). NULL if the name is unknown or the CPU lacks it.
const struct kernels *kernel_select(const struct cpu_features *cpu, const char *name);
// All tables that were built in: "reference, sse41, avx2, avxvnni, avx512".
const char *kernel_names(void);

// exp in float by our own polynomial, max. relative error 2e-7: n = rintf(x * log2 e), r = fmaf(-n, ln2_hi, x),
// r = fmaf(-n, ln2_lo, r), Horner in fmaf, times 2^n by its exponent bits. x below -87 gives 0, above 88 exp(88).
float kernel_expf(float x);

#endif
