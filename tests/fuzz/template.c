// A template and its variables, split at the first NUL byte, under tight limits.
#include <string.h>

#include "text/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_limits limits = {
        .steps = 20000, .output_bytes = 1 << 16, .memory_bytes = 1 << 20, .depth = 100};
    const char *source = (const char *)data;
    const char *split = size ? memchr(source, '\0', size) : NULL;
    size_t length = split ? (size_t)(split - source) : size;
    const char *json = split ? split + 1 : "{}";
    size_t json_length = split ? size - length - 1 : 2;
    struct template *tmpl;
    struct buffer out = {0};
    if (template_parse(source, length, &tmpl) != TERN_OK) return 0;
    template_render(tmpl, json, json_length, 1750000000, &limits, &out);
    buffer_free(&out);
    template_free(tmpl);
    return 0;
}
