// I2_S is packed in three orders, and nothing in a file says which. bitnet.cpp on x86: blocks of 128, what DTYPE_I2_S
// is everywhere in tern. bitnet.cpp on ARM: blocks of 64, where byte p of a block's 16 holds elements p, 16 + p, 32 +
// p, 48 + p from the high bits down (quantize_i2_s in its ggml-bitnet-mad.cpp). Some other converters: in sequence,
// four elements a byte from the low bits up (NeoGPU's, as SKaiNET's issue 1140 describes it).
#ifndef FORMAT_I2_S_H
#define FORMAT_I2_S_H

#include "format/gguf.h"

enum i2_s_order { I2_S_X86, I2_S_ARM, I2_S_SEQUENTIAL };

// Takes the file's I2_S tensors for such as were packed in `order` and puts their codes in that of x86, in memory of
// the file's own; once for a file. Errors: NO_MEMORY.
tern_status i2_s_reorder(struct gguf_file *file, enum i2_s_order order);

// 128 elements from `order` to that of x86: 32 bytes each, which may not overlap.
void i2_s_reorder_block(enum i2_s_order order, const uint8_t *block, uint8_t *x86);

#endif
