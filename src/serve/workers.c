#include "serve/workers.h"

#include "serve/json_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 16 };

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct work *first, **last;
    bool closing;
    pthread_t threads[MAX_THREADS];
    int n_threads;
};

// The next work; NULL when there is none and there will be none.
static struct work *take(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    while (workers->first == NULL && !workers->closing)
        pthread_cond_wait(&workers->changed, &workers->mutex);
    struct work *work = workers->first;
    if (work != NULL) {
        workers->first = work->next;
        if (workers->first == NULL) workers->last = &workers->first;
    }
    pthread_mutex_unlock(&workers->mutex);
    return work;
}

static void *serve_work(void *context)
{
    struct work *work;
    while ((work = take(context)) != NULL) {
        json_memory_begin();
        work->run(work);
    }
    return NULL;
}

void workers_submit(struct workers *workers, struct work *work)
{
    work->next = NULL;
    pthread_mutex_lock(&workers->mutex);
    *workers->last = work;
    workers->last = &work->next;
    pthread_cond_signal(&workers->changed);
    pthread_mutex_unlock(&workers->mutex);
}

tern_status workers_open(int n_threads, struct workers **out)
{
    struct workers *workers = calloc(1, sizeof *workers);
    *out = NULL;
    if (workers == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the server's threads");
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->changed, NULL);
    workers->last = &workers->first;
    for (int i = 0; i < n_threads && i < MAX_THREADS; i++) {
        int error = pthread_create(&workers->threads[i], NULL, serve_work, workers);
        if (error != 0) {
            workers_close(workers);
            return status_fail(TERN_IO, "a thread of the server cannot be started: %s", strerror(error));
        }
        workers->n_threads++;
    }
    *out = workers;
    return TERN_OK;
}

void workers_close(struct workers *workers)
{
    if (workers == NULL) return;
    pthread_mutex_lock(&workers->mutex);
    workers->closing = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->mutex);
    for (int i = 0; i < workers->n_threads; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}
