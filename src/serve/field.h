// Reading the fields of a request: types and bounds are checked where a field is read, and what is wrong names it.
// Fields that are absent or null leave *out as it is; fields that nobody reads are ignored, as OpenAI's server does.
#ifndef SERVE_FIELD_H
#define SERVE_FIELD_H

#include "serve/api_error.h"

enum { FIELD_MAX_CONTAINERS = 200000, FIELD_MAX_VALUES = 2000000 }; // of a body

// An object and where it stands: "" for the request itself, "messages[2]." for one of its parts.
struct fields {
    const json_t *object; // borrowed, and so is all that is read from it
    char where[64];
    struct api_error *error;
};

// The request's body as JSON object: UTF-8, without U+0000, no deeper than jansson's bound (2048), no more values than
// fit into some hundred megabytes. *root is the
// caller's reference; also NULL after an error.
bool field_open_body(const char *body, size_t length, json_t **root, struct api_error *error);

// Bytes that the JSON of a body takes, about; and that of any body of so many bytes which field_open_body() takes.
size_t field_body_memory(const char *body, size_t length);
size_t field_most_memory(size_t length);

// The fields of an object that stands in `parent`'s field `name` (index < 0) or in its array there. False with an error
// if `value` is no object.
bool field_enter(const struct fields *parent, const char *name, int index, const json_t *value, struct fields *out);

bool field_is_given(const struct fields *f, const char *name); // there and not null

// Each returns false with an error in f->error.
bool field_bool(const struct fields *f, const char *name, bool *out);
bool field_integer(const struct fields *f, const char *name, int64_t low, int64_t high, int64_t *out); // 5.0 is fine
bool field_int(const struct fields *f, const char *name, int low, int high, int *out);
bool field_number(const struct fields *f, const char *name, double low, double high, double *out);
bool field_float(const struct fields *f, const char *name, double low, double high, float *out);
bool field_text(const struct fields *f, const char *name, const char **out);
bool field_object(const struct fields *f, const char *name, const json_t **out);
bool field_array(const struct fields *f, const char *name, size_t most, const json_t **out);
// The token ids of an array that stands in the field `name`: the caller frees *out, after an error too.
bool field_tokens(const struct fields *f, const char *name, const json_t *list, tern_token **out, size_t *count);
// One of the words of "auto|none|required": *out becomes its index.
bool field_choice(const struct fields *f, const char *name, const char *words, int *out);

// 400 about the field `name` (an index may be part of it: "content[1].type"); returns false.
bool field_fail(const struct fields *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool field_fail_memory(const struct fields *f); // returns false

#endif
