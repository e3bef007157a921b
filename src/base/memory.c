// MADV_HUGEPAGE is Linux's.
#define _GNU_SOURCE
#include "base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

void *memory_allocate(size_t bytes)
{
    void *data;
    if (posix_memalign(&data, bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    // Only whole ones: a model has hundreds of matrices, and half a huge page left over in each is a hundred megabytes.
    // It is advice, and may be refused.
    if (bytes >= HUGE_PAGE) madvise(data, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return data;
}
