#include "check.h"
void check_bench(const struct kernels *table, const char *only, int threads, double seconds)
{
    (void)table;
    (void)only;
    (void)threads;
    (void)seconds;
}
