// IEEE binary16 and bfloat16 in plain C, exact in both directions (round to nearest even), the same on every
// machine.
#ifndef BASE_HALF_H
#define BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_from_bits32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t half_to_bits32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

// The float that a half holds; NaN payloads are kept (and made quiet by nothing).
static inline float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu;
    if (exponent == 31) return half_from_bits32(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) return half_from_bits32(sign | (exponent + 112) << 23 | mantissa << 13);
    // Zero and subnormals: mantissa * 2^-24 is exact in a float.
    float magnitude = (float)mantissa * 0x1p-24f;
    return half_from_bits32(sign | half_to_bits32(magnitude));
}

// Nearest half, ties to even; overflow gives infinity, NaN gives a quiet NaN with its top payload bits, as
// F16C does.
static inline uint16_t half_from_float(float f)
{
    uint32_t bits = half_to_bits32(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); // 65520 and above round to infinity
    if (magnitude < 0x38800000u) { // below 2^-14: add 0.5, so that the float unit rounds at bit 2^-24
        float shifted = half_from_bits32(magnitude) + 0.5f;
        return (uint16_t)(sign | (half_to_bits32(shifted) - 0x3f000000u));
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

static inline float bfloat16_to_float(uint16_t h)
{
    return half_from_bits32((uint32_t)h << 16);
}

#endif
