// One request's answers, above the scheduler: from messages or prompts to text, thinking and tool calls, as events that
// a dialect (chat.c, completions.c, responses.c, messages.c) writes in its own JSON.
//
// A dialect's handler calls generation_start(). Everything happens there: the dialect reads the body into a struct
// generation_request, the model is found (loaded, if need be), the template rendered, tokens made, constraints opened,
// and the dialect hears of it in on_event(). It writes its answer to the exchange, as a stream or in one piece at the
// end (all that was said is kept in the choices).
#ifndef SERVE_GENERATION_H
#define SERVE_GENERATION_H

#include "engine/scheduler.h"
#include "serve/exchange.h"
#include "text/reply.h"

struct fields;
struct server;

enum {
    GENERATION_MAX_CHOICES = 64, // prompts times n
    GENERATION_MAX_STOP = 16,
    GENERATION_MAX_MESSAGES = 16384,
    GENERATION_MAX_TOOLS = 512,
    GENERATION_MAX_BIAS = 1024,
};

// ---- The request ----------------------------------------------------------------------------------------------------

enum generation_tool_choice { TOOL_CHOICE_AUTO, TOOL_CHOICE_NONE, TOOL_CHOICE_REQUIRED, TOOL_CHOICE_NAMED };

enum generation_format { FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA, FORMAT_GRAMMAR };

// Text, or tokens if `tokens` is set.
struct generation_prompt {
    const char *text;
    tern_token *tokens; // owned; [n_tokens]
    size_t n_tokens;
};

// Begin with generation_request_init(). Strings and JSON values are borrowed from `root` or kept by generation_keep().
struct generation_request {
    json_t *root;      // the parsed body, owned
    json_t *kept;      // array of what generation_keep() was given, owned
    const char *model; // as the client names it; NULL: the only one

    // A conversation ...
    tern_message *messages; // [n_messages], owned; grown by generation_add_message()
    size_t n_messages;
    const char *messages_param; // the field that they came in, for errors
    bool continue_last;         // the last message is the assistant's, to be gone on with
    const json_t *tools; // array of {"type": "function", "function": {"name", "description", "parameters", "strict"}}
    enum generation_tool_choice tool_choice;
    const char *tool_name;            // of TOOL_CHOICE_NAMED
    bool one_call;                    // parallel_tool_calls is false
    const json_t *template_variables; // object: chat_template_kwargs; NULL: none
    const char *reasoning_effort;     // "none", "minimal", "low", "medium", "high"; NULL: as the model does it
    int32_t thinking_budget;          // most tokens of thinking; -1: no bound, 0: none at all
    // ... or prompts
    struct generation_prompt *prompts; // [n_prompts], owned; NULL: a conversation
    size_t n_prompts;

    enum generation_format format;
    const char *format_text;      // the schema's JSON text or the grammar; NULL: none
    const char *format_param;     // the request's field that it came from: "response_format"
    int n;                        // answers to each prompt
    int32_t max_tokens;           // of each answer; -1: no bound
    const char *max_tokens_param; // the field's name, for errors
    int n_logprobs;               // -1: none; 0: of the drawn token; up to SCHEDULER_MAX_TOP
    const char *stop[GENERATION_MAX_STOP];
    size_t n_stop;
    tern_sampling sampling; // bias arrays owned
    bool random_seed;       // no seed was given: every answer is another
    bool ignore_end;
    bool count_only; // nothing is answered: GENERATION_END, the only event, tells how many tokens the prompt has
};

// The server's defaults; takes the reference to root (NULL is fine).
void generation_request_init(const struct server *server, struct generation_request *request, json_t *root);
void generation_request_free(struct generation_request *request);

// Keeps a value as long as the request; takes the reference. The string of a string, "" of anything else; NULL without
// memory.
const char *generation_keep(struct generation_request *request, json_t *value);

// Strings must be borrowed from root or kept. False without memory or beyond GENERATION_MAX_MESSAGES.
bool generation_add_message(struct generation_request *request, const tern_message *message);

// The answer is to be JSON of this schema, which came in the field `param` (static). False without memory.
bool generation_keep_schema(struct generation_request *request, const json_t *schema, const char *param);

// The fields that most dialects share, by OpenAI's names: temperature, top_p, top_k, min_p, seed, stop, the penalties,
// logit_bias.
bool generation_read_sampling(const struct fields *fields, struct generation_request *request);

