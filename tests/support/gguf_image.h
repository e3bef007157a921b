// Builds GGUF files in memory, piece by piece, right or wrong: the counts and offsets are the caller's to state.
#ifndef SUPPORT_GGUF_IMAGE_H
#define SUPPORT_GGUF_IMAGE_H

#include "base/buffer.h"
#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

static inline void image_bytes(struct buffer *b, const void *data, size_t length)
{
    if (length > 0 && buffer_append(b, data, length) != TERN_OK) abort();
}

static inline void image_number(struct buffer *b, uint64_t value, size_t bytes)
{
    uint8_t little[8];
    for (size_t i = 0; i < bytes; i++)
        little[i] = (uint8_t)(value >> 8 * i);
    image_bytes(b, little, bytes);
}

static inline void image_u32(struct buffer *b, uint32_t value)
{
    image_number(b, value, 4);
}

static inline void image_u64(struct buffer *b, uint64_t value)
{
    image_number(b, value, 8);
}

static inline void image_string(struct buffer *b, const char *string)
{
    image_u64(b, strlen(string));
    image_bytes(b, string, strlen(string));
}

static inline void image_begin(struct buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_pairs)
{
    image_bytes(b, "GGUF", 4);
    image_u32(b, version);
    image_u64(b, n_tensors);
    image_u64(b, n_pairs);
}

// A key and its value's type; the value comes next.
static inline void image_key(struct buffer *b, const char *key, uint32_t type)
{
    image_string(b, key);
    image_u32(b, type);
}

static inline void image_key_number(struct buffer *b, const char *key, uint32_t type, uint64_t value, size_t bytes)
{
    image_key(b, key, type);
    image_number(b, value, bytes);
}

static inline void image_key_string(struct buffer *b, const char *key, const char *value)
{
    image_key(b, key, GGUF_STRING);
    image_string(b, value);
}

// A key whose value is an array; `count` elements come next.
static inline void image_key_array(struct buffer *b, const char *key, uint32_t type, uint64_t count)
{
    image_key(b, key, GGUF_ARRAY);
    image_u32(b, type);
    image_u64(b, count);
}

static inline void image_tensor(struct buffer *b, const char *name, uint32_t type_id, uint64_t columns, uint64_t rows,
                                uint64_t offset)
{
    image_string(b, name);
    image_u32(b, 2);
    image_u64(b, columns);
    image_u64(b, rows);
    image_u32(b, type_id);
    image_u64(b, offset);
}

static inline void image_fill(struct buffer *b, size_t count, uint8_t byte)
{
    for (size_t i = 0; i < count; i++)
        image_number(b, byte, 1);
}

// Up to the next multiple of `alignment`: between the header and the data.
static inline void image_align(struct buffer *b, size_t alignment)
{
    image_fill(b, (alignment - b->length % alignment) % alignment, 0);
}

// A sound file with a value of every type and tensors of several: what broken ones are made from. The tensors' data is
// 64 bytes of 1 (F32), 64 of 2 (PTQ1_0, 56 of them in use), 34 of 3 (type 42: only blocks of 128 fit), no padding.
static inline void image_sample(struct buffer *b)
{
    image_begin(b, 3, 3, 16);
    image_key_string(b, "general.architecture", "sample");
    image_key_number(b, "u8", GGUF_U8, 250, 1);
    image_key_number(b, "i8", GGUF_I8, (uint64_t)-5, 1);
    image_key_number(b, "u16", GGUF_U16, 65000, 2);
    image_key_number(b, "i16", GGUF_I16, (uint64_t)-500, 2);
    image_key_number(b, "u32", GGUF_U32, 4000000000, 4);
    image_key_number(b, "i32", GGUF_I32, 70000, 4);
    image_key_number(b, "f32", GGUF_F32, 0x3fc00000, 4); // 1.5
    image_key_number(b, "bool", GGUF_BOOL, 1, 1);
    image_key_number(b, "u64", GGUF_U64, UINT64_C(1) << 40, 8);
    image_key_number(b, "i64", GGUF_I64, 7, 8);
    image_key_number(b, "f64", GGUF_F64, UINT64_C(0xbfe0000000000000), 8); // -0.5
    image_key_array(b, "words", GGUF_STRING, 3);
    image_string(b, "one");
    image_string(b, "");
    image_string(b, "three");
    image_key_array(b, "numbers", GGUF_I32, 2);
    image_u32(b, 11);
    image_u32(b, 12);
    image_key_array(b, "nothing", GGUF_STRING, 0);
    image_key_number(b, "general.alignment", GGUF_U32, 32, 4);
    image_tensor(b, "floats", 0, 8, 2, 0);
    image_tensor(b, "trits", 143, 128, 2, 64);
    image_tensor(b, "codes", 42, 128, 1, 128);
    image_align(b, 32);
    image_fill(b, 64, 1);
    image_fill(b, 64, 2);
    image_fill(b, 34, 3);
}

#endif
