// tern: run language models whose weights are ternary {-1, 0, +1} or binary {-1, +1}.
//
// A model is opened once and shared; a session is one conversation with it (its tokens and its key/value cache).
//
//     tern_model *model;
//     tern_model_open("bonsai-1.7B.gguf", NULL, &model);
//     tern_session *session;
//     tern_session_open(model, NULL, &session);
//     tern_session_feed(session, tokens, n_tokens);
//     tern_token next = tern_session_sample(session);
//
// Errors. Functions that can fail return a tern_status; tern_last_error() then says in words what was found, where,
// and what was expected. The message belongs to the calling thread and holds until its next failing call.
//
// Threads. A tern_model may be used from any number of threads at once. A tern_session belongs to one thread at a
// time; only tern_session_cancel() may be called on it from elsewhere (another thread or a signal handler).
//
// Ownership. What a function hands out through a `**out` is the caller's, to be given back with the function that its
// comment names. What it returns as `const` belongs to the object and lives as long as that does, unless said.
//
// Determinism. The same file, tokens, options and seed give the same bits on any CPU, with any number of threads.
#ifndef TERN_H
#define TERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TERN_API __attribute__((visibility("default")))
#else
#define TERN_API
#endif

#define TERN_VERSION_MAJOR 0
#define TERN_VERSION_MINOR 1
#define TERN_VERSION_PATCH 0

typedef enum tern_status {
    TERN_OK = 0,
    TERN_INVALID,     // an argument makes no sense
    TERN_BAD_FILE,    // a file (or a template, a vocabulary in it) is broken or not what it claims to be
    TERN_UNSUPPORTED, // well-formed, but something that tern does not implement
    TERN_IO,          // the operating system refused
    TERN_NO_MEMORY,
    TERN_LIMIT,     // a bound was reached: context length, template steps, nesting depth, ...
    TERN_CANCELLED, // tern_session_cancel() or a callback asked to stop
    TERN_BUSY,      // too much is waiting already; worth asking again later
} tern_status;

// What went wrong in this thread's last failing call; "" before any.
TERN_API const char *tern_last_error(void);

// "0.1.0"
TERN_API const char *tern_version(void);

typedef int32_t tern_token;
typedef struct tern_model tern_model;
typedef struct tern_session tern_session;

// ---- Model ------------------------------------------------------------------------------------------------------

// How ternary weights lie in memory: 2.125 bits each (loose), or 1.75 (dense), which takes a sixth less memory and
// reading, and on processors without AVX-512 VBMI much more time. Answers have the same bits.
typedef enum tern_tiles {
    TERN_TILES_AUTO = 0, // dense with AVX-512 VBMI, or if only they leave the model room in memory; else loose
    TERN_TILES_LOOSE,
    TERN_TILES_DENSE, // where they can be: not for the code +2 of 2-bit types, nor for groups of 64 weights
} tern_tiles;

typedef struct tern_model_options {
    int threads;          // compute threads; 0: one for each physical core that this process may use
    bool f32_activations; // multiply by unrounded activations (exact and slow) instead of int8 groups
    tern_tiles tiles;
    // Called from the opening thread while weights are read, fraction in 0..1; return false to give up. May be NULL.
    bool (*progress)(void *context, float fraction);
    void *progress_context;
} tern_model_options;

// Opens a GGUF file (or the first part of a split one). `options` may be NULL. The environment variable TERN_CPU names
// the kernels to use ("reference", "avx2", ...) instead of the best for this CPU. Close with tern_model_close().
// Errors: IO, BAD_FILE, UNSUPPORTED (architecture or tensor type), NO_MEMORY, CANCELLED (by progress).
TERN_API tern_status tern_model_open(const char *path, const tern_model_options *options, tern_model **out);
TERN_API void tern_model_close(tern_model *model); // NULL is fine; all its sessions must be closed before

