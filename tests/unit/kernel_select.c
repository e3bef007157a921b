// Which table of kernels a processor gets, by what it can do.
#include "kernel/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *name_of(const struct kernels *kernels)
{
    return kernels != NULL ? kernels->name : "none";
}

static void assert_best(struct cpu_features cpu, const char *name)
{
    assert_string_equal(name_of(kernel_select(&cpu, NULL)), name);
}

static void the_best_table_that_runs_is_chosen(void **state)
{
    (void)state;
    assert_best((struct cpu_features){0}, "reference");
#if defined(__x86_64__)
    assert_best((struct cpu_features){.sse41 = true}, "sse41");
    assert_best((struct cpu_features){.sse41 = true, .avx2 = true}, "avx2");
    assert_best((struct cpu_features){.sse41 = true, .avx2 = true, .avxvnni = true}, "avxvnni");
    assert_best((struct cpu_features){.sse41 = true, .avx2 = true, .avx512 = true}, "avx512");
    assert_best((struct cpu_features){.sse41 = true, .avx2 = true, .avxvnni = true, .avx512 = true}, "avx512");
#elif defined(__aarch64__)
    assert_best((struct cpu_features){.neon = true}, "neon");
    assert_best((struct cpu_features){.neon = true, .dotprod = true}, "dotprod");
    assert_best((struct cpu_features){.neon = true, .dotprod = true, .i8mm = true}, "i8mm");
#endif
}

static void a_named_table_is_chosen_only_where_it_runs(void **state)
{
    (void)state;
    const struct cpu_features none = {0};
    int count;
    const struct kernels *const *tables = kernel_tables(&count);
    for (int i = 0; i < count; i++) {
        const bool runs = strcmp(tables[i]->name, "reference") == 0;
        assert_ptr_equal(kernel_select(&none, tables[i]->name), runs ? tables[i] : NULL);
        assert_non_null(strstr(kernel_names(), tables[i]->name));
    }
    assert_null(kernel_select(&none, "no such kernels"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_table_that_runs_is_chosen),
        cmocka_unit_test(a_named_table_is_chosen_only_where_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
