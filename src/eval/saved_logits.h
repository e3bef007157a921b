// A reference run kept in a file: a text's tokens, and what a model predicted at each scored position. Ours; the layout
// is in docs/checking.md. 16 bits a token: logits from the highest to the lowest in 65,535 equal steps, which moves a
// divergence by about 1e-8; the log probability of the token that came and the likeliest token are exact.
#ifndef EVAL_SAVED_LOGITS_H
#define EVAL_SAVED_LOGITS_H

#include "base/mapped_file.h"
#include "eval/chunks.h"
#include "eval/prediction.h"

enum { SAVED_LOGITS_NAME_BYTES = 256 };

struct saved_logits {
    const char *path;    // as given, borrowed
    const uint8_t *data; // [size] all bytes of it
    size_t size;
    struct mapped_file file;            // that they lie in; closed if they are the caller's
    char name[SAVED_LOGITS_NAME_BYTES]; // of the model
    bool f32_activations;
    int32_t n_vocabulary;
    struct chunks chunks;
    uint64_t data_start, row_bytes, record_bytes; // a record is a chunk's rows and their hash
};

// True if the file begins as one of these.
bool saved_logits_is(const char *path);

// Checks the header, its hash and the file's length. Errors: IO, BAD_FILE, UNSUPPORTED (version), NO_MEMORY.
tern_status saved_logits_open(const char *path, struct saved_logits *out);
void saved_logits_close(struct saved_logits *saved);

// An image in memory ([size], stays the caller's): for fuzzing.
tern_status saved_logits_open_memory(const uint8_t *data, size_t size, const char *path, struct saved_logits *out);

// Compares a chunk's hash with its rows. Errors: BAD_FILE.
tern_status saved_logits_check_chunk(const struct saved_logits *saved, int64_t chunk);

// Row `row` of chunk `chunk`: [n_vocabulary] log probabilities as far as 16 bits hold them, the rest exactly but for
// log_sum, which belongs to the rounded ones. False if the row cannot be right.
bool saved_logits_read(const struct saved_logits *saved, int64_t chunk, int32_t row, float *logits,
                       struct prediction *prediction);

struct saved_logits_writer;

// Writes to PATH.part, which becomes PATH by saved_logits_finish(). Errors: IO, NO_MEMORY.
tern_status saved_logits_create(const char *path, const char *name, bool f32_activations, int32_t n_vocabulary,
                                const struct chunks *chunks, struct saved_logits_writer **out);

// Rounds one row into the record being made; rows of one chunk may be added by several threads.
void saved_logits_add(struct saved_logits_writer *writer, int32_t row, const float *logits,
                      const struct prediction *prediction);
tern_status saved_logits_end_chunk(struct saved_logits_writer *writer); // errors: IO

// Gives the complete file its name and frees the writer. Errors: IO; nothing is left then.
tern_status saved_logits_finish(struct saved_logits_writer *writer);
void saved_logits_abandon(struct saved_logits_writer *writer); // removes what was written; NULL is fine

#endif
