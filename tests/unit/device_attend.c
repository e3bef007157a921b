// Attention of many rows at once against each row's alone: sequences with a common beginning, in any order, and more
// rows than go together.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"

enum {
    HEADS = 4,
    KV_HEADS = 2,
    HEAD_SIZE = 32,
    WIDTH = HEADS * HEAD_SIZE,
    KV_WIDTH = KV_HEADS * HEAD_SIZE,
    SEQUENCES = 8,
    SHARED = 2, // blocks that all sequences but the last begin with
    BLOCKS = 4,
    MOST_ROWS = 64,
};

// Blocks of every sequence, twice: of what is computed together, and alone.
struct world {
    struct device *device;
    tern_kv_type type;
    uint8_t *memory[2];
    uint8_t *blocks[2][SEQUENCES][BLOCKS];
    uint32_t random;
};

static float random_float(struct world *w)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (float)(w->random >> 8) * 0x1p-23f - 1.0f;
}

static void open_world(struct world *w, tern_kv_type type, int threads)
{
    *w = (struct world){.type = type, .random = 1};
    struct device_options options = {.threads = threads};
    assert_int_equal(device_open(&options, &w->device), TERN_OK);
    const size_t bytes = (size_t)device_kv_block_bytes(type, KV_HEADS, HEAD_SIZE);
    for (int k = 0; k < 2; k++) {
        w->memory[k] = aligned_alloc(64, SEQUENCES * BLOCKS * bytes);
        assert_non_null(w->memory[k]);
        memset(w->memory[k], 0, SEQUENCES * BLOCKS * bytes);
        for (int s = 0; s < SEQUENCES; s++)
            for (int b = 0; b < BLOCKS; b++) {
                const bool shares = b < SHARED && s < SEQUENCES - 1;
                w->blocks[k][s][b] = w->memory[k] + (size_t)((shares ? 0 : s) * BLOCKS + b) * bytes;
            }
    }
}

static void close_world(struct world *w)
{
    free(w->memory[0]);
    free(w->memory[1]);
    device_close(w->device);
}

// Rows to come: of which sequence, and where.
struct rows {
    int64_t n;
    int32_t sequence[MOST_ROWS], position[MOST_ROWS];
    float q[MOST_ROWS][WIDTH], k[MOST_ROWS][KV_WIDTH], v[MOST_ROWS][KV_WIDTH];
};

static void add_row(struct world *w, struct rows *rows, int32_t sequence, int32_t position)
{
    const int64_t i = rows->n++;
    assert_true(rows->n <= MOST_ROWS);
    rows->sequence[i] = sequence;
    rows->position[i] = position;
    for (int j = 0; j < WIDTH; j++)
        rows->q[i][j] = random_float(w);
    for (int j = 0; j < KV_WIDTH; j++) {
        rows->k[i][j] = random_float(w);
        rows->v[i][j] = random_float(w);
    }
}

static void attend(struct world *w, const struct rows *rows, int64_t first, int64_t n, int world, float out[][WIDTH])
{
    uint8_t *const *blocks[MOST_ROWS];
    for (int64_t i = 0; i < n; i++)
        blocks[i] = w->blocks[world][rows->sequence[first + i]];
    assert_int_equal(device_attend(w->device, &(struct device_attention){.n_rows = n,
                                                                         .n_heads = HEADS,
                                                                         .n_kv_heads = KV_HEADS,
                                                                         .head_size = HEAD_SIZE,
                                                                         .kv_type = w->type,
                                                                         .scale = 0.25f,
                                                                         .q = rows->q[first],
                                                                         .k = rows->k[first],
                                                                         .v = rows->v[first],
                                                                         .position = rows->position + first,
                                                                         .blocks = blocks,
                                                                         .out = out[first]}),
                     TERN_OK);
}

static void expect_company_changes_nothing(struct world *w, const struct rows *rows)
{
    static float together[MOST_ROWS][WIDTH], alone[MOST_ROWS][WIDTH];
    attend(w, rows, 0, rows->n, 0, together);
    for (int64_t i = 0; i < rows->n; i++)
        attend(w, rows, i, 1, 1, alone);
    assert_memory_equal(together, alone, (size_t)rows->n * sizeof *together);
}

// What all sequences know: SHARED blocks of one, and those of the last one; rows come one by one.
static void fill_prefixes(struct world *w)
{
    static struct rows rows;
    for (int32_t position = 0; position < SHARED * DEVICE_KV_BLOCK; position += 8) {
        rows.n = 0;
        for (int32_t i = 0; i < 8; i++) {
            add_row(w, &rows, 0, position + i);
            add_row(w, &rows, SEQUENCES - 1, position + i);
        }
        expect_company_changes_nothing(w, &rows);
    }
}

static void test_company(tern_kv_type type, int threads)
{
    const int32_t begin = SHARED * DEVICE_KV_BLOCK;
    static struct rows rows;
    struct world w;
    open_world(&w, type, threads);
    fill_prefixes(&w);

    rows.n = 0; // a token for each, as in decoding
    for (int32_t s = 0; s < SEQUENCES; s++)
        add_row(&w, &rows, s, begin);
    expect_company_changes_nothing(&w, &rows);

    rows.n = 0; // one reads a prompt over the end of a block, others decode, a stranger stands between
    for (int32_t i = 1; i <= 20; i++)
        add_row(&w, &rows, 0, begin + i);
    add_row(&w, &rows, SEQUENCES - 1, begin + 1);
    for (int32_t s = 1; s < 4; s++)
        for (int32_t i = 1; i <= 10; i++)
            add_row(&w, &rows, s, begin + i);
    expect_company_changes_nothing(&w, &rows);

    rows.n = 0; // a group is full in the middle of a sequence, whose rest comes behind the stranger's
    for (int32_t i = 21; i <= 30; i++)
        add_row(&w, &rows, 0, begin + i);
    add_row(&w, &rows, SEQUENCES - 1, begin + 2);
    for (int32_t i = 11; i <= 20; i++)
        add_row(&w, &rows, 1, begin + i);
    expect_company_changes_nothing(&w, &rows);

    rows.n = 0; // over the end of a block
    for (int32_t i = 31; i <= 70; i++)
        add_row(&w, &rows, 0, begin + i);
    for (int32_t i = 1; i <= 9; i++)
        add_row(&w, &rows, 4, begin + i);
    expect_company_changes_nothing(&w, &rows);
    close_world(&w);
}

static void company_f16(void **unused)
{
    (void)unused;
    test_company(TERN_KV_F16, 1);
    test_company(TERN_KV_F16, 3);
}

static void company_q8_0(void **unused)
{
    (void)unused;
    test_company(TERN_KV_Q8_0, 3);
}

static void company_q4_0(void **unused)
{
    (void)unused;
    test_company(TERN_KV_Q4_0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_f16),
        cmocka_unit_test(company_q8_0),
        cmocka_unit_test(company_q4_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
