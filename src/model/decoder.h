// The transformer: rows of tokens in, logits out. It knows no machine and no weight format.
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/kv_cache.h"
#include "model/weights.h"

struct decoder;

// One token to compute. A row's result depends on its sequence only, not on what else is in the batch.
struct decoder_row {
    tern_token token;
    int32_t position;       // positions before it are in the cache, or in earlier rows of this batch
    struct kv_cache *cache; // reserved up to this position
    float *logits; // [n_vocabulary] to be written, or NULL if not wanted; one after the other in memory is quickest
    float *hidden; // [width] to be written: the row after the last norm, before the head; NULL if not wanted
};

enum { DECODER_MAX_ROWS = 256 };

// Both are borrowed and must outlive the decoder. Close with decoder_close().
tern_status decoder_open(const struct config *config, const struct weights *weights, struct decoder **out);
void decoder_close(struct decoder *decoder);

// Computes 1..DECODER_MAX_ROWS rows. Not reentrant: one call at a time on a decoder.
// Errors: NO_MEMORY. Tokens and positions must be in range (INVALID otherwise, nothing done).
tern_status decoder_forward(struct decoder *decoder, const struct decoder_row *rows, int32_t n_rows);

#endif
