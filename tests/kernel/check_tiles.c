// tile_plan, tile_fill and tile_unpack_row against the codec's unpacking.
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "format/codec.h"
#include "matrix.h"

static void check_rows(struct check *check, struct test_matrix *m)
{
    int64_t columns = m->matrix.columns;
    float *got = malloc((size_t)columns * sizeof(float)), *wanted = malloc((size_t)columns * sizeof(float));
    for (int64_t r = 0; r < m->matrix.rows; r++) {
        codec_unpack_row(&m->tensor, (uint64_t)r, wanted);
        tile_unpack_row(&m->matrix, r, got);
        if (!check_floats(check, got, wanted, columns, "%s, %lld x %lld, row %lld", matrix_name(&m->matrix),
                          (long long)m->matrix.rows, (long long)columns, (long long)r))
            break;
    }
    check_true(check, guard_ok(&m->tiles), "%s: writes before the start", dtype_info(m->tensor.type)->name);
    free(got);
    free(wanted);
}

// Of a dense tile's group: four trits that are 0 have the number 0, and a fifth one that is 0 the code 1.
static bool packed_row_is_zero(const uint8_t *group, int64_t r)
{
    const uint8_t *rest = group + 768 + 4 * (r % 16) + 2 * (r / 16), *scale = group + 832 + 2 * r;
    for (int64_t i = 0; i < 24; i++)
        if (group[i / 4 * 128 + 4 * r + i % 4] != 41) return false;
    return rest[0] == 0 && rest[1] == 0 && scale[0] == 0 && scale[1] == 0;
}

static bool loose_row_is_zero(const uint8_t *group, int64_t pieces, int64_t pitch, uint8_t zero, int64_t r)
{
    const uint8_t *scale = group + (pieces + r / 16) * pitch + r % 16 * 2;
    for (int64_t i = 0; i < pieces; i++)
        if (group[i * pitch + r] != zero) return false;
    return scale[0] == 0 && scale[1] == 0;
}

// Rows that the matrix lacks: code 1 or bit 0, and scale 0.
static void check_padding(struct check *check, const struct matrix *w)
{
    const bool packed = w->kind == MATRIX_PACKED_TRITS, pairs = check->pairs && !packed;
    const int64_t pieces = w->tile_bytes / w->n_groups / TILE_PIECE - 2, pitch = pairs ? 2 * TILE_PIECE : TILE_PIECE;
    const uint8_t *end = w->data + tile_matrix_bytes(w), zero = w->kind == MATRIX_TRITS ? 0x55 : 0;
    bool good = true;
    for (int64_t row = w->rows; row < (end - w->data) / w->tile_bytes * TILE_ROWS; row++) {
        const int64_t tile = row / TILE_ROWS, r = row % TILE_ROWS;
        const uint8_t *group =
            pairs ? w->data + tile / 2 * 2 * w->tile_bytes + tile % 2 * TILE_PIECE : w->data + tile * w->tile_bytes;
        for (int64_t g = 0; g < w->n_groups; g++, group += (pieces + 2) * pitch)
            good = good && (packed ? packed_row_is_zero(group, r) : loose_row_is_zero(group, pieces, pitch, zero, r));
    }
    check_true(check, good, "%lld rows: rows beyond the matrix", (long long)w->rows);
}

static void check_type(struct check *check, enum dtype type, bool dense)
{
    static const int64_t rows[] = {1, 31, 32, 33, 100};
    static const int64_t columns[] = {256, 512, 2048, 2560};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 4; j++)
            for (int pairs = 0; pairs < 2; pairs++) {
                struct matrix_wish wish = {type,          rows[i], columns[j], FILL_BITS, .equal_pairs = pairs == 1,
                                           .dense = dense};
                struct test_matrix m = matrix_open(check, &wish);
                int64_t group = type == DTYPE_Q2_0_G64 && pairs == 0 ? 64 : 128;
                if (m.matrix.kind != MATRIX_DENSE)
                    check_true(check, m.matrix.group == group, "%s: groups of %lld", dtype_info(type)->name,
                               (long long)m.matrix.group);
                check_true(check, (m.matrix.kind == MATRIX_PACKED_TRITS) == (dense && group == 128), "%s: kind %d",
                           dtype_info(type)->name, (int)m.matrix.kind);
                check_rows(check, &m);
                if (m.matrix.kind != MATRIX_DENSE) check_padding(check, &m.matrix);
                matrix_close(&m);
            }
}

