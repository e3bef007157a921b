#include "serve/schema_text.h"

#include "serve/json_memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 15 }; // that every double keeps (DBL_DIG)

static bool says(const char *text, const json_t *schema)
{
    json_t *read = json_memory_read(text, strlen(text), JSON_DECODE_ANY, NULL);
    bool same = read != NULL && json_equal(read, schema);
    json_decref(read);
    return same;
}

char *schema_text(const json_t *schema)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    char *text = json_dumps(schema, flags | JSON_REAL_PRECISION(DIGITS));
    if (text == NULL || says(text, schema)) return text;
    free(text);
    return json_dumps(schema, flags);
}