// OpenAI's tool_choice of type allowed_tools: `mode` (auto, required) and `tools`, those of the request that count.
bool generation_read_allowed_tools(const struct fields *fields, struct generation_request *request);

// ---- The answer -----------------------------------------------------------------------------------------------------

enum generation_finish {
    GENERATION_UNFINISHED,
    GENERATION_STOP,        // the model ended it, or the constraint was complete
    GENERATION_STOP_STRING, // choice->stop_string was found
    GENERATION_LENGTH,
    GENERATION_CALLS, // it ended with tool calls
};

struct generation_call {
    char id[32]; // "call_" and 24 characters
    struct buffer name, arguments;
    bool complete;
};

struct generation_logprob {
    struct scheduler_logprob drawn;
    struct scheduler_logprob top[SCHEDULER_MAX_TOP];
    int32_t n_top;
};

// All that was said so far.
struct generation_choice {
    int index;
    struct buffer content, reasoning;
    struct generation_call *calls; // [n_calls]
    size_t n_calls;
    struct generation_logprob *logprobs; // [n_logprobs] of the tokens whose text is out
    size_t n_logprobs;
    enum generation_finish finish;
    const char *stop_string;
    int32_t n_generated, n_reasoning; // tokens drawn; of those, thinking
};

struct generation_usage {
    int32_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
};

enum generation_event_kind {
    GENERATION_BEGIN, // the request was taken: a stream may begin. Before this, errors have an HTTP status. usage: the
                      // prompt's tokens
    GENERATION_CONTENT,   // text
    GENERATION_REASONING, // text
    GENERATION_CALL_BEGIN,
    GENERATION_CALL_ARGUMENTS, // text
    GENERATION_CALL_END,
    GENERATION_CHOICE_END, // choice->finish says how
    GENERATION_END,        // the last event, unless it is GENERATION_ERROR: usage
    GENERATION_ERROR,      // the last event: error
};

struct generation_event {
    enum generation_event_kind kind;
    const struct generation_choice *choice; // of CONTENT to CHOICE_END
    const struct generation_call *call;     // of CALL_*
    int call_index;
    const char *text; // [length] whole UTF-8 characters; NUL-terminated
    size_t length;
    const struct generation_logprob *logprobs; // [n_logprobs] new with CONTENT or CHOICE_END
    size_t n_logprobs;
    const struct generation_usage *usage;
    const struct api_error *error;
};

struct generation;

// An API: how its requests are read and its answers written. `answer` is what it keeps of one answer, all zero at
// first.
struct dialect {
    size_t answer_bytes;
    const char *id_prefix; // of the answers' ids: "chatcmpl-"

    // Reads the request's fields. False with an error that names the field.
    bool (*read)(const struct fields *fields, struct generation_request *request, void *answer);
    // Events of one generation come one after the other, from changing threads. Called with generation_start()'s
    // stack at the earliest.
    void (*on_event)(void *answer, const struct generation *generation, const struct generation_event *event);
    void (*on_close)(void *answer); // the last call, made once: frees what the answer holds; NULL: that is nothing
};

// Answers the exchange, with an error if its body is none that the dialect can read. Never blocks. If the client goes,
// the answer is cancelled and only on_close() comes. The dialect is static.
void generation_start(struct server *server, struct exchange *exchange, const struct dialect *dialect);

// For the events.
struct exchange *generation_exchange(const struct generation *generation);
const char *generation_id(const struct generation *generation);
const char *generation_model_name(const struct generation *generation); // as answers give it; valid from BEGIN on
const struct generation_choice *generation_choice(const struct generation *generation, size_t index); // or NULL
const struct generation_request *generation_request(const struct generation *generation);
const char *generation_fingerprint(const struct generation *generation); // system_fingerprint; valid from BEGIN on
// The bytes of a token as in logprobs; may be part of a character.
const char *generation_token_bytes(const struct generation *generation, tern_token token, size_t *length);

// The prompt of a conversation as the model's template renders it; free it with tern_free().
struct served_model;
bool generation_render(const struct served_model *model, const struct generation_request *request, char **text,
                       struct api_error *error);

// `prefix` and 24 random letters and digits: "chatcmpl-...". out: [size], 64 will do.
void generation_make_id(const char *prefix, char *out, size_t size);

#endif
