// Workers wait for a generation number to change: first spinning for some microseconds, because in decoding the next
// loop follows at once, then asleep on a condition variable, so that an idle program costs nothing.
//
// Each worker has a share of a loop's tasks: it takes them from the front, everybody else from the back, by compare and
// exchange on one word that holds both ends beside the generation. A loop ends when its tasks are done, not when every
// worker has seen it: on a busy machine a worker may be off its processor for milliseconds, and the others do its
// share. Who wakes late finds another generation or nothing left; and if a word has come to be the same again, what is
// taken by it is a task of the loop that is running.
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    END_BITS = 24, // of each end of a share; 16 remain for the generation
    MOST_TASKS = (1 << END_BITS) - 1,
    // Longest time that a thread spins before it sleeps. A decoder's serial parts between two loops take less.
    SPIN_NANOSECONDS = 100000,
    SPINS_BETWEEN_CLOCKS = 64,
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

// generation << 2 * END_BITS | end << END_BITS | begin: the tasks that nobody has taken.
struct share {
    _Alignas(64) _Atomic uint64_t ends;
};

struct pool {
    int n_threads;          // the caller included
    int n_workers;          // started: n_threads - 1 once it is open
    struct worker *workers; // [n_workers]
    pthread_mutex_t turn;   // one pool_run at a time

    // The loop being run. Written when no task of the one before is left, read by those who have taken a task: the loop
    // cannot end before they are done.
    pool_task task;
    void *context;
    int64_t first_task, n_tasks;

    struct share *shares; // [n_threads]
    _Alignas(64) _Atomic uint64_t generation;
    _Alignas(64) _Atomic int64_t done; // tasks of this generation

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
static bool moved(struct pool *pool, uint64_t seen)
{
    return atomic_load(&pool->generation) != seen;
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

// Runs what is left of a share; returns how many tasks that were.
static int64_t take_share(struct pool *pool, int owner, int worker)
{
    _Atomic uint64_t *ends = &pool->shares[owner].ends;
    int64_t n = 0;
    for (uint64_t seen = atomic_load(ends);;) {
        const int64_t begin = (int64_t)(seen & MOST_TASKS), end = (int64_t)(seen >> END_BITS & MOST_TASKS);
        if (begin == end) return n;
        const bool own = owner == worker;
        const uint64_t rest = own ? seen + 1 : seen - ((uint64_t)1 << END_BITS);
        if (!atomic_compare_exchange_weak(ends, &seen, rest)) continue;
        pool->task(pool->context, pool->first_task + (own ? begin : end - 1), worker);
        n++;
        seen = atomic_load(ends);
    }
}

static int64_t take_tasks(struct pool *pool, int worker)
{
    int64_t n = 0;
    for (int i = 0; i < pool->n_threads; i++)
        n += take_share(pool, (worker + i) % pool->n_threads, worker);
    return n;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    for (uint64_t seen = 0;;) {
        await(pool, moved, seen);
        if (pool->closing) return NULL;
        seen = atomic_load(&pool->generation);
        int64_t n = take_tasks(pool, worker->index);
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
    struct share *shares = aligned_alloc(64, (size_t)threads * sizeof *shares);
    if (pool == NULL || workers == NULL || shares == NULL) {
        free(pool);
        free(workers);
        free(shares);
        return status_fail(TERN_NO_MEMORY, "no memory for %d threads", threads);
    }
    memset(pool, 0, sizeof *pool);
    memset(shares, 0, (size_t)threads * sizeof *shares);
    pool->workers = workers;
    pool->shares = shares;
    pool->n_threads = threads;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->sleep, NULL);
    pthread_cond_init(&pool->changed, NULL);

    for (; pool->n_workers < threads - 1; pool->n_workers++) {
        struct worker *worker = &workers[pool->n_workers];
        *worker = (struct worker){.pool = pool, .index = pool->n_workers + 1};
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
    atomic_fetch_add(&pool->generation, 1);
    wake(pool);
    for (int i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->turn);
    pthread_mutex_destroy(&pool->sleep);
    pthread_cond_destroy(&pool->changed);
    free(pool->workers);
    free(pool->shares);
    free(pool);
}

int pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

// The first task of a worker's share: it ends where that of worker + 1 begins.
static int64_t share_begin(const struct pool *pool, int64_t n_tasks, int worker)
{
    return n_tasks * worker / pool->n_threads;
}

// At most MOST_TASKS, from first_task on.
static void run_round(struct pool *pool, int64_t first_task, int64_t n_tasks)
{
    const uint64_t generation = atomic_load(&pool->generation) + 1;
    pool->first_task = first_task;
    pool->n_tasks = n_tasks;
    atomic_store(&pool->done, 0);
    for (int i = 0; i < pool->n_threads; i++) {
        const uint64_t begin = (uint64_t)share_begin(pool, n_tasks, i),
                       end = (uint64_t)share_begin(pool, n_tasks, i + 1);
        atomic_store(&pool->shares[i].ends, generation << 2 * END_BITS | end << END_BITS | begin);
    }
    atomic_store(&pool->generation, generation);
    wake(pool);
    atomic_fetch_add(&pool->done, take_tasks(pool, 0));
    await(pool, finished, 0);
}

void pool_run(struct pool *pool, int64_t n_tasks, pool_task task, void *context)
{
    if (n_tasks <= 0) return;
    pthread_mutex_lock(&pool->turn);
    pool->task = task;
    pool->context = context;
    if (n_tasks > 1 && pool->n_threads > 1) {
        for (int64_t first = 0; first < n_tasks; first += MOST_TASKS)
            run_round(pool, first, n_tasks - first < MOST_TASKS ? n_tasks - first : MOST_TASKS);
    } else {
        for (int64_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
    }
    pthread_mutex_unlock(&pool->turn);
}
