// A model as the engine holds it: everything that sessions share. Commands that measure or describe (bench) look in.
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "model/decoder.h"
#include "text/template.h"
#include "text/tokenizer.h"

#include <pthread.h>

struct tern_model {
    struct gguf_file *file; // stays open: dense weights are used where they lie in it
    struct config config;
    struct tokenizer *tokenizer;
    struct device *device;
    struct weights *weights;
    struct decoder *decoder;
    bool f32_activations; // as opened: logits, keys and values differ by it

    // The file's chat template. One that does not parse is remembered with its message: the model still runs.
    struct template *chat_template; // NULL: none, or broken
    tern_status chat_status;        // OK, UNSUPPORTED (none), BAD_FILE or LIMIT (broken)
    char *chat_error;               // owned; NULL while chat_status is OK
    char *bos, *eos;                // names of these tokens, owned; "" if none

    // Sessions on several threads take turns on the decoder, in the order in which they asked.
    pthread_mutex_t mutex;
    pthread_cond_t turn_ends;
    uint64_t next_ticket, now_serving;
};

// decoder_forward() when it is this thread's turn. *seconds: how long it took once it was; may be NULL.
tern_status model_forward(struct tern_model *model, const struct decoder_row *rows, int32_t n_rows, double *seconds);

// Seconds on a clock that only goes forward.
double model_clock(void);

#endif
