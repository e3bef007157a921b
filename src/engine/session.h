// One conversation with a model: its tokens, their keys and values, and the logits after the last one.
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/draft.h"
#include "engine/model.h"
#include "engine/sampler.h"

#include <stdatomic.h>

struct tern_session {
    struct tern_model *model;
    struct kv_cache *cache; // of tokens[0 .. length + n_ahead)
    struct sampler *sampler;
    int32_t context;
    tern_token *tokens; // [capacity]
    size_t length, capacity;

    // Guesses after tokens[length) that were computed with the last token: feeding the one guessed costs nothing.
    size_t n_ahead;
    bool guesses; // made at all
    struct draft draft;

    float *logits;     // [1 + DRAFT_MAX][vocabulary]: after the token that was computed, then after each guess
    size_t logits_row; // the one after tokens[length - 1]
    bool has_logits;
    struct decoder_row rows[DECODER_MAX_ROWS];
    int32_t batch; // rows of the next decoder pass of a prompt, by how long the last ones took
    atomic_bool cancelled;
};

// True, once, if tern_session_cancel() was called.
bool session_take_cancel(struct tern_session *session);

#endif
