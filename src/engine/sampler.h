// From logits to a token.
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "base/status.h"

struct sampler;

// Copies the options (bias arrays too). Errors: INVALID (names the field and its range), NO_MEMORY.
tern_status sampler_open(const tern_sampling *sampling, int32_t n_vocabulary, struct sampler **out);
void sampler_close(struct sampler *sampler);

// Order: bias, penalties over the last `penalty_window` of recent[n_recent], then temperature 0: the highest logit
// (lowest id of equals); else temperature, top-k, typical-p, top-p, min-p, draw. Deterministic: the same options, seed
// and calls give the same tokens on every machine. Never fails: NaN logits count as -infinity; if nothing is left, 0.
tern_token sampler_sample(struct sampler *sampler, const float *logits, const tern_token *recent, size_t n_recent);

// The answer's own tokens, as they are drawn. Once this was called (a count of 0 will do), the presence and frequency
// penalties are of these, all of them, as the OpenAI API defines them, and no longer of the recent ones.
// Errors: NO_MEMORY, with the first call only.
tern_status sampler_count(struct sampler *sampler, const tern_token *drawn, size_t count);

// Which tokens may come: one by one, and all at once as bit t of mask[t / 32], [ceil(n_vocabulary / 32)].
struct sampler_filter {
    bool (*allows)(void *context, tern_token token);
    tern_status (*mask)(void *context, uint32_t *mask, int32_t n_vocabulary);
    void *context;
};

// As sampler_sample(), but for a token that the filter allows. Draws from the distribution that sampler_sample() draws
// from, restricted to what is allowed; if none of its tokens is, from all allowed tokens, truncated anew. Errors: those
// of filter->mask(); INVALID (it allows nothing).
tern_status sampler_sample_allowed(struct sampler *sampler, const float *logits, const tern_token *recent,
                                   size_t n_recent, const struct sampler_filter *filter, tern_token *out);

#endif
