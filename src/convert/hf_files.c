#include "convert/hf_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *hf_path(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static tern_status read_stream(FILE *stream, const char *path, struct buffer *out)
{
    enum { STEP = 1 << 16 };
    for (size_t n = 1; n > 0;) {
        TRY(buffer_reserve(out, STEP));
        n = fread(out->data + out->length, 1, STEP, stream);
        out->length += n;
        out->data[out->length] = '\0';
        if (out->length > HF_MAX_FILE_BYTES)
            return status_fail(TERN_LIMIT, "%s: more than %d MiB", path, HF_MAX_FILE_BYTES >> 20);
    }
    return ferror(stream) ? status_fail(TERN_IO, "%s: %s", path, strerror(errno)) : TERN_OK;
}

tern_status hf_read_text(const char *folder, const char *name, struct buffer *out, bool *found)
{
    char *path = hf_path(folder, name);
    if (path == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    FILE *stream = fopen(path, "re");
    *found = stream != NULL;
    tern_status status = TERN_OK;
    if (stream != NULL)
        status = read_stream(stream, path, out);
    else if (errno != ENOENT)
        status = status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    if (stream != NULL) fclose(stream);
    free(path);
    return status;
}

static tern_status parse(const char *folder, const char *name, const struct buffer *text, json_t **out)
{
    json_error_t error;
    *out = json_loadb(text->data, text->length, JSON_ALLOW_NUL, &error);
    // transformers writes 10^30 for "no bound" (model_max_length). Ids stand in files that have no such number.
    if (*out == NULL && json_error_code(&error) == json_error_numeric_overflow)
        *out = json_loadb(text->data, text->length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (*out == NULL) return status_fail(TERN_BAD_FILE, "%s/%s: line %d: %s", folder, name, error.line, error.text);
    if (json_is_object(*out)) return TERN_OK;
    json_decref(*out);
    *out = NULL;
    return status_fail(TERN_BAD_FILE, "%s/%s: is not a JSON object", folder, name);
}

tern_status hf_read_json(const char *folder, const char *name, json_t **out)
{
    struct buffer text = {0};
    bool found;
    *out = NULL;
    tern_status status = hf_read_text(folder, name, &text, &found);
    if (status == TERN_OK && found) status = parse(folder, name, &text, out);
    buffer_free(&text);
    return status;
}
