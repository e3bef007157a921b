// Blocks in a folder: what is written is read, bit for bit, and nothing else is; bounds, broken files, a disk that
// refuses, a process that is killed.
// Labels: threads
#include "engine/prefix_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 64, SLAB = 10000, HEADER = 64, MODEL = 77 };

static uint64_t file_bytes(int32_t index)
{
    return HEADER + ((uint64_t)index + 1) * BLOCK * sizeof(tern_token) + SLAB;
}

// ---- A folder and a store

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int calls;
};

static struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
static char folder[64];

static void notify(void *context)
{
    struct waiter *w = context;
    pthread_mutex_lock(&w->mutex);
    w->calls++;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static struct prefix_store *open_store(uint64_t fingerprint, uint64_t max_bytes)
{
    struct prefix_store *store;
    struct prefix_store_options options = {.folder = folder,
                                           .max_bytes = max_bytes,
                                           .fingerprint = fingerprint,
                                           .slab_bytes = SLAB,
                                           .notify = notify,
                                           .context = &waiter};
    if (prefix_store_open(&options, &store) != TERN_OK) fail_msg("%s", status_message());
    return store;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tern-store-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    DIR *files = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
        unlinkat(dirfd(files), entry->d_name, 0);
    closedir(files);
    return rmdir(folder);
}

static int count_files(const char *with)
{
    int n = 0;
    DIR *files = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
        n += strstr(entry->d_name, with) != NULL;
    closedir(files);
    return n;
}

static const char *path_of(uint64_t fingerprint, uint64_t hash)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%016llx-%016llx.kv", folder, (unsigned long long)fingerprint,
             (unsigned long long)hash);
    return path;
}

// ---- Blocks: everything of one follows from its number and its index

static const tern_token *tokens_of(int text)
{
    static tern_token tokens[64 * BLOCK];
    for (int i = 0; i < 64 * BLOCK; i++)
        tokens[i] = text * 1000 + i % 777;
    return tokens;
}

static uint64_t hash_of(int text, int32_t index)
{
    return prefix_store_hash((uint64_t)index, tokens_of(text), ((size_t)index + 1) * BLOCK * sizeof(tern_token));
}

static void fill_slab(int text, int32_t index, uint8_t *slab)
{
    uint32_t random = (uint32_t)(text * 100 + index + 1);
    for (int i = 0; i < SLAB; i++) {
        random = random * 1664525 + 1013904223;
        slab[i] = (uint8_t)(random >> 24);
    }
}

static void await_room(int calls)
{
    pthread_mutex_lock(&waiter.mutex);
    while (waiter.calls == calls)
        pthread_cond_wait(&waiter.cond, &waiter.mutex);
    pthread_mutex_unlock(&waiter.mutex);
}

static int calls_so_far(void)
{
    pthread_mutex_lock(&waiter.mutex);
    int calls = waiter.calls;
    pthread_mutex_unlock(&waiter.mutex);
    return calls;
}

static void write_block(struct prefix_store *store, int text, int32_t index)
{
    uint8_t slab[SLAB];
    fill_slab(text, index, slab);
    for (;;) {
        int calls = calls_so_far();
        if (prefix_store_write(store, hash_of(text, index), index, tokens_of(text), slab)) return;
        await_room(calls);
    }
}

// Blocks first .. first + n of a text that were read, and are what was written.
static int32_t read_blocks(struct prefix_store *store, int text, int32_t first, int32_t n)
{
    enum { MOST = 8 };
    static uint8_t memory[MOST][SLAB], expected[SLAB];
    uint8_t *slabs[MOST];
    uint64_t hashes[MOST];
    for (int32_t i = 0; i < n; i++) {
        slabs[i] = memory[i];
        hashes[i] = hash_of(text, first + i);
    }
    struct prefix_read read = {.first = first, .n = n, .hashes = hashes, .slabs = slabs};
    read.tokens = (tern_token *)(uintptr_t)tokens_of(text);
    prefix_store_read(store, &read);
    struct prefix_read *done;
    for (int calls = calls_so_far(); (done = prefix_store_take(store)) == NULL; calls = calls_so_far())
        await_room(calls);
    assert_ptr_equal(done, &read);
    for (int32_t i = 0; i < read.n_good; i++) {
        fill_slab(text, first + i, expected);
        assert_memory_equal(memory[i], expected, SLAB);
    }
    return read.n_good;
}

