// Chat templates: an interpreter of the part of Jinja that they use, bounded in every direction, with no way to reach
// files, the environment or code. Known answers: Python's jinja2 with trim_blocks and lstrip_blocks, as transformers
// sets them (ImmutableSandboxedEnvironment, loop controls, tojson without HTML escapes, raise_exception, strftime_now).
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/buffer.h"

struct template;

// A rendering that goes beyond one of these fails with TERN_LIMIT. Zero fields mean the default.
struct template_limits {
    int64_t steps;       // expressions and statements evaluated; default 1,000,000
    size_t output_bytes; // printed in all, by macros and captured blocks too; default 16 MiB
    size_t memory_bytes; // of all values made while rendering; default 64 MiB
    int depth;           // nesting of expressions, macros, blocks and values; default 200
};

// Parses Jinja source (any bytes). Errors: BAD_FILE with line and what was expected; LIMIT. Free with template_free().
tern_status template_parse(const char *source, size_t length, struct template **out);
void template_free(struct template *tmpl); // NULL is fine

// Renders with the variables of a JSON object (text, e.g. {"messages": [...], "bos_token": "<s>"}).
// `now`: seconds since the epoch for strftime_now (UTC). Errors: BAD_FILE (with the line; raise_exception's words),
// LIMIT, INVALID (the variables are no JSON object), NO_MEMORY. Thread-safe: a parsed template is never written to.
tern_status template_render(const struct template *tmpl, const char *json, size_t json_length, int64_t now,
                            const struct template_limits *limits, struct buffer *out);

#endif
