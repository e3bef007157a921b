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
        if (!check_floats(check, got, wanted, columns, "%s, %lld x %lld, row %lld", dtype_info(m->tensor.type)->name,
                          (long long)m->matrix.rows, (long long)columns, (long long)r))
            break;
    }
    check_true(check, guard_ok(&m->tiles), "%s: writes before the start", dtype_info(m->tensor.type)->name);
    free(got);
    free(wanted);
}

// Rows that the matrix lacks: code 1 or bit 0, and scale 0.
static void check_padding(struct check *check, const struct matrix *w)
{
    const int64_t n_groups = w->n_groups, pieces = w->tile_bytes / n_groups / TILE_PIECE - 2;
    const uint8_t *end = w->data + tile_matrix_bytes(w), zero = w->kind == MATRIX_TRITS ? 0x55 : 0;
    bool good = true;
    for (int64_t row = w->rows; row < (end - w->data) / w->tile_bytes * TILE_ROWS; row++) {
        const int64_t tile = row / TILE_ROWS, r = row % TILE_ROWS;
        const uint8_t *first = check->pairs ? w->data + tile / 2 * 2 * w->tile_bytes + tile % 2 * TILE_PIECE
                                            : w->data + tile * w->tile_bytes;
        const int64_t pitch = check->pairs ? 2 * TILE_PIECE : TILE_PIECE;
        for (int64_t g = 0; g < n_groups; g++, first += (pieces + 2) * pitch) {
            for (int64_t i = 0; i < pieces; i++)
                good = good && first[i * pitch + r] == zero;
            const uint8_t *scale = first + (pieces + r / 16) * pitch + r % 16 * 2;
            good = good && scale[0] == 0 && scale[1] == 0;
        }
    }
    check_true(check, good, "%lld rows: rows beyond the matrix", (long long)w->rows);
}

static void check_type(struct check *check, enum dtype type)
{
    static const int64_t rows[] = {1, 31, 32, 33, 100};
    static const int64_t columns[] = {256, 512, 2048, 2560};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 4; j++)
            for (int pairs = 0; pairs < 2; pairs++) {
                struct test_matrix m =
                    matrix_open(check, type, rows[i], columns[j], FILL_BITS, false, pairs == 1, false);
                int64_t group = type == DTYPE_Q2_0_G64 && pairs == 0 ? 64 : 128;
                if (m.matrix.kind != MATRIX_DENSE)
                    check_true(check, m.matrix.group == group, "%s: groups of %lld", dtype_info(type)->name,
                               (long long)m.matrix.group);
                check_rows(check, &m);
                if (m.matrix.kind != MATRIX_DENSE) check_padding(check, &m.matrix);
                matrix_close(&m);
            }
}

// The same weights from every ternary type that can hold them must become the same tiles.
static void check_equal_tiles(struct check *check)
{
    static const enum dtype types[] = {DTYPE_TQ1_0,    DTYPE_TQ2_0,     DTYPE_I2_S,
                                       DTYPE_Q2_0_G64, DTYPE_Q2_0_G128, DTYPE_PTQ1_0};
    enum { ROWS = 33, COLUMNS = 512 };
    struct test_matrix wanted = matrix_open(check, DTYPE_PQ2_0, ROWS, COLUMNS, FILL_NORMAL, false, false, false);
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
        struct test_matrix m = matrix_open(check, types[k], ROWS, COLUMNS, FILL_NORMAL, false, true, false);
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
    tern_status got = tile_plan(&m->tensor, false, false, &plan);
    check_true(check, got == status && strstr(status_message(), word) != NULL, "status %d, \"%s\"", (int)got,
               status_message());
}

static void check_refusals(struct check *check)
{
    struct test_matrix m = matrix_open(check, DTYPE_I2_S, 5, 256, FILL_NORMAL, false, false, false);
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
        check_type(check, type);
    check_equal_tiles(check);
    check_refusals(check);
}
