#include "engine/prefix_store.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 64,      // tokens
    COPIES = 4,      // blocks on their way to the disk
    NAME_BYTES = 64, // longest name of a file, terminator included
    PAUSE = 600,     // seconds without writing after the disk refused
    ABANDONED = 600, // seconds after which a temporary file belongs to nobody any more
    LOOKS = 20,      // at the folder while as much is written as it may hold
    TOUCHES = 256,   // files to be made recent that may wait
    MAX_FILES = 1 << 17,
    MAX_TEMPORARY = 1 << 10, // names to be tried for a temporary file
    CONTENTS = 1, // raise it when keys and values become other bits: another order of arithmetic, another layout
};

static const uint64_t MAGIC = 0x01564b6e72657400u;

struct header {
    uint64_t magic, contents, fingerprint, hash;
    uint64_t n_tokens, slab_bytes;
    uint64_t checksum; // of all the rest: this field 0
    uint64_t reserved;
};

struct copy {
    uint64_t hash;
    int32_t n_tokens;
    tern_token *tokens; // [n_tokens]
    uint8_t *slab;
    struct copy *next;
};

struct touch {
    uint64_t hash;
    int32_t index;
};

struct prefix_store {
    struct prefix_store_options options; // folder: not kept
    int folder;                          // descriptor
    pthread_t reader, writer;
    bool has_reader, has_writer;

    pthread_mutex_t mutex;
    pthread_cond_t changed; // something to do, or closing
    bool closing;
    struct prefix_read *reads, **reads_end;
    struct prefix_read *done, **done_end;
    struct copy copies[COPIES];
    struct copy *spare, *writes, **writes_end;
    struct touch touches[TOUCHES];
    int n_touches;
    uint64_t *hashes; // of this model's files, ascending; [n_hashes] of MAX_FILES
    size_t n_hashes;
    struct prefix_store_stats stats;

    // The writer's own.
    time_t paused_until;
    unsigned n_temporary;
    uint64_t unlisted; // bytes written since the folder was looked through
};

// ---- Hash

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> ((64 - bits) & 63);
}

enum { LANES = 8 };
static const uint64_t PRIME = 0x9e3779b185ebca87u; // of xxHash

// Eight sums side by side, each step of which can be undone: one changed word always changes its sum.
uint64_t prefix_store_hash(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t lane[LANES], words[LANES], hash = seed ^ size * PRIME;
    for (int i = 0; i < LANES; i++)
        lane[i] = rotate(hash, 8 * i) + (uint64_t)i;
    for (; size >= sizeof words; bytes += sizeof words, size -= sizeof words) {
        memcpy(words, bytes, sizeof words);
        for (int i = 0; i < LANES; i++)
            lane[i] = rotate((lane[i] ^ words[i]) * PRIME, 29);
    }
    memset(words, 0, sizeof words);
    memcpy(words, bytes, size);
    for (int i = 0; i < LANES; i++)
        hash = rotate((hash ^ rotate((lane[i] ^ words[i]) * PRIME, 29)) * PRIME, 31);
    return hash ^ hash >> 29;
}

static uint64_t checksum(const struct header *header, const tern_token *tokens, const uint8_t *slab)
{
    struct header plain = *header;
    plain.checksum = 0;
    uint64_t hash = prefix_store_hash(0, &plain, sizeof plain);
    hash = prefix_store_hash(hash, tokens, (size_t)header->n_tokens * sizeof *tokens);
    return prefix_store_hash(hash, slab, (size_t)header->slab_bytes);
}

// ---- Names

static void name_file(const struct prefix_store *store, uint64_t hash, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%016llx-%016llx.kv", (unsigned long long)store->options.fingerprint,
             (unsigned long long)hash);
}

