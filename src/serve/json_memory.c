#include "serve/json_memory.h"

#include "serve/field.h"

#include <stdlib.h>

enum {
    ALIGNMENT = 16,
    LEAST_RESERVE = 4096,
    // Bytes for each byte of a text: the parser's copy of a string, which doubles as it grows, and what is made of it.
    TEXT_BYTES = 6,
};

// What is left for a parser that must not be refused anything. What comes from it is thrown away with it.
struct reserve {
    char *memory; // NULL: nobody parses
    size_t size, used;
};

static _Thread_local bool lost;
static _Thread_local struct reserve reserve;

static void *take_reserve(size_t size)
{
    size_t left = reserve.size - reserve.used;
    if (reserve.memory == NULL || size > left) return NULL;
    void *taken = reserve.memory + reserve.used;
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    reserve.used += rounded < left ? rounded : left;
    return taken;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory != NULL) return memory;
    lost = true;
    return take_reserve(size);
}

static void release(void *memory)
{
    char *bytes = memory;
    bool reserved = reserve.memory != NULL && bytes >= reserve.memory && bytes < reserve.memory + reserve.size;
    if (!reserved) free(memory);
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, release);
}

void json_memory_begin(void)
{
    lost = false;
}

void json_memory_lose(void)
{
    lost = true;
}

bool json_memory_lost(void)
{
    return lost;
}

// jansson does not look whether the name of a pair was taken.
struct dump {
    struct buffer *out;
    bool failed;
};

static int append(const char *bytes, size_t length, void *context)
{
    struct dump *dump = context;
    dump->failed = dump->failed || buffer_append(dump->out, bytes, length) != TERN_OK;
    return dump->failed ? -1 : 0;
}

bool json_memory_write(const json_t *value, struct buffer *out)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9);
    struct dump dump = {.out = out};
    return value != NULL && json_dump_callback(value, append, &dump, flags) == 0 && !dump.failed && !lost;
}

json_t *json_memory_read(const char *text, size_t length, size_t flags, json_error_t *why)
{
    size_t size = 2 * field_body_memory(text, length) + TEXT_BYTES * length + LEAST_RESERVE;
    reserve = (struct reserve){.memory = malloc(size), .size = size};
    lost = lost || reserve.memory == NULL;
    json_t *value = reserve.memory != NULL ? json_loadb(text, length, flags, why) : NULL;
    if (reserve.used > 0) { // some of it may lie there
        json_decref(value);
        value = NULL;
    }
    free(reserve.memory);
    reserve = (struct reserve){0};
    return value;
}
