#include "hub/tree.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// "oid" of an object with "lfs" is git's own; the one within "lfs" is the file's SHA-256.
static tern_status take_file(const json_t *entry, struct tree_file *out)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    const json_t *size = json_object_get(entry, "size");
    const char *oid = json_string_value(json_object_get(json_object_get(entry, "lfs"), "oid"));
    if (path == NULL) return status_fail(TERN_BAD_FILE, "the hub's list of files: a file without \"path\"");
    *out = (struct tree_file){.path = strdup(path), .size = HTTP_UNKNOWN};
    if (out->path == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    if (json_is_integer(size) && json_integer_value(size) >= 0) out->size = (uint64_t)json_integer_value(size);
    if (oid != NULL) sha256_parse(oid, out->sha256);
    return TERN_OK;
}

static bool is_file(const json_t *entry)
{
    const char *type = json_string_value(json_object_get(entry, "type"));
    return type != NULL && strcmp(type, "file") == 0;
}

static tern_status take_entries(const json_t *list, struct tree *out)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list)) return status_fail(TERN_BAD_FILE, "the hub's list of files: expected a JSON array");
    if (n > TREE_MAX_FILES)
        return status_fail(TERN_LIMIT, "the hub's list of files: %zu entries, at most %d are read", n, TREE_MAX_FILES);
    out->files = calloc(n > 0 ? n : 1, sizeof *out->files);
    if (out->files == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        if (!is_file(entry)) continue;
        TRY(take_file(entry, &out->files[out->count]));
        out->count++;
    }
    return TERN_OK;
}

tern_status tree_parse(const char *text, size_t length, struct tree *out)
{
    json_error_t error;
    *out = (struct tree){0};
    json_t *list = json_loadb(text, length, 0, &error);
    if (list == NULL)
        return status_fail(TERN_BAD_FILE, "the hub's list of files is no JSON: line %d: %s", error.line, error.text);
    tern_status status = take_entries(list, out);
    json_decref(list);
    if (status != TERN_OK) tree_free(out);
    return status;
}

void tree_free(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free(tree->files[i].path);
    free(tree->files);
    *tree = (struct tree){0};
}

const struct tree_file *tree_find(const struct tree *tree, const char *path)
{
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree->files[i].path, path) == 0) return &tree->files[i];
    return NULL;
}