static struct prefix_store_stats stats_of(struct prefix_store *store)
{
    struct prefix_store_stats stats;
    prefix_store_get_stats(store, &stats);
    return stats;
}

// ---- Tests

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    for (int32_t i = 0; i < 5; i++)
        write_block(store, 1, i);
    prefix_store_close(store); // writes what it has taken
    assert_int_equal(count_files(".kv"), 5);
    assert_int_equal(count_files("part"), 0);

    store = open_store(MODEL, 1 << 20);
    assert_true(prefix_store_has(store, hash_of(1, 4)));
    assert_false(prefix_store_has(store, hash_of(1, 5)));
    assert_int_equal(read_blocks(store, 1, 0, 5), 5);
    assert_int_equal(read_blocks(store, 1, 3, 2), 2);
    assert_int_equal(read_blocks(store, 1, 4, 2), 1); // as far as there are any
    assert_int_equal(read_blocks(store, 2, 0, 1), 0);
    assert_int_equal(stats_of(store).hits, 8);
    assert_int_equal(stats_of(store).errors, 0);
    uint64_t bytes = 0;
    for (int32_t i = 0; i < 5; i++)
        bytes += file_bytes(i);
    assert_int_equal(stats_of(store).bytes, bytes);
    prefix_store_close(store);

    store = open_store(MODEL + 1, 1 << 20); // another model
    assert_false(prefix_store_has(store, hash_of(1, 0)));
    assert_int_equal(read_blocks(store, 1, 0, 1), 0);
    assert_int_equal(stats_of(store).bytes, bytes);
    prefix_store_close(store);
}

// Two texts of one hash: the file says which one it is of.
static void other_tokens_are_not_read(void **state)
{
    (void)state;
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    uint8_t slab[SLAB];
    fill_slab(1, 0, slab);
    uint64_t hash = hash_of(2, 0);
    assert_true(prefix_store_write(store, hash, 0, tokens_of(1), slab));
    prefix_store_close(store);
    store = open_store(MODEL, 1 << 20);
    assert_true(prefix_store_has(store, hash_of(2, 0)));
    assert_int_equal(read_blocks(store, 2, 0, 1), 0);
    assert_false(prefix_store_has(store, hash_of(2, 0))); // not asked for again
    assert_int_equal(stats_of(store).errors, 0);
    assert_int_equal(count_files(".kv"), 1); // nothing is wrong with it
    prefix_store_close(store);
}

