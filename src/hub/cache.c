#include "hub/cache.h"

#include "hub/part.h"
#include "hub/split.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16, MAX_ENTRIES = 100000 };

tern_status cache_append_folder(struct buffer *out)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    // The XDG base directory specification: a path that is not absolute counts as unset.
    if (cache != NULL && cache[0] == '/') return buffer_append_format(out, "%s/tern", cache);
    if (home == NULL || home[0] != '/')
        return status_fail(TERN_INVALID, "neither XDG_CACHE_HOME nor HOME says where models are kept");
    return buffer_append_format(out, "%s/.cache/tern", home);
}

// ---- Reading ------------------------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcasecmp(text + length - tail, end) == 0;
}

static tern_status add_entry(struct cache_list *list, const char *path, const struct stat *there, bool partial)
{
    if (list->count >= MAX_ENTRIES) return status_fail(TERN_LIMIT, "more than %d files in the cache", MAX_ENTRIES);
    if ((list->count & (list->count - 1)) == 0) { // the list is full at powers of two
        size_t capacity = list->count == 0 ? 1 : 2 * list->count;
        struct cache_entry *entries = realloc(list->entries, capacity * sizeof *entries);
        if (entries == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
        list->entries = entries;
    }
    struct cache_entry *entry = &list->entries[list->count];
    *entry = (struct cache_entry){.path = strdup(path), .bytes = (uint64_t)there->st_size, .parts = 1};
    if (entry->path == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    entry->used = there->st_atime;
    entry->partial = partial;
    if (partial) entry->path[strlen(path) - strlen(PART_SUFFIX)] = '\0';
    list->count++;
    return TERN_OK;
}

static tern_status read_folder(struct buffer *path, size_t root, int depth, struct cache_list *list);

static tern_status take_name(struct buffer *path, size_t root, int depth, struct cache_list *list)
{
    struct stat there;
    if (lstat(path->data, &there) != 0) return TERN_OK; // gone in between
    if (S_ISDIR(there.st_mode)) return depth > 0 ? read_folder(path, root, depth - 1, list) : TERN_OK;
    if (S_ISLNK(there.st_mode) && stat(path->data, &there) != 0) return TERN_OK;
    bool partial = ends_with(path->data, ".gguf" PART_SUFFIX);
    if (!S_ISREG(there.st_mode) || !(partial || ends_with(path->data, ".gguf"))) return TERN_OK;
    return add_entry(list, path->data + root, &there, partial);
}

static tern_status read_names(DIR *names, struct buffer *path, size_t root, int depth, struct cache_list *list)
{
    size_t length = path->length;
    for (struct dirent *name; (name = readdir(names)) != NULL;) {
        if (name->d_name[0] == '.') continue;
        TRY(buffer_append_format(path, "/%s", name->d_name));
        TRY(take_name(path, root, depth, list));
        path->length = length;
        path->data[length] = '\0';
    }
    return TERN_OK;
}

// `path` is the folder; what is found is named from its byte `root` on.
static tern_status read_folder(struct buffer *path, size_t root, int depth, struct cache_list *list)
{
    DIR *names = opendir(path->data);
    if (names == NULL) return errno == ENOENT ? TERN_OK : status_fail(TERN_IO, "%s: %s", path->data, strerror(errno));
    tern_status status = read_names(names, path, root, depth, list);
    closedir(names);
    return status;
}

static int by_path(const void *a, const void *b)
{
    const struct cache_entry *first = a, *second = b;
    int order = strcmp(first->path, second->path);
    return order != 0 ? order : (int)first->partial - (int)second->partial;
}

// True if `entry` is the part of the same model that follows those of `previous`.
static bool is_next_part(const struct cache_entry *previous, const struct cache_entry *entry)
{
    struct split_name first, next;
    if (previous->partial || entry->partial) return false;
    if (!split_read(previous->path, &first) || !split_read(entry->path, &next)) return false;
    return first.stem == next.stem && memcmp(previous->path, entry->path, next.stem) == 0 &&
           first.count == next.count && first.part + previous->parts == next.part;
}

static void merge_parts(struct cache_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct cache_entry *entry = &list->entries[i], *last = kept > 0 ? &list->entries[kept - 1] : NULL;
        if (last == NULL || !is_next_part(last, entry)) {
            list->entries[kept++] = *entry;
            continue;
        }
        last->bytes += entry->bytes;
        last->parts++;
        if (entry->used > last->used) last->used = entry->used;
        free(entry->path);
    }
    list->count = kept;
}

tern_status cache_read(const char *folder, struct cache_list *out)
{
    struct buffer path = {0};
    *out = (struct cache_list){0};
    tern_status status = buffer_append_string(&path, folder);
    if (status == TERN_OK) status = read_folder(&path, strlen(folder) + 1, MAX_DEPTH, out);
    buffer_free(&path);
    if (status != TERN_OK) {
        cache_free(out);
        return status;
    }
    if (out->count > 0) qsort(out->entries, out->count, sizeof *out->entries, by_path);
    merge_parts(out);
    return TERN_OK;
}

void cache_free(struct cache_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].path);
    free(list->entries);
    *list = (struct cache_list){0};
}

