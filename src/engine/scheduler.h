// Many answers at once from one model: continuous batching. A thread of the scheduler's own takes steps; in each it
// computes the next token of every answer in progress and, beside them, as much of the waiting prompts as the others
// can bear to wait for. What a prompt shares with an earlier one (whole blocks of DEVICE_KV_BLOCK tokens from the
// start) is not computed again: blocks of keys and values are shared, remembered until memory is wanted, and kept on
// disk if a folder is given. An answer's tokens depend on its request only: not on its company, nor on what was
// remembered. docs/scheduling.md tells who goes first and what is remembered where.
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include "engine/model.h"
#include "text/constraint.h"

struct scheduler;

enum {
    SCHEDULER_MAX_PARALLEL = 64,
    SCHEDULER_MAX_TOP = 20, // logprobs a position
};

// All zero is the default, which scheduler_options_default() spells out.
struct scheduler_options {
    int32_t context;          // most tokens of a request, prompt and answer; 0: what the model was trained for
    int32_t parallel;         // answers in progress at once, 1..SCHEDULER_MAX_PARALLEL
    int32_t queue;            // requests that may wait beside those; -1: none. A quarter as many more, of clients that
                              // have fewer than four
    double max_delay;         // seconds that prompts may take from a step while answers are in progress. At least
                              // one row of a prompt is computed in each step
    tern_kv_type kv_type;     // of all requests
    uint64_t kv_bytes;        // most memory for keys and values, in use and remembered; at least one full context,
                              // which 0 is. Taken as it is needed. Requests that do not fit beside others wait
    const char *cache_dir;    // prefixes are kept here across runs; made if it is not there; NULL: nowhere. Copied
    uint64_t cache_dir_bytes; // most bytes there
    const char *model_path;   // what cache_dir's files are bound to besides the model's own header; copied; may be NULL
};

// With the numbers that zeros stand for: parallel, queue, max_delay, cache_dir_bytes.
struct scheduler_options scheduler_options_default(void);

// Starts the thread. The model is borrowed and must outlive the scheduler.
// Errors: INVALID (an option, with its bounds), NO_MEMORY, IO (cache_dir cannot be made or read).
tern_status scheduler_open(tern_model *model, const struct scheduler_options *options, struct scheduler **out);

// Ends what is in progress (SCHEDULER_END_CANCELLED), waits for the thread. To let answers finish first, stop
// submitting and wait for their on_end. NULL is fine.
void scheduler_close(struct scheduler *scheduler);

struct scheduler_logprob {
    tern_token token;
    float logprob; // natural logarithm of its probability before temperature and truncation
};

// One drawn token, in the order of the answer.
struct scheduler_token {
    tern_token token;
    float logprob;                       // of the token; 0 unless n_logprobs >= 0
    const struct scheduler_logprob *top; // [n_top] the most likely first; valid during the call; never NULL
    int32_t n_top;
};

enum scheduler_end {
    SCHEDULER_END_TOKEN,     // an end token was drawn (it is not passed to on_token), or the constraint is complete;
                             // also how an embedding ends
    SCHEDULER_END_STOPPED,   // on_token said so
    SCHEDULER_END_LENGTH,    // max_tokens, or the context is full
    SCHEDULER_END_CANCELLED, // scheduler_cancel() or scheduler_close()
    SCHEDULER_END_ERROR,     // see status and message
};

struct scheduler_result {
    enum scheduler_end end;
    tern_status status;        // OK unless SCHEDULER_END_ERROR
    const char *message;       // "" or what went wrong; valid during the call
    int32_t n_prompt;          // tokens of the prompt
    int32_t n_cached;          // of those, not computed: shared or remembered
    int32_t n_generated;       // tokens passed to on_token
    double queue_seconds;      // until the first step that worked on it
    double first_token_second; // from submission to the first token; 0 if there was none
    double total_seconds;      // from submission to the end
};

enum scheduler_pooling { SCHEDULER_POOL_NONE, SCHEDULER_POOL_MEAN, SCHEDULER_POOL_LAST, SCHEDULER_POOL_CLS };

struct scheduler_request {
    const tern_token *prompt; // [n_prompt], at least 1; copied
    size_t n_prompt;
    size_t n_answered;                   // of these, the last ones that are the answer's beginning
    const tern_sampling *sampling;       // copied; NULL: tern_sampling_default(). The presence and frequency penalties
                                         // are of the answer's tokens only
    int32_t max_tokens;                  // -1: until the end or until the context is full; 0: the prompt is only read,
                                         // and remembered
    int32_t n_logprobs;                  // -1: none; 0: of the drawn token only; up to SCHEDULER_MAX_TOP
    bool ignore_end;                     // end tokens do not end the answer, and are passed on (for measuring); not
                                         // with a constraint
    uint64_t client;                     // waiting requests of different clients take turns
    uint64_t continues;                  // 0, or the id of a request that has ended and goes on as this one: under its
                                         // id and as old as it was, before all that wait, refused by no full queue
    const struct constraint *constraint; // what the answer must be; borrowed until on_end; NULL: anything

    // An embedding instead of an answer: the rows after the last norm of all the prompt's tokens, pooled, not
    // normalised. embedding: [model's width], written before on_end. max_tokens is ignored.
    enum scheduler_pooling pooling;
    float *embedding;

    // Both are called from the scheduler's thread and must not block nor call the scheduler; either may be NULL.
    // on_token returns false to stop after this token. on_end is the last call, made exactly once for each request that
    // was taken.
    bool (*on_token)(void *context, const struct scheduler_token *token);
    void (*on_end)(void *context, const struct scheduler_result *result);
    void *context;
};

// Takes a request; *id names it for scheduler_cancel(). May be called from any thread, returns at once.
// Errors: INVALID (a token, an option), LIMIT (the prompt does not fit the context), TERN_BUSY (the queue is full),
// NO_MEMORY. After an error no callback is made.
tern_status scheduler_submit(struct scheduler *scheduler, const struct scheduler_request *request, uint64_t *id);

// Ends a request within one step; its on_end will still be called. Does nothing if it has ended. Any thread.
void scheduler_cancel(struct scheduler *scheduler, uint64_t id);

// ---- Facts ----------------------------------------------------------------------------------------------------------

enum { SCHEDULER_MAX_SLOTS = SCHEDULER_MAX_PARALLEL };

struct scheduler_slot {
    uint64_t id; // of the request; 0: free
    int32_t n_prompt, n_computed, n_generated;
};

// A moment's state; counters are since the scheduler was opened.
struct scheduler_stats {
    int32_t active, waiting;
    uint64_t requests, rejected, cancelled;
    uint64_t prompt_tokens, cached_tokens; // read so far; of those, not computed
    uint64_t generated_tokens, steps;
    double step_seconds;                    // time in steps
    uint64_t kv_bytes_used, kv_bytes_limit; // blocks in use and remembered
    uint64_t kv_bytes_remembered;           // of those, used by no request now
    uint64_t disk_bytes;                    // in cache_dir, about
    uint64_t disk_hits, disk_writes;        // blocks read and written
    uint64_t disk_errors;                   // broken files and refused writes; after one of these, writing rests
    int32_t context, parallel, queue;       // as in the options, with the numbers that zeros stand for
    struct scheduler_slot slots[SCHEDULER_MAX_SLOTS]; // [parallel]
};
void scheduler_get_stats(struct scheduler *scheduler, struct scheduler_stats *out);

#endif
