// A small pool of threads for data-parallel loops.
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include "base/status.h"

struct pool;

// Called once for each index in [0, n_tasks), in any order; `worker` is in [0, pool_threads), the same for
// all calls that one thread makes within one pool_run (an index into per-thread scratch).
typedef void (*pool_task)(void *context, int64_t index, int worker);

// `threads` >= 1 counts the caller. Close with pool_close().
tern_status pool_open(int threads, struct pool **out);
void pool_close(struct pool *pool);
int pool_threads(const struct pool *pool);

// Runs task(context, i, worker) for all i and returns when all are done. Calls from several threads wait for each
// other; a task must not call pool_run on its own pool.
//
// Each worker begins with a share of its own and takes its tasks in ascending order, so that what a task reads may lie
// behind what the one before it read; who is done takes half of what another has left.
void pool_run(struct pool *pool, int64_t n_tasks, pool_task task, void *context);

#endif