// Changes one byte, or cuts or lengthens the file.
static void break_file(const char *path, int64_t at, bool cut)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t byte = 0;
    if (cut) {
        assert_int_equal(ftruncate(fd, at), 0);
    } else {
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

static void broken_files_are_removed(void **state)
{
    (void)state;
    const int64_t size = (int64_t)file_bytes(1);
    const struct {
        int64_t at;
        bool cut;
    } breaks[] = {{0, false},
                  {9, false},
                  {17, false},
                  {25, false},
                  {33, false},
                  {41, false},
                  {49, false},
                  {57, false},
                  {HEADER, false},
                  {HEADER + 511, false},
                  {HEADER + 512, false},
                  {size - 1, false},
                  {size / 2, false},
                  {0, true},
                  {1, true},
                  {HEADER, true},
                  {size - 1, true},
                  {size + 1, true}};
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    const int n = sizeof breaks / sizeof *breaks;
    for (int i = 0; i < n; i++)
        write_block(store, i, 1);
    prefix_store_close(store);
    for (int i = 0; i < n; i++)
        break_file(path_of(MODEL, hash_of(i, 1)), breaks[i].at, breaks[i].cut);
    store = open_store(MODEL, 1 << 20);
    for (int i = 0; i < n; i++) {
        assert_true(prefix_store_has(store, hash_of(i, 1)));
        if (read_blocks(store, i, 1, 1) != 0) fail_msg("case %d was read", i);
        assert_false(prefix_store_has(store, hash_of(i, 1)));
        assert_int_equal(access(path_of(MODEL, hash_of(i, 1)), F_OK), -1);
    }
    assert_int_equal(stats_of(store).errors, n);
    prefix_store_close(store);
}

// A process may have no descriptor left for a moment: the files are as good as before.
static void what_cannot_be_opened_now_is_kept(void **state)
{
    (void)state;
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    write_block(store, 1, 0);
    prefix_store_close(store);
    store = open_store(MODEL, 1 << 20);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int32_t read = read_blocks(store, 1, 0, 1);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(read, 0);
    assert_int_equal(stats_of(store).errors, 1);
    assert_true(prefix_store_has(store, hash_of(1, 0)));
    assert_int_equal(read_blocks(store, 1, 0, 1), 1);
    // One that is not there any more is not asked for again.
    assert_int_equal(unlink(path_of(MODEL, hash_of(1, 0))), 0);
    assert_int_equal(read_blocks(store, 1, 0, 1), 0);
    assert_int_equal(stats_of(store).errors, 1);
    assert_false(prefix_store_has(store, hash_of(1, 0)));
    prefix_store_close(store);
}

static void make_file(const char *name, const char *text, int age)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    make_file("letter.txt", "mine", 100000);
    make_file("000000000000004d-0123456789abcdeX.kv", "no hash", 100000);
    make_file("kv-part-1-1", "left by a process that was killed", 100000);
    make_file("kv-part-1-2", "being written by another process", 1);
    struct prefix_store *store = open_store(MODEL, file_bytes(0)); // room for one
    for (int i = 0; i < 4; i++)
        write_block(store, i, 0);
    prefix_store_close(store);
    assert_int_equal(count_files("letter.txt"), 1);
    assert_int_equal(count_files("abcdeX.kv"), 1);
    assert_int_equal(count_files("kv-part-1-1"), 0);
    assert_int_equal(count_files("kv-part-1-2"), 1);
    assert_int_equal(count_files(".kv"), 2);
}

// Two stores of one process, and files of a process that had the same number.
static void temporary_names_may_be_taken(void **state)
{
    (void)state;
    char name[64];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "kv-part-%ld-%d", (long)getpid(), i);
        make_file(name, "being written by somebody else", 1);
    }
    struct prefix_store *store = open_store(MODEL, 1 << 20), *other = open_store(MODEL + 1, 1 << 20);
    for (int32_t i = 0; i < 5; i++) {
        write_block(store, 1, i);
        write_block(other, 1, i);
    }
    prefix_store_close(store);
    prefix_store_close(other);
    assert_int_equal(count_files(".kv"), 10);
    assert_int_equal(count_files("part"), 5);
}

static void set_age(uint64_t hash, int age)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(MODEL, hash), times, 0), 0);
}

static void the_least_recently_used_files_go_first(void **state)
{
    (void)state;
    // Room for ten; a tenth is kept free when it is made.
    struct prefix_store *store = open_store(MODEL, 10 * file_bytes(0));
    for (int i = 0; i < 10; i++)
        write_block(store, i, 0);
    prefix_store_close(store);
    assert_int_equal(count_files(".kv"), 10);
    for (int i = 0; i < 10; i++)
        set_age(hash_of(i, 0), 1000 - i);

    store = open_store(MODEL, 10 * file_bytes(0));
    prefix_store_touch(store, hash_of(0, 0), 0); // the oldest is used again
    struct stat info;
    do {
        usleep(1000);
        assert_int_equal(stat(path_of(MODEL, hash_of(0, 0)), &info), 0);
    } while (time(NULL) - info.st_mtime > 100);
    write_block(store, 10, 0);
    prefix_store_close(store);
    store = open_store(MODEL, 10 * file_bytes(0));
    assert_true(prefix_store_has(store, hash_of(0, 0)));
    assert_false(prefix_store_has(store, hash_of(1, 0)));
    assert_false(prefix_store_has(store, hash_of(2, 0)));
    assert_true(prefix_store_has(store, hash_of(3, 0)));
    assert_true(prefix_store_has(store, hash_of(10, 0)));
    prefix_store_close(store);

    // Another model's files count, and go too.
    store = open_store(MODEL + 1, 2 * file_bytes(0));
    write_block(store, 0, 0);
    assert_int_equal(stats_of(store).errors, 0);
    prefix_store_close(store);
    assert_int_equal(count_files(".kv"), 1);
    assert_int_equal(access(path_of(MODEL + 1, hash_of(0, 0)), F_OK), 0);
}

