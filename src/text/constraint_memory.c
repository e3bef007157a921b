#include "text/constraint_memory.h"

#include <stdlib.h>
#include <string.h>

tern_status constraint_grow(void *items, size_t *capacity, size_t count, size_t size, size_t limit, const char *what)
{
    if (count <= *capacity) return TERN_OK;
    if (count > limit) return status_fail(TERN_LIMIT, "constraint: more than %zu %s", limit, what);
    size_t wanted = *capacity < 16 ? 16 : *capacity * 2;
    if (wanted < count) wanted = count;
    void *old, *grown;
    memcpy(&old, items, sizeof old); // whatever the type of the pointer
    grown = realloc(old, wanted * size);
    if (!grown) return status_fail(TERN_NO_MEMORY, "no memory for %zu %s of a constraint", wanted, what);
    memcpy(items, &grown, sizeof grown);
    *capacity = wanted;
    return TERN_OK;
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    max_align_t data[];
};

enum { BLOCK_BYTES = 64 << 10 };

static tern_status add_block(struct arena *arena, size_t bytes)
{
    size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block) return status_fail(TERN_NO_MEMORY, "no memory to compile a constraint");
    *block = (struct arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    return TERN_OK;
}

tern_status arena_alloc(struct arena *arena, size_t count, size_t size, void *out)
{
    size_t align = sizeof(max_align_t);
    if (size && count > (ARENA_LIMIT - arena->used) / size)
        return status_fail(TERN_LIMIT, "constraint: compiling it takes more than %d MiB", ARENA_LIMIT >> 20);
    size_t bytes = (count * size + align - 1) / align * align;
    if (!arena->blocks || arena->blocks->size - arena->blocks->used < bytes) TRY(add_block(arena, bytes));
    void *result = (char *)arena->blocks->data + arena->blocks->used;
    arena->blocks->used += bytes;
    arena->used += bytes < ARENA_LIMIT - arena->used ? bytes : ARENA_LIMIT - arena->used;
    memset(result, 0, bytes);
    memcpy(out, &result, sizeof result);
    return TERN_OK;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct arena){0};
}

tern_status arena_charge(struct arena *arena, size_t steps)
{
    arena->effort += steps < ARENA_EFFORT ? steps : ARENA_EFFORT;
    if (arena->effort <= ARENA_EFFORT) return TERN_OK;
    return status_fail(TERN_LIMIT, "constraint: compiling it takes too long");
}