static bool read_hex(const char *text, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef", *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL) return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

// True if the name is of a file of this kind, of whatever model.
static bool parse_name(const char *name, uint64_t *fingerprint, uint64_t *hash)
{
    return read_hex(name, fingerprint) && name[16] == '-' && read_hex(name + 17, hash) && strcmp(name + 33, ".kv") == 0;
}

static bool is_temporary(const char *name)
{
    return strncmp(name, "kv-part-", 8) == 0;
}

// ---- The files that are there

static size_t place_of(const struct prefix_store *store, uint64_t hash)
{
    size_t low = 0, high = store->n_hashes;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (store->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_known(const struct prefix_store *store, uint64_t hash)
{
    size_t at = place_of(store, hash);
    return at < store->n_hashes && store->hashes[at] == hash;
}

static void remember_file(struct prefix_store *store, uint64_t hash)
{
    if (is_known(store, hash) || store->n_hashes == MAX_FILES) return;
    size_t at = place_of(store, hash);
    memmove(&store->hashes[at + 1], &store->hashes[at], (store->n_hashes++ - at) * sizeof *store->hashes);
    store->hashes[at] = hash;
}

static void forget_file(struct prefix_store *store, uint64_t hash)
{
    if (!is_known(store, hash)) return;
    size_t at = place_of(store, hash);
    memmove(&store->hashes[at], &store->hashes[at + 1], (--store->n_hashes - at) * sizeof *store->hashes);
}

bool prefix_store_has(struct prefix_store *store, uint64_t hash)
{
    pthread_mutex_lock(&store->mutex);
    bool known = is_known(store, hash);
    pthread_mutex_unlock(&store->mutex);
    return known;
}

// ---- Looking through the folder

struct file {
    uint64_t fingerprint, hash, bytes;
    struct timespec used;
};

struct listing {
    struct file *files;
    size_t n, capacity;
    uint64_t bytes;
};

static bool add_file(struct listing *list, struct file file)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        struct file *files = realloc(list->files, capacity * sizeof *files);
        if (files == NULL) return false;
        list->files = files;
        list->capacity = capacity;
    }
    list->files[list->n++] = file;
    list->bytes += file.bytes;
    return true;
}

static void look_at(struct prefix_store *store, const char *name, struct listing *list)
{
    struct file file;
    struct stat info;
    bool ours = parse_name(name, &file.fingerprint, &file.hash);
    if (!ours && !is_temporary(name)) return;
    if (fstatat(store->folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) return;
    if (!ours) {
        if (time(NULL) - info.st_mtime > ABANDONED) unlinkat(store->folder, name, 0);
        return;
    }
    file.bytes = (uint64_t)info.st_size;
    file.used = info.st_mtim;
    add_file(list, file);
}

// All files of this kind; what a killed process left half-written is removed on the way.
static tern_status list_files(struct prefix_store *store, struct listing *list)
{
    *list = (struct listing){0};
    int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0) close(fd);
        return status_fail(TERN_IO, "the folder of kept prompts cannot be read: %s", strerror(errno));
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        look_at(store, entry->d_name, list);
    closedir(folder);
    return TERN_OK;
}

static int compare_age(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

static void delete_file(struct prefix_store *store, uint64_t fingerprint, uint64_t hash)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%016llx-%016llx.kv", (unsigned long long)fingerprint, (unsigned long long)hash);
    unlinkat(store->folder, name, 0);
    if (fingerprint != store->options.fingerprint) return;
    pthread_mutex_lock(&store->mutex);
    forget_file(store, hash);
    pthread_mutex_unlock(&store->mutex);
}

// Deletes the least recently used files until there is room for `more` bytes, and a tenth of the bound besides, so that
// it is not done for every file.
static void make_room(struct prefix_store *store, uint64_t more)
{
    struct listing list;
    if (list_files(store, &list) != TERN_OK) return;
    uint64_t bound = store->options.max_bytes, keep = bound - bound / 10;
    size_t keep_files = list.n < MAX_FILES ? MAX_FILES : MAX_FILES - MAX_FILES / 10;
    keep = list.bytes + more <= bound ? bound : keep > more ? keep - more : 0;
    if (list.bytes > keep || list.n > keep_files) qsort(list.files, list.n, sizeof *list.files, compare_age);
    for (size_t i = 0; i < list.n && (list.bytes > keep || list.n - i > keep_files); i++) {
        delete_file(store, list.files[i].fingerprint, list.files[i].hash);
        list.bytes -= list.files[i].bytes;
    }
    free(list.files);
    store->unlisted = 0;
    pthread_mutex_lock(&store->mutex);
    store->stats.bytes = list.bytes;
    pthread_mutex_unlock(&store->mutex);
}

// ---- Reading

enum outcome {
    GOOD,
    OTHER,  // not the file that was meant, or one that cannot be read: whoever computes the block writes it anew
    BROKEN, // to be deleted
    FAILED, // for want of memory or descriptors: the next time it may be read
};

static enum outcome failure(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE ? FAILED : OTHER;
}

static enum outcome read_fully(int fd, void *data, size_t size, uint64_t offset)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, (char *)data + at, size - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 ? BROKEN : failure(errno);
        at += (size_t)n;
    }
    return GOOD;
}

