// Attention: several blocks one after the other, so that the running state is compared too.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/kv_block.h"

enum { MAX_QUERIES = 17, BLOCKS = 3 };

// Running state of the queries of one table.
struct state {
    float max[MAX_QUERIES], sum[MAX_QUERIES];
    struct guard acc; // [n_queries][head_size]
    float *rows[MAX_QUERIES];
};

static void state_open(struct state *s, int64_t n_queries, int64_t head_size)
{
    s->acc = guard_open(n_queries * head_size * 4);
    memset(s->acc.data, 0, s->acc.bytes);
    for (int64_t i = 0; i < n_queries; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0.0f;
        s->rows[i] = (float *)s->acc.data + i * head_size;
    }
}

static void run_block(const struct kernels *table, struct attention_block block, struct state *s)
{
    struct guard scratch = guard_open(table->attention_scratch_bytes);
    block.max = s->max;
    block.sum = s->sum;
    block.acc = s->rows;
    table->attend(&block, scratch.data);
    guard_close(&scratch);
}

static void compare(struct check *check, const struct state *got, const struct state *wanted, int64_t n_queries,
                    int64_t head_size, enum fill fill, tern_kv_type type)
{
    const char *name = check_fill_names[fill];
    check_floats(check, got->max, wanted->max, n_queries, "max, %s, type %d, head %lld", name, (int)type,
                 (long long)head_size);
    check_floats(check, got->sum, wanted->sum, n_queries, "sum, %s, type %d, head %lld", name, (int)type,
                 (long long)head_size);
    check_floats(check, got->acc.data, wanted->acc.data, n_queries * head_size, "%s, type %d, head %lld, %lld queries",
                 name, (int)type, (long long)head_size, (long long)n_queries);
    check_true(check, guard_ok(&got->acc), "head %lld: writes before the start", (long long)head_size);
}

// Codes of any bits, halves and scales that are finite.
static void fill_block(struct check *check, tern_kv_type type, int64_t head_size, enum fill fill, uint8_t *block)
{
    int64_t codes = type == TERN_KV_F16 ? 0 : kv_code_bytes(type, head_size);
    check_bytes(check, block, codes);
    uint16_t *halves = (uint16_t *)(void *)(block + codes);
    for (int64_t i = 0; i < (kv_block_bytes(type, head_size) - codes) / 2; i++)
        halves[i] = check_half(check, fill);
}

static void check_case(struct check *check, tern_kv_type type, int64_t head_size, int64_t n_queries, enum fill fill)
{
    int64_t bytes = kv_block_bytes(type, head_size);
    struct guard keys = guard_open(bytes), values = guard_open(bytes), query = guard_open(n_queries * head_size * 4);
    const float *queries[MAX_QUERIES];
    int32_t visible[MAX_QUERIES];
    struct state got, wanted;
    state_open(&got, n_queries, head_size);
    state_open(&wanted, n_queries, head_size);
    check_fill(check, fill == FILL_HUGE ? FILL_OUTLIER : fill, query.data, n_queries * head_size);
    for (int b = 0; b < BLOCKS; b++) {
        fill_block(check, type, head_size, fill, keys.data);
        fill_block(check, type, head_size, fill, values.data);
        for (int64_t i = 0; i < n_queries; i++) {
            queries[i] = (const float *)query.data + i * head_size;
            visible[i] = (int32_t)(b + 1 < BLOCKS && i % 3 != 2 ? ATTENTION_BLOCK : check_range(check, 0, 64));
        }
        // Zeros with a negative scale give scores of -0.
        struct attention_block block = {.head_size = head_size,
                                        .kv_type = type,
                                        .keys = keys.data,
                                        .values = values.data,
                                        .next_keys = b + 1 < BLOCKS ? keys.data : NULL,
                                        .n_queries = n_queries,
                                        .query = queries,
                                        .visible = visible,
                                        .scale = fill == FILL_ZERO ? -0.125f : 0.125f};
        run_block(check->table, block, &got);
        run_block(check->reference, block, &wanted);
        compare(check, &got, &wanted, n_queries, head_size, fill, type);
    }
    guard_close(&keys);
    guard_close(&values);
    guard_close(&query);
    guard_close(&got.acc);
    guard_close(&wanted.acc);
}

void check_attention(struct check *check, const char *only)
{
    static const int64_t heads[] = {2, 6, 34, 64, 80, 120, 128, 256};
    static const int64_t queries[] = {1, 2, 3, 4, 8, MAX_QUERIES};
    if (!check_wanted(only, "attend")) return;
    check_begin(check, "attend");
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < (check->quick ? 3 : 6); j++)
            for (enum fill fill = 0; fill < FILL_BITS; fill++)
                for (int type = TERN_KV_F16; type <= TERN_KV_Q4_0; type++)
                    check_case(check, (tern_kv_type)type, heads[i], queries[j], fill);
}
