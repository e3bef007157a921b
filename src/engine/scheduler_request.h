// One request of the scheduler: what was asked, how far it has come, and how its next token is drawn.
#ifndef ENGINE_SCHEDULER_REQUEST_H
#define ENGINE_SCHEDULER_REQUEST_H

#include "engine/draft.h"
#include "engine/prefix.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"

#include <stdatomic.h>

// Where a request lives while it is in progress.
struct slot {
    struct kv_cache *cache;       // borrows the slabs of blocks
    struct prefix_block **blocks; // [cache->max_blocks]
    int32_t n_blocks;
};

// What request_draw() found.
struct draw {
    tern_status status; // not OK: `message` says why, nothing else is set
    char message[STATUS_MESSAGE_BYTES];
    struct scheduler_token token;
    struct scheduler_logprob top[SCHEDULER_MAX_TOP];
    bool ends;     // the token ends the answer and is not part of it
    bool complete; // nothing can follow the token
};

struct request {
    uint64_t id, client;
    bool continues;                         // goes on with an ended one, under its id
    struct request *next;                   // of a queue
    struct request *next_live, **live_link; // of all that have not ended; what points to it
    atomic_bool cancelled;
    const struct tern_model *model;

    // The prompt, then the answer. The last token is the only one that may not have been computed in an answer.
    tern_token *tokens;
    int32_t n_tokens, capacity;
    int32_t n_prompt;    // tokens submitted; an embedding may need fewer of them
    int32_t most_tokens; // of prompt and answer
    int32_t n_logprobs;  // as submitted
    bool ignore_end;     // as submitted
    struct sampler *sampler;
    struct constraint_state *constraint; // NULL: none
    enum scheduler_pooling pooling;
    float *embedding;
    double *sum; // [width] of the rows so far, for SCHEDULER_POOL_MEAN
    bool (*on_token)(void *context, const struct scheduler_token *token);
    void (*on_end)(void *context, const struct scheduler_result *result);
    void *context;

    // In progress.
    uint64_t turn;     // waiting requests begin in this order; 0: it has had its turn
    struct slot *slot; // NULL while it waits
    bool resumes;      // it had to give way, and computes again what it had
    int32_t computed;  // tokens whose keys and values are in blocks
    int32_t n_generated;
    int32_t n_cached;
    struct draft draft;
    double submitted, started, first_token; // model_clock(); 0: not yet

    // Of the present step.
    bool waits;                // for blocks that somebody else fills
    int32_t wanted_by;         // fewest tokens left of a request that waits for this one
    int32_t first_row, n_rows; // from tokens[computed]
    float *logits;             // after its last row; NULL: not wanted
    int32_t n_guesses;         // at the tokens that follow: rows behind those, logits behind those logits
    tern_token guesses[DRAFT_MAX];
    struct draw draw;
};

// Checks and copies. Errors: INVALID, LIMIT (the prompt is longer than the context), NO_MEMORY.
tern_status request_open(const struct tern_model *model, const struct scheduler_request *asked, int32_t context,
                         struct request **out);
void request_close(struct request *request); // NULL is fine

// Tokens that are not computed yet.
int32_t request_left(const struct request *request);

// True if all that is left is the token drawn last.
bool request_is_answering(const struct request *request);

// Draws the next token from request->logits into request->draw; may run on any thread, each request on one.
void request_draw(struct request *request);

// Adds a token to the answer. Errors: NO_MEMORY.
tern_status request_append(struct request *request, tern_token token);

// Takes up the rows after the last norm of tokens[first .. first + n), [n][width], of an embedding.
void request_pool(struct request *request, const float *hidden, int32_t n);
void request_finish_pool(struct request *request);

#endif
