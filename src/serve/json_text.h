// Bytes as a JSON string.
#ifndef SERVE_JSON_TEXT_H
#define SERVE_JSON_TEXT_H

#include <jansson.h>

// Any bytes, such as a token's, which may be part of a character, or a path that somebody asked for: broken UTF-8
// becomes U+FFFD. The caller's reference; NULL without memory.
json_t *json_text(const char *bytes, size_t length);

#endif
