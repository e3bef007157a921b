// What running a model takes of memory, and whether this machine has it. Systems hand out more than they have and kill
// whoever touches it: so it is asked before weights are loaded, and before a cache grows.
#ifndef MODEL_MEMORY_PLAN_H
#define MODEL_MEMORY_PLAN_H

#include "base/machine.h"
#include "device/device.h"
#include "model/config.h"

struct memory_plan {
    uint64_t copied;  // bytes of weights that are brought into another form
    uint64_t mapped;  // bytes of weights that are used where they lie in the file
    uint64_t cache;   // keys and values of `context` tokens
    uint64_t working; // of the decoder, one session's logits and its sampler, about
    int32_t context;
    tern_kv_type kv_type;
    struct machine_memory memory; // of the machine; zeros: not known, and then everything fits
};

struct memory_plan_options {
    tern_kv_type kv_type;
    int32_t context;
    struct device_measure weights;
    struct machine_memory memory;
};

// Errors: as weights_measure(). `config` is the file's.
tern_status memory_plan_make(const struct gguf_file *file, const struct config *config,
                             const struct memory_plan_options *options, struct memory_plan *out);

// The same without looking at weights, which takes time for some types: no plan with loose tiles needs more. They take
// a third more than the file at most (2.125 bits for 1.6875). All weights count as copied.
struct memory_plan memory_plan_bound(const struct gguf_file *file, const struct config *config, tern_kv_type kv_type,
                                     int32_t context, const struct machine_memory *memory);

// Whether dense tiles fit and loose ones do not; options.weights.dense_tiles does not matter. False too where the file
// cannot be planned.
bool memory_plan_needs_dense(const struct gguf_file *file, const struct config *config,
                             struct memory_plan_options options);

// All of it.
uint64_t memory_plan_total(const struct memory_plan *plan);

// Bytes that must stay resident: all but what is mapped, whose pages the system drops and reads again.
uint64_t memory_plan_resident(const struct memory_plan *plan);

// Bytes that may be taken of a machine's memory: what is available but for a 64th of all, left to the system.
uint64_t memory_spare(const struct machine_memory *memory);

bool memory_plan_fits(const struct memory_plan *plan);

// Bytes of mapped weights that do not find room beside the rest and will be read from disk for every token.
uint64_t memory_plan_from_disk(const struct memory_plan *plan);

// The longest context, in whole blocks of DEVICE_KV_BLOCK tokens and no longer than the plan's, that fits with keys and
// values of `kv_type`; 0: none.
int32_t memory_plan_longest(const struct memory_plan *plan, const struct config *config, tern_kv_type kv_type);

// What the decoder, the logits and the device's scratch take besides weights, keys and values, about: rows of one
// batch.
uint64_t memory_working_bytes(const struct config *config);

// OK, or NO_MEMORY if this machine cannot spare so many bytes now: "WHAT: X GiB of memory wanted, Y can be had".
// Where a machine does not say what it has, everything fits.
tern_status memory_check(uint64_t bytes, const char *what);

#endif