// Each sees what the other writes before it has written a twentieth of the bound.
static void the_bound_is_of_all_stores_together(void **state)
{
    (void)state;
    const uint64_t bound = 40 * file_bytes(0);
    struct prefix_store *store = open_store(MODEL, bound), *other = open_store(MODEL + 1, bound);
    for (int i = 0; i < 39; i++) { // which is room for all of one's own
        write_block(store, i, 0);
        write_block(other, i, 0);
    }
    prefix_store_close(store);
    prefix_store_close(other);
    int n = count_files(".kv");
    if (n > 44) fail_msg("%d files in a folder for 40", n);
    assert_true(n >= 30);
}

static int64_t last_use(int32_t index)
{
    struct stat info;
    assert_int_equal(stat(path_of(MODEL, hash_of(1, index)), &info), 0);
    return info.st_mtim.tv_sec;
}

// Of blocks written or used together, those that depend on others are the older ones.
static void later_blocks_are_older(void **state)
{
    (void)state;
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    write_block(store, 1, 0);
    write_block(store, 1, 40);
    prefix_store_close(store);
    int64_t apart = last_use(0) - last_use(40);
    assert_true(apart > 20 && apart <= 40);
    set_age(hash_of(1, 0), 1000);
    set_age(hash_of(1, 40), 1000);
    store = open_store(MODEL, 1 << 20);
    prefix_store_touch(store, hash_of(1, 0), 0);
    prefix_store_touch(store, hash_of(1, 40), 40);
    prefix_store_close(store);
    apart = last_use(0) - last_use(40);
    assert_true(apart > 20 && apart <= 40);
}

// A file may not become longer than 5,000 bytes, as if the disk were full.
static void a_full_disk_does_no_harm(void **state)
{
    (void)state;
    struct prefix_store *store = open_store(MODEL, 1 << 20);
    write_block(store, 1, 0);
    prefix_store_close(store);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 5000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    store = open_store(MODEL, 1 << 20);
    for (int32_t i = 1; i < 20; i++)
        write_block(store, 1, i);
    assert_int_equal(read_blocks(store, 1, 0, 2), 1);
    while (stats_of(store).errors == 0)
        usleep(1000);
    struct prefix_store_stats stats = stats_of(store);
    prefix_store_close(store);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(stats.errors, 1); // it was not tried again
    assert_int_equal(stats.writes, 0);
    assert_int_equal(count_files("part"), 0);
    assert_int_equal(count_files(".kv"), 1);
}

static void write_until_killed(uint64_t fingerprint)
{
    struct prefix_store *store = open_store(fingerprint, 1 << 24);
    for (int i = 0;; i++)
        write_block(store, i, i % 8);
}