// Where no dense tile can be, loose ones are: a code 3 in the last place of all, rows that are no whole groups of 128.
static void check_not_dense(struct check *check)
{
    static const enum dtype types[] = {DTYPE_Q2_0_G64, DTYPE_Q2_0_G128, DTYPE_PQ2_0, DTYPE_TQ2_0};
    const struct tile_options dense = {.dense = true};
    struct matrix plan;
    for (int i = 0; i < 4; i++) {
        struct matrix_wish wish = {types[i], 3, 512, FILL_NORMAL, .equal_pairs = true, .dense = true};
        struct test_matrix m = matrix_open(check, &wish);
        uint8_t *end = (uint8_t *)m.file.data + m.tensor.bytes;
        check_true(check, m.matrix.kind == MATRIX_PACKED_TRITS, "%s: kind", dtype_info(types[i])->name);
        check_true(check, tile_matrix_bytes(&m.matrix) == 4 * 896, "%s: bytes", dtype_info(types[i])->name);
        end[types[i] == DTYPE_TQ2_0 ? -3 : -1] |= 0xc0;
        check_true(check, tile_plan(&m.tensor, dense, &plan) == TERN_OK && plan.kind == MATRIX_TRITS,
                   "%s: code 3 in a dense tile", dtype_info(types[i])->name);
        matrix_close(&m);
    }
    struct matrix_wish wish = {DTYPE_Q2_0_G64, 3, 576, FILL_NORMAL, .equal_pairs = true, .dense = true};
    struct test_matrix m = matrix_open(check, &wish);
    check_true(check, m.matrix.kind == MATRIX_TRITS && m.matrix.group == 64, "576 columns in a dense tile");
    matrix_close(&m);
}

// The same weights from every ternary type that can hold them must become the same tiles.
static void check_equal_tiles(struct check *check, bool dense)
{
    static const enum dtype types[] = {DTYPE_TQ1_0,    DTYPE_TQ2_0,     DTYPE_I2_S,
                                       DTYPE_Q2_0_G64, DTYPE_Q2_0_G128, DTYPE_PTQ1_0};
    enum { ROWS = 33, COLUMNS = 512 };
    struct test_matrix wanted =
        matrix_open(check, &(struct matrix_wish){DTYPE_PQ2_0, ROWS, COLUMNS, FILL_NORMAL, .dense = dense});
    uint8_t *codes = malloc(ROWS * COLUMNS), *block = wanted.file.data;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        codes[i] = (uint8_t)check_range(check, 0, 2);
    float scale = 0.375f; // as matrix_open gives to an I2_S tensor
    for (int i = 0; i < ROWS * COLUMNS; i += 128, block += 34)
        codec_pack_trits(DTYPE_PQ2_0, codes + i, half_from_float(scale), block);
    for (int64_t i = 0; i < wanted.matrix.n_tiles; i++)
        tile_fill(&wanted.tensor, &wanted.matrix, i, wanted.tiles.data);
    for (int k = 0; k < 6; k++) {
        const struct dtype_info *info = dtype_info(types[k]);
        struct matrix_wish wish = {types[k], ROWS, COLUMNS, FILL_NORMAL, .equal_pairs = true, .dense = dense};
        struct test_matrix m = matrix_open(check, &wish);
        block = m.file.data;
        for (uint32_t i = 0; i < ROWS * COLUMNS; i += info->block_elements, block += info->block_bytes)
            codec_pack_trits(types[k], codes + i, half_from_float(scale), block);
        for (int64_t i = 0; i < m.matrix.n_tiles; i++)
            tile_fill(&m.tensor, &m.matrix, i, m.tiles.data);
        check_true(check, m.matrix.scale == 1.0f, "%s: scale %g", info->name, (double)m.matrix.scale);
        check_same(check, m.tiles.data, wanted.tiles.data, (int64_t)wanted.tiles.bytes, "tiles of %s", info->name);
        matrix_close(&m);
    }
    matrix_close(&wanted);
    free(codes);
}

static void check_refusal(struct check *check, struct test_matrix *m, tern_status status, const char *word)
{
    struct matrix plan;
    tern_status got = tile_plan(&m->tensor, (struct tile_options){0}, &plan);
    check_true(check, got == status && strstr(status_message(), word) != NULL, "status %d, \"%s\"", (int)got,
               status_message());
}

static void check_refusals(struct check *check)
{
    struct test_matrix m = matrix_open(check, &(struct matrix_wish){.type = DTYPE_I2_S, .rows = 5, .columns = 256});
    uint8_t *data = m.file.data;
    data[3 * 64 + 17] |= 0x30;
    check_refusal(check, &m, TERN_BAD_FILE, "row 3 holds code 3");
    data[3 * 64 + 17] = 0;
    uint32_t infinity = 0x7f800000;
    memcpy(data + 5 * 64, &infinity, 4);
    check_refusal(check, &m, TERN_BAD_FILE, "scale is inf");
    m.tensor.dims[0] = 96;
    check_refusal(check, &m, TERN_UNSUPPORTED, "96 columns");
    matrix_close(&m);
}

void check_tiles(struct check *check, const char *only)
{
    if (!check_wanted(only, "fill")) return;
    check_begin(check, "fill");
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        check_type(check, type, false);
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        if (dtype_info(type)->kind == DTYPE_TERNARY) check_type(check, type, true);
    check_equal_tiles(check, false);
    check_equal_tiles(check, true);
    check_not_dense(check);
    check_refusals(check);
}
