// Little-endian numbers at any address, on any machine.
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include <stdint.h>

static inline uint16_t bytes_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t bytes_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t bytes_load_u64(const uint8_t *p)
{
    return (uint64_t)bytes_load_u32(p) | (uint64_t)bytes_load_u32(p + 4) << 32;
}

static inline void bytes_store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

#endif
