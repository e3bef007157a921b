// Memory of the constraint compiler: arrays that grow, and an arena for what lives as long as one compilation.
#ifndef TEXT_CONSTRAINT_MEMORY_H
#define TEXT_CONSTRAINT_MEMORY_H

#include "base/status.h"

// Makes room for `count` items of `size` bytes in *items (NULL or malloc'd; *capacity items now).
// Errors: NO_MEMORY, LIMIT (more than `limit` items; the message names `what` there are too many of).
tern_status constraint_grow(void *items, size_t *capacity, size_t count, size_t size, size_t limit, const char *what);

// Everything is freed at once; nothing before. All zero is a valid empty arena.
struct arena {
    struct arena_block *blocks;
    size_t used;                      // bytes handed out
    size_t effort;                    // steps taken, see arena_charge()
    struct character_set *categories; // of Unicode, which take long to find; NULL: not needed yet
};

enum { ARENA_LIMIT = 128 << 20, ARENA_EFFORT = 30000000 };

// Zeroed bytes, aligned for anything. Errors: NO_MEMORY, LIMIT.
tern_status arena_alloc(struct arena *arena, size_t count, size_t size, void *out);
void arena_free(struct arena *arena);

// Counts steps of a compilation, of whatever kind: LIMIT if there are too many (ARENA_EFFORT: about a second).
tern_status arena_charge(struct arena *arena, size_t steps);

// A hash of 64 bits (Vigna's splitmix64 finaliser).
static inline uint64_t constraint_hash(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

#endif
