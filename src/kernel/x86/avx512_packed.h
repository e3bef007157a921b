// Dense tiles by VBMI's lookups in tables of 128 bytes, which not every processor with AVX-512 VNNI has. In a file of
// its own, built for them.
#ifndef KERNEL_X86_AVX512_PACKED_H
#define KERNEL_X86_AVX512_PACKED_H

#include "kernel/kernel.h"

// Whether this processor has VBMI.
bool avx512_packed_runs(void);

// kernel.h's table_build and multiply for a matrix of dense tiles, form GROUP128 or TOKEN. The table is columns bytes
// and an int32_t for each group.
void avx512_packed_build(const struct matrix *w, const int8_t *q, uint8_t *table);
void avx512_packed_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                            int64_t token_end);

#endif
