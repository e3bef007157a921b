// The keys that an object may have: those that are named, and kinds of others.
#ifndef TEXT_CONSTRAINT_KEYS_H
#define TEXT_CONSTRAINT_KEYS_H

#include "text/constraint_schema.h"

struct object_key {
    const char *text;
    size_t length;
    struct schema_set values;
    bool required;
    bool possible; // propertyNames lets it pass
};

// Keys that are not named, and match the same patterns.
struct other_keys {
    struct regular keys; // their bodies; not empty
    struct schema_set values;
    bool matched; // a pattern of the schema at hand
    bool matches; // a pattern of any schema
};

struct object_keys {
    struct object_key *named; // [n_named] in the order of their declaration
    struct other_keys *others;
    size_t n_named, n_others;
    uint32_t *table; // hash table: key + 1, 0: empty
    size_t table_room;
};

tern_status object_keys_list(struct schema_compiler *c, const struct facts *f, struct object_keys *out);

#endif
