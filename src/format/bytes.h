// Little-endian numbers at any address, on any machine.
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include <stdint.h>
#include <string.h>

// Numbers as the machine has them, in this order of bytes. (Compilers make SIMD of loops over whole loads, not over
// loads put together from single bytes.)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTES_LITTLE_16(n) __builtin_bswap16(n)
#define BYTES_LITTLE_32(n) __builtin_bswap32(n)
#else
#define BYTES_LITTLE_16(n) (n)
#define BYTES_LITTLE_32(n) (n)
#endif

static inline uint16_t bytes_load_u16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return BYTES_LITTLE_16(value);
}

static inline uint32_t bytes_load_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return BYTES_LITTLE_32(value);
}

static inline uint64_t bytes_load_u64(const uint8_t *p)
{
    return (uint64_t)bytes_load_u32(p) | (uint64_t)bytes_load_u32(p + 4) << 32;
}

static inline void bytes_store_u16(uint8_t *p, uint16_t value)
{
    value = BYTES_LITTLE_16(value);
    memcpy(p, &value, sizeof value);
}

static inline void bytes_store_u32(uint8_t *p, uint32_t value)
{
    value = BYTES_LITTLE_32(value);
    memcpy(p, &value, sizeof value);
}

#endif
