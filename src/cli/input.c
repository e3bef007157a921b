#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static tern_status read_stream(FILE *stream, const char *name, struct buffer *out)
{
    size_t total = 0;
    for (;;) {
        TRY(buffer_reserve(out, 1 << 16));
        size_t n = fread(out->data + out->length, 1, 1 << 16, stream);
        if (n == 0) break;
        out->length += n;
        out->data[out->length] = '\0';
        total += n;
        if (total > INPUT_MAX_BYTES)
            return status_fail(TERN_LIMIT, "%s: more than %d MiB of text", name, INPUT_MAX_BYTES >> 20);
    }
    return ferror(stream) ? status_fail(TERN_IO, "%s: %s", name, strerror(errno)) : TERN_OK;
}

tern_status input_read(const char *path, struct buffer *out)
{
    if (strcmp(path, "-") == 0) return read_stream(stdin, "standard input", out);
    FILE *file = fopen(path, "r");
    if (file == NULL) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    tern_status status = read_stream(file, path, out);
    fclose(file);
    return status;
}
