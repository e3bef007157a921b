#include "format/codec.h"

#include "base/half.h"
#include "format/bytes.h"

#include <math.h>
#include <string.h>

enum {
    HALF_ONE = 0x3c00,
    K_BLOCK = 256,   // elements of a Q4_K, Q5_K or Q6_K block
    K_SUBBLOCK = 32, // elements that share a scale and a minimum in Q4_K and Q5_K
    TQ1_0_SCALE_AT = 52,
    TQ2_0_SCALE_AT = 64,
    PTQ1_0_SCALE_AT = 26,
};

// ---- Codes of two bits ------------------------------------------------------------------------------------------

// Four consecutive codes a byte, from the low bits up.
// The four codes of a byte become a word at once, which compilers turn into SIMD: a sixth of the time that single bytes
// take.
static void unpack_consecutive(const uint8_t *restrict bytes, unsigned n_bytes, uint8_t *restrict codes)
{
    for (unsigned i = 0; i < n_bytes; i++) {
        uint32_t word = bytes[i];
        bytes_store_u32(codes + 4 * i, (word | word << 6 | word << 12 | word << 18) & 0x03030303);
    }
}

static void pack_consecutive(const uint8_t *codes, unsigned n_bytes, uint8_t *bytes)
{
    for (unsigned i = 0; i < n_bytes; i++) {
        const uint8_t *c = codes + 4 * i;
        bytes[i] = (uint8_t)(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
    }
}

// 128 codes in 32 bytes: byte m holds codes m, m + 32, m + 64, m + 96, from the low bits up (TQ2_0) or from the
// high bits down (I2_S).
static void unpack_strided(const uint8_t *restrict bytes, bool high_first, uint8_t *restrict codes)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned shift = 2 * (high_first ? 3 - k : k);
        for (unsigned m = 0; m < 32; m++)
            codes[32 * k + m] = bytes[m] >> shift & 3;
    }
}

static void pack_strided(const uint8_t codes[128], bool high_first, uint8_t bytes[32])
{
    for (unsigned m = 0; m < 32; m++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 4; k++)
            byte |= (unsigned)codes[32 * k + m] << 2 * (high_first ? 3 - k : k);
        bytes[m] = (uint8_t)byte;
    }
}

// ---- Base-3 codes -----------------------------------------------------------------------------------------------

// A run of n_bytes bytes holds `digits` * n_bytes codes position-major: digit n of byte m is code n * n_bytes + m. A
// byte is ceil(256 v / 243) for the number v < 243 that its five digits write, first digit highest; multiplying by 3^n
// modulo 256 drops the digits before n, and the top of three times the rest is digit n.
//
// Eight bytes go through it at a time, as lanes of 16 bits: those with even and those with odd numbers.
static void unpack_base3(const uint8_t *restrict bytes, unsigned n_bytes, unsigned digits, uint8_t *restrict codes)
{
    const uint64_t low = UINT64_C(0x00ff00ff00ff00ff);
    for (unsigned m = 0; m < n_bytes; m += 8) {
        size_t n = n_bytes - m < 8 ? n_bytes - m : 8;
        uint64_t word = 0;
        memcpy(&word, bytes + m, n);
        uint64_t even = word & low, odd = word >> 8 & low;
        for (unsigned digit = 0; digit < digits; digit++) {
            even *= 3;
            odd *= 3;
            word = (even >> 8 & low) | (odd & ~low);
            memcpy(codes + digit * n_bytes + m, &word, n);
            even &= low;
            odd &= low;
        }
    }
}

static void pack_base3(const uint8_t *codes, unsigned n_bytes, unsigned digits, uint8_t *bytes)
{
    for (unsigned m = 0; m < n_bytes; m++) {
        unsigned value = 0;
        for (unsigned n = 0; n < 5; n++) // missing digits are zeros at the low end
            value = value * 3 + (n < digits ? codes[n * n_bytes + m] : 0);
        bytes[m] = (uint8_t)((value * 256 + 242) / 243);
    }
}

static void unpack_tq1_0(const uint8_t *block, uint8_t *codes)
{
    unpack_base3(block, 32, 5, codes);
    unpack_base3(block + 32, 16, 5, codes + 160);
    unpack_base3(block + 48, 4, 4, codes + 240);
}

static void pack_tq1_0(const uint8_t *codes, uint8_t *block)
{
    pack_base3(codes, 32, 5, block);
    pack_base3(codes + 160, 16, 5, block + 32);
    pack_base3(codes + 240, 4, 4, block + 48);
}

static void unpack_ptq1_0(const uint8_t *block, uint8_t *codes)
{
    unpack_base3(block, 16, 5, codes);
    unpack_base3(block + 16, 8, 5, codes + 80);
    unpack_base3(block + 24, 2, 4, codes + 120);
}

static void pack_ptq1_0(const uint8_t *codes, uint8_t *block)
{
    pack_base3(codes, 16, 5, block);
    pack_base3(codes + 80, 8, 5, block + 16);
    pack_base3(codes + 120, 2, 4, block + 24);
}

// ---- Ternary and binary blocks ----------------------------------------------------------------------------------

