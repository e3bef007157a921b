// The models that the server has, by name: loaded when they are asked for, on a thread of their own, and unloaded when
// memory is wanted for another and nobody uses them.
#ifndef SERVE_MODELS_H
#define SERVE_MODELS_H

#include "engine/scheduler.h"
#include "serve/api_error.h"
#include "serve/log.h"
#include "serve/workers.h"
#include "text/reply.h"

struct models;

enum { MODELS_MAX = 64, MODELS_FINGERPRINT_BYTES = 24 };

struct models_source {
    const char *name; // in requests and answers
    const char *path;
};

struct models_options {
    struct models_source sources[MODELS_MAX];
    size_t n_sources;
    uint64_t memory; // most bytes of files loaded at once; 0: no bound. One model is always loaded
    int32_t waiting; // requests that may wait for a model to be loaded, besides the one that has it loaded
    tern_model_options model;
    struct scheduler_options scheduler;
};

// A model that is ready. Whoever has one gives it back with models_release(); until then it stays.
struct served_model {
    const char *name;
    tern_model *model;
    struct scheduler *scheduler;
    struct constraint_vocabulary *vocabulary;
    struct reply_style style;
    int32_t context;                            // of a request
    int32_t width;                              // of an embedding
    int32_t places;                             // answers that may be in progress or wait
    size_t max_text;                            // bytes: longer texts cannot fit the context, whatever they say
    int64_t created;                            // when its file was made, seconds since 1970
    char fingerprint[MODELS_FINGERPRINT_BYTES]; // "fp_...": the version, the file, the kernels
};

// Starts the thread. The workers run what waited for a model. Errors: NO_MEMORY, IO.
tern_status models_open(const struct models_options *options, const struct log *log, struct workers *workers,
                        struct models **out);
void models_load_first(struct models *models); // in the background, without anybody asking for it
// Unloads all, once every model was given back: whoever has one must be made to end before. From then on there are
// none: asking is answered with 503. NULL is fine.
void models_stop(struct models *models);
void models_close(struct models *models); // NULL is fine

// Somebody who waits for a model; stands in what waits, which is zero at first.
struct models_waiter {
    struct work work;
    struct models_waiter *next;
    bool left;        // does not want it any more
    const char *name; // borrowed until then; NULL: the only one
    // Called with a model to be given back, or NULL and the error. On the calling thread if there is nothing to wait
    // for, else by a worker.
    void (*ready)(struct models_waiter *waiter, struct served_model *model, const struct api_error *error);
    struct served_model *model;
    struct api_error error;
};

// Unknown names are 404, unless there is but one model, which answers to any name. Models that cannot be loaded are
// 500; too many waiting, 429.
void models_wait(struct models *models, struct models_waiter *waiter);
// Waits no longer: ready() is called soon, with an error unless the model was there before. Any thread, at any time
// from before models_wait() until after ready().
void models_leave(struct models *models, struct models_waiter *waiter);
void models_release(struct models *models, struct served_model *model);

// ---- Facts ----------------------------------------------------------------------------------------------------------

enum models_state { MODELS_UNLOADED, MODELS_LOADING, MODELS_READY, MODELS_FAILED };

size_t models_count(const struct models *models);
const struct models_source *models_source(const struct models *models, size_t index);
enum models_state models_state(struct models *models, size_t index);
int64_t models_created(struct models *models, size_t index);
// The model if it is loaded, to be given back; NULL otherwise.
struct served_model *models_peek(struct models *models, size_t index);
bool models_are_ready(struct models *models);                                       // at least one is
void models_error(struct models *models, size_t index, char *message, size_t size); // of one that failed

#endif
