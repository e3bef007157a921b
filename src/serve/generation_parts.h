// Inside of a generation: what generation.c, generation_prepare.c and generation_choice.c share.
//
// A generation is prepared by a worker (generation_prepare()). From then on all of it belongs to the writer's thread,
// but for what the scheduler's thread puts into `arrivals` and `ended`.
#ifndef SERVE_GENERATION_PARTS_H
#define SERVE_GENERATION_PARTS_H

#include "engine/stop.h"
#include "serve/generation.h"
#include "serve/models.h"
#include "serve/server.h"
#include "text/utf8.h"

#include <pthread.h>
#include <stdatomic.h>

// A token as the scheduler drew it.
struct arrival {
    double time; // seconds, model_clock()
    struct generation_logprob logprob;
};

enum { PART_MESSAGE_BYTES = 256 };

// One answer on its way.
struct part {
    struct generation_choice choice; // what dialects see
    struct generation *generation;
    size_t prompt; // index

    // From the scheduler's thread, with the generation's mutex.
    struct arrival *arrivals; // [n_arrivals]
    size_t n_arrivals, arrival_capacity;
    bool lost; // there was no memory for one
    bool ended;
    struct scheduler_result result;
    char message[PART_MESSAGE_BYTES];

    // The writer's.
    uint64_t id;         // at the scheduler; 0: not yet
    bool running;        // the scheduler has it
    bool complete;       // nothing more is taken in
    bool forcing;        // thinking took too long: to go on behind the end of it
    bool forced;         // it did
    bool thinking;       // the text is in a thinking part
    struct buffer drawn; // tern_token [choice.n_generated], if there is a thinking budget
    struct utf8_stream characters;
    struct stop_filter stop;
    struct reply *reply;
    struct buffer whole, certain; // characters of the last token; text that is behind the stop strings
    size_t n_in, n_out;           // bytes that came to the stop strings, and behind them
    size_t *begins;               // [n_noted] where in the text the token of choice.logprobs[i] begins
    size_t n_noted, noted_capacity;
    int32_t n_cached;
    double queue_seconds;
    double first_token, last_token; // seconds, model_clock(); 0: none came
};

struct prompt {
    tern_token *tokens; // [count], owned
    size_t count;
};

struct generation {
    struct server *server;
    struct exchange *exchange; // a reference
    const struct dialect *dialect;
    void *answer;
    char id[48];
    struct generation_request request;
    struct models_waiter waiter;
    struct served_model *model; // NULL until it is there
    double started;

    struct prompt *prompts; // [n_prompts]
    size_t n_prompts;
    struct reply_style style;          // the model's, and whether this prompt opens thinking
    struct constraint *constraint;     // NULL: none
    struct constraint *after_thinking; // the same, begun behind the end of thinking
    char *close_text;                  // what ends thinking by force; NULL: there is no budget
    tern_token *close_tokens;          // [n_close]
    size_t n_close;

    struct part *parts; // [n_parts]
    size_t n_parts;
    bool begun, over;       // submitted; the last event was told
    struct api_error error; // status 0: none

    struct work work; // the writer's turn
    pthread_mutex_t mutex;
    bool queued; // work is on its way
    atomic_bool gone;
};

// Renders, tokenizes, opens constraints and parts. False with generation->error set.
bool generation_prepare(struct generation *generation);

// What an event says besides its kind and choice.
void generation_tell(struct generation *generation, struct generation_event *event);

// Opens stop strings and reply. Close with answer_part_close(), after an error too.
tern_status answer_part_open(struct part *part);
void answer_part_close(struct part *part);
tern_status answer_part_push(struct part *part, const struct arrival *arrival); // a token
tern_status answer_part_push_text(struct part *part, const char *text);         // what was put in by force
tern_status answer_part_finish(struct part *part);                              // gives out what was held back
void answer_part_tell_end(struct part *part);                                   // CHOICE_END

#endif
