// Threads that do what must not keep a connection's thread waiting, in the order in which it was asked for.
#ifndef SERVE_WORKERS_H
#define SERVE_WORKERS_H

#include "base/status.h"

struct workers;

// Stands in what is to be done, so that asking never fails. May be used again once run() was called.
struct work {
    struct work *next;
    void (*run)(struct work *work);
};

// Errors: NO_MEMORY, IO (no thread). workers_close() runs what still waits, then ends the threads.
tern_status workers_open(int n_threads, struct workers **out);
void workers_close(struct workers *workers); // NULL is fine

void workers_submit(struct workers *workers, struct work *work); // any thread; does not block

#endif
