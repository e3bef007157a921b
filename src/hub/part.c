#include "hub/part.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

static tern_status fail_io(const char *path)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return status_fail(TERN_IO, "%s: the disk is full (%s)", path, strerror(errno));
    return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
}

// ---- Opening ------------------------------------------------------------------------------------------------------

static char *join(const char *path, const char *suffix)
{
    size_t length = strlen(path), tail = strlen(suffix);
    char *joined = malloc(length + tail + 1);
    if (joined == NULL) return NULL;
    memcpy(joined, path, length);
    memcpy(joined + length, suffix, tail + 1);
    return joined;
}

static bool is_folder(const char *path) // leaves errno as it is
{
    int before = errno;
    struct stat there;
    bool folder = stat(path, &there) == 0 && S_ISDIR(there.st_mode);
    errno = before;
    return folder;
}

static tern_status make_folders(const char *path)
{
    char *folder = join(path, "");
    if (folder == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    tern_status status = TERN_OK;
    for (char *slash = strchr(folder + 1, '/'); slash != NULL && status == TERN_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0777) != 0 && !is_folder(folder)) status = fail_io(folder);
        *slash = '/';
    }
    free(folder);
    return status;
}

// True if the name still leads to the open file: whoever had the lock before may have renamed or removed it.
static bool is_current(const struct part_file *part)
{
    struct stat open, named;
    return fstat(part->fd, &open) == 0 && stat(part->part, &named) == 0 && open.st_dev == named.st_dev &&
           open.st_ino == named.st_ino;
}

static tern_status lock(struct part_file *part, bool *busy)
{
    struct stat there;
    if (flock(part->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail_io(part->part);
        *busy = true;
    } else if (!is_current(part)) {
        *busy = true;
    } else if (fstat(part->fd, &there) != 0) {
        return fail_io(part->part);
    } else {
        part->length = (uint64_t)there.st_size;
    }
    return TERN_OK;
}

static void take_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text != NULL && strlen(text) < size) memcpy(out, text, strlen(text) + 1);
}

// A note that is missing or broken says nothing: then the bytes are fetched anew.
static void read_identity(struct part_file *part)
{
    part->identity = (struct part_identity){.size = HTTP_UNKNOWN};
    json_t *object = json_load_file(part->note, 0, NULL);
    const json_t *size = json_object_get(object, "size");
    take_text(object, "etag", part->identity.etag, sizeof part->identity.etag);
    take_text(object, "sha256", part->identity.sha256, sizeof part->identity.sha256);
    if (json_is_integer(size) && json_integer_value(size) >= 0)
        part->identity.size = (uint64_t)json_integer_value(size);
    json_decref(object);
}

static tern_status open_part(struct part_file *part, bool *busy)
{
    if (part->path == NULL || part->part == NULL || part->note == NULL)
        return status_fail(TERN_NO_MEMORY, "out of memory");
    TRY(make_folders(part->path));
    part->fd = open(part->part, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (part->fd < 0) return fail_io(part->part);
    TRY(lock(part, busy));
    if (!*busy) read_identity(part);
    return TERN_OK;
}

tern_status part_open(const char *path, struct part_file *out, bool *busy)
{
    *busy = false;
    *out = (struct part_file){
        .path = join(path, ""), .part = join(path, PART_SUFFIX), .note = join(path, NOTE_SUFFIX), .fd = -1};
    tern_status status = open_part(out, busy);
    if (status != TERN_OK || *busy) part_close(out);
    return status;
}

void part_close(struct part_file *part)
{
    if (part->fd >= 0) close(part->fd);
    free(part->path);
    free(part->part);
    free(part->note);
    *part = (struct part_file){.fd = -1};
}

// ---- Notes --------------------------------------------------------------------------------------------------------

static tern_status write_json(const char *path, json_t *object)
{
    if (object == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    errno = 0;
    int failed = json_dump_file(object, path, JSON_INDENT(2));
    json_decref(object);
    return failed == 0 ? TERN_OK : fail_io(path);
}

tern_status part_set_identity(struct part_file *part, const struct part_identity *identity, const char *url)
{
    part->identity = *identity;
    json_t *object = json_pack("{s:s, s:s, s:s}", "url", url, "etag", identity->etag, "sha256", identity->sha256);
    if (object != NULL && identity->size != HTTP_UNKNOWN)
        json_object_set_new(object, "size", json_integer((json_int_t)identity->size));
    return write_json(part->note, object);
}

// ---- Bytes --------------------------------------------------------------------------------------------------------

static tern_status hash_pieces(const struct part_file *part, struct sha256 *hash, void *piece, bool (*tick)(void *),
                               void *context)
{
    for (uint64_t at = 0; at < part->length;) {
        ssize_t n = pread(part->fd, piece, PIECE_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_io(part->part);
        if (n == 0) return status_fail(TERN_IO, "%s: became shorter while it was read", part->part);
        sha256_add(hash, piece, (size_t)n);
        at += (uint64_t)n;
        if (tick != NULL && !tick(context)) return status_fail(TERN_CANCELLED, "interrupted");
    }
    return TERN_OK;
}

tern_status part_hash(const struct part_file *part, struct sha256 *hash, bool (*tick)(void *context), void *context)
{
    void *piece = malloc(PIECE_BYTES);
    if (piece == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    tern_status status = hash_pieces(part, hash, piece, tick, context);
    free(piece);
    return status;
}

tern_status part_append(struct part_file *part, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t n = write(part->fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_io(part->part);
        at += n;
        length -= (size_t)n;
        part->length += (uint64_t)n;
    }
    return TERN_OK;
}

tern_status part_truncate(struct part_file *part)
{
    if (ftruncate(part->fd, 0) != 0) return fail_io(part->part);
    part->length = 0;
    return TERN_OK;
}

tern_status part_check_space(const struct part_file *part, uint64_t more)
{
    const uint64_t spare = 16 << 20; // so that the disk is not filled to the brim
    struct statvfs disk;
    if (more == HTTP_UNKNOWN || fstatvfs(part->fd, &disk) != 0) return TERN_OK; // writing will tell
    uint64_t free_bytes = disk.f_bavail > UINT64_MAX / disk.f_frsize ? UINT64_MAX : disk.f_bavail * disk.f_frsize;
    if (more <= free_bytes && free_bytes - more >= spare) return TERN_OK;
    return status_fail(TERN_IO, "%s: %.1f MB are needed, the disk has %.1f MB free", part->path, (double)more / 1e6,
                       (double)free_bytes / 1e6);
}

// ---- The end ------------------------------------------------------------------------------------------------------

static tern_status sync_folder(const char *path)
{
    char *folder = join(path, "");
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    tern_status status = TERN_OK;
    if (slash != NULL) {
        *slash = '\0';
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) status = fail_io(folder); // EINVAL: a system without it
        if (fd >= 0) close(fd);
    }
    free(folder);
    return status;
}

static tern_status write_source(const struct part_file *part, const char *url, const char *sha256)
{
    char *path = join(part->path, SOURCE_SUFFIX);
    if (path == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    tern_status status = write_json(path, json_pack("{s:s, s:s}", "url", url, "sha256", sha256));
    free(path);
    return status;
}

tern_status part_commit(struct part_file *part, const char *url, const char *sha256)
{
    if (fsync(part->fd) != 0) return fail_io(part->part);
    if (rename(part->part, part->path) != 0) return fail_io(part->path);
    unlink(part->note);
    TRY(write_source(part, url, sha256));
    return sync_folder(part->path);
}

void part_discard(struct part_file *part)
{
    unlink(part->part);
    unlink(part->note);
}
