#include "eval/saved_logits.h"

#include "base/buffer.h"
#include "base/half.h"
#include "format/bytes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MAGIC[8] = "ternlgts";

enum {
    VERSION = 1,
    FLAG_F32_ACTIVATIONS = 1,
    // Offsets in the file; the name and the tokens follow, then zeros up to a multiple of 8.
    VERSION_AT = 8,
    FLAGS_AT = 12,
    VOCABULARY_AT = 16,
    CONTEXT_AT = 20,
    CHUNKS_AT = 24,
    NAME_LENGTH_AT = 32,
    HASH_AT = 40,
    NAME_AT = 48,
    // Offsets in a row; the codes follow, then zeros up to a multiple of 8.
    LOG_PROBABILITY_AT = 0,
    HIGHEST_AT = 8,
    STEP_AT = 12,
    TOP_AT = 16,
    CODES_AT = 24,
    STEPS = 65535,
    HASH_BYTES = 8,
    MAX_VOCABULARY = 1 << 24,
    MAX_CONTEXT = 1 << 24,
};

// A token less likely than the likeliest by this factor of e^200 counts nothing in a double.
static const double WIDEST = 200;

// ---- Bytes --------------------------------------------------------------------------------------------------------

static void store_u64(uint8_t *p, uint64_t value)
{
    bytes_store_u32(p, (uint32_t)value);
    bytes_store_u32(p + 4, (uint32_t)(value >> 32));
}

static void store_f64(uint8_t *p, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    store_u64(p, bits);
}

