#include "kernel/tile.h"

#include <inttypes.h>
#include <math.h>

#include "format/codec.h"
#include "kernel/arithmetic.h"
#include "kernel/packed_byte.h"

enum {
    HALF_ONE = 0x3c00,
    TRITS_ZERO = 0x55,                // a byte of four codes 1
    MAX_CHUNKS = CODEC_MAX_BLOCK / 4, // that one block of a file fills in one row
    Q2_0_G64_BYTES = 18,
};

// ---- Plan
// -------------------------------------------------------------------------------------------------------------

// True if all blocks of 64 weights have their neighbour's scale, block by pair of blocks.
static bool scales_equal_in_pairs(const struct tensor *tensor)
{
    for (uint64_t r = 0; r < tensor->rows; r++) {
        const uint8_t *row = tensor->data + r * tensor->row_bytes;
        unsigned differ = 0;
        for (uint64_t i = 0; i < tensor->row_bytes; i += 2 * Q2_0_G64_BYTES)
            differ |= (unsigned)(load_u16(row + i) ^ load_u16(row + i + Q2_0_G64_BYTES));
        if (differ != 0) return false;
    }
    return true;
}

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

// Whether 2-bit codes are 3 anywhere. Bytes are a multiple of 8.
static bool has_code_3(const uint8_t *codes, uint64_t bytes)
{
    uint64_t found = 0;
    for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t word = load_u64(codes + i);
        found |= word & word >> 1;
    }
    return (found & 0x5555555555555555u) != 0;
}

// What holds a block's codes in a type that has a code 3; {0} if the type has none (or refuses it: I2_S).
struct code_bytes {
    uint32_t at, count;
};

static struct code_bytes code_bytes(enum dtype type)
{
    switch (type) {
    case DTYPE_Q2_0_G64:
        return (struct code_bytes){2, 16};
    case DTYPE_Q2_0_G128:
    case DTYPE_PQ2_0:
        return (struct code_bytes){2, 32};
    case DTYPE_TQ2_0:
        return (struct code_bytes){0, 64};
    default:
        return (struct code_bytes){0, 0};
    }
}

static bool tensor_has_code_3(const struct tensor *tensor)
{
    const struct code_bytes codes = code_bytes(tensor->type);
    const uint32_t block_bytes = dtype_info(tensor->type)->block_bytes;
    if (codes.count == 0) return false;
    for (uint64_t i = 0; i < tensor->rows * tensor->row_bytes; i += block_bytes)
        if (has_code_3(tensor->data + i + codes.at, codes.count)) return true;
    return false;
}

// The half that every group gets: the tensor's scale if a half holds it exactly, else 1.
static uint16_t tensor_half(const struct tensor *tensor)
{
    float scale = codec_tensor_scale(tensor);
    uint16_t half = half_from_float(scale);
    return half_to_float(half) == scale ? half : HALF_ONE;
}

static tern_status plan_i2_s(const struct tensor *tensor, bool unread, struct matrix *out)
{
    float scale = codec_tensor_scale(tensor);
    if (!isfinite(scale))
        return status_fail(TERN_BAD_FILE, "tensor %s: I2_S scale is %g, expected a finite number", tensor->name,
                           (double)scale);
    for (uint64_t r = 0; r < tensor->rows && !unread; r++)
        if (has_code_3(tensor->data + r * tensor->row_bytes, tensor->row_bytes))
            return status_fail(TERN_BAD_FILE, "tensor %s: I2_S row %" PRIu64 " holds code 3, expected 0, 1 or 2",
                               tensor->name, r);
    if (half_to_float(tensor_half(tensor)) != scale) out->scale = scale;
    return TERN_OK;
}

static bool pairs_share_scales(const struct tensor *tensor, const struct tile_options *options)
{
    return tensor->dims[0] % 128 == 0 && (options->unread || scales_equal_in_pairs(tensor));
}

