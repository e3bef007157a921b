#include <string.h>

#include "kernel/tables.h"

// clang-format off
static const struct kernels *const tables[] = {
    &kernel_reference,
#if defined(__x86_64__)
    &kernel_sse41,
    &kernel_avx2,
    &kernel_avxvnni,
    &kernel_avx512,
#elif defined(__aarch64__)
    &kernel_neon,
    &kernel_dotprod,
    &kernel_i8mm,
#endif
};
// clang-format on

enum { N_TABLES = sizeof tables / sizeof tables[0] };

const struct kernels *const *kernel_tables(int *count)
{
    *count = N_TABLES;
    return tables;
}

// Whether this CPU has every instruction that the table uses.
static bool table_runs(const struct kernels *table, const struct cpu_features *cpu)
{
    if (strcmp(table->name, "sse41") == 0) return cpu->sse41;
    if (strcmp(table->name, "avx2") == 0) return cpu->avx2;
    if (strcmp(table->name, "avxvnni") == 0) return cpu->avxvnni;
    if (strcmp(table->name, "avx512") == 0) return cpu->avx512;
    if (strcmp(table->name, "neon") == 0) return cpu->neon;
    if (strcmp(table->name, "dotprod") == 0) return cpu->neon && cpu->dotprod;
    if (strcmp(table->name, "i8mm") == 0) return cpu->neon && cpu->dotprod && cpu->i8mm;
    return true;
}

const struct kernels *kernel_select(const struct cpu_features *cpu, const char *name)
{
    for (int i = N_TABLES - 1; i >= 0; i--)
        if (table_runs(tables[i], cpu) && (name == NULL || strcmp(name, tables[i]->name) == 0)) return tables[i];
    return NULL;
}

const char *kernel_names(void)
{
#if defined(__x86_64__)
    return "reference, sse41, avx2, avxvnni, avx512";
#elif defined(__aarch64__)
    return "reference, neon, dotprod, i8mm";
#else
    return "reference";
#endif
}
