// jansson's memory. Where there is none it says nothing: what json_pack(), json_object_set_new() and the like make then
// lacks a part or is NULL, and its parser takes strings that lost their ends, which may lead it out of them. So whoever
// has made JSON asks here whether something is missing, and texts are read with memory that is there before.
#ifndef SERVE_JSON_MEMORY_H
#define SERVE_JSON_MEMORY_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>

// From now on all of jansson's memory is watched; before other threads use it.
void json_memory_watch(void);

// Forgets what was lost on this thread.
void json_memory_begin(void);

// There was no memory for something that JSON was to be made of.
void json_memory_lose(void);

// True if there was no memory for some JSON that was made on this thread since then.
bool json_memory_lost(void);

// Appends the value's JSON, in one line. False without memory, now or when the value was made (NULL is that too): then
// some of it may be there.
bool json_memory_write(const json_t *value, struct buffer *out);

// The value of a text, as json_loadb() reads it with `flags`; NULL if that is none, or without memory: then
// json_memory_lost() tells. `why` may be NULL.
json_t *json_memory_read(const char *text, size_t length, size_t flags, json_error_t *why);

#endif
