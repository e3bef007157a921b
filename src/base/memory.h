// Large blocks of memory that are walked end to end.
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

// At least `bytes` (1 or more), aligned to 64 bytes; from 2 MiB on aligned to that and on huge pages where the system
// has them, so that walking it misses few address translations. NULL if there is none. Free with free().
void *memory_allocate(size_t bytes);

#endif
