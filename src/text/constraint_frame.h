#ifndef TEXT_CONSTRAINT_FRAME_H
#define TEXT_CONSTRAINT_FRAME_H

#include "text/constraint.h"
#include "text/constraint_grammar.h"

// Sets g->root: the rule within what the options put around it (prefix, free parts, suffix). otherwise: the rule of
// options->otherwise, or GRAMMAR_NONE.
// *free_part: the node of the free part in which the answer may end, GRAMMAR_NONE if there is none.
// Errors: INVALID (an option), LIMIT, NO_MEMORY.
tern_status constraint_frame(struct grammar *g, uint32_t rule, uint32_t otherwise,
                             const struct constraint_options *options, uint32_t *free_part);

#endif
