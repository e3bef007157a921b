// Attention on the processor: keys and values are stored, and each row looks at all positions of its sequence up to its
// own, block by block.
//
// Rows whose sequences begin with the same block in memory, those of one sequence and those of sequences with a common
// prefix, go together: a block that several of them look at is read once. What a row's queries compute does not depend
// on the company that they have.
#include "device/cpu.h"

#include "kernel/arithmetic.h"
#include "kernel/kv_block.h"

#include <math.h>
#include <string.h>

_Static_assert((int)DEVICE_KV_BLOCK == (int)ATTENTION_BLOCK, "attention walks the cache block by block");

enum { GROUP_ROWS = 16 }; // rows that go together at most: more would not fit their queries into the cache

struct attention_job {
    struct device *device;
    const struct device_attention *attention;
    int32_t *rows;  // [n_rows], group by group
    int32_t *group; // [n_groups + 1]: group i has rows[group[i]] .. rows[group[i + 1] - 1]
    int64_t n_groups;
    bool stores; // a group first stores its own keys and values
};

int64_t device_kv_block_bytes(tern_kv_type type, int64_t n_kv_heads, int64_t head_size)
{
    return 2 * n_kv_heads * kv_block_bytes(type, head_size);
}

// ---- Blocks

// A block has the keys of every head, then the values of every head.
static uint8_t *block_keys(const struct device_attention *a, int64_t row, int64_t block, int64_t head)
{
    return a->blocks[row][block] + head * kv_block_bytes(a->kv_type, a->head_size);
}

static uint8_t *block_values(const struct device_attention *a, int64_t row, int64_t block, int64_t head)
{
    return block_keys(a, row, block, a->n_kv_heads + head);
}

static void store_row(const struct attention_job *job, int64_t head, int64_t row)
{
    const struct device_attention *a = job->attention;
    const struct kernels *kernels = job->device->kernels;
    int64_t block = a->position[row] / DEVICE_KV_BLOCK, slot = a->position[row] % DEVICE_KV_BLOCK;
    int64_t source = (row * a->n_kv_heads + head) * a->head_size;
    kv_store_key(a->kv_type, a->head_size, a->k + source, slot, block_keys(a, row, block, head), kernels->to_half);
    kv_store_value(a->kv_type, a->head_size, a->v + source, slot, block_values(a, row, block, head), kernels->to_half);
}

static void store_head(void *context, int64_t head, int worker)
{
    (void)worker;
    const struct attention_job *job = context;
    for (int64_t row = 0; row < job->attention->n_rows; row++)
        store_row(job, head, row);
}

// ---- One group and kv head

// The queries that a kv head serves in a group of rows, `share` of each row. Lies in the worker's scratch before the
// kernel's own.
struct queries {
    const struct attention_job *job;
    const int32_t *rows; // [n_rows]
    int64_t n_rows, share, kv_head;
    const float **query; // [n_rows * share], as all that follow
    float **acc;
    float *max, *sum;
    int32_t *visible;
};

static int64_t queries_bytes(int64_t n)
{
    int64_t bytes = n * (int64_t)(2 * sizeof(float *) + 2 * sizeof(float) + sizeof(int32_t));
    return (bytes + 63) / 64 * 64;
}

static void queries_place(struct queries *q, void *memory)
{
    const int64_t n = q->n_rows * q->share;
    q->query = memory;
    q->acc = (float **)(void *)(q->query + n);
    q->max = (float *)(void *)(q->acc + n);
    q->sum = q->max + n;
    q->visible = (int32_t *)(void *)(q->sum + n);
}

static void queries_start(const struct queries *q)
{
    const struct device_attention *a = q->job->attention;
    for (int64_t i = 0; i < q->n_rows * q->share; i++) {
        int64_t head = q->kv_head * q->share + i % q->share;
        int64_t offset = (q->rows[i / q->share] * a->n_heads + head) * a->head_size;
        q->query[i] = a->q + offset;
        q->acc[i] = a->out + offset;
        q->max[i] = -INFINITY;
        q->sum[i] = 0;
        memset(q->acc[i], 0, (size_t)a->head_size * sizeof(float));
    }
}

static void queries_finish(const struct queries *q)
{
    const int64_t head_size = q->job->attention->head_size;
    for (int64_t i = 0; i < q->n_rows * q->share; i++)
        for (int64_t d = 0; d < head_size; d++)
            q->acc[i][d] /= q->sum[i];
}

static int64_t last_block(const struct queries *q, int64_t i)
{
    return q->job->attention->position[q->rows[i]] / DEVICE_KV_BLOCK;
}

// What comes after a block's values: the next block's keys, or those that the next kv head begins with. NULL: nothing.
static const uint8_t *next_keys(const struct queries *q, int64_t i, int64_t block)
{
    const struct device_attention *a = q->job->attention;
    if (last_block(q, i) > block) return block_keys(a, q->rows[i], block + 1, q->kv_head);
    return q->kv_head + 1 < a->n_kv_heads ? block_keys(a, q->rows[0], 0, q->kv_head + 1) : NULL;
}

