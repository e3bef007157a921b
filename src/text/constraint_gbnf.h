#ifndef TEXT_CONSTRAINT_GBNF_H
#define TEXT_CONSTRAINT_GBNF_H

#include "text/constraint_grammar.h"

// Adds the rules of a GBNF text (llama.cpp's grammars/README.md describes it) to `g`; *root is the rule `root`.
// Errors: INVALID and UNSUPPORTED (left recursion) with line and column, LIMIT, NO_MEMORY.
tern_status gbnf_compile(struct grammar *g, const char *text, size_t length, uint32_t *root);

#endif