static tern_status plan_tiles(const struct tensor *tensor, const struct tile_options *options, struct matrix *out)
{
    const struct dtype_info *info = dtype_info(tensor->type);
    if (out->columns == 0 || out->columns % 64 != 0 || out->columns % info->block_elements != 0)
        return status_fail(
            TERN_UNSUPPORTED, "tensor %s: %" PRId64 " columns of %s, expected a whole number of groups of %u",
            tensor->name, out->columns, info->name, info->block_elements < 64 ? 64 : info->block_elements);
    out->group = 128;
    if (tensor->type == DTYPE_Q2_0_G64 && !pairs_share_scales(tensor, options)) out->group = 64;
    out->n_groups = out->columns / out->group;
    out->pitch = TILE_PIECE;
    if (options->dense && out->kind == MATRIX_TRITS && out->group == 128 && out->columns % 128 == 0 &&
        (options->unread || !tensor_has_code_3(tensor)))
        out->kind = MATRIX_PACKED_TRITS;
    out->tile_bytes = out->n_groups * tile_group_bytes(out);
    return tensor->type == DTYPE_I2_S ? plan_i2_s(tensor, options->unread, out) : TERN_OK;
}

static bool dense_takes_int8(enum dtype type)
{
    return type == DTYPE_Q8_0 || type == DTYPE_Q4_0 || type == DTYPE_Q4_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K ||
           type == DTYPE_Q6_K;
}

tern_status tile_plan(const struct tensor *tensor, struct tile_options options, struct matrix *out)
{
    *out = (struct matrix){
        .kind = MATRIX_DENSE,
        .form = ACTIVATION_F32,
        .type = tensor->type,
        .rows = (int64_t)tensor->rows,
        .columns = (int64_t)tensor->dims[0],
        .n_tiles = (int64_t)(tensor->rows / TILE_ROWS + (tensor->rows % TILE_ROWS != 0)),
        .row_bytes = (int64_t)tensor->row_bytes,
        .scale = 1.0f,
    };
    enum dtype_kind kind = dtype_info(tensor->type)->kind;
    if (kind == DTYPE_DENSE) {
        if (!options.f32 && dense_takes_int8(tensor->type)) out->form = ACTIVATION_GROUP32;
        return TERN_OK;
    }
    out->kind = kind == DTYPE_TERNARY ? MATRIX_TRITS : MATRIX_BITS;
    if (!options.f32) out->form = options.token_scales ? ACTIVATION_TOKEN : ACTIVATION_GROUP128;
    return plan_tiles(tensor, &options, out);
}

void tile_pair(struct matrix *matrix)
{
    if (matrix->kind == MATRIX_TRITS || matrix->kind == MATRIX_BITS) matrix->pitch = 2 * TILE_PIECE;
}

// True if the tile shares its bytes' lines with one of no rows.
static bool lacks_neighbour(const struct matrix *matrix, int64_t tile)
{
    return matrix->pitch != TILE_PIECE && tile % 2 == 0 && tile + 1 == matrix->n_tiles;
}

uint64_t tile_matrix_bytes(const struct matrix *matrix)
{
    if (matrix->kind == MATRIX_DENSE) return 0;
    const int64_t n_tiles = matrix->n_tiles + lacks_neighbour(matrix, matrix->n_tiles - 1);
    return (uint64_t)n_tiles * (uint64_t)matrix->tile_bytes;
}

// ---- Chunks of one block
// ---------------------------------------------------------------------------------------------- A block of a file, one
// row's, becomes the bytes that its row contributes to the tile: byte c goes to chunk c.

// Four bytes with fields f0 .. f3 of two bits each become four bytes of which byte n holds the four fn, first byte's
// lowest: a 4 x 4 transposition in each half of the word.
static uint64_t transpose_fields(uint64_t x)
{
    uint64_t t = (x ^ x >> 6) & 0x00cc00cc00cc00ccu;
    x ^= t ^ t << 6;
    t = (x ^ x >> 12) & 0x0000f0f00000f0f0u;
    return x ^ t ^ t << 12;
}

// 128 codes in 32 bytes, byte m holding codes m, m + 32, m + 64, m + 96; from the high bits down if `high_first`.
static void chunks_strided(const uint8_t *bytes, bool high_first, uint8_t *chunks)
{
    for (int i = 0; i < 32; i += 8) {
        uint8_t fields[8];
        uint64_t word = transpose_fields(load_u64(bytes + i));
        memcpy(fields, &word, sizeof fields);
        for (int n = 0; n < 4; n++) {
            uint8_t *out = chunks + 8 * (high_first ? 3 - n : n) + i / 4;
            out[0] = fields[n];
            out[1] = fields[n + 4];
        }
    }
}

