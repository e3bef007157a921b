#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where a block keeps its halves; -1 for none.
struct half_places {
    int at[2];
};

static struct half_places half_places(enum dtype type)
{
    switch (type) {
    case DTYPE_F32:
    case DTYPE_BF16:
    case DTYPE_I2_S:
        return (struct half_places){{-1, -1}};
    case DTYPE_Q4_1:
    case DTYPE_Q4_K:
    case DTYPE_Q5_K:
        return (struct half_places){{0, 2}};
    case DTYPE_Q6_K:
        return (struct half_places){{208, -1}};
    case DTYPE_TQ1_0:
        return (struct half_places){{52, -1}};
    case DTYPE_TQ2_0:
        return (struct half_places){{64, -1}};
    case DTYPE_PTQ1_0:
        return (struct half_places){{26, -1}};
    default: // the first two bytes; an F16 is its own half
        return (struct half_places){{0, -1}};
    }
}

// I2_S refuses code 3: make it 2.
static void remove_code_3(uint8_t *bytes, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        bytes[i] &= (uint8_t) ~(bytes[i] >> 1 & 0x55);
}

static void fill_floats(struct check *check, enum dtype type, enum fill fill, uint8_t *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float value;
        check_fill(check, fill, &value, 1);
        if (type == DTYPE_F32)
            memcpy(data + 4 * i, &value, 4);
        else
            memcpy(data + 2 * i, (const uint8_t *)&value + 2, 2); // BF16: the upper half of a float
    }
}

static void fill_halves(struct check *check, const struct tensor *tensor, enum fill fill, bool equal_pairs,
                        uint8_t *data)
{
    const struct dtype_info *info = dtype_info(tensor->type);
    struct half_places places = half_places(tensor->type);
    uint16_t half = 0;
    for (uint64_t b = 0; b < tensor->rows * tensor->row_bytes / info->block_bytes; b++)
        for (int i = 0; i < 2; i++) {
            if (places.at[i] < 0) continue;
            if (!equal_pairs || b % 2 == 0) half = check_half(check, fill);
            memcpy(data + b * info->block_bytes + places.at[i], &half, 2);
        }
}

struct test_matrix matrix_open(struct check *check, enum dtype type, int64_t rows, int64_t columns, enum fill scales,
                               bool extreme, bool equal_pairs, bool f32)
{
    const struct dtype_info *info = dtype_info(type);
    struct test_matrix m = {.tensor = {.name = "test",
                                       .type = type,
                                       .n_dims = 2,
                                       .dims = {(uint64_t)columns, (uint64_t)rows, 1, 1},
                                       .rows = (uint64_t)rows,
                                       .row_bytes = dtype_row_bytes(type, (uint64_t)columns)}};
    m.tensor.bytes = m.tensor.rows * m.tensor.row_bytes + info->tail_bytes;
    m.file = guard_open((int64_t)m.tensor.bytes);
    uint8_t *data = m.file.data;
    m.tensor.data = data;
    if (extreme)
        memset(data, 0xff, m.tensor.bytes);
    else
        check_bytes(check, data, (int64_t)m.tensor.bytes);
    if (type == DTYPE_F32 || type == DTYPE_BF16) fill_floats(check, type, scales, data, rows * columns);
    fill_halves(check, &m.tensor, scales, equal_pairs, data);
    if (type == DTYPE_I2_S) {
        float scale = equal_pairs ? 0.375f : 0.1f; // exact in a half, or not
        remove_code_3(data, (int64_t)(m.tensor.rows * m.tensor.row_bytes));
        memcpy(data + m.tensor.rows * m.tensor.row_bytes, &scale, sizeof scale);
    }
    if (tile_plan(&m.tensor, false, f32, &m.matrix) != TERN_OK) {
        printf("kernel/check: no plan for %s: %s\n", info->name, status_message());
        exit(2);
    }
    if (check->pairs) tile_pair(&m.matrix);
    m.tiles = guard_open((int64_t)tile_matrix_bytes(&m.matrix));
    m.matrix.data = m.matrix.kind == MATRIX_DENSE ? data : m.tiles.data;
    for (int64_t i = 0; m.matrix.kind != MATRIX_DENSE && i < m.matrix.n_tiles; i++)
        tile_fill(&m.tensor, &m.matrix, i, m.tiles.data);
    return m;
}

void matrix_close(struct test_matrix *m)
{
    guard_close(&m->file);
    guard_close(&m->tiles);
}
