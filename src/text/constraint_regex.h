// Patterns of a schema: ECMA-262 regular expressions as far as they are regular, over the characters of a string that
// is written in JSON in one way only (RFC 8259, shortest: \" \\ \b \f \n \r \t, \u00xx for other control characters).
// Implementations disagree about \w, \d and \s beyond ASCII, about what the dot leaves out, and about `$`.
#ifndef TEXT_CONSTRAINT_REGEX_H
#define TEXT_CONSTRAINT_REGEX_H

#include "base/buffer.h"
#include "text/constraint_regular.h"

// The body of a JSON string (without quotes) that has a match somewhere: by all implementations, or if `widest` is set
// by any of them (for showing that nothing fits two patterns). Errors: UNSUPPORTED (names the construct),
// INVALID (what was expected, at which character), LIMIT, NO_MEMORY.
tern_status regex_compile(struct arena *arena, const char *pattern, size_t length, bool widest, struct regular *out);

// The body of any JSON string, written in that one way.
tern_status regex_any(struct arena *arena, struct regular *out);

// One character of the sorted set in that writing, then `next`. NUL is left out: many readers stumble over it.
tern_status nfa_characters(struct nfa *nfa, const struct character_set *set, uint32_t next, uint32_t *out);

// Valid UTF-8 in that writing, appended.
tern_status json_escape(struct buffer *out, const char *text, size_t length);

#endif