// base3_digits[q] has in byte n, n = 0 .. 4, the digit n of a base-3 byte q (formats.md).
#define DIGIT(q, power) ((uint64_t)(((q) * (power)&255) * 3 >> 8))
#define DIGITS(q)       (DIGIT(q, 1) | DIGIT(q, 3) << 8 | DIGIT(q, 9) << 16 | DIGIT(q, 27) << 24 | DIGIT(q, 81) << 32)
#define DIGITS_OF_4(q)  DIGITS(q), DIGITS((q) + 1), DIGITS((q) + 2), DIGITS((q) + 3)
#define DIGITS_OF_16(q) DIGITS_OF_4(q), DIGITS_OF_4((q) + 4), DIGITS_OF_4((q) + 8), DIGITS_OF_4((q) + 12)
#define DIGITS_OF_64(q) DIGITS_OF_16(q), DIGITS_OF_16((q) + 16), DIGITS_OF_16((q) + 32), DIGITS_OF_16((q) + 48)
static const uint64_t base3_digits[256] = {DIGITS_OF_64(0), DIGITS_OF_64(64), DIGITS_OF_64(128), DIGITS_OF_64(192)};

// A run of 4 * n_words bytes whose byte m holds codes n * 4 * n_words + m, n = 0 .. digits - 1: four neighbouring bytes
// give one chunk byte for each digit.
static void chunks_base3(const uint8_t *bytes, int n_words, int digits, uint8_t *chunks)
{
    for (int k = 0; k < n_words; k++, bytes += 4) {
        uint64_t word = base3_digits[bytes[0]] | base3_digits[bytes[1]] << 2 | base3_digits[bytes[2]] << 4 |
                        base3_digits[bytes[3]] << 6;
        for (int n = 0; n < digits; n++)
            chunks[n * n_words + k] = (uint8_t)(word >> 8 * n);
    }
}

// PTQ1_0's last two bytes hold codes 2n + m, n = 0 .. 3: two digits of both make a chunk byte.
static void chunks_base3_pair(const uint8_t *bytes, uint8_t *chunks)
{
    uint64_t word = base3_digits[bytes[0]] | base3_digits[bytes[1]] << 2;
    chunks[0] = (uint8_t)(word | word >> 8 << 4);
    chunks[1] = (uint8_t)(word >> 16 | word >> 24 << 4);
}

// Writes a block's chunk bytes and returns where its scale is; NULL for I2_S.
static const uint8_t *block_chunks(enum dtype type, const uint8_t *block, uint8_t *chunks)
{
    switch (type) {
    case DTYPE_TQ1_0:
        chunks_base3(block, 8, 5, chunks);
        chunks_base3(block + 32, 4, 5, chunks + 40);
        chunks_base3(block + 48, 1, 4, chunks + 60);
        return block + 52;
    case DTYPE_PTQ1_0:
        chunks_base3(block, 4, 5, chunks);
        chunks_base3(block + 16, 2, 5, chunks + 20);
        chunks_base3_pair(block + 24, chunks + 30);
        return block + 26;
    case DTYPE_TQ2_0:
        chunks_strided(block, false, chunks);
        chunks_strided(block + 32, false, chunks + 32);
        return block + 64;
    case DTYPE_I2_S:
        chunks_strided(block, true, chunks);
        return NULL;
    case DTYPE_Q2_0_G64:
    case DTYPE_Q1_0:
        memcpy(chunks, block + 2, 16);
        return block;
    default: // Q2_0 with groups of 128, PQ2_0
        memcpy(chunks, block + 2, 32);
        return block;
    }
}

// ---- Tiles
// --------------------------------------------------------------------------------------------------------------

// An 8 x 8 transposition of bytes: rows of `from` are `from_stride` apart, rows of `to` `to_stride`.
static void transpose_8x8(const uint8_t *from, int64_t from_stride, uint8_t *to, int64_t to_stride)
{
    uint64_t x[8];
    for (int i = 0; i < 8; i++)
        x[i] = load_u64(from + i * from_stride);
    for (int i = 0; i < 4; i++) {
        uint64_t t = (x[i] >> 32 ^ x[i + 4]) & 0x00000000ffffffffu;
        x[i] ^= t << 32;
        x[i + 4] ^= t;
    }
    for (int i = 0; i < 8; i += i % 4 == 1 ? 3 : 1) { // 0, 1, 4, 5
        uint64_t t = (x[i] >> 16 ^ x[i + 2]) & 0x0000ffff0000ffffu;
        x[i] ^= t << 16;
        x[i + 2] ^= t;
    }
    for (int i = 0; i < 8; i += 2) {
        uint64_t t = (x[i] >> 8 ^ x[i + 1]) & 0x00ff00ff00ff00ffu;
        x[i] ^= t << 8;
        x[i + 1] ^= t;
    }
    for (int i = 0; i < 8; i++)
        memcpy(to + i * to_stride, &x[i], sizeof x[i]);
}

