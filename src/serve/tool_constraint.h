// What an answer with tools must look like.
#ifndef SERVE_TOOL_CONSTRAINT_H
#define SERVE_TOOL_CONSTRAINT_H

#include "serve/generation.h"
#include "text/constraint.h"

// *out is NULL if nothing needs to be constrained: no tools, or tool_choice "none". think_close: the answer begins with
// thinking that ends with this string, NULL if it does not.
//
// With tool_choice "auto" a call begins where the model writes its mark, or with the answer's first brace where the
// style has calls without one, and from there on it can only become a call of one of the tools with arguments that its
// schema allows. A tool whose schema has what cannot be enforced may be given any JSON object, unless it is `strict`:
// then that is an error. With a format beside the tools an answer is either calls or JSON of that format, from its
// first byte or behind the thinking.
//
// Errors: UNSUPPORTED, INVALID as constraint_open_schema(), with the tool's name before; INVALID also for a grammar
// beside the tools; LIMIT if all of it takes longer than one schema may, or is too large; NO_MEMORY.
tern_status tool_constraint_open(const struct constraint_vocabulary *vocabulary, const struct reply_style *style,
                                 const struct generation_request *request, const char *think_close,
                                 struct constraint **out);

#endif