static double load_f64(const uint8_t *p)
{
    uint64_t bits = bytes_load_u64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// FNV-1a (Fowler, Noll, Vo) over words of 64 bits instead of bytes: against accidents, not against forgers.
static const uint64_t HASH_START = 0xcbf29ce484222325u;

static uint64_t hash_words(uint64_t hash, const uint8_t *data, uint64_t bytes) // a multiple of 8
{
    for (uint64_t i = 0; i < bytes; i += 8)
        hash = (hash ^ bytes_load_u64(data + i)) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_header(const uint8_t *data, uint64_t bytes)
{
    return hash_words(hash_words(HASH_START, data, HASH_AT), data + NAME_AT, bytes - NAME_AT);
}

static uint64_t round_up(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

// Sizes that follow from the numbers in the header. They are bounded, the tokens by the file's size: nothing overflows.
static void lay_out(struct saved_logits *saved, uint64_t name_length)
{
    uint64_t tokens = (uint64_t)saved->chunks.count * (uint64_t)saved->chunks.context;
    saved->data_start = round_up(NAME_AT + name_length + tokens * sizeof(uint32_t));
    saved->row_bytes = round_up(CODES_AT + (uint64_t)saved->n_vocabulary * sizeof(uint16_t));
    saved->record_bytes = (uint64_t)chunks_scored(saved->chunks.context) * saved->row_bytes + HASH_BYTES;
}

// ---- Reading ------------------------------------------------------------------------------------------------------

bool saved_logits_is(const char *path)
{
    char start[sizeof MAGIC] = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) return false;
    size_t n = fread(start, 1, sizeof start, file);
    fclose(file);
    return n == sizeof start && memcmp(start, MAGIC, sizeof start) == 0;
}

static tern_status check_number(const struct saved_logits *saved, const char *what, uint64_t found, uint64_t least,
                                uint64_t most)
{
    if (found >= least && found <= most) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: %s is %llu, expected %llu to %llu", saved->path, what,
                       (unsigned long long)found, (unsigned long long)least, (unsigned long long)most);
}

static tern_status read_numbers(struct saved_logits *saved, uint64_t *name_length)
{
    const uint8_t *data = saved->data;
    uint32_t version = bytes_load_u32(data + VERSION_AT);
    if (version != VERSION)
        return status_fail(TERN_UNSUPPORTED, "%s: version %u of saved logits, this tern reads version %d", saved->path,
                           (unsigned)version, VERSION);
    uint64_t vocabulary = bytes_load_u32(data + VOCABULARY_AT), context = bytes_load_u32(data + CONTEXT_AT);
    uint64_t count = bytes_load_u64(data + CHUNKS_AT);
    *name_length = bytes_load_u32(data + NAME_LENGTH_AT);
    TRY(check_number(saved, "the vocabulary", vocabulary, 1, MAX_VOCABULARY));
    TRY(check_number(saved, "the context", context, CHUNKS_LEAST_CONTEXT, MAX_CONTEXT));
    TRY(check_number(saved, "the number of chunks", count, 1, saved->size / sizeof(uint32_t) / context));
    TRY(check_number(saved, "the length of the name", *name_length, 0, SAVED_LOGITS_NAME_BYTES - 1));
    saved->n_vocabulary = (int32_t)vocabulary;
    saved->chunks.context = (int32_t)context;
    saved->chunks.count = (int64_t)count;
    saved->f32_activations = (bytes_load_u32(data + FLAGS_AT) & FLAG_F32_ACTIVATIONS) != 0;
    return TERN_OK;
}

static tern_status check_length(const struct saved_logits *saved)
{
    uint64_t size = saved->size, count = (uint64_t)saved->chunks.count, left = size - saved->data_start;
    if (size >= saved->data_start && left / saved->record_bytes == count && left % saved->record_bytes == 0)
        return TERN_OK;
    double expected = (double)saved->data_start + (double)count * (double)saved->record_bytes;
    return status_fail(TERN_BAD_FILE, "%s: %llu bytes, expected %.0f for %llu chunks of %d tokens", saved->path,
                       (unsigned long long)size, expected, (unsigned long long)count, (int)saved->chunks.context);
}

static tern_status read_tokens(struct saved_logits *saved, uint64_t name_length)
{
    uint64_t n = (uint64_t)saved->chunks.count * (uint64_t)saved->chunks.context;
    const uint8_t *data = saved->data + NAME_AT + name_length;
    saved->chunks.tokens = malloc(n * sizeof *saved->chunks.tokens);
    if (saved->chunks.tokens == NULL) return status_fail(TERN_NO_MEMORY, "no memory for tokens");
    for (uint64_t i = 0; i < n; i++) {
        uint32_t token = bytes_load_u32(data + 4 * i);
        if (token >= (uint32_t)saved->n_vocabulary)
            return status_fail(TERN_BAD_FILE, "%s: token %llu is %u, the vocabulary has %d", saved->path,
                               (unsigned long long)i, (unsigned)token, (int)saved->n_vocabulary);
        saved->chunks.tokens[i] = (tern_token)token;
    }
    return TERN_OK;
}

static tern_status read_header(struct saved_logits *saved)
{
    const uint8_t *data = saved->data;
    uint64_t name_length;
    if (saved->size < NAME_AT || memcmp(data, MAGIC, sizeof MAGIC) != 0)
        return status_fail(TERN_BAD_FILE, "%s: not a file of saved logits, which begins with \"%.8s\" and has %d bytes",
                           saved->path, MAGIC, NAME_AT);
    TRY(read_numbers(saved, &name_length));
    lay_out(saved, name_length);
    TRY(check_length(saved));
    if (hash_header(data, saved->data_start) != bytes_load_u64(data + HASH_AT))
        return status_fail(TERN_BAD_FILE, "%s: the header's hash is not that of its bytes: the file is damaged",
                           saved->path);
    memcpy(saved->name, data + NAME_AT, name_length);
    return read_tokens(saved, name_length);
}

tern_status saved_logits_open_memory(const uint8_t *data, size_t size, const char *path, struct saved_logits *out)
{
    *out = (struct saved_logits){.path = path, .data = data, .size = size};
    tern_status status = read_header(out);
    if (status != TERN_OK) saved_logits_close(out);
    return status;
}

tern_status saved_logits_open(const char *path, struct saved_logits *out)
{
    struct mapped_file file;
    TRY(mapped_file_open(path, &file));
    tern_status status = saved_logits_open_memory(file.data, file.size, path, out);
    if (status == TERN_OK)
        out->file = file;
    else
        mapped_file_close(&file);
    return status;
}

void saved_logits_close(struct saved_logits *saved)
{
    chunks_free(&saved->chunks);
    mapped_file_close(&saved->file);
}

static const uint8_t *record_at(const struct saved_logits *saved, int64_t chunk)
{
    return saved->data + saved->data_start + (uint64_t)chunk * saved->record_bytes;
}

tern_status saved_logits_check_chunk(const struct saved_logits *saved, int64_t chunk)
{
    const uint8_t *record = record_at(saved, chunk);
    uint64_t bytes = saved->record_bytes - HASH_BYTES;
    if (hash_words(HASH_START, record, bytes) == bytes_load_u64(record + bytes)) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: the hash of chunk %lld is not that of its bytes: the file is damaged",
                       saved->path, (long long)chunk + 1);
}

