#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/half.h"

enum { GUARD_BYTE = 0xa5, REPORTS = 5 };

// ---- Random inputs
// ----------------------------------------------------------------------------------------------------

uint64_t check_random(struct check *check) // splitmix64
{
    uint64_t z = check->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int64_t check_range(struct check *check, int64_t least, int64_t most)
{
    return least + (int64_t)(check_random(check) % (uint64_t)(most - least + 1));
}

const char *const check_fill_names[FILL_COUNT] = {"normal", "zero", "huge", "tiny", "bits", "outlier", "infinite"};

static float random_float(struct check *check, enum fill fill)
{
    uint64_t r = check_random(check);
    float unit = (float)(int32_t)(r >> 32) * 0x1p-31f; // -1 .. 1
    switch (fill) {
    case FILL_ZERO:
        return r & 1 ? 0.0f : -0.0f;
    case FILL_HUGE:
        return unit * 0x1.fffffep+127f;
    case FILL_TINY:
        return unit * 0x1p-125f;
    case FILL_OUTLIER:
        return r % 97 == 0 ? unit * 4000.0f : unit * 4.0f;
    case FILL_INFINITE:
        if (r % 5 == 0) return r & 32 ? INFINITY : -INFINITY;
        return r % 5 == 1 ? NAN : unit * 4.0f;
    case FILL_BITS: {
        float f = half_from_bits32((uint32_t)r);
        return isfinite(f) ? f : unit;
    }
    default:
        return unit * 4.0f;
    }
}

void check_fill(struct check *check, enum fill fill, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float(check, fill);
}

void check_bytes(struct check *check, void *p, int64_t n)
{
    uint8_t *bytes = p;
    for (int64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(check_random(check) >> 56);
}

uint16_t check_half(struct check *check, enum fill fill)
{
    uint16_t r = (uint16_t)check_random(check);
    switch (fill) {
    case FILL_ZERO:
        return r & 0x8000u;
    case FILL_HUGE:
        return (uint16_t)((r & 0x83ffu) | 0x7800u);
    case FILL_TINY:
        return r & 0x83ffu;
    case FILL_BITS:
        return (r & 0x7c00u) == 0x7c00u ? r & 0x83ffu : r;
    default:
        return (uint16_t)(0x2000u + (r & 0x8fffu)); // 2^-7 .. 2^-3, either sign
    }
}

// ---- Guarded memory
// ---------------------------------------------------------------------------------------------------

struct guard guard_open(int64_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = ((size_t)bytes + 64 + page - 1) / page * page;
    struct guard guard = {.map_bytes = body + page, .bytes = (size_t)bytes};
    guard.map = mmap(NULL, guard.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard.map == MAP_FAILED || mprotect(guard.map + body, page, PROT_NONE) != 0) {
        perror("kernel/check: memory");
        exit(2);
    }
    memset(guard.map, GUARD_BYTE, body);
    guard.data = guard.map + body - bytes;
    return guard;
}

bool guard_ok(const struct guard *guard)
{
    for (const uint8_t *p = guard->map; p < (const uint8_t *)guard->data; p++)
        if (*p != GUARD_BYTE) return false;
    return true;
}

void guard_close(struct guard *guard)
{
    munmap(guard->map, guard->map_bytes);
}

// ---- Verdicts
// -----------------------------------------------------------------------------------------------------------

void check_begin(struct check *check, const char *what)
{
    check->what = what;
    check->n_reported = 0;
}

// Counts a case; prints `detail` and the description of a failed one.
static bool verdict(struct check *check, bool good, const char *detail, const char *format, va_list arguments)
{
    check->n_checks++;
    if (good) return true;
    check->n_failures++;
    if (check->n_reported++ >= REPORTS) return false;
    printf("FAILED %s %s (", check->table->name, check->what);
    vprintf(format, arguments);
    printf(")%s\n", detail);
    return false;
}

bool check_floats(struct check *check, const float *got, const float *wanted, int64_t n, const char *format, ...)
{
    int64_t i = 0;
    while (i < n && (memcmp(got + i, wanted + i, sizeof *got) == 0 || (isnan(got[i]) && isnan(wanted[i]))))
        i++;
    char detail[128] = "";
    if (i < n)
        snprintf(detail, sizeof detail, ": element %lld is %a, expected %a", (long long)i, (double)got[i],
                 (double)wanted[i]);
    va_list arguments;
    va_start(arguments, format);
    bool good = verdict(check, i == n, detail, format, arguments);
    va_end(arguments);
    return good;
}

bool check_same(struct check *check, const void *got, const void *wanted, int64_t bytes, const char *format, ...)
{
    const uint8_t *a = got, *b = wanted;
    int64_t i = 0;
    while (i < bytes && a[i] == b[i])
        i++;
    char detail[128] = "";
    if (i < bytes) snprintf(detail, sizeof detail, ": byte %lld is %d, expected %d", (long long)i, a[i], b[i]);
    va_list arguments;
    va_start(arguments, format);
    bool good = verdict(check, i == bytes, detail, format, arguments);
    va_end(arguments);
    return good;
}

bool check_true(struct check *check, bool good, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    verdict(check, good, "", format, arguments);
    va_end(arguments);
    return good;
}

// ---- Program
// ------------------------------------------------------------------------------------------------------------

struct options {
    const char *table, *only;
    uint64_t seed;
    bool quick, bench;
    int threads;
    double seconds;
};

static int usage(FILE *to)
{
    fprintf(to, "usage: check [--quick] [--table NAME] [--only FUNCTION] [--seed N]\n"
                "             [--bench [--threads N] [--seconds S]]\n"
                "Compares every kernel table that this CPU runs with the reference, bit by bit.\n"
                "functions: quantise rms_norm add silu_gate relu2_gate rope to_half expf fill multiply attend\n");
    return to == stdout ? 0 : 2;
}

static const char *next_argument(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) exit(usage(stderr));
    return argv[++*i];
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.seed = 1, .threads = 1, .seconds = 0.5};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            o.quick = true;
        else if (strcmp(argv[i], "--bench") == 0)
            o.bench = true;
        else if (strcmp(argv[i], "--table") == 0)
            o.table = next_argument(argc, argv, &i);
        else if (strcmp(argv[i], "--only") == 0)
            o.only = next_argument(argc, argv, &i);
        else if (strcmp(argv[i], "--seed") == 0)
            o.seed = strtoull(next_argument(argc, argv, &i), NULL, 0);
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = atoi(next_argument(argc, argv, &i));
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = atof(next_argument(argc, argv, &i));
        else
            exit(usage(strcmp(argv[i], "--help") == 0 ? stdout : stderr));
    }
    return o;
}

