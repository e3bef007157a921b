#include "base/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The part that needs the descriptor open; mapped_file_open closes it on every way out.
static tern_status map_descriptor(int fd, const char *path, struct mapped_file *out)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return status_fail(TERN_BAD_FILE, "%s: is a folder, expected a file", path);
    if (!S_ISREG(info.st_mode)) return status_fail(TERN_BAD_FILE, "%s: not an ordinary file", path);
    if (info.st_size == 0) return status_fail(TERN_BAD_FILE, "%s: the file is empty", path);
    if ((uint64_t)info.st_size > SIZE_MAX / 2)
        return status_fail(TERN_UNSUPPORTED, "%s: %lld bytes are more than this machine can address", path,
                           (long long)info.st_size);

    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return status_fail(TERN_IO, "%s: cannot map: %s", path, strerror(errno));
    *out = (struct mapped_file){.data = data, .size = (size_t)info.st_size};
    return TERN_OK;
}

tern_status mapped_file_open(const char *path, struct mapped_file *out)
{
    *out = (struct mapped_file){0};
    // O_NONBLOCK: opening a FIFO that nobody writes to must not hang; regular files do not mind it.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    tern_status status = map_descriptor(fd, path, out);
    close(fd);
    return status;
}

void mapped_file_close(struct mapped_file *file)
{
    if (file->data != NULL) munmap((void *)(uintptr_t)file->data, file->size);
    *file = (struct mapped_file){0};
}

void mapped_file_release(const struct mapped_file *file, size_t offset, size_t length)
{
    if (offset >= file->size) return;
    if (length > file->size - offset) length = file->size - offset;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (offset + page - 1) / page * page, end = (offset + length) / page * page;
    if (begin < end) madvise((void *)(uintptr_t)(file->data + begin), end - begin, MADV_DONTNEED);
}
