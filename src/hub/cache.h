// The folder where fetched models lie: hub/OWNER/REPO/FILE, url/HOST/..., and the small model of scripts/get-model.
#ifndef HUB_CACHE_H
#define HUB_CACHE_H

#include "base/buffer.h"

#include <time.h>

// Appends "${XDG_CACHE_HOME:-$HOME/.cache}/tern". Errors: INVALID (no home), NO_MEMORY.
tern_status cache_append_folder(struct buffer *out);

struct cache_entry {
    char *path;     // below the folder; of the first part there, if the model is split; owned
    uint64_t bytes; // of all parts
    int parts;
    time_t used;
    bool partial; // PATH.part: a download that is not complete; `path` is without ".part"
};

struct cache_list {
    struct cache_entry *entries; // [count], by path
    size_t count;
};

// Everything that ends in .gguf, and what is left of downloads. No folder: nothing. Errors: IO, LIMIT, NO_MEMORY.
tern_status cache_read(const char *folder, struct cache_list *out);
void cache_free(struct cache_list *list);

// True if the file is there and, as far as is known, came from this address.
bool cache_holds(const char *path, const char *url);

// Says that a model was used now: its time of access is what `used` shows.
void cache_touch(const char *path);

// Removes a model (a complete one, or what is left of a download), what was noted of it, and folders left empty.
// Errors: INVALID (`path` leads out of the folder), IO (in the system's words; also: somebody is fetching it).
tern_status cache_remove(const char *folder, const struct cache_entry *entry);

// Removes the folders around `path` that are empty, up to `folder`.
void cache_prune(const char *folder, const char *path);

#endif