// Rows [i, end) look at one block in memory.
static void attend_rows(const struct queries *q, int64_t i, int64_t end, int64_t block, void *scratch)
{
    const struct device_attention *a = q->job->attention;
    const int64_t first = i * q->share;
    for (int64_t k = first; k < end * q->share; k++) {
        int64_t seen = a->position[q->rows[k / q->share]] + 1 - block * DEVICE_KV_BLOCK;
        q->visible[k] = (int32_t)min_i64(seen, DEVICE_KV_BLOCK);
    }
    struct attention_block view = {.head_size = a->head_size,
                                   .kv_type = a->kv_type,
                                   .keys = block_keys(a, q->rows[i], block, q->kv_head),
                                   .values = block_values(a, q->rows[i], block, q->kv_head),
                                   .next_keys = next_keys(q, i, block),
                                   .n_queries = (end - i) * q->share,
                                   .query = q->query + first,
                                   .visible = q->visible + first,
                                   .scale = a->scale,
                                   .max = q->max + first,
                                   .sum = q->sum + first,
                                   .acc = q->acc + first};
    q->job->device->kernels->attend(&view, scratch);
}

// Neighbours that have the same block there go together.
static void attend_block(const struct queries *q, int64_t block, void *scratch)
{
    uint8_t *const *const *blocks = q->job->attention->blocks;
    for (int64_t i = 0, end; i < q->n_rows; i = end) {
        end = i + 1;
        if (last_block(q, i) < block) continue;
        while (end < q->n_rows && last_block(q, end) >= block &&
               blocks[q->rows[end]][block] == blocks[q->rows[i]][block])
            end++;
        attend_rows(q, i, end, block, scratch);
    }
}

static void attend_group(void *context, int64_t index, int worker)
{
    const struct attention_job *job = context;
    const struct device_attention *a = job->attention;
    const int32_t *group = job->group + index / a->n_kv_heads;
    char *memory = job->device->workers[worker].scratch.data;
    struct queries q = {.job = job,
                        .rows = job->rows + group[0],
                        .n_rows = group[1] - group[0],
                        .share = a->n_heads / a->n_kv_heads,
                        .kv_head = index % a->n_kv_heads};
    queries_place(&q, memory);
    void *scratch = memory + queries_bytes(q.n_rows * q.share);

    int64_t last = 0;
    for (int64_t i = 0; i < q.n_rows; i++) {
        if (job->stores) store_row(job, q.kv_head, q.rows[i]);
        if (last_block(&q, i) > last) last = last_block(&q, i);
    }
    queries_start(&q);
    for (int64_t block = 0; block <= last; block++)
        attend_block(&q, block, scratch);
    queries_finish(&q);
}

// ---- Groups

// Moves the rows that may go with the first of rows[n] to its front, GROUP_ROWS in all at most, and returns how many
// they are. The others keep their order. *complete becomes false if not all found room.
static int64_t gather_group(const struct device_attention *a, int32_t *rows, int64_t n, bool *complete)
{
    const uint8_t *block = a->blocks[rows[0]][0];
    int64_t count = 1;
    for (int64_t i = 1; i < n; i++) {
        const int32_t row = rows[i];
        if (a->blocks[row][0] != block) continue;
        if (count == GROUP_ROWS) {
            *complete = false;
            break;
        }
        memmove(rows + count + 1, rows + count, (size_t)(i - count) * sizeof *rows);
        rows[count++] = row;
    }
    return count;
}

// A sequence whose rows are all in one group is nobody else's to look at: what the group's task stores, it alone reads.
static void make_groups(struct attention_job *job)
{
    const struct device_attention *a = job->attention;
    for (int32_t i = 0; i < a->n_rows; i++)
        job->rows[i] = i;
    job->stores = true;
    for (int64_t i = 0; i < a->n_rows; job->n_groups++) {
        job->group[job->n_groups] = (int32_t)i;
        i += gather_group(a, job->rows + i, a->n_rows - i, &job->stores);
    }
    job->group[job->n_groups] = (int32_t)a->n_rows;
}

tern_status device_attend(struct device *device, const struct device_attention *attention)
{
    const struct device_attention *a = attention;
    const int64_t n_queries = min_i64(a->n_rows, GROUP_ROWS) * (a->n_heads / a->n_kv_heads);
    TRY(cpu_reserve(&device->groups, (2 * a->n_rows + 1) * (int64_t)sizeof(int32_t)));
    TRY(cpu_reserve_workers(device, queries_bytes(n_queries) + device->kernels->attention_scratch_bytes));

    struct attention_job job = {.device = device, .attention = a, .rows = device->groups.data};
    job.group = job.rows + a->n_rows;
    make_groups(&job);
    if (!job.stores) cpu_run(device, a->n_kv_heads, a->n_rows * a->n_kv_heads * a->head_size * 2, store_head, &job);
    pool_run(device->pool, job.n_groups * a->n_kv_heads, attend_group, &job);
    return TERN_OK;
}
