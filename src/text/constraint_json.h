// JSON as a schema needs it: numbers as they are written, members in their order, and where each value stands.
#ifndef TEXT_CONSTRAINT_JSON_H
#define TEXT_CONSTRAINT_JSON_H

#include "base/buffer.h"
#include "text/constraint_memory.h"

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    const struct json *parent;  // NULL: this is the whole text
    const struct json *first;   // of an array or object
    const struct json *next;    // in the same array or object
    const struct json **sorted; // [count] an object's members by their keys, an array's items in their order
    const char *text;           // of a string: its characters in UTF-8; of a number: as it is written. Not terminated
    const char *key;            // in an object
    size_t length, key_length;
    uint32_t count;  // items or members
    uint32_t index;  // in an array or object
    uint32_t number; // of all values of the text, from 0
    enum json_kind kind;
};

// Strict RFC 8259; no key twice in an object. Everything lies in the arena. Errors: INVALID (what was expected, line
// and column), LIMIT (size, depth), NO_MEMORY.
tern_status json_read(struct arena *arena, const char *text, size_t length, const struct json **out);

// The member of that name; NULL if there is none, or if it is no object.
const struct json *json_get(const struct json *object, const char *key);
const struct json *json_find(const struct json *object, const char *key, size_t length);
bool json_is(const struct json *string, const char *text); // a string of these characters
bool json_same_text(const char *a, size_t a_length, const char *b, size_t b_length);

// Where a value stands, as a JSON pointer ("/properties/a"; "/" for the whole text), for messages: cut to fit.
struct json_place {
    char text[200];
};
struct json_place json_where(const struct json *value);

#endif
