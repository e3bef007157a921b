// The AVX-VNNI table, for processors that have VPDPBUSD without AVX-512: AVX2's, with faster products of int8. Bit
// tiles stay AVX2's: VPDPBUSD spends a whole byte on a bit, and lookups are faster.
#include "kernel/packed.h"
#include "kernel/tables.h"
#include "kernel/x86/avx2_blocks.h"
#include "kernel/x86/avxvnni_tiles.h"

// Trits, dense tiles included, which are unpacked to loose ones.
static bool takes_dots(const struct matrix *w)
{
    return (w->kind == MATRIX_TRITS || w->kind == MATRIX_PACKED_TRITS) && w->form != ACTIVATION_F32;
}

static bool takes_blocks(const struct matrix *w)
{
    return w->kind == MATRIX_DENSE && w->form != ACTIVATION_F32;
}

static int64_t table_bytes(const struct matrix *w, int64_t n_tokens)
{
    if (takes_blocks(w)) return int8_table_bytes(w);
    return takes_dots(w) ? dots_bytes(w) : avx2_table_bytes(w, n_tokens);
}

static void table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table)
{
    if (takes_blocks(w))
        int8_build(w, q, table);
    else if (takes_dots(w))
        dots_build(w, q, table);
    else
        avx2_table_build(w, n_tokens, q, table);
}

// Whole batches of BATCH_LARGE tokens are faster in AVX2's way.
static void trits_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                           void *scratch)
{
    const int64_t many = token + (token_end - token) / BATCH_LARGE * BATCH_LARGE;
    if (token < many) avx2_multiply(job, tile, tile_end, token, many, scratch);
    dots_multiply(job, tile, tile_end, many, token_end);
}

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

static const struct packed_table packed_table = {false, scratch_bytes, multiply};

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch)
{
    if (takes_blocks(job->w))
        int8_multiply(job, tile * TILE_ROWS, min_i64(tile_end * TILE_ROWS, job->w->rows), token, token_end);
    else if (!takes_dots(job->w))
        avx2_multiply(job, tile, tile_end, token, token_end, scratch);
    else if (job->w->kind == MATRIX_PACKED_TRITS)
        packed_multiply(&packed_table, job, tile, tile_end, token, token_end, scratch);
    else
        trits_multiply(job, tile, tile_end, token, token_end, scratch);
}

static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (!takes_dots(w)) return avx2_scratch_bytes(w, n_tiles, n_tokens);
    if (w->kind == MATRIX_PACKED_TRITS) return packed_scratch_bytes(&packed_table, w, n_tiles, n_tokens);
    return n_tokens < BATCH_LARGE ? 0 : avx2_scratch_bytes(w, n_tiles, n_tokens);
}

const struct kernels kernel_avxvnni = {
    .name = "avxvnni",
    .table_bytes = table_bytes,
    .table_build = table_build,
    .multiply = multiply,
    .scratch_bytes = scratch_bytes,
    AVX2_COMMON,
};
