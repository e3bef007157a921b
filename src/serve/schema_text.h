// A schema as text, from the request that it came in.
#ifndef SERVE_SCHEMA_TEXT_H
#define SERVE_SCHEMA_TEXT_H

#include <jansson.h>

// As json_dumps(), but a number has no more digits than it takes to say which it is: 0.1 is not 0.10000000000000001.
// The caller frees it; NULL without memory.
char *schema_text(const json_t *schema);

#endif