static enum outcome read_header(const struct prefix_store *store, int fd, uint64_t hash, struct header *header)
{
    struct stat info;
    const struct prefix_store_options *o = &store->options;
    if (fstat(fd, &info) != 0) return failure(errno);
    enum outcome outcome = read_fully(fd, header, sizeof *header, 0);
    if (outcome != GOOD) return outcome;
    bool fits = header->magic == MAGIC && header->contents == CONTENTS && header->fingerprint == o->fingerprint &&
                header->hash == hash && header->slab_bytes == o->slab_bytes &&
                (uint64_t)info.st_size == sizeof *header + header->n_tokens * sizeof(tern_token) + header->slab_bytes;
    return fits ? GOOD : BROKEN;
}

static enum outcome read_open_file(struct prefix_store *store, int fd, uint64_t hash, const tern_token *tokens,
                                   int32_t n_tokens, uint8_t *slab)
{
    struct header header;
    size_t token_bytes = (size_t)n_tokens * sizeof *tokens;
    enum outcome outcome = read_header(store, fd, hash, &header);
    if (outcome != GOOD) return outcome;
    if (header.n_tokens != (uint64_t)n_tokens) return OTHER;
    tern_token *stored = malloc(token_bytes);
    if (stored == NULL) return FAILED;
    outcome = read_fully(fd, stored, token_bytes, sizeof header);
    if (outcome == GOOD) outcome = read_fully(fd, slab, store->options.slab_bytes, sizeof header + token_bytes);
    if (outcome == GOOD && checksum(&header, stored, slab) != header.checksum) outcome = BROKEN;
    if (outcome == GOOD && memcmp(stored, tokens, token_bytes) != 0) outcome = OTHER;
    free(stored);
    return outcome;
}

static void count_read(struct prefix_store *store, uint64_t hash, enum outcome outcome)
{
    pthread_mutex_lock(&store->mutex);
    store->stats.hits += outcome == GOOD;
    store->stats.errors += outcome == BROKEN || outcome == FAILED;
    if (outcome == OTHER) forget_file(store, hash); // of two texts of one hash: the other one's may stay
    pthread_mutex_unlock(&store->mutex);
}

