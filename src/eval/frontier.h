// The frontier of small and able models: score against size, drawn as SVG 1.1.
#ifndef EVAL_FRONTIER_H
#define EVAL_FRONTIER_H

#include "base/buffer.h"
#include "eval/density.h"

// Sizes are on a logarithmic axis. Models of a group share a colour and a mark; the line joins those that no other
// model beats in both. Uses the viewer's own sans-serif font. Errors: INVALID (no model), NO_MEMORY.
tern_status frontier_draw(const struct scored_models *models, struct buffer *svg);

#endif
