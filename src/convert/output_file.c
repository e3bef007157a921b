// O_TMPFILE is GNU's.
#define _GNU_SOURCE
#include "convert/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DESCRIPTOR_PATH_BYTES = 32 };

static tern_status fail(const char *path, const char *doing)
{
    return status_fail(TERN_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

static char *join(const char *a, const char *b)
{
    size_t length = strlen(a) + strlen(b) + 1;
    char *joined = malloc(length);
    if (joined != NULL) snprintf(joined, length, "%s%s", a, b);
    return joined;
}

// The folder that `path` lies in.
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return join(".", "");
    char *folder = join(path, "");
    if (folder != NULL) folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static tern_status check_target(const char *path, bool replace)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? TERN_OK : status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return status_fail(TERN_INVALID, "%s: is a folder, expected a file's name", path);
    if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
        return status_fail(TERN_INVALID, "%s: is not an ordinary file", path);
    return replace ? TERN_OK : status_fail(TERN_INVALID, "%s: exists already; --force replaces it", path);
}

// -1 where the system or the folder's file system cannot do it.
static int open_nameless(const char *folder, mode_t mode)
{
#if defined(O_TMPFILE)
    if (access("/proc/self/fd", X_OK) != 0) return -1; // needed to give it a name
    return open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
#else
    (void)folder, (void)mode;
    return -1;
#endif
}

// A PATH.part that an earlier, killed run left is taken over.
static tern_status open_named(struct output_file *file, mode_t mode)
{
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (file->fd < 0) return fail(file->path, "create");
    file->named = true;
    return TERN_OK;
}

tern_status output_file_open(const char *path, bool replace, mode_t mode, struct output_file *out)
{
    *out = (struct output_file){.fd = -1, .replace = replace};
    TRY(check_target(path, replace));
    char *folder = folder_of(path);
    out->path = join(path, "");
    out->temporary = join(path, ".part");
    if (folder == NULL || out->path == NULL || out->temporary == NULL) {
        free(folder);
        output_file_close(out);
        return status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    }
    out->fd = open_nameless(folder, mode);
    tern_status status = out->fd >= 0 ? TERN_OK : open_named(out, mode);
    free(folder);
    if (status != TERN_OK) output_file_close(out);
    return status;
}

tern_status output_file_write(struct output_file *file, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t n = write(file->fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(file->path, "write");
        at += n;
        length -= (size_t)n;
    }
    return TERN_OK;
}

static tern_status name_nameless(struct output_file *file)
{
    char descriptor[DESCRIPTOR_PATH_BYTES];
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, descriptor, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0) return TERN_OK;
    if (errno != EEXIST || !file->replace) return fail(file->path, "create");
    unlink(file->temporary); // of an earlier run, if there is one
    if (linkat(AT_FDCWD, descriptor, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) != 0)
        return fail(file->temporary, "create");
    file->named = true;
    return TERN_OK;
}

// So that the name is on the disk too. A folder that cannot be opened for reading is not worth a failure now.
static void sync_folder(const char *path)
{
    char *folder = folder_of(path);
    int fd = folder != NULL ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
    free(folder);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

tern_status output_file_commit(struct output_file *file)
{
    if (fsync(file->fd) != 0) return fail(file->path, "write");
    if (!file->named) TRY(name_nameless(file));
    if (file->named) {
        if (!file->replace && access(file->path, F_OK) == 0)
            return status_fail(TERN_INVALID, "%s: exists already; --force replaces it", file->path);
        if (rename(file->temporary, file->path) != 0) return fail(file->path, "create");
        file->named = false;
    }
    sync_folder(file->path);
    return TERN_OK;
}

void output_file_close(struct output_file *file)
{
    if (file->fd >= 0) close(file->fd);
    if (file->named) unlink(file->temporary);
    free(file->path);
    free(file->temporary);
    *file = (struct output_file){.fd = -1};
}