static void a_killed_process_leaves_whole_files(void **state)
{
    (void)state;
    enum { MOST_TEXTS = 20000 };
    for (uint64_t i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) write_until_killed(MODEL + i);
        for (struct stat info; stat(path_of(MODEL + i, hash_of(0, 0)), &info) != 0;)
            usleep(100);
        usleep(1700 * (useconds_t)i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    int n = count_files(".kv"), read = 0;
    for (uint64_t i = 0; i < 10; i++) {
        struct prefix_store *store = open_store(MODEL + i, 1 << 24);
        for (int text = 0; text < MOST_TEXTS && prefix_store_has(store, hash_of(text, text % 8)); text++)
            read += read_blocks(store, text, text % 8, 1);
        assert_int_equal(stats_of(store).errors, 0);
        prefix_store_close(store);
    }
    assert_true(n > 0);
    assert_int_equal(read, n);
}

static void folders_are_made_or_named(void **state)
{
    (void)state;
    struct prefix_store *store;
    struct prefix_store_options options = {
        .folder = "/dev/null/folder", .max_bytes = 1, .slab_bytes = SLAB, .notify = notify, .context = &waiter};
    assert_int_equal(prefix_store_open(&options, &store), TERN_IO);
    assert_string_equal(status_message(), "/dev/null/folder: cannot be made: Not a directory");
    assert_null(store);
    make_file("file", "text", 0);
    char path[128];
    snprintf(path, sizeof path, "%s/file", folder);
    options.folder = path;
    assert_int_equal(prefix_store_open(&options, &store), TERN_IO);
    assert_non_null(strstr(status_message(), "Not a directory"));

    snprintf(path, sizeof path, "%s/a/b", folder);
    options.folder = path;
    assert_int_equal(prefix_store_open(&options, &store), TERN_OK);
    prefix_store_close(store);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/a", folder);
    assert_int_equal(rmdir(path), 0);
}

// What is there is believed, so it must not be a stranger's.
static void folders_of_others_are_refused(void **state)
{
    (void)state;
    static const mode_t open_to_others[] = {0707, 01777, 0722};
    struct prefix_store *store;
    struct prefix_store_options options = {
        .folder = folder, .max_bytes = 1, .slab_bytes = SLAB, .notify = notify, .context = &waiter};
    for (size_t i = 0; i < sizeof open_to_others / sizeof *open_to_others; i++) {
        assert_int_equal(chmod(folder, open_to_others[i]), 0);
        assert_int_equal(prefix_store_open(&options, &store), TERN_IO);
        assert_non_null(strstr(status_message(), "others may write to this folder"));
    }
    assert_int_equal(chmod(folder, 0775), 0); // what many systems give a new folder, in a group of the user's own
    assert_int_equal(prefix_store_open(&options, &store), TERN_OK);
    prefix_store_close(store);
    if (chown(folder, (uid_t)-1, 12345) == 0) { // only root can give a folder to any group
        assert_int_equal(chmod(folder, 0775), 0);
        assert_int_equal(prefix_store_open(&options, &store), TERN_IO);
        assert_int_equal(chown(folder, (uid_t)-1, getegid()), 0);
    }
    if (chown(folder, 12345, (gid_t)-1) != 0) return; // only root can give a folder away
    assert_int_equal(prefix_store_open(&options, &store), TERN_IO);
    assert_non_null(strstr(status_message(), "belongs to another user"));
    assert_int_equal(chown(folder, geteuid(), (gid_t)-1), 0);
}

static void every_bit_counts_in_a_hash(void **state)
{
    (void)state;
    uint8_t data[200] = {0};
    for (size_t size = 0; size < sizeof data; size++) {
        uint64_t plain = prefix_store_hash(1, data, size);
        assert_true(plain != prefix_store_hash(2, data, size));
        assert_true(plain != prefix_store_hash(1, data, size + 1)); // zeros at the end count
        for (size_t bit = 0; bit < 8 * size; bit++) {
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(plain != prefix_store_hash(1, data, size));
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(other_tokens_are_not_read),
        TEST(broken_files_are_removed),
        TEST(what_cannot_be_opened_now_is_kept),
        TEST(other_files_are_left_alone),
        TEST(temporary_names_may_be_taken),
        TEST(the_least_recently_used_files_go_first),
        TEST(the_bound_is_of_all_stores_together),
        TEST(later_blocks_are_older),
        TEST(a_full_disk_does_no_harm),
        TEST(a_killed_process_leaves_whole_files),
        TEST(folders_are_made_or_named),
        TEST(folders_of_others_are_refused),
        TEST(every_bit_counts_in_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
