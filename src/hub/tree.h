// What a repository of the hub holds, by the hub's own list (/api/models/OWNER/REPO/tree/main).
#ifndef HUB_TREE_H
#define HUB_TREE_H

#include "hub/http.h"
#include "hub/sha256.h"

enum { TREE_MAX_BYTES = 8 << 20, TREE_MAX_FILES = 10000 };

struct tree_file {
    char *path;                    // in the repository, as the server says: to be checked before it is used
    uint64_t size;                 // HTTP_UNKNOWN if not said
    char sha256[SHA256_HEX_BYTES]; // "" if not said
};

struct tree {
    struct tree_file *files; // [count], in the server's order
    size_t count;
};

// Reads the hub's answer, JSON text. Errors: BAD_FILE (with what was expected), LIMIT, NO_MEMORY. Free with
// tree_free().
tern_status tree_parse(const char *text, size_t length, struct tree *out);
void tree_free(struct tree *tree);

const struct tree_file *tree_find(const struct tree *tree, const char *path); // NULL if it is not there

#endif
