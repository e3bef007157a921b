// Files of saved logits: any bytes are read or refused with a message, and what is read lies inside them. The header's
// hash is made right first (docs/checking.md), or hardly any input would come past it.
#include "eval/saved_logits.h"

#include <stdlib.h>
#include <string.h>

enum { HASH_AT = 40, HASH_END = 48, NAME_LENGTH_AT = 32, CHUNKS_AT = 24, CONTEXT_AT = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t load(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint64_t hash(uint64_t state, const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8)
        state = (state ^ load(p, 8)) * 0x100000001b3u;
    return state;
}

static void repair_hash(uint8_t *file, size_t size)
{
    if (size < HASH_END) return;
    uint64_t tokens = load(file + CHUNKS_AT, 8) * load(file + CONTEXT_AT, 4);
    uint64_t end = (HASH_END + load(file + NAME_LENGTH_AT, 4) + 4 * tokens + 7) / 8 * 8;
    if (end < HASH_END || end > size) return;
    uint64_t right = hash(hash(0xcbf29ce484222325u, file, file + HASH_AT), file + HASH_END, file + end);
    for (int i = 0; i < 8; i++)
        file[HASH_AT + i] = (uint8_t)(right >> 8 * i);
}

// Every row of every chunk, whether its hash is right or not.
static void read_rows(const struct saved_logits *saved)
{
    float *logits = malloc((size_t)saved->n_vocabulary * sizeof *logits);
    if (logits == NULL) abort();
    for (int64_t chunk = 0; chunk < saved->chunks.count; chunk++) {
        struct prediction prediction;
        saved_logits_check_chunk(saved, chunk);
        for (int32_t row = 0; row < chunks_scored(saved->chunks.context); row++)
            if (saved_logits_read(saved, chunk, row, logits, &prediction) &&
                (prediction.top < 0 || prediction.top >= saved->n_vocabulary))
                abort();
    }
    free(logits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct saved_logits saved;
    uint8_t *file = malloc(size > 0 ? size : 1);
    if (file == NULL) abort();
    memcpy(file, data, size);
    repair_hash(file, size);
    if (saved_logits_open_memory(file, size, "a.logits", &saved) == TERN_OK) {
        read_rows(&saved);
        saved_logits_close(&saved);
    } else if (strncmp(status_message(), "a.logits: ", 10) != 0) {
        abort();
    }
    free(file);
    return 0;
}
