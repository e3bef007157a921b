// What a MODEL argument may be besides a file: the name of a model in the cache, or of one that can be fetched.
#ifndef CLI_MODEL_NAME_H
#define CLI_MODEL_NAME_H

#include "hub/cache.h"
#include "hub/source.h"

// The file that `name` means. A file that is there means itself, and so does what is no name of a model; a model in the
// cache means its file. One that is not there is fetched if a user at the terminal says so. *path is allocated; free
// it. EXIT_OK, or an exit code after a message on stderr. Install interrupts before.
int model_name_find(const char *name, char **path);

// Names as `tern list` shows them: the catalogue's, hf:OWNER/REPO:FILE, or the path in the cache.
tern_status model_name_append(const struct cache_entry *entry, struct buffer *out);

// The entry of the cache that `name` means: as a source, or by its path (in the cache's folder, or whole).
// hf:OWNER/REPO means the only one of that repository. NULL if there is none; *several if there are more.
const struct cache_entry *model_name_look_up(const struct cache_list *list, const char *folder, const char *name,
                                             bool partial, bool *several);

#endif