bool saved_logits_read(const struct saved_logits *saved, int64_t chunk, int32_t row, float *logits,
                       struct prediction *prediction)
{
    const uint8_t *at = record_at(saved, chunk) + (uint64_t)row * saved->row_bytes;
    float highest = half_from_bits32(bytes_load_u32(at + HIGHEST_AT)),
          step = half_from_bits32(bytes_load_u32(at + STEP_AT));
    uint32_t top = bytes_load_u32(at + TOP_AT);
    double log_probability = load_f64(at + LOG_PROBABILITY_AT), sum = 0;
    if (top >= (uint32_t)saved->n_vocabulary || !isfinite(highest) || !isfinite(step) || !isfinite(log_probability))
        return false;
    for (int32_t i = 0; i < saved->n_vocabulary; i++) {
        logits[i] = highest - step * (float)bytes_load_u16(at + CODES_AT + 2 * i);
        sum += exp((double)logits[i] - (double)highest);
    }
    *prediction = (struct prediction){
        .top = (tern_token)top, .log_sum = (double)highest + log(sum), .log_probability = log_probability};
    return true;
}

// ---- Writing ------------------------------------------------------------------------------------------------------

struct saved_logits_writer {
    struct saved_logits layout; // no file in it, and chunks without tokens
    char *path, *part;          // owned; what is written is called `part` until it is complete
    FILE *file;
    uint8_t *record; // [record_bytes] of the chunk in work
};

static tern_status fail_write(const struct saved_logits_writer *writer)
{
    return status_fail(TERN_IO, "%s: %s", writer->part, strerror(errno));
}

static tern_status write_header(struct saved_logits_writer *writer, const char *name, const struct chunks *chunks)
{
    const struct saved_logits *layout = &writer->layout;
    size_t name_length = strlen(name);
    uint64_t n = (uint64_t)chunks->count * (uint64_t)chunks->context;
    uint8_t *header = calloc(1, layout->data_start);
    if (header == NULL) return status_fail(TERN_NO_MEMORY, "no memory for tokens");
    memcpy(header, MAGIC, sizeof MAGIC);
    bytes_store_u32(header + VERSION_AT, VERSION);
    bytes_store_u32(header + FLAGS_AT, layout->f32_activations ? FLAG_F32_ACTIVATIONS : 0);
    bytes_store_u32(header + VOCABULARY_AT, (uint32_t)layout->n_vocabulary);
    bytes_store_u32(header + CONTEXT_AT, (uint32_t)chunks->context);
    store_u64(header + CHUNKS_AT, (uint64_t)chunks->count);
    bytes_store_u32(header + NAME_LENGTH_AT, (uint32_t)name_length);
    memcpy(header + NAME_AT, name, name_length);
    for (uint64_t i = 0; i < n; i++)
        bytes_store_u32(header + NAME_AT + name_length + 4 * i, (uint32_t)chunks->tokens[i]);
    store_u64(header + HASH_AT, hash_header(header, layout->data_start));
    bool done = fwrite(header, 1, layout->data_start, writer->file) == layout->data_start;
    free(header);
    return done ? TERN_OK : fail_write(writer);
}