// ---- Files --------------------------------------------------------------------------------------------------------

bool cache_holds(const char *path, const char *url)
{
    if (access(path, F_OK) != 0) return false;
    struct buffer note = {0};
    json_t *object = NULL;
    if (buffer_append_format(&note, "%s" SOURCE_SUFFIX, path) == TERN_OK) object = json_load_file(note.data, 0, NULL);
    const char *source = json_string_value(json_object_get(object, "url"));
    bool same = source == NULL || strcmp(source, url) == 0;
    json_decref(object);
    buffer_free(&note);
    return same;
}

void cache_touch(const char *path)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    utimensat(AT_FDCWD, path, times, 0); // of a file that cannot be touched, the last use is not known
}

// ---- Removing -----------------------------------------------------------------------------------------------------

// True if the folder of `path` is `folder` or lies in it, after all links.
static bool is_inside(const char *folder, const char *path)
{
    char *root = realpath(folder, NULL), *copy = strdup(path), *parent = NULL;
    char *slash = copy != NULL ? strrchr(copy, '/') : NULL;
    if (slash != NULL) {
        *slash = '\0';
        parent = realpath(copy, NULL);
    }
    size_t length = root != NULL ? strlen(root) : 0;
    bool inside = root != NULL && parent != NULL && strncmp(parent, root, length) == 0 &&
                  (parent[length] == '\0' || parent[length] == '/');
    free(root);
    free(copy);
    free(parent);
    return inside;
}

static void remove_beside(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s%s", path, suffix) < (int)sizeof name) unlink(name);
}

// Nobody may be fetching it: the lock is held until the name is gone.
static tern_status remove_part(const char *path)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s" PART_SUFFIX, path) >= (int)sizeof name) return TERN_OK;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return TERN_OK;
    tern_status status = TERN_OK;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        status = status_fail(TERN_IO, "%s: another tern is fetching it", path);
    else if (unlink(name) != 0)
        status = status_fail(TERN_IO, "%s: %s", name, strerror(errno));
    close(fd);
    if (status == TERN_OK) remove_beside(path, NOTE_SUFFIX);
    return status;
}

static tern_status remove_file(const char *path, bool partial)
{
    TRY(remove_part(path));
    if (partial) return TERN_OK;
    if (unlink(path) != 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    remove_beside(path, SOURCE_SUFFIX);
    remove_beside(path, ".checked"); // of scripts/get-model
    return TERN_OK;
}

void cache_prune(const char *folder, const char *path)
{
    char *parent = strdup(path);
    for (char *slash; parent != NULL && (slash = strrchr(parent, '/')) != NULL;) {
        *slash = '\0';
        if (strlen(parent) <= strlen(folder) || rmdir(parent) != 0) break;
    }
    free(parent);
}

tern_status cache_remove(const char *folder, const struct cache_entry *entry)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, entry->path) >= (int)sizeof path)
        return status_fail(TERN_INVALID, "%s: the path is too long", entry->path);
    if (!is_inside(folder, path)) return status_fail(TERN_INVALID, "%s: leads out of %s", entry->path, folder);
    struct split_name name;
    int first = entry->parts > 1 && split_read(path, &name) ? name.part : 1;
    for (int part = first + entry->parts - 1; part >= first; part--) {
        if (entry->parts > 1) split_set_part(path, part);
        TRY(remove_file(path, entry->partial));
    }
    cache_prune(folder, path);
    return TERN_OK;
}