// Every function of one table. The reference is compared with itself where that says something: calls in pieces.
static int check_table(const struct options *o, const struct kernels *table, const struct kernels *reference)
{
    struct check check = {
        .table = table, .reference = reference, .quick = o->quick, .pairs = table->pairs_tiles, .random = o->seed};
    if (table != reference) {
        check_vectors(&check, o->only);
        check_attention(&check, o->only);
    }
    check_multiply(&check, o->only);
    printf("%s: %d checks, %d failures (seed %llu)\n", table->name, check.n_checks, check.n_failures,
           (unsigned long long)o->seed);
    return check.n_failures;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct cpu_features cpu = cpu_detect();
    if (o.table != NULL && kernel_select(&cpu, o.table) == NULL) {
        fprintf(stderr, "kernel/check: no table %s on this CPU; built in: %s\n", o.table, kernel_names());
        return 2;
    }
    int n_tables, n_failures = 0;
    const struct kernels *const *tables = kernel_tables(&n_tables);
    struct check fill = {.table = tables[0], .reference = tables[0], .quick = o.quick, .random = o.seed};
    if (!o.bench) {
        check_tiles(&fill, o.only);
        fill.pairs = true;
        check_tiles(&fill, o.only);
        check_exp(&fill, o.only);
        printf("tiles and exp: %d checks, %d failures\n", fill.n_checks, fill.n_failures);
    }
    for (int i = 0; i < n_tables; i++) {
        if (kernel_select(&cpu, tables[i]->name) == NULL) continue;
        if (o.table != NULL && strcmp(o.table, tables[i]->name) != 0) continue;
        if (o.bench)
            check_bench(tables[i], o.only, o.threads, o.seconds);
        else
            n_failures += check_table(&o, tables[i], tables[0]);
    }
    return n_failures + fill.n_failures != 0;
}
