// bitnet.cpp packs I2_S in two ways, by the machine it runs on, and nothing in a file says which: on x86 blocks of 128
// (what DTYPE_I2_S is everywhere in tern), on ARM blocks of 64. There byte p of a block's 16 holds elements p, 16 + p,
// 32 + p, 48 + p from the high bits down. Source: quantize_i2_s in bitnet.cpp's ggml-bitnet-mad.cpp.
#ifndef FORMAT_I2_S_H
#define FORMAT_I2_S_H

#include "format/gguf.h"

// Takes the file's I2_S tensors for ARM's and puts their codes in the order of x86, in memory of the file's own.
// Errors: NO_MEMORY.
tern_status i2_s_from_arm(struct gguf_file *file);

// Two blocks of ARM to one of x86: 32 bytes each, which may not overlap.
void i2_s_block_from_arm(const uint8_t *arm, uint8_t *x86);

#endif
