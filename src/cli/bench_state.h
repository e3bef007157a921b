// A running `tern bench`: what bench_prepare.c makes ready and bench_measure.c runs.
#ifndef CLI_BENCH_STATE_H
#define CLI_BENCH_STATE_H

#include "cli/bench.h"
#include "cli/time_left.h"

#include "base/energy.h"
#include "engine/model.h"
#include "engine/sampler.h"

enum { BENCH_KV_TYPES = TERN_KV_Q4_0 + 1 };

// One number of threads: a device for all models.
struct bench_lane {
    struct device *device;
    struct benchmark_case *stream;
};

// A model as one lane runs it: its weights on the lane's device, and a decoder over them.
struct bench_engine {
    struct weights weights; // a copy whose contents the model owns
    struct decoder *decoder;
};

struct bench_subject {
    tern_model *model;
    struct bench_engine engines[BENCH_MAX_LIST]; // of each lane
    struct kv_cache *filled[BENCH_KV_TYPES];     // as many tokens as the greatest depth asks for; NULL: none
    struct sampler *sampler;
};

struct bench {
    const struct bench_plan *plan;
    struct benchmark *out;
    struct bench_lane lanes[BENCH_MAX_LIST];
    struct bench_subject subjects[BENCHMARK_MAX_MODELS];
    struct kv_cache *caches[DECODER_MAX_ROWS]; // of the streams of the case being run
    struct decoder_row rows[DECODER_MAX_ROWS];
    float *logits; // [most streams][largest vocabulary]
    struct energy_meter meter;
    double meter_read; // when: seconds, model_clock()
    struct time_left line;
    int done, all; // runs, for the progress line
};

// Describes the machine, loads the models. EXIT_OK, or an exit code after a message on stderr.
int bench_load(struct bench *b);

// Devices, decoders and the list of cases; those that cannot be run are marked as left out. Errors: INVALID (all are),
// NO_MEMORY.
tern_status bench_prepare(struct bench *b);

// Frees everything but *b itself and b->out.
void bench_close(struct bench *b);

#endif
