// What a tool call's JSON must look like, as a JSON Schema made of the schemas of the tools' parameters.
#ifndef SERVE_TOOL_SCHEMA_H
#define SERVE_TOOL_SCHEMA_H

#include <jansson.h>

#include "text/reply.h"

// The function of an entry of OpenAI's `tools`: {"type": "function", "function": {...}}. Borrowed; NULL if it has none.
const json_t *tool_function(const json_t *tool);
const char *tool_name(const json_t *tool);                 // "" if it has none
bool tool_is_named(const json_t *tools, const char *name); // whether one of the tools has this name

// What the parameters of a tool must look like; a tool without parameters takes an empty object. The caller's
// reference, NULL without memory.
json_t *tool_parameters(const json_t *tool);

// One call of any of the tools (of the one named `name`, if that is not NULL), as this style writes it; a list of calls
// where it writes lists: of one, if `one_call`. loose[i]: tool i may be given any object. References inside of
// parameters ("#/$defs/...", "#anchor", their own "$id") point to the same things as before. The caller's reference,
// NULL without memory.
json_t *tool_schema(const struct reply_style *style, const json_t *tools, const char *name, bool one_call,
                    const bool *loose);

#endif
