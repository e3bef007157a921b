// One conversation with a model: its tokens, their keys and values, and the logits after the last one.
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/model.h"
#include "engine/sampler.h"

#include <stdatomic.h>

struct tern_session {
    struct tern_model *model;
    struct kv_cache *cache; // of tokens[0 .. length)
    struct sampler *sampler;
    int32_t context;
    tern_token *tokens; // [capacity]
    size_t length, capacity;
    float *logits; // [vocabulary]
    bool has_logits;
    struct decoder_row rows[DECODER_MAX_ROWS];
    int32_t batch; // rows of the next decoder pass of a prompt, by how long the last ones took
    atomic_bool cancelled;
};

// True, once, if tern_session_cancel() was called.
bool session_take_cancel(struct tern_session *session);

#endif
