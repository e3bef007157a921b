// Errors, buffers, mapped files and the thread pool.
#include "base/buffer.h"
#include "base/cpu.h"
#include "base/mapped_file.h"
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void *fail_elsewhere(void *argument)
{
    (void)argument;
    status_fail(TERN_IO, "another thread's words");
    return NULL;
}

static void messages_belong_to_threads(void **state)
{
    (void)state;
    assert_int_equal(status_fail(TERN_LIMIT, "%d of %s", 7, "nine"), TERN_LIMIT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(status_message(), "7 of nine");
    status_prefix(TERN_LIMIT, "%s: ", "file");
    assert_string_equal(status_message(), "file: 7 of nine");

    char longer[2 * STATUS_MESSAGE_BYTES];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    status_fail(TERN_IO, "%s", longer);
    status_prefix(TERN_IO, "%s", longer);
    assert_int_equal(strlen(status_message()), STATUS_MESSAGE_BYTES - 1);
}

static void buffers_grow_to_their_limit(void **state)
{
    (void)state;
    struct buffer b = {.limit = 1000};
    for (int i = 0; i < 100; i++)
        assert_int_equal(buffer_append_format(&b, "%04d;", i), TERN_OK);
    assert_int_equal(b.length, 500);
    assert_memory_equal(b.data + 495, "0099;", 6);
    assert_int_equal(buffer_append(&b, b.data, 0), TERN_OK);
    char more[501] = {0};
    assert_int_equal(buffer_append(&b, more, sizeof more), TERN_LIMIT);
    assert_string_equal(status_message(), "text of 1001 bytes, the bound is 1000");
    assert_int_equal(b.length, 500);
    char *taken = buffer_take(&b);
    assert_int_equal(strlen(taken), 500);
    free(taken);
    assert_null(b.data);
    char *empty = buffer_take(&b);
    assert_string_equal(empty, "");
    free(empty);
    assert_int_equal(buffer_reserve(&(struct buffer){0}, SIZE_MAX), TERN_NO_MEMORY);
}

static void mapped_files(void **state)
{
    (void)state;
    char path[] = "/tmp/tern-mapped-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct mapped_file file;
    assert_int_equal(mapped_file_open(path, &file), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "the file is empty"));
    char page[10000];
    memset(page, 'a', sizeof page);
    assert_int_equal(write(fd, page, sizeof page), sizeof page);
    close(fd);
    assert_int_equal(mapped_file_open(path, &file), TERN_OK);
    assert_int_equal(file.size, 10000);
    mapped_file_release(&file, 100, 9000);
    mapped_file_release(&file, 20000, 1);
    mapped_file_release(&file, 0, SIZE_MAX);
    assert_memory_equal(file.data, page, sizeof page);
    mapped_file_close(&file);
    assert_null(file.data);
    unlink(path);

    assert_int_equal(mapped_file_open(path, &file), TERN_IO);
    assert_non_null(strstr(status_message(), "No such file"));
    assert_int_equal(mapped_file_open("/tmp", &file), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "is a folder"));
    assert_int_equal(mkfifo(path, 0600), 0); // must not hang
    assert_int_equal(mapped_file_open(path, &file), TERN_BAD_FILE);
    unlink(path);
}

enum { N_TASKS = 1000 };

struct tally {
    _Atomic int calls[N_TASKS];
    _Atomic int worst_worker;
};

static void count_call(void *context, int64_t index, int worker)
{
    struct tally *tally = context;
    atomic_fetch_add(&tally->calls[index], 1);
    int worst = atomic_load(&tally->worst_worker);
    while (worker > worst && !atomic_compare_exchange_weak(&tally->worst_worker, &worst, worker))
        continue;
}

