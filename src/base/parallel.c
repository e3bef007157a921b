// Workers wait for a generation number to change: first spinning for some microseconds, because in decoding the next
// loop follows at once, then asleep on a condition variable, so that an idle program costs nothing.
//
// A loop ends when its tasks are done, not when every worker has seen it: on a busy machine a worker may be off its
// processor for milliseconds, and the others do its share. The ticket therefore holds the generation beside the number
// of tasks left, and tasks are taken by compare and exchange: who wakes late finds another generation or nothing left.
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TICKET_BITS = 40, // of the number of tasks; 24 remain for the generation
    // Longest time that a thread spins before it sleeps. A decoder's serial parts between two loops take less.
    SPIN_NANOSECONDS = 100000,
    SPINS_BETWEEN_CLOCKS = 64,
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    int n_threads;          // the caller included
    struct worker *workers; // [n_threads - 1]
    pthread_mutex_t turn;   // one pool_run at a time

    // The loop being run. Written when no task of the one before is left, read by those who have taken a task: the loop
    // cannot end before they are done.
    pool_task task;
    void *context;
    int64_t n_tasks;
    _Alignas(64) _Atomic uint64_t ticket; // generation << TICKET_BITS | tasks that nobody has taken
    _Alignas(64) _Atomic int64_t done;    // tasks of this generation

    _Atomic int sleepers; // threads asleep on `changed`
    pthread_mutex_t sleep;
    pthread_cond_t changed; // generation moved, or all tasks are done
    _Atomic bool closing;
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Both loads are sequentially consistent: a sleeper writes `sleepers` and then reads these, a waker writes these and
// then reads `sleepers`, and one of the two must see the other.
static uint64_t generation(uint64_t ticket)
{
    return ticket >> TICKET_BITS;
}

static bool moved(struct pool *pool, uint64_t seen)
{
    return generation(atomic_load(&pool->ticket)) != seen;
}

static bool finished(struct pool *pool, uint64_t unused)
{
    (void)unused;
    return atomic_load(&pool->done) == pool->n_tasks;
}

// Returns when condition(pool, seen) holds.
static void await(struct pool *pool, bool (*condition)(struct pool *, uint64_t), uint64_t seen)
{
    int64_t deadline = 0;
    for (int spin = 0; !condition(pool, seen); spin++) {
        relax();
        if (spin % SPINS_BETWEEN_CLOCKS != 0) continue;
        int64_t now = nanoseconds();
        if (deadline == 0) deadline = now + SPIN_NANOSECONDS;
        if (now < deadline) continue;

        // Announce sleep before the last look: whoever changes the condition looks at `sleepers` after
        // changing it.
        pthread_mutex_lock(&pool->sleep);
        atomic_fetch_add(&pool->sleepers, 1);
        while (!condition(pool, seen))
            pthread_cond_wait(&pool->changed, &pool->sleep);
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->sleep);
        return;
    }
}

static void wake(struct pool *pool)
{
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->sleep);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->sleep);
}

// Runs tasks of the generation that the ticket names until none is left; returns how many.
static int64_t take_tasks(struct pool *pool, uint64_t ticket, int worker)
{
    const uint64_t mask = ((uint64_t)1 << TICKET_BITS) - 1, mine = generation(ticket);
    int64_t n = 0;
    while (generation(ticket) == mine && (ticket & mask) != 0) {
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1)) continue;
        pool->task(pool->context, pool->n_tasks - (int64_t)(ticket & mask), worker);
        n++;
        ticket = atomic_load(&pool->ticket);
    }
    return n;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    for (uint64_t seen = 0;;) {
        await(pool, moved, seen);
        if (pool->closing) return NULL;
        uint64_t ticket = atomic_load(&pool->ticket);
        seen = generation(ticket);
        int64_t n = take_tasks(pool, ticket, worker->index);
        // Only who has done something may look at n_tasks: until `done` counts it, the loop goes on.
        if (n == 0) continue;
        int64_t all = pool->n_tasks;
        if (atomic_fetch_add(&pool->done, n) + n == all) wake(pool);
    }
}

tern_status pool_open(int threads, struct pool **out)
{
    *out = NULL;
    if (threads < 1) return status_fail(TERN_INVALID, "%d threads, expected 1 or more", threads);
    // calloc aligns to 16, the counters want lines of their own.
    struct pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    if (pool == NULL || workers == NULL) {
        free(pool);
        free(workers);
        return status_fail(TERN_NO_MEMORY, "no memory for %d threads", threads);
    }
    memset(pool, 0, sizeof *pool);
    pool->workers = workers;
    pool->n_threads = 1;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->sleep, NULL);
    pthread_cond_init(&pool->changed, NULL);

    for (; pool->n_threads < threads; pool->n_threads++) {
        struct worker *worker = &workers[pool->n_threads - 1];
        *worker = (struct worker){.pool = pool, .index = pool->n_threads};
        int error = pthread_create(&worker->thread, NULL, work, worker);
        if (error != 0) {
            pool_close(pool);
            return status_fail(TERN_NO_MEMORY, "cannot start thread %d of %d: %s", worker->index + 1, threads,
                               strerror(error));
        }
    }
    *out = pool;
    return TERN_OK;
}

void pool_close(struct pool *pool)
{
    if (pool == NULL) return;
    pool->closing = true;
    atomic_fetch_add(&pool->ticket, (uint64_t)1 << TICKET_BITS);
    wake(pool);
    for (int i = 0; i < pool->n_threads - 1; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->turn);
    pthread_mutex_destroy(&pool->sleep);
    pthread_cond_destroy(&pool->changed);
    free(pool->workers);
    free(pool);
}

int pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

void pool_run(struct pool *pool, int64_t n_tasks, pool_task task, void *context)
{
    if (n_tasks <= 0) return;
    pthread_mutex_lock(&pool->turn);
    pool->task = task;
    pool->context = context;
    pool->n_tasks = n_tasks;
    if (n_tasks > 1 && pool->n_threads > 1) {
        atomic_store(&pool->done, 0);
        uint64_t ticket = (generation(atomic_load(&pool->ticket)) + 1) << TICKET_BITS | (uint64_t)n_tasks;
        atomic_store(&pool->ticket, ticket);
        wake(pool);
        atomic_fetch_add(&pool->done, take_tasks(pool, ticket, 0));
        await(pool, finished, 0);
    } else {
        for (int64_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
    }
    pthread_mutex_unlock(&pool->turn);
}