static bool read_file(struct prefix_store *store, uint64_t hash, const tern_token *tokens, int32_t n_tokens,
                      uint8_t *slab)
{
    char name[NAME_BYTES];
    name_file(store, hash, name);
    int fd = openat(store->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    // It may not be there any more: another process removed it.
    enum outcome outcome = fd < 0 ? failure(errno) : read_open_file(store, fd, hash, tokens, n_tokens, slab);
    if (fd >= 0) close(fd);
    count_read(store, hash, outcome);
    if (outcome == BROKEN) delete_file(store, store->options.fingerprint, hash);
    return outcome == GOOD;
}

static void read_blocks(struct prefix_store *store, struct prefix_read *read)
{
    for (read->n_good = 0; read->n_good < read->n; read->n_good++) {
        int32_t i = read->n_good, n_tokens = (read->first + i + 1) * BLOCK;
        if (!read_file(store, read->hashes[i], read->tokens, n_tokens, read->slabs[i])) return;
    }
}

static void *run_reader(void *argument)
{
    struct prefix_store *store = argument;
    pthread_mutex_lock(&store->mutex);
    while (!store->closing) {
        struct prefix_read *read = store->reads;
        if (read == NULL) {
            pthread_cond_wait(&store->changed, &store->mutex);
            continue;
        }
        store->reads = read->next;
        if (store->reads == NULL) store->reads_end = &store->reads;
        pthread_mutex_unlock(&store->mutex);
        read_blocks(store, read);
        pthread_mutex_lock(&store->mutex);
        read->next = NULL;
        *store->done_end = read;
        store->done_end = &read->next;
        pthread_mutex_unlock(&store->mutex);
        store->options.notify(store->options.context);
        pthread_mutex_lock(&store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

void prefix_store_read(struct prefix_store *store, struct prefix_read *read)
{
    pthread_mutex_lock(&store->mutex);
    read->next = NULL;
    *store->reads_end = read;
    store->reads_end = &read->next;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

struct prefix_read *prefix_store_take(struct prefix_store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct prefix_read *read = store->done;
    if (read != NULL) store->done = read->next;
    if (store->done == NULL) store->done_end = &store->done;
    pthread_mutex_unlock(&store->mutex);
    return read;
}

// ---- Writing

static bool write_fully(int fd, const void *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, (const char *)data + at, size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += (size_t)n;
    }
    return true;
}

// A block counts as used one second earlier for every block before it, without which it is worth nothing: whatever is
// removed first, it is the end of a text.
static void set_age(struct prefix_store *store, const char *name, int32_t index)
{
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= index;
    times[1] = times[0];
    utimensat(store->folder, name, times, AT_SYMLINK_NOFOLLOW);
}

// Another store may have this process' number (in a container every server has the same one), or have left a file when
// it was killed: then the next name is as good.
static int create_temporary(struct prefix_store *store, char name[NAME_BYTES])
{
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; i < MAX_TEMPORARY && fd < 0 && errno == EEXIST; i++) {
        snprintf(name, NAME_BYTES, "kv-part-%ld-%u", (long)getpid(), store->n_temporary++);
        fd = openat(store->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    return fd;
}

// Nobody waits for the disk: after a loss of power a file may be broken, which its checksum tells.
static bool write_file(struct prefix_store *store, const struct copy *copy, const char *name)
{
    struct header header = {.magic = MAGIC,
                            .contents = CONTENTS,
                            .fingerprint = store->options.fingerprint,
                            .hash = copy->hash,
                            .n_tokens = (uint64_t)copy->n_tokens,
                            .slab_bytes = store->options.slab_bytes};
    header.checksum = checksum(&header, copy->tokens, copy->slab);
    char temporary[NAME_BYTES];
    int fd = create_temporary(store, temporary);
    if (fd < 0) return false;
    bool written = write_fully(fd, &header, sizeof header) &&
                   write_fully(fd, copy->tokens, (size_t)copy->n_tokens * sizeof *copy->tokens) &&
                   write_fully(fd, copy->slab, store->options.slab_bytes);
    written = close(fd) == 0 && written;
    if (written) set_age(store, temporary, copy->n_tokens / BLOCK - 1);
    written = written && renameat(store->folder, temporary, store->folder, name) == 0;
    if (!written) unlinkat(store->folder, temporary, 0);
    return written;
}

static uint64_t file_bytes(const struct prefix_store *store, const struct copy *copy)
{
    return sizeof(struct header) + (uint64_t)copy->n_tokens * sizeof *copy->tokens + store->options.slab_bytes;
}

// Whether there may be no room for `bytes` more. What others write into the folder is seen only by looking through it.
static bool may_be_full(struct prefix_store *store, uint64_t bytes)
{
    uint64_t bound = store->options.max_bytes;
    pthread_mutex_lock(&store->mutex);
    bool full = store->stats.bytes + bytes > bound || store->n_hashes == MAX_FILES;
    pthread_mutex_unlock(&store->mutex);
    return full || store->unlisted + bytes > bound / LOOKS;
}

static void write_block(struct prefix_store *store, const struct copy *copy)
{
    uint64_t bytes = file_bytes(store, copy);
    char name[NAME_BYTES];
    if (bytes > store->options.max_bytes || time(NULL) < store->paused_until) return;
    if (may_be_full(store, bytes)) make_room(store, bytes);
    name_file(store, copy->hash, name);
    bool written = write_file(store, copy, name);
    if (!written) store->paused_until = time(NULL) + PAUSE;
    if (written) store->unlisted += bytes;
    pthread_mutex_lock(&store->mutex);
    store->stats.writes += written;
    store->stats.errors += !written;
    if (written) {
        remember_file(store, copy->hash);
        store->stats.bytes += bytes;
    }
    pthread_mutex_unlock(&store->mutex);
}

static void touch_file(struct prefix_store *store, struct touch touch)
{
    char name[NAME_BYTES];
    name_file(store, touch.hash, name);
    set_age(store, name, touch.index);
}

// Takes the next thing to do; called with the mutex held. False: there is nothing.
static bool write_next(struct prefix_store *store)
{
    struct copy *copy = store->writes;
    if (copy == NULL && store->n_touches == 0) return false;
    if (copy == NULL) {
        struct touch touch = store->touches[--store->n_touches];
        pthread_mutex_unlock(&store->mutex);
        touch_file(store, touch);
        pthread_mutex_lock(&store->mutex);
        return true;
    }
    store->writes = copy->next;
    if (store->writes == NULL) store->writes_end = &store->writes;
    pthread_mutex_unlock(&store->mutex);
    write_block(store, copy);
    free(copy->tokens);
    copy->tokens = NULL;
    pthread_mutex_lock(&store->mutex);
    copy->next = store->spare;
    store->spare = copy;
    bool closing = store->closing;
    pthread_mutex_unlock(&store->mutex);
    if (!closing) store->options.notify(store->options.context);
    pthread_mutex_lock(&store->mutex);
    return true;
}

static void *run_writer(void *argument)
{
    struct prefix_store *store = argument;
    pthread_mutex_lock(&store->mutex);
    while (write_next(store) || !store->closing)
        if (store->writes == NULL && store->n_touches == 0 && !store->closing)
            pthread_cond_wait(&store->changed, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

static struct copy *take_copy(struct prefix_store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct copy *copy = store->spare;
    if (copy != NULL) store->spare = copy->next;
    pthread_mutex_unlock(&store->mutex);
    return copy;
}

static void queue_copy(struct prefix_store *store, struct copy *copy)
{
    pthread_mutex_lock(&store->mutex);
    copy->next = NULL;
    *store->writes_end = copy;
    store->writes_end = &copy->next;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

bool prefix_store_write(struct prefix_store *store, uint64_t hash, int32_t index, const tern_token *tokens,
                        const uint8_t *slab)
{
    if (prefix_store_has(store, hash)) return true;
    struct copy *copy = take_copy(store);
    if (copy == NULL) return false;
    size_t n_tokens = ((size_t)index + 1) * BLOCK;
    copy->hash = hash;
    copy->n_tokens = (int32_t)n_tokens;
    copy->tokens = malloc(n_tokens * sizeof *tokens);
    if (copy->slab == NULL) copy->slab = memory_allocate(store->options.slab_bytes);
    if (copy->tokens == NULL || copy->slab == NULL) { // it is dropped
        free(copy->tokens);
        copy->tokens = NULL;
        pthread_mutex_lock(&store->mutex);
        copy->next = store->spare;
        store->spare = copy;
        pthread_mutex_unlock(&store->mutex);
        return true;
    }
    memcpy(copy->tokens, tokens, n_tokens * sizeof *tokens);
    memcpy(copy->slab, slab, store->options.slab_bytes);
    queue_copy(store, copy);
    return true;
}

void prefix_store_touch(struct prefix_store *store, uint64_t hash, int32_t index)
{
    pthread_mutex_lock(&store->mutex);
    if (store->n_touches < TOUCHES && is_known(store, hash))
        store->touches[store->n_touches++] = (struct touch){hash, index};
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
}

// ---- Opening

static int compare_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// A folder and those above it. What people asked is nobody else's business: 0700.
static tern_status make_folder(const char *path)
{
    char *part = strdup(path);
    if (part == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a path");
    for (char *slash = strchr(part + (part[0] == '/'), '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0700); // whether it worked is seen at the end
        *slash = '/';
    }
    free(part);
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return TERN_OK;
    return status_fail(TERN_IO, "%s: cannot be made: %s", path, strerror(errno));
}

// Checksums tell what broke, not who wrote it: in a folder that others may write to, anybody could plant what a prompt
// is taken to have computed. The system's administrator can do as he likes anyway.
static tern_status check_owner(int folder, const char *path)
{
    struct stat info;
    if (fstat(folder, &info) != 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return status_fail(TERN_IO, "%s: belongs to another user, expected a folder of one's own", path);
    const bool own_group = info.st_gid == getegid(); // which many systems make for each user, and let write
    if ((info.st_mode & S_IWOTH) != 0 || ((info.st_mode & S_IWGRP) != 0 && !own_group))
        return status_fail(
            TERN_IO,
            "%s: others may write to this folder (mode %03o), expected one's own: chmod go-w it, or name "
            "a new one in it",
            path, (unsigned)info.st_mode & 0777u);
    return TERN_OK;
}

static tern_status open_folder(struct prefix_store *store)
{
    const char *path = store->options.folder;
    TRY(make_folder(path));
    store->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder < 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    TRY(check_owner(store->folder, path));
    struct listing list;
    TRY(list_files(store, &list));
    for (size_t i = 0; i < list.n && store->n_hashes < MAX_FILES; i++)
        if (list.files[i].fingerprint == store->options.fingerprint)
            store->hashes[store->n_hashes++] = list.files[i].hash;
    qsort(store->hashes, store->n_hashes, sizeof *store->hashes, compare_hash);
    store->stats.bytes = list.bytes;
    free(list.files);
    return TERN_OK;
}

static tern_status start_threads(struct prefix_store *store)
{
    store->has_reader = pthread_create(&store->reader, NULL, run_reader, store) == 0;
    store->has_writer = store->has_reader && pthread_create(&store->writer, NULL, run_writer, store) == 0;
    return store->has_writer ? TERN_OK : status_fail(TERN_NO_MEMORY, "cannot start the threads that keep prompts");
}

static tern_status open_parts(struct prefix_store *store)
{
    store->hashes = malloc(MAX_FILES * sizeof *store->hashes);
    if (store->hashes == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a list of kept prompts");
    for (int i = 0; i < COPIES; i++) {
        store->copies[i].next = store->spare;
        store->spare = &store->copies[i];
    }
    TRY(open_folder(store));
    return start_threads(store);
}

tern_status prefix_store_open(const struct prefix_store_options *options, struct prefix_store **out)
{
    *out = NULL;
    struct prefix_store *store = calloc(1, sizeof *store);
    if (store == NULL) return status_fail(TERN_NO_MEMORY, "no memory to keep prompts");
    store->options = *options;
    store->folder = -1;
    store->reads_end = &store->reads;
    store->done_end = &store->done;
    store->writes_end = &store->writes;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->changed, NULL);
    tern_status status = open_parts(store);
    store->options.folder = NULL;
    if (status != TERN_OK) {
        prefix_store_close(store);
        return status;
    }
    *out = store;
    return TERN_OK;
}

void prefix_store_close(struct prefix_store *store)
{
    if (store == NULL) return;
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->mutex);
    if (store->has_reader) pthread_join(store->reader, NULL);
    if (store->has_writer) pthread_join(store->writer, NULL);
    for (int i = 0; i < COPIES; i++)
        free(store->copies[i].slab);
    if (store->folder >= 0) close(store->folder);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->mutex);
    free(store->hashes);
    free(store);
}

void prefix_store_get_stats(struct prefix_store *store, struct prefix_store_stats *out)
{
    pthread_mutex_lock(&store->mutex);
    *out = store->stats;
    pthread_mutex_unlock(&store->mutex);
}