// Every index once, whether the workers are awake or asleep.
static void pool_runs_every_task_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        struct pool *pool;
        assert_int_equal(pool_open(threads, &pool), TERN_OK);
        assert_int_equal(pool_threads(pool), threads);
        for (int run = 0; run < 300; run++) {
            struct tally tally = {0};
            int64_t n = run % 3 == 0 ? N_TASKS : run % 7;
            pool_run(pool, n, count_call, &tally);
            for (int i = 0; i < N_TASKS; i++)
                assert_int_equal(tally.calls[i], i < n);
            assert_true(tally.worst_worker < threads);
            if (run % 100 == 0) usleep(2000); // longer than a worker spins
        }
        pool_close(pool);
    }
    struct pool *pool;
    assert_int_equal(pool_open(0, &pool), TERN_INVALID);
    pool_close(NULL);
}

enum { SHARED_TASKS = 100 };

// What a pool of two does while its second worker is at its first task, and nothing else.
struct orders {
    int64_t order[SHARED_TASKS]; // in which the first worker takes tasks
    _Atomic int n;
    atomic_bool started;
};

static void order_task(void *context, int64_t index, int worker)
{
    struct orders *orders = context;
    if (worker == 1) {
        atomic_store(&orders->started, true);
        while (atomic_load(&orders->n) < SHARED_TASKS - 1)
            sched_yield();
        return;
    }
    while (!atomic_load(&orders->started))
        sched_yield();
    orders->order[atomic_fetch_add(&orders->n, 1)] = index;
}

// Its own share in order, then the latter half of what the other has left, again and again.
static void shares_are_walked_in_order(void **state)
{
    (void)state;
    static const int stretches[][2] = {{0, 50}, {75, 100}, {63, 75}, {57, 63}, {54, 57}, {52, 54}, {51, 52}};
    struct pool *pool;
    assert_int_equal(pool_open(2, &pool), TERN_OK);
    for (int run = 0; run < 200; run++) {
        struct orders orders = {.n = 0};
        pool_run(pool, SHARED_TASKS, order_task, &orders);
        int n = 0;
        for (size_t i = 0; i < sizeof stretches / sizeof stretches[0]; i++)
            for (int task = stretches[i][0]; task < stretches[i][1]; task++)
                assert_int_equal(orders.order[n++], task);
    }
    pool_close(pool);
}

static void add_index(void *context, int64_t index, int worker)
{
    ((int64_t *)context)[8 * worker] += index;
}

// More tasks than a share's word can count.
static void pool_runs_very_many_tasks(void **state)
{
    (void)state;
    const int64_t n = (1 << 24) + 1000;
    struct pool *pool;
    int64_t sums[16] = {0};
    assert_int_equal(pool_open(2, &pool), TERN_OK);
    pool_run(pool, n, add_index, sums);
    assert_true(sums[0] + sums[8] == n * (n - 1) / 2);
    pool_close(pool);
}

struct shared_pool {
    struct pool *pool;
    struct tally tally;
};

static void *run_many(void *argument)
{
    struct shared_pool *shared = argument;
    for (int i = 0; i < 50; i++)
        pool_run(shared->pool, N_TASKS, count_call, &shared->tally);
    return NULL;
}

static void callers_take_turns(void **state)
{
    (void)state;
    struct shared_pool shared = {0};
    assert_int_equal(pool_open(3, &shared.pool), TERN_OK);
    pthread_t callers[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_many, &shared), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(callers[i], NULL);
    for (int i = 0; i < N_TASKS; i++)
        assert_int_equal(shared.tally.calls[i], 150);
    pool_close(shared.pool);
}

static void the_machine_is_there(void **state)
{
    (void)state;
    assert_true(cpu_cores() >= 1 && cpu_cores() <= sysconf(_SC_NPROCESSORS_CONF));
    assert_true(cpu_memory_total() >= cpu_memory_available());
    assert_true(cpu_memory_available() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_belong_to_threads),
        cmocka_unit_test(buffers_grow_to_their_limit),
        cmocka_unit_test(mapped_files),
        cmocka_unit_test(pool_runs_every_task_once),
        cmocka_unit_test(shares_are_walked_in_order),
        cmocka_unit_test(pool_runs_very_many_tasks),
        cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(the_machine_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