// Chunk bytes of 32 rows, a block's width: what one step of filling turns over.
struct strip {
    uint8_t rows[TILE_ROWS][MAX_CHUNKS];
    uint16_t scales[CODEC_MAX_BLOCK / 64][TILE_ROWS]; // of each of the strip's groups
};

static void strip_transpose(const struct strip *strip, int64_t first_chunk, int64_t n_chunks, uint8_t *dst,
                            int64_t pitch)
{
    for (int64_t c = 0; c < n_chunks; c += 8)
        for (int64_t r = 0; r < TILE_ROWS; r += 8)
            transpose_8x8(&strip->rows[r][first_chunk + c], MAX_CHUNKS, dst + c * pitch + r, pitch);
}

// What a tile is filled from, worked out once.
struct filling {
    const struct dtype_info *info;
    const struct tensor *tensor;
    const struct matrix *matrix;
    int64_t first_row, n_rows;
    int64_t strip_blocks, strip_groups; // a strip is as many whole blocks as whole groups
    int64_t block_chunks, group_chunks;
    uint16_t half; // for I2_S
};

static struct filling filling_start(const struct tensor *tensor, const struct matrix *matrix, int64_t tile)
{
    const struct dtype_info *info = dtype_info(tensor->type);
    int64_t strip = matrix->group > info->block_elements ? matrix->group : info->block_elements;
    int64_t chunk = tile_chunk_columns(matrix->kind), first_row = tile * TILE_ROWS;
    return (struct filling){
        .info = info,
        .tensor = tensor,
        .matrix = matrix,
        .first_row = first_row,
        .n_rows = first_row < matrix->rows ? min_i64(TILE_ROWS, matrix->rows - first_row) : 0,
        .strip_blocks = strip / info->block_elements,
        .strip_groups = strip / matrix->group,
        .block_chunks = info->block_elements / chunk,
        .group_chunks = matrix->group / chunk,
        .half = tensor->type == DTYPE_I2_S ? tensor_half(tensor) : 0,
    };
}

// Rows beyond the matrix are zeros with scale 0.
static void strip_clear_rows(struct strip *strip, const struct filling *f)
{
    uint8_t zero = f->matrix->kind == MATRIX_BITS ? 0 : TRITS_ZERO;
    memset(strip->rows[f->n_rows], zero, (size_t)(TILE_ROWS - f->n_rows) * MAX_CHUNKS);
    for (int64_t g = 0; g < f->strip_groups; g++)
        memset(&strip->scales[g][f->n_rows], 0, (size_t)(TILE_ROWS - f->n_rows) * sizeof(uint16_t));
}

static void strip_read(struct strip *strip, const struct filling *f, int64_t index)
{
    int64_t row_bytes = (int64_t)f->tensor->row_bytes, block_bytes = f->info->block_bytes;
    const uint8_t *row = f->tensor->data + f->first_row * row_bytes + index * f->strip_blocks * block_bytes;
    for (int64_t r = 0; r < f->n_rows; r++, row += row_bytes) {
        const uint8_t *scale = NULL;
        for (int64_t b = 0; b < f->strip_blocks; b++)
            scale = block_chunks(f->tensor->type, row + b * block_bytes, strip->rows[r] + b * f->block_chunks);
        uint16_t half = scale != NULL ? load_u16(scale) : f->half;
        for (int64_t g = 0; g < f->strip_groups; g++)
            strip->scales[g][r] = half;
    }
}

// Packed bytes of four codes each and, unless `fifth` is NULL, of a fifth one in bits 2 `place`, +1.
static void pack_chunk(const uint8_t *four, const uint8_t *fifth, int place, uint8_t *packed)
{
    for (int r = 0; r < TILE_ROWS; r++) {
        const uint8_t n =
            (uint8_t)((four[r] & 3) + 3 * (four[r] >> 2 & 3) + 9 * (four[r] >> 4 & 3) + 27 * (four[r] >> 6));
        const uint8_t magnitude = (uint8_t)(n < 40 ? 40 - n : n - 40), sign = n < 40 ? 128 : 0;
        const int code = fifth != NULL ? fifth[r] >> 2 * place & 3 : 0;
        packed[r] = (uint8_t)(sign + magnitude + 41 * code);
    }
}

