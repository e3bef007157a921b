// What the files of the processor's device share.
#ifndef DEVICE_CPU_H
#define DEVICE_CPU_H

#include "base/parallel.h"
#include "device/device.h"
#include "kernel/kernel.h"

// Memory that grows when it is asked for more and is otherwise kept.
struct scratch {
    void *data;
    size_t capacity;
};

// What one thread has for itself.
struct worker {
    _Alignas(64) struct scratch scratch;
    int64_t next_tile; // at which the span of tiles that it multiplied last ends
};

struct device {
    struct pool *pool;
    const struct kernels *kernels;
    bool f32_activations, dense_tiles;
    struct worker *workers;                   // [threads]
    struct scratch q[ACTIVATION_FORMS];       // int8 activations in each form
    struct scratch scales[ACTIVATION_FORMS];  // their scales
    struct scratch tables[DEVICE_MAX_SHARED]; // what kernels made of them for each product
    struct scratch groups;                    // of attention
    device_observer observer;                 // of matmul's inputs; NULL: none
    void *observer_context;
};

// At least so many bytes; what was there before is lost if it grows. Errors: NO_MEMORY.
tern_status cpu_reserve(struct scratch *scratch, int64_t bytes);
// The same for every worker.
tern_status cpu_reserve_workers(struct device *device, int64_t bytes);

// As pool_run(), but work on few elements is done by the caller at once. Splitting never changes a result, for each
// index has its own output.
void cpu_run(struct device *device, int64_t n_tasks, int64_t elements, pool_task task, void *context);

#endif