void codec_unpack_trits(enum dtype type, const uint8_t *block, uint8_t *codes, uint16_t *scale)
{
    switch (type) {
    case DTYPE_TQ1_0:
        unpack_tq1_0(block, codes);
        *scale = bytes_load_u16(block + TQ1_0_SCALE_AT);
        break;
    case DTYPE_TQ2_0:
        unpack_strided(block, false, codes);
        unpack_strided(block + 32, false, codes + 128);
        *scale = bytes_load_u16(block + TQ2_0_SCALE_AT);
        break;
    case DTYPE_I2_S:
        unpack_strided(block, true, codes);
        *scale = HALF_ONE;
        break;
    case DTYPE_PTQ1_0:
        unpack_ptq1_0(block, codes);
        *scale = bytes_load_u16(block + PTQ1_0_SCALE_AT);
        break;
    default: // Q2_0 in both layouts, PQ2_0: the scale comes first
        unpack_consecutive(block + 2, dtype_info(type)->block_elements / 4, codes);
        *scale = bytes_load_u16(block);
        break;
    }
}

void codec_pack_trits(enum dtype type, const uint8_t *codes, uint16_t scale, uint8_t *block)
{
    switch (type) {
    case DTYPE_TQ1_0:
        pack_tq1_0(codes, block);
        bytes_store_u16(block + TQ1_0_SCALE_AT, scale);
        break;
    case DTYPE_TQ2_0:
        pack_strided(codes, false, block);
        pack_strided(codes + 128, false, block + 32);
        bytes_store_u16(block + TQ2_0_SCALE_AT, scale);
        break;
    case DTYPE_I2_S:
        pack_strided(codes, true, block);
        break;
    case DTYPE_PTQ1_0:
        pack_ptq1_0(codes, block);
        bytes_store_u16(block + PTQ1_0_SCALE_AT, scale);
        break;
    default:
        pack_consecutive(codes, dtype_info(type)->block_elements / 4, block + 2);
        bytes_store_u16(block, scale);
        break;
    }
}

void codec_unpack_bits(enum dtype type, const uint8_t *block, uint8_t *bits, uint16_t *scale)
{
    for (unsigned i = 0; i < dtype_info(type)->block_elements; i++)
        bits[i] = block[2 + i / 8] >> i % 8 & 1;
    *scale = bytes_load_u16(block);
}

void codec_pack_bits(enum dtype type, const uint8_t *bits, uint16_t scale, uint8_t *block)
{
    bytes_store_u16(block, scale);
    for (unsigned i = 0; i < dtype_info(type)->block_elements; i += 8) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 8; k++)
            byte |= (unsigned)bits[i + k] << k;
        block[2 + i / 8] = (uint8_t)byte;
    }
}

// ---- Dense blocks -----------------------------------------------------------------------------------------------

// Every product below is exact: a half has 11 significant bits, scales at most 7 and quants at most 7 more, and a float
// holds 24. So the sum with the minimum is the only rounding.

static float load_half(const uint8_t *p)
{
    return half_to_float(bytes_load_u16(p));
}

// Element j < 16 is the low nibble of byte j, element j + 16 its high nibble.
static int nibble(const uint8_t *bytes, unsigned j)
{
    return j < 16 ? bytes[j] & 15 : bytes[j - 16] >> 4;
}

static void part_q4_0(const uint8_t *block, struct codec_parts *out)
{
    for (unsigned j = 0; j < 32; j++)
        out->code[j] = (int8_t)(nibble(block + 2, j) - 8);
    out->step[0] = out->step[1] = load_half(block);
}

static void part_q4_1(const uint8_t *block, struct codec_parts *out)
{
    for (unsigned j = 0; j < 32; j++)
        out->code[j] = (int8_t)nibble(block + 4, j);
    out->step[0] = out->step[1] = load_half(block);
    out->minimum[0] = load_half(block + 2);
}

static void part_q8_0(const uint8_t *block, struct codec_parts *out)
{
    memcpy(out->code, block + 2, 32);
    out->step[0] = out->step[1] = load_half(block);
}

// The 6-bit scale and minimum of sub-block b < 8, from Q4_K's and Q5_K's 12 bytes: those of the first four in the low
// six bits of bytes 0..3 and 4..7; those of the last four have their low nibbles in bytes 8..11 and their high two bits
// above the first ones.
static void unpack_k_scales(const uint8_t s[12], unsigned b, unsigned *scale, unsigned *minimum)
{
    if (b < 4) {
        *scale = s[b] & 63;
        *minimum = s[b + 4] & 63;
    } else {
        *scale = (unsigned)((s[b + 4] & 15) | s[b - 4] >> 6 << 4);
        *minimum = (unsigned)(s[b + 4] >> 4 | s[b] >> 6 << 4);
    }
}

