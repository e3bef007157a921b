// AArch64 with the dot-product instructions (FEAT_DotProd, of ARMv8.2): neon.c's table with faster products of int8.
#include "kernel/arm/dot_tiles.h"
#include "kernel/tables.h"

static void dotprod_tile(const struct tile_step *step, int64_t n)
{
    neon_tile_of_constants(step, n, dot_tile);
}

static void dotprod_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                             int64_t token_end, void *scratch)
{
    static const struct neon_products products = {dotprod_tile, multiply_row_group32, dotprod_multiply};
    neon_multiply_by(job, &(struct tile_span){tile, tile_end, token, token_end}, scratch, &products);
}

const struct kernels kernel_dotprod = {
    .name = "dotprod",
    .multiply = dotprod_multiply,
    NEON_COMMON,
};