TERN_API const char *tern_model_name(const tern_model *model);         // general.name, or the architecture
TERN_API const char *tern_model_architecture(const tern_model *model); // "qwen3", "llama", "bitnet", ...
TERN_API int32_t tern_model_vocabulary(const tern_model *model);       // number of tokens = number of logits
TERN_API int32_t tern_model_context(const tern_model *model);          // tokens that the model was trained for
TERN_API int tern_model_threads(const tern_model *model);
TERN_API const char *tern_model_kernels(const tern_model *model); // "reference", "avx2", "neon", ...
TERN_API tern_tiles tern_model_tiles(const tern_model *model);    // DENSE: its ternary weights lie in dense tiles
TERN_API bool tern_model_has_chat_template(const tern_model *model);

// ---- Text -------------------------------------------------------------------------------------------------------

enum {
    TERN_TOKENIZE_SPECIAL = 1, // text such as "<|im_end|>" becomes the special token it names
    TERN_TOKENIZE_BOS = 2,     // put the model's start token first if it wants one
};

// Tokens of `text` (any bytes, need not be valid UTF-8). *tokens is allocated; free it with tern_free().
TERN_API tern_status tern_tokenize(const tern_model *model, const char *text, size_t length, unsigned flags,
                                   tern_token **tokens, size_t *count);

// The bytes of one token, not NUL-terminated; may be part of a UTF-8 character. NULL and 0 for an id out of range.
TERN_API const char *tern_token_text(const tern_model *model, tern_token token, size_t *length);

// True for the tokens at which an answer ends (end of text, end of turn).
TERN_API bool tern_token_is_end(const tern_model *model, tern_token token);

typedef struct tern_message {
    const char *role;         // "system", "user", "assistant", "tool"
    const char *content;      // UTF-8
    const char *reasoning;    // assistant's thinking, apart from its content; NULL if none
    const char *tool_calls;   // JSON array text as in the OpenAI API; NULL if none
    const char *tool_call_id; // of a tool's result: the call that it answers; NULL if none
} tern_message;

typedef struct tern_chat_options {
    bool no_generation_prompt; // leave out the opening of the assistant's answer
    const char *tools;         // JSON array text; NULL if none
    const char *variables;     // JSON object text with further template variables ({"enable_thinking": false}); or NULL
} tern_chat_options;

// Renders messages by the model's own chat template. *text is NUL-terminated; free it with tern_free().
// Errors: BAD_FILE (the template is broken or calls raise_exception), INVALID (JSON in a message or option is broken),
// LIMIT, UNSUPPORTED (the file has no template).
TERN_API tern_status tern_chat_render(const tern_model *model, const tern_message *messages, size_t n_messages,
                                      const tern_chat_options *options, char **text);

TERN_API void tern_free(void *pointer);

// ---- Session ----------------------------------------------------------------------------------------------------

typedef struct tern_sampling {
    float temperature;             // 0: always the most likely token
    int top_k;                     // keep the k most likely; 0: all
    float top_p;                   // keep the smallest set with this probability in all; 1: all
    float min_p;                   // drop tokens less likely than this share of the most likely one; 0: none
    float typical_p;               // locally typical sampling (Meister et al. 2022); 1: off
    float repetition_penalty;      // divide positive and multiply negative logits of recent tokens; 1: off
    float presence_penalty;        // subtract once from recent tokens; 0: off
    float frequency_penalty;       // subtract for each time a token appeared among these; 0: off
    int penalty_window;            // how many of the last tokens count as recent; -1: all
    uint64_t seed;                 // the same seed gives the same answer
    const tern_token *bias_tokens; // [n_bias] tokens whose logits get bias_values added
    const float *bias_values;      // [n_bias]
    size_t n_bias;
} tern_sampling;

// temperature 0.7, top_k 40, top_p 0.95, min_p 0.05, no penalties (their window: 64 tokens), seed 0.
TERN_API tern_sampling tern_sampling_default(void);

