// Tokens a second against the length of the context, drawn as SVG 1.1.
#ifndef EVAL_BENCHMARK_CHART_H
#define EVAL_BENCHMARK_CHART_H

#include "base/buffer.h"
#include "eval/benchmark.h"

// A panel for decoding and one for prompts, each if there are such cases. A case stands at the number of tokens that
// were in the context on average while it ran, its interval as a bar. Errors: INVALID (nothing was measured),
// NO_MEMORY.
tern_status benchmark_draw(const struct benchmark *benchmark, struct buffer *svg);

#endif
