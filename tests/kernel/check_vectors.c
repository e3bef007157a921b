// Functions of plain vectors.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const int64_t sizes[] = {1,   2,   3,   7,   8,    9,    15,   16,   17,   31,   32,   33,   64,
                                100, 127, 129, 576, 1536, 2048, 2560, 4096, 6144, 6912, 9728, 12288};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

// Buffers of n floats: inputs a and b, outputs of both tables.
struct vectors {
    struct guard a, b, got, wanted;
};

static struct vectors vectors_open(struct check *check, enum fill fill, int64_t n)
{
    int64_t bytes = n * (int64_t)sizeof(float);
    struct vectors v = {guard_open(bytes), guard_open(bytes), guard_open(bytes), guard_open(bytes)};
    check_fill(check, fill, v.a.data, n);
    check_fill(check, fill, v.b.data, n);
    return v;
}

static void vectors_close(struct check *check, struct vectors *v, enum fill fill, int64_t n)
{
    check_floats(check, v->got.data, v->wanted.data, n, "%s, n %lld", check_fill_names[fill], (long long)n);
    check_true(check, guard_ok(&v->got), "%s, n %lld: writes before the start", check_fill_names[fill], (long long)n);
    guard_close(&v->a);
    guard_close(&v->b);
    guard_close(&v->got);
    guard_close(&v->wanted);
}

static void copy_a(struct vectors *v)
{
    memcpy(v->got.data, v->a.data, v->a.bytes);
    memcpy(v->wanted.data, v->a.data, v->a.bytes);
}

static void run_add(struct check *check, struct vectors *v, int64_t n)
{
    copy_a(v);
    check->table->add(v->got.data, v->b.data, n);
    check->reference->add(v->wanted.data, v->b.data, n);
}

static void run_silu(struct check *check, struct vectors *v, int64_t n)
{
    check->table->silu_gate(v->a.data, v->b.data, n, v->got.data);
    check->reference->silu_gate(v->a.data, v->b.data, n, v->wanted.data);
}

static void run_relu2(struct check *check, struct vectors *v, int64_t n)
{
    copy_a(v); // out is gate
    check->table->relu2_gate(v->got.data, v->b.data, n, v->got.data);
    check->reference->relu2_gate(v->wanted.data, v->b.data, n, v->wanted.data);
}

static void run_norm(struct check *check, struct vectors *v, int64_t n)
{
    const float *weight = check_random(check) % 4 == 0 ? NULL : v->b.data;
    copy_a(v); // out is x
    check->table->rms_norm(v->got.data, weight, n, 1e-6f, v->got.data);
    check->reference->rms_norm(v->a.data, weight, n, 1e-6f, v->wanted.data);
}

static void check_function(struct check *check, const char *only, const char *name,
                           void (*run)(struct check *check, struct vectors *v, int64_t n))
{
    if (!check_wanted(only, name)) return;
    check_begin(check, name);
    for (int i = 0; i < N_SIZES; i++)
        for (enum fill fill = 0; fill < FILL_INFINITE; fill++) {
            struct vectors v = vectors_open(check, fill, sizes[i]);
            run(check, &v, sizes[i]);
            vectors_close(check, &v, fill, sizes[i]);
        }
}

