// Workers wait for a generation number to change: first spinning for some microseconds, because in decoding the next
// loop follows at once, then asleep on a condition variable, so that an idle program costs nothing.
//
// Each worker has a share of a loop's tasks and takes them from its front; who is done takes the latter half of
// another's. All of that is compare and exchange on words that hold both ends of a share beside the generation: no word
// comes to be the same again before 2^32 loops have passed. A loop ends when its tasks are done, not when every worker
// has seen it: on a busy machine a worker may be off its processor for milliseconds, and the others do its share; who
// wakes late finds another generation or nothing left.
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    END_BITS = 16, // of each end of a share; 32 remain for the generation
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

// Tasks that nobody has taken.
struct range {
    int64_t begin, end;
};

struct share {
    _Alignas(64) _Atomic uint64_t word; // generation << 2 * END_BITS | end << END_BITS | begin
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

static struct range share_range(uint64_t word)
{
    return (struct range){(int64_t)(word & MOST_TASKS), (int64_t)(word >> END_BITS & MOST_TASKS)};
}

static uint64_t share_word(uint64_t generation, struct range range)
{
    return generation << 2 * END_BITS | (uint64_t)range.end << END_BITS | (uint64_t)range.begin;
}

// Runs what is left of the worker's own share; returns how many tasks that were.
static int64_t take_own(struct pool *pool, int worker)
{
    _Atomic uint64_t *own = &pool->shares[worker].word;
    int64_t n = 0;
    for (uint64_t word = atomic_load(own);;) {
        const struct range left = share_range(word);
        if (left.begin == left.end) return n;
        if (!atomic_compare_exchange_weak(own, &word, word + 1)) continue;
        pool->task(pool->context, pool->first_task + left.begin, worker);
        n++;
        word = atomic_load(own);
    }
}

// Makes the latter half of what is left of another's share the worker's own, if that is empty and of the same loop:
// then nobody else changes it, for the loop goes on until what was taken is done. False if there was nothing to take.
static bool take_half(struct pool *pool, int owner, int worker)
{
    _Atomic uint64_t *own = &pool->shares[worker].word, *other = &pool->shares[owner].word;
    const uint64_t mine = atomic_load(own), generation = mine >> 2 * END_BITS;
    if (share_range(mine).begin != share_range(mine).end) return true; // the next loop's
    for (uint64_t word = atomic_load(other);;) {
        const struct range left = share_range(word);
        const int64_t middle = left.begin + (left.end - left.begin) / 2;
        if (left.begin == left.end || word >> 2 * END_BITS != generation) return false;
        const uint64_t rest = share_word(generation, (struct range){left.begin, middle});
        if (!atomic_compare_exchange_weak(other, &word, rest)) continue;
        atomic_store(own, share_word(generation, (struct range){middle, left.end}));
        return true;
    }
}

static int64_t take_tasks(struct pool *pool, int worker)
{
    int64_t n = take_own(pool, worker);
    for (int i = 1; i < pool->n_threads; i++)
        while (take_half(pool, (worker + i) % pool->n_threads, worker))
            n += take_own(pool, worker);
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
            const int number = worker->index + 1;
            pool_close(pool);
            return status_fail(TERN_NO_MEMORY, "cannot start thread %d of %d: %s", number, threads, strerror(error));
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
        const struct range share = {share_begin(pool, n_tasks, i), share_begin(pool, n_tasks, i + 1)};
        atomic_store(&pool->shares[i].word, share_word(generation, share));
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
