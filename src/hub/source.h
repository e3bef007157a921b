// What a user may call a model that is not a file: a name of the catalogue, hf:OWNER/REPO[:FILE], or an address.
#ifndef HUB_SOURCE_H
#define HUB_SOURCE_H

#include "base/status.h"
#include "hub/catalogue.h"

enum { SOURCE_REPOSITORY_BYTES = 200, SOURCE_FILE_BYTES = 512, SOURCE_URL_BYTES = 2048, SOURCE_PATH_BYTES = 900 };

// Most parts of a split file.
enum { SOURCE_MAX_PARTS = 1000 };

struct hub_source {
    const struct hub_model *model;            // NULL: not from the catalogue
    char repository[SOURCE_REPOSITORY_BYTES]; // "OWNER/REPO"; "" for an address and for what is not on the hub
    char file[SOURCE_FILE_BYTES];             // path in the repository; "" if not said, or an address
    char url[SOURCE_URL_BYTES];               // where it is fetched from; "" if that is not known (yet)
    char path[SOURCE_PATH_BYTES];             // below the cache's folder, no other source's; "" while not known
};

// True if `text` is meant as a source rather than as a file's name: a name of the catalogue, hf:..., or has a scheme.
bool source_is_meant(const char *text);

// `endpoint`: the hub's address without a slash at its end. Names that would leave the cache's folder, control
// characters and other schemes than https and http are refused. Errors: INVALID, in words for the user; NO_MEMORY.
tern_status source_parse(const char *text, const char *endpoint, struct hub_source *out);

// Chooses `file` (a path in the repository) where the source did not say one. Errors: INVALID, as above: the path
// comes from a server.
tern_status source_set_file(struct hub_source *source, const char *file, const char *endpoint);

// How many parts a file's name says that the file has ("x-00002-of-00003.gguf": 3); 1 if it is not split. Errors:
// INVALID (more than SOURCE_MAX_PARTS, or a number that cannot be).
tern_status source_count_parts(const struct hub_source *source, int *parts);

// The same source for part number `part`, 1-based.
void source_select_part(struct hub_source *source, int part);

#endif