static void check_quantise(struct check *check, enum fill fill, int64_t n, int64_t group)
{
    int64_t n_scales = (n + group - 1) / group;
    struct guard x = guard_open(n * 4), q = guard_open(n), scale = guard_open(n_scales * 4);
    int8_t *wanted = malloc((size_t)n);
    float *wanted_scale = malloc((size_t)n_scales * sizeof(float));
    check_fill(check, fill, x.data, n);
    check->table->quantise(x.data, n, group, q.data, scale.data);
    check->reference->quantise(x.data, n, group, wanted, wanted_scale);
    const char *name = check_fill_names[fill];
    check_same(check, q.data, wanted, n, "%s, n %lld, group %lld", name, (long long)n, (long long)group);
    check_floats(check, scale.data, wanted_scale, n_scales, "scales of %s, n %lld, group %lld", name, (long long)n,
                 (long long)group);
    check_true(check, guard_ok(&q) && guard_ok(&scale), "n %lld: writes before the start", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (wanted[i] == -128) check_true(check, false, "%s: -128", name);
    guard_close(&x);
    guard_close(&q);
    guard_close(&scale);
    free(wanted);
    free(wanted_scale);
}

static void check_all_quantise(struct check *check, const char *only)
{
    if (!check_wanted(only, "quantise")) return;
    check_begin(check, "quantise");
    for (int i = 0; i < N_SIZES; i++)
        for (enum fill fill = 0; fill < FILL_COUNT; fill++) {
            check_quantise(check, fill, sizes[i], 128);
            check_quantise(check, fill, sizes[i], 32);
            check_quantise(check, fill, sizes[i], sizes[i]);
        }
}

static void check_rope(struct check *check, enum fill fill, int64_t n_pairs, bool interleaved)
{
    struct guard head = guard_open(n_pairs * 8), cosine = guard_open(n_pairs * 4), sine = guard_open(n_pairs * 4);
    float *wanted = malloc((size_t)n_pairs * 2 * sizeof(float));
    check_fill(check, fill, head.data, 2 * n_pairs);
    check_fill(check, FILL_NORMAL, cosine.data, n_pairs);
    check_fill(check, FILL_NORMAL, sine.data, n_pairs);
    memcpy(wanted, head.data, head.bytes);
    check->table->rope(head.data, cosine.data, sine.data, n_pairs, interleaved);
    check->reference->rope(wanted, cosine.data, sine.data, n_pairs, interleaved);
    check_floats(check, head.data, wanted, 2 * n_pairs, "%s, %lld pairs, interleaved %d", check_fill_names[fill],
                 (long long)n_pairs, interleaved);
    check_true(check, guard_ok(&head), "%lld pairs: writes before the start", (long long)n_pairs);
    guard_close(&head);
    guard_close(&cosine);
    guard_close(&sine);
    free(wanted);
}

static void check_all_rope(struct check *check, const char *only)
{
    if (!check_wanted(only, "rope")) return;
    check_begin(check, "rope");
    for (int64_t n_pairs = 1; n_pairs <= 128; n_pairs += n_pairs < 40 ? 1 : 8)
        for (enum fill fill = 0; fill < FILL_INFINITE; fill++) {
            check_rope(check, fill, n_pairs, false);
            check_rope(check, fill, n_pairs, true);
        }
}

// Every half is met once in about 2^16 steps; random bits besides.
static void check_to_half(struct check *check, const char *only)
{
    if (!check_wanted(only, "to_half")) return;
    check_begin(check, "to_half");
    for (enum fill fill = 0; fill < FILL_COUNT; fill++)
        for (int64_t n = 1; n < 20000; n = n * 3 + 1) {
            struct guard x = guard_open(n * 4), got = guard_open(n * 2);
            uint16_t *wanted = malloc((size_t)n * 2);
            check_fill(check, fill, x.data, n);
            float *values = x.data;
            for (int64_t i = 0; i < n && fill == FILL_NORMAL; i++)
                values[i] *= (float)(check_random(check) % 32768);
            check->table->to_half(x.data, n, got.data);
            check->reference->to_half(x.data, n, wanted);
            check_same(check, got.data, wanted, n * 2, "%s, n %lld", check_fill_names[fill], (long long)n);
            guard_close(&x);
            guard_close(&got);
            free(wanted);
        }
}

// kernel_expf against the C library in double: relative error below 2e-7, 0 and exp(88) outside.
void check_exp(struct check *check, const char *only)
{
    if (!check_wanted(only, "expf")) return;
    check_begin(check, "expf");
    for (float x = -87.0f; x <= 88.0f; x += 0x1.3p-10f) {
        double wanted = exp((double)x), got = (double)kernel_expf(x), least = 0x1p-126;
        double error = fabs(got - wanted) / (wanted > least ? wanted : least);
        check_true(check, error < 2e-7, "exp(%a) is %a", (double)x, got);
    }
    check_true(check, kernel_expf(-87.5f) == 0.0f && kernel_expf(-INFINITY) == 0.0f, "below -87");
    check_true(check, kernel_expf(1000.0f) == kernel_expf(88.0f), "above 88");
    check_true(check, kernel_expf(0.0f) == 1.0f && kernel_expf(-0.0f) == 1.0f, "exp(0)");
}

void check_vectors(struct check *check, const char *only)
{
    check_all_quantise(check, only);
    check_function(check, only, "rms_norm", run_norm);
    check_function(check, only, "add", run_add);
    check_function(check, only, "silu_gate", run_silu);
    check_function(check, only, "relu2_gate", run_relu2);
    check_all_rope(check, only);
    check_to_half(check, only);
}