// How a session keeps the keys and values of its tokens. Eight and four bits (and a scale for every 32) take 53 and 28
// % of the memory of halves, and round.
typedef enum tern_kv_type {
    TERN_KV_F16 = 0,
    TERN_KV_Q8_0 = 1,
    TERN_KV_Q4_0 = 2,
} tern_kv_type;

typedef struct tern_session_options {
    int32_t context;               // tokens this session can hold; 0: what the model was trained for, never more
    const tern_sampling *sampling; // copied; NULL: tern_sampling_default()
    // Do not guess at coming tokens from where the text said the same before. Guessing makes repetitive work faster and
    // never changes an answer.
    bool no_prompt_lookup;
    tern_kv_type kv_type; // default TERN_KV_F16
} tern_session_options;

TERN_API tern_status tern_session_open(tern_model *model, const tern_session_options *options, tern_session **out);
TERN_API void tern_session_close(tern_session *session); // NULL is fine

// Reads tokens after those already there, in batches. On CANCELLED, whole batches that were read stay.
// Errors: INVALID (token id), LIMIT (context full, nothing read), NO_MEMORY, CANCELLED.
TERN_API tern_status tern_session_feed(tern_session *session, const tern_token *tokens, size_t count);

// Logits after the last token fed: [vocabulary]; NULL before the first. Valid until the next feed.
TERN_API const float *tern_session_logits(const tern_session *session);

// Takes effect with the next sample; the random numbers begin anew from the seed. Errors: INVALID, NO_MEMORY.
TERN_API tern_status tern_session_set_sampling(tern_session *session, const tern_sampling *sampling);

// Draws the next token from the logits; does not feed it. INVALID (returned as -1) before the first feed.
TERN_API tern_token tern_session_sample(tern_session *session);

TERN_API size_t tern_session_length(const tern_session *session);            // tokens held
TERN_API const tern_token *tern_session_tokens(const tern_session *session); // [length]
TERN_API int32_t tern_session_context(const tern_session *session);

// Forgets all tokens after the first `length`. Logits are gone until the next feed.
TERN_API tern_status tern_session_truncate(tern_session *session, size_t length);

// Makes the running (or next) feed or generate return TERN_CANCELLED. Safe from a signal handler.
TERN_API void tern_session_cancel(tern_session *session);

typedef enum tern_finish {
    TERN_FINISH_END,    // an end token
    TERN_FINISH_STOP,   // a stop string
    TERN_FINISH_LENGTH, // max_tokens, or the context is full
    TERN_FINISH_CANCELLED,
} tern_finish;

typedef struct tern_generation {
    int32_t max_tokens;      // -1: until the end or until the context is full
    const char *const *stop; // [n_stop] strings that end the answer and are not part of it: UTF-8, 1 to 1024 bytes
    size_t n_stop;           // at most 64
    // Called with whole UTF-8 characters as soon as they are certain; return false to stop. May be NULL.
    bool (*on_text)(void *context, const char *text, size_t length);
    void *context;
} tern_generation;

typedef struct tern_result {
    tern_finish finish;
    int32_t n_prompt;    // tokens fed
    int32_t n_generated; // tokens drawn, the end token not counted
    double prompt_seconds;
    double generate_seconds;
} tern_result;

// Feeds `prompt`, then draws and feeds tokens until something ends the answer. The token that ended it is not fed: an
// end token, or the one that completed a stop string. An empty prompt continues from the logits that are there.
// `generation` NULL: no bound, no text. `result` may be NULL; it is filled after errors too, as far as things came.
// Errors: as tern_session_feed(); INVALID also for stop strings out of bounds and for nothing to continue from.
TERN_API tern_status tern_session_generate(tern_session *session, const tern_token *prompt, size_t n_prompt,
                                           const tern_generation *generation, tern_result *result);

#ifdef __cplusplus
}
#endif
#endif
