// AArch64 with the dot-product instructions (FEAT_DotProd, of ARMv8.2): neon.c's table with faster products of int8.
#include "kernel/arm/dot_tiles.h"
#include "kernel/tables.h"

INLINE void tile_tokens(const struct tile_step *step, enum matrix_kind kind, int64_t n)
{
    switch (n) {
    case 1:
        dot_tile(step, kind, 1);
        break;
    case 2:
        dot_tile(step, kind, 2);
        break;
    case 3:
        dot_tile(step, kind, 3);
        break;
    default:
        dot_tile(step, kind, TOKEN_BLOCK);
    }
}

static void dotprod_tile(const struct tile_step *step, int64_t n)
{
    if (step->job->w->kind == MATRIX_TRITS)
        tile_tokens(step, MATRIX_TRITS, n);
    else
        tile_tokens(step, MATRIX_BITS, n);
}

static void dotprod_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                             int64_t token_end, void *scratch)
{
    (void)scratch;
    static const struct neon_products products = {dotprod_tile, multiply_row_group32};
    neon_multiply_by(job, &(struct tile_span){tile, tile_end, token, token_end}, &products);
}

const struct kernels kernel_dotprod = {
    .name = "dotprod",
    .quantise = neon_quantise,
    .table_bytes = reference_table_bytes,
    .table_build = reference_table_build,
    .table_tokens = TOKEN_BLOCK,
    .few_tokens = TOKEN_BLOCK,
    .multiply = dotprod_multiply,
    .token_tile = 32,
    .scratch_bytes = reference_scratch_bytes,
    .rms_norm = neon_rms_norm,
    .add = neon_add,
    .silu_gate = neon_silu_gate,
    .relu2_gate = neon_relu2_gate,
    .rope = neon_rope,
    .to_half = neon_to_half,
    .attend = neon_attend,
    .attention_scratch_bytes = 0,
};