static tern_status start_writing(struct saved_logits_writer *writer, const char *path, const char *name,
                                 const struct chunks *chunks)
{
    struct buffer part = {0};
    TRY(buffer_append_format(&part, "%s.part", path));
    writer->part = buffer_take(&part);
    writer->path = strdup(path);
    writer->record = calloc(1, writer->layout.record_bytes);
    if (writer->part == NULL || writer->path == NULL || writer->record == NULL)
        return status_fail(TERN_NO_MEMORY, "no memory for the logits of a chunk");
    writer->file = fopen(writer->part, "wb");
    if (writer->file == NULL) return fail_write(writer);
    return write_header(writer, name, chunks);
}

tern_status saved_logits_create(const char *path, const char *name, bool f32_activations, int32_t n_vocabulary,
                                const struct chunks *chunks, struct saved_logits_writer **out)
{
    char kept[SAVED_LOGITS_NAME_BYTES];
    struct saved_logits_writer *writer = calloc(1, sizeof *writer);
    *out = NULL;
    if (writer == NULL) return status_fail(TERN_NO_MEMORY, "no memory to save logits");
    snprintf(kept, sizeof kept, "%s", name);
    writer->layout = (struct saved_logits){
        .f32_activations = f32_activations,
        .n_vocabulary = n_vocabulary,
        .chunks = {.context = chunks->context, .count = chunks->count},
    };
    lay_out(&writer->layout, strlen(kept));
    tern_status status = start_writing(writer, path, kept, chunks);
    if (status != TERN_OK) {
        saved_logits_abandon(writer);
        return status;
    }
    *out = writer;
    return TERN_OK;
}

// The logit of the least likely token, but not further than WIDEST below the highest.
static double lowest_logit(const float *logits, int32_t n, double highest)
{
    double lowest = highest;
    for (int32_t i = 0; i < n; i++)
        if ((double)logits[i] < lowest) lowest = (double)logits[i];
    return lowest < highest - WIDEST ? highest - WIDEST : lowest;
}

void saved_logits_add(struct saved_logits_writer *writer, int32_t row, const float *logits,
                      const struct prediction *prediction)
{
    uint8_t *at = writer->record + (uint64_t)row * writer->layout.row_bytes;
    int32_t n = writer->layout.n_vocabulary;
    double highest = (double)logits[prediction->top];
    if (!isfinite(prediction->log_sum)) return; // the run fails for it
    float step = (float)((highest - lowest_logit(logits, n, highest)) / STEPS);
    store_f64(at + LOG_PROBABILITY_AT, prediction->log_probability);
    bytes_store_u32(at + HIGHEST_AT, half_to_bits32((float)(highest - prediction->log_sum)));
    bytes_store_u32(at + STEP_AT, half_to_bits32(step));
    bytes_store_u32(at + TOP_AT, (uint32_t)prediction->top);
    for (int32_t i = 0; i < n; i++) {
        double steps = step > 0 ? (highest - (double)logits[i]) / (double)step + 0.5 : 0;
        bytes_store_u16(at + CODES_AT + 2 * i, steps < STEPS ? (uint16_t)steps : STEPS);
    }
}

tern_status saved_logits_end_chunk(struct saved_logits_writer *writer)
{
    uint64_t bytes = writer->layout.record_bytes - HASH_BYTES;
    store_u64(writer->record + bytes, hash_words(HASH_START, writer->record, bytes));
    bool done = fwrite(writer->record, 1, writer->layout.record_bytes, writer->file) == writer->layout.record_bytes;
    return done ? TERN_OK : fail_write(writer);
}

static tern_status complete_file(struct saved_logits_writer *writer)
{
    bool synced = fflush(writer->file) == 0 && fsync(fileno(writer->file)) == 0;
    if (!synced || rename(writer->part, writer->path) != 0) return fail_write(writer);
    fclose(writer->file);
    writer->file = NULL;
    return TERN_OK;
}

tern_status saved_logits_finish(struct saved_logits_writer *writer)
{
    tern_status status = complete_file(writer);
    saved_logits_abandon(writer);
    return status;
}

void saved_logits_abandon(struct saved_logits_writer *writer)
{
    if (writer == NULL) return;
    if (writer->file != NULL) {
        fclose(writer->file);
        unlink(writer->part);
    }
    free(writer->path);
    free(writer->part);
    free(writer->record);
    free(writer);
}