// The chunks of one group of a loose tile as the codes of a dense one.
static void pack_group(const uint8_t *chunks, uint8_t *dst)
{
    uint8_t packed[TILE_ROWS];
    for (int i = 0; i < PACKED_ROW_BYTES; i++) {
        const uint8_t *fifth = i < PACKED_FIFTHS ? chunks + (PACKED_ROW_BYTES + i / 4) * TILE_ROWS : NULL;
        pack_chunk(chunks + i * TILE_ROWS, fifth, i % 4, packed);
        for (int r = 0; r < TILE_ROWS; r++)
            dst[packed_place(i, r)] = packed[r];
    }
}

static void strip_write(const struct strip *strip, const struct filling *f, int64_t group, uint8_t *dst)
{
    const struct matrix *matrix = f->matrix;
    const bool packed = matrix->kind == MATRIX_PACKED_TRITS;
    uint8_t chunks[MAX_CHUNKS * TILE_ROWS];
    strip_transpose(strip, group * f->group_chunks, f->group_chunks, packed ? chunks : dst, matrix->pitch);
    if (packed) pack_group(chunks, dst);
    for (int64_t r = 0; r < TILE_ROWS; r += 16)
        memcpy(dst + tile_scale_offset(matrix, r), strip->scales[group] + r, TILE_PIECE);
}

void tile_fill(const struct tensor *tensor, const struct matrix *matrix, int64_t tile, uint8_t *tiles)
{
    struct filling f = filling_start(tensor, matrix, tile);
    struct strip strip;
    uint8_t *dst = tiles + tile_offset(matrix, tile);
    if (f.n_rows < TILE_ROWS) strip_clear_rows(&strip, &f);
    for (int64_t i = 0; i < matrix->n_groups / f.strip_groups; i++) {
        strip_read(&strip, &f, i);
        for (int64_t g = 0; g < f.strip_groups; g++, dst += tile_group_bytes(matrix))
            strip_write(&strip, &f, g, dst);
    }
    if (lacks_neighbour(matrix, tile)) tile_fill(tensor, matrix, tile + 1, tiles);
}

// ---- Rows back
// ------------------------------------------------------------------------------------------------------------

void dense_unpack(const struct matrix *w, int64_t row, int64_t column, int64_t n, float *out)
{
    const struct dtype_info *info = dtype_info(w->type);
    const uint8_t *block = w->data + row * w->row_bytes + column / info->block_elements * info->block_bytes;
    for (int64_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
        codec_unpack_dense(w->type, block, out + i);
}

static void tile_unpack_dense(const struct matrix *matrix, int64_t row, float *out)
{
    dense_unpack(matrix, row, 0, matrix->columns, out);
    for (int64_t i = 0; i < matrix->columns; i++)
        out[i] *= matrix->scale;
}

// -1 .. +2 for trits, -1 or +1 for bits.
static int tile_weight(const struct matrix *w, const uint8_t *codes, int64_t c, int64_t r)
{
    if (w->kind == MATRIX_PACKED_TRITS) return packed_code(codes, c, r) - 1;
    const int64_t per_byte = tile_chunk_columns(w->kind);
    const int byte = codes[c / per_byte * w->pitch + r], shift = (int)(c % per_byte);
    return w->kind == MATRIX_TRITS ? (byte >> 2 * shift & 3) - 1 : 2 * (byte >> shift & 1) - 1;
}

static void tile_unpack_group(const struct matrix *matrix, const uint8_t *codes, int64_t r, float *out)
{
    float scale = load_half(codes + tile_scale_offset(matrix, r)) * matrix->scale;
    for (int64_t c = 0; c < matrix->group; c++) {
        out[c] = (float)tile_weight(matrix, codes, c, r) * scale;
    }
}

void tile_unpack_row(const struct matrix *matrix, int64_t row, float *out)
{
    if (matrix->kind == MATRIX_DENSE) {
        tile_unpack_dense(matrix, row, out);
        return;
    }
    const uint8_t *codes = matrix->data + tile_offset(matrix, row / TILE_ROWS);
    for (int64_t g = 0; g < matrix->n_groups; g++, codes += tile_group_bytes(matrix))
        tile_unpack_group(matrix, codes, row % TILE_ROWS, out + g * matrix->group);
}