// Q4_K and Q5_K: d, minimum's d, 12 bytes of scales, [32 bytes of fifth bits: bit b is sub-block b's,] 128 bytes of
// nibbles: bytes 32i.. hold sub-block 2i low and 2i + 1 high. `high_bits` is NULL for Q4_K.
static void part_k_nibbles(const uint8_t *block, const uint8_t *high_bits, const uint8_t *nibbles,
                           struct codec_parts *out)
{
    float d = load_half(block), d_minimum = load_half(block + 2);
    for (unsigned b = 0; b < K_BLOCK / K_SUBBLOCK; b++) {
        unsigned scale, minimum;
        unpack_k_scales(block + 4, b, &scale, &minimum);
        out->step[2 * b] = out->step[2 * b + 1] = d * (float)scale;
        out->minimum[b] = -(d_minimum * (float)minimum);
        for (unsigned j = 0; j < K_SUBBLOCK; j++) {
            int q = nibbles[b / 2 * K_SUBBLOCK + j] >> 4 * (b % 2) & 15;
            if (high_bits) q |= (high_bits[j] >> b & 1) << 4;
            out->code[b * K_SUBBLOCK + j] = (int8_t)q;
        }
    }
}

// Two halves of 128: 64 bytes of low nibbles (quarters 0 and 1 low, 2 and 3 high), 32 bytes of upper bit pairs (quarter
// k in bits 2k), a signed scale for every 16 elements; d at the end of the block.
static void part_q6_k(const uint8_t *block, struct codec_parts *out)
{
    float d = load_half(block + 208);
    for (unsigned i = 0; i < K_BLOCK / 16; i++)
        out->step[i] = d * (float)(int8_t)block[192 + i];
    for (unsigned i = 0; i < K_BLOCK; i++) {
        unsigned half = i / 128, quarter = i / 32 % 4, j = i % 32;
        const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
        int q = (low[32 * (quarter % 2) + j] >> 4 * (quarter / 2) & 15) | (high[j] >> 2 * quarter & 3) << 4;
        out->code[i] = (int8_t)(q - 32);
    }
}

void codec_unpack_parts(enum dtype type, const uint8_t *block, struct codec_parts *out)
{
    switch (type) {
    case DTYPE_Q4_0:
        part_q4_0(block, out);
        break;
    case DTYPE_Q4_1:
        part_q4_1(block, out);
        break;
    case DTYPE_Q8_0:
        part_q8_0(block, out);
        break;
    case DTYPE_Q4_K:
        part_k_nibbles(block, NULL, block + 16, out);
        break;
    case DTYPE_Q5_K:
        part_k_nibbles(block, block + 16, block + 48, out);
        break;
    default: // Q6_K
        part_q6_k(block, out);
        break;
    }
}

static void unpack_in_parts(enum dtype type, const uint8_t *block, float *out)
{
    struct codec_parts parts;
    codec_unpack_parts(type, block, &parts);
    for (unsigned i = 0; i < dtype_info(type)->block_elements; i++) {
        float step = parts.step[i / 16], code = (float)parts.code[i];
        out[i] = codec_has_minima(type) ? fmaf(step, code, parts.minimum[i / K_SUBBLOCK]) : step * code;
    }
}

void codec_unpack_dense(enum dtype type, const uint8_t *block, float *out)
{
    switch (type) {
    case DTYPE_F32:
        *out = half_from_bits32(bytes_load_u32(block));
        break;
    case DTYPE_F16:
        *out = load_half(block);
        break;
    case DTYPE_BF16:
        *out = bfloat16_to_float(bytes_load_u16(block));
        break;
    case DTYPE_Q4_0:
    case DTYPE_Q4_1:
    case DTYPE_Q8_0:
    case DTYPE_Q4_K:
    case DTYPE_Q5_K:
    case DTYPE_Q6_K:
        unpack_in_parts(type, block, out);
        break;
    default: // ternary and binary blocks have their own functions
        break;
    }
}

// ---- Rows -------------------------------------------------------------------------------------------------------

float codec_tensor_scale(const struct tensor *tensor)
{
    if (tensor->type != DTYPE_I2_S) return 1.0f;
    return half_from_bits32(bytes_load_u32(tensor->data + tensor->rows * tensor->row_bytes));
}

static void unpack_block(enum dtype type, const uint8_t *block, float tensor_scale, float *out)
{
    const struct dtype_info *info = dtype_info(type);
    if (info->kind == DTYPE_DENSE) {
        codec_unpack_dense(type, block, out);
        return;
    }
    uint8_t codes[CODEC_MAX_BLOCK];
    uint16_t half;
    bool binary = info->kind == DTYPE_BINARY;
    if (binary)
        codec_unpack_bits(type, block, codes, &half);
    else
        codec_unpack_trits(type, block, codes, &half);
    float scale = half_to_float(half) * tensor_scale; // one of the two is 1
    for (unsigned i = 0; i < info->block_elements; i++)
        out[i] = scale * (float)(binary ? 2 * codes[i] - 1 : codes[i] - 1);
}

void codec_unpack_row(const struct tensor *tensor, uint64_t row, float *out)
{
    const struct dtype_info *info = dtype_info(tensor->type);
    const uint8_t *block = tensor->data + row * tensor->row_bytes;
    float tensor_scale = codec_tensor_scale(tensor);
    for (uint64_t i = 0; i < tensor->dims[0]; i += info->block_elements, block += info->block_bytes)
        unpack_block(tensor->type, block, tensor_scale, out + i);
}
