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

static void fill_data(struct check *check, const struct tensor *tensor, const struct matrix_wish *wish, uint8_t *data)
{
    const enum dtype type = wish->type;
    if (wish->extreme)
        memset(data, 0xff, tensor->bytes);
    else
        check_bytes(check, data, (int64_t)tensor->bytes);
    if (type == DTYPE_F32 || type == DTYPE_BF16)
        fill_floats(check, type, wish->scales, data, wish->rows * wish->columns);
    if (type == DTYPE_I2_S || wish->dense) remove_code_3(data, (int64_t)(tensor->rows * tensor->row_bytes));
    fill_halves(check, tensor, wish->scales, wish->equal_pairs, data);
    if (type == DTYPE_I2_S) {
        float scale = wish->equal_pairs ? 0.375f : 0.1f; // exact in a half, or not
        memcpy(data + tensor->rows * tensor->row_bytes, &scale, sizeof scale);
    }
}

struct test_matrix matrix_again(const struct check *check, const struct test_matrix *m, struct tile_options options)
{
    struct test_matrix again = {.tensor = m->tensor};
    if (tile_plan(&again.tensor, options, &again.matrix) != TERN_OK) {
        printf("kernel/check: no plan for %s: %s\n", dtype_info(m->tensor.type)->name, status_message());
        exit(2);
    }
    if (check->pairs) tile_pair(&again.matrix);
    again.tiles = guard_open((int64_t)tile_matrix_bytes(&again.matrix));
    again.matrix.data = again.matrix.kind == MATRIX_DENSE ? m->tensor.data : again.tiles.data;
    for (int64_t i = 0; again.matrix.kind != MATRIX_DENSE && i < again.matrix.n_tiles; i++)
        tile_fill(&again.tensor, &again.matrix, i, again.tiles.data);
    return again;
}

void matrix_close_again(struct test_matrix *m)
{
    guard_close(&m->tiles);
}

struct test_matrix matrix_open(struct check *check, const struct matrix_wish *wish)
{
    const struct dtype_info *info = dtype_info(wish->type);
    struct test_matrix m = {.tensor = {.name = "test",
                                       .type = wish->type,
                                       .n_dims = 2,
                                       .dims = {(uint64_t)wish->columns, (uint64_t)wish->rows, 1, 1},
                                       .rows = (uint64_t)wish->rows,
                                       .row_bytes = dtype_row_bytes(wish->type, (uint64_t)wish->columns)}};
    m.tensor.bytes = m.tensor.rows * m.tensor.row_bytes + info->tail_bytes;
    struct guard file = guard_open((int64_t)m.tensor.bytes);
    fill_data(check, &m.tensor, wish, file.data);
    m.tensor.data = file.data;
    m = matrix_again(check, &m, (struct tile_options){.f32 = wish->f32, .dense = wish->dense});
    m.file = file;
    return m;
}

const char *matrix_name(const struct matrix *w)
{
    static char name[64];
    snprintf(name, sizeof name, "%s%s", dtype_info(w->type)->name,
             w->kind == MATRIX_PACKED_TRITS ? ", dense tiles" : "");
    return name;
}

void matrix_close(struct test_matrix *m)
{
    guard_close(&m->file);
    guard_close(&m->tiles);
}
