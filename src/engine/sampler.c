#include "engine/sampler.h"

#include "base/elementary.h"
#include "base/half.h"
#include "engine/softmax.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64, // logits whose highest tells whether one of them need be looked at
    LANES = 16, // that a compiler makes vectors of; BLOCK is a multiple
};

// A token that may still be drawn. Candidates stand in rank order: highest logit first, lowest id of equals first.
struct candidate {
    uint32_t key; // ascending with falling logit, see sort_key()
    tern_token id;
    double weight; // not normalised: exp of the distance to the best logit over the temperature; the best one has 1
};

struct sampler {
    tern_sampling options; // bias arrays owned
    int32_t n_vocabulary;
    uint64_t random;      // state of splitmix64
    float *logits;        // [n_vocabulary] after bias and penalties
    float *highest;       // [ceil(n_vocabulary / BLOCK)] of each BLOCK logits
    int32_t *seen;        // [n_vocabulary] times a token appears in the window; all zero between calls
    int32_t *drawn_times; // [n_vocabulary] that sampler_count() counted; NULL: it was never called
    tern_token *drawn;    // [n_drawn] which those are, each once
    int32_t n_drawn;
    struct candidate *candidates; // [n_vocabulary]
    struct candidate *scratch;    // [n_vocabulary]
    int32_t n_candidates;
    bool all_ranked; // false: further tokens may be drawn that rank behind all candidates
    uint32_t *mask;  // [ceil(n_vocabulary / 32)] of a filter
};

static int32_t count_blocks(int32_t n_vocabulary)
{
    return (n_vocabulary + BLOCK - 1) / BLOCK;
}

static size_t mask_words(int32_t n_vocabulary)
{
    return ((size_t)n_vocabulary + 31) / 32;
}

// ---- Options ----------------------------------------------------------------------------------------------------

static tern_status check_range(const char *field, float value, float low, float high)
{
    if (value >= low && value <= high) return TERN_OK; // false for NaN
    return status_fail(TERN_INVALID, "sampling: %s is %g, expected %g to %g", field, (double)value, (double)low,
                       (double)high);
}

static tern_status check_bias(const tern_sampling *s, int32_t n_vocabulary)
{
    if (s->n_bias > (size_t)n_vocabulary)
        return status_fail(TERN_INVALID, "sampling: %zu biases for a vocabulary of %d tokens", s->n_bias,
                           (int)n_vocabulary);
    if (s->n_bias > 0 && (s->bias_tokens == NULL || s->bias_values == NULL))
        return status_fail(TERN_INVALID, "sampling: n_bias is %zu, but bias_tokens or bias_values is NULL", s->n_bias);
    for (size_t i = 0; i < s->n_bias; i++) {
        if (s->bias_tokens[i] < 0 || s->bias_tokens[i] >= n_vocabulary)
            return status_fail(TERN_INVALID, "sampling: bias for token %d, the vocabulary has tokens 0 to %d",
                               (int)s->bias_tokens[i], (int)n_vocabulary - 1);
        if (isnan(s->bias_values[i]))
            return status_fail(TERN_INVALID, "sampling: the bias of token %d is not a number", (int)s->bias_tokens[i]);
    }
    return TERN_OK;
}

static tern_status check_options(const tern_sampling *s, int32_t n_vocabulary)
{
    TRY(check_range("temperature", s->temperature, 0, 100));
    TRY(check_range("top_p", s->top_p, 0, 1));
    TRY(check_range("min_p", s->min_p, 0, 1));
    TRY(check_range("typical_p", s->typical_p, 0, 1));
    TRY(check_range("repetition_penalty", s->repetition_penalty, 0.01f, 100));
    TRY(check_range("presence_penalty", s->presence_penalty, -100, 100));
    TRY(check_range("frequency_penalty", s->frequency_penalty, -100, 100));
    if (s->top_k < 0) return status_fail(TERN_INVALID, "sampling: top_k is %d, expected 0 (all) or more", s->top_k);
    if (s->penalty_window < -1)
        return status_fail(TERN_INVALID, "sampling: penalty_window is %d, expected -1 (all) or more",
                           s->penalty_window);
    return check_bias(s, n_vocabulary);
}

static void *copy_array(const void *source, size_t bytes)
{
    void *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy != NULL && bytes > 0) memcpy(copy, source, bytes);
    return copy;
}

tern_status sampler_open(const tern_sampling *sampling, int32_t n_vocabulary, struct sampler **out)
{
    *out = NULL;
    TRY(check_options(sampling, n_vocabulary));
    struct sampler *s = calloc(1, sizeof *s);
    if (s == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a sampler");
    size_t n = (size_t)n_vocabulary, n_bias = sampling->n_bias;
    s->options = *sampling;
    s->n_vocabulary = n_vocabulary;
    s->random = sampling->seed;
    s->options.bias_tokens = copy_array(sampling->bias_tokens, n_bias * sizeof *sampling->bias_tokens);
    s->options.bias_values = copy_array(sampling->bias_values, n_bias * sizeof *sampling->bias_values);
    s->logits = malloc(n * sizeof *s->logits);
    s->highest = malloc((size_t)count_blocks(n_vocabulary) * sizeof *s->highest);
    s->seen = calloc(n, sizeof *s->seen);
    s->candidates = malloc(n * sizeof *s->candidates);
    s->scratch = malloc(n * sizeof *s->scratch);
    s->mask = malloc(mask_words(n_vocabulary) * sizeof *s->mask);
    if (s->options.bias_tokens == NULL || s->options.bias_values == NULL || s->logits == NULL || s->highest == NULL ||
        s->seen == NULL || s->candidates == NULL || s->scratch == NULL || s->mask == NULL) {
        sampler_close(s);
        return status_fail(TERN_NO_MEMORY, "no memory to sample from %d tokens", (int)n_vocabulary);
    }
    *out = s;
    return TERN_OK;
}

void sampler_close(struct sampler *s)
{
    if (s == NULL) return;
    free((void *)s->options.bias_tokens);
    free((void *)s->options.bias_values);
    free(s->logits);
    free(s->highest);
    free(s->seen);
    free(s->drawn_times);
    free(s->drawn);
    free(s->candidates);
    free(s->scratch);
    free(s->mask);
    free(s);
}

// ---- Bias and penalties -----------------------------------------------------------------------------------------

// A copy in which every logit can be compared: NaN and too small become -infinity, +infinity the largest float, and
// there is one zero only.
static void copy_logits(struct sampler *s, const float *logits)
{
    for (int32_t i = 0; i < s->n_vocabulary; i++) {
        float x = logits[i];
        s->logits[i] = x > FLT_MAX ? FLT_MAX : x >= -FLT_MAX ? x + 0.0f : -INFINITY;
    }
}

static float add_finite(float x, float y)
{
    float sum = x + y;
    return isnan(sum) ? -INFINITY : sum > FLT_MAX ? FLT_MAX : sum;
}

static void apply_bias(struct sampler *s)
{
    for (size_t i = 0; i < s->options.n_bias; i++) {
        float *logit = &s->logits[s->options.bias_tokens[i]];
        *logit = add_finite(*logit, s->options.bias_values[i]);
    }
}

// Keskar et al. 2019 (CTRL).
static float penalise_repetition(const tern_sampling *options, float logit)
{
    return logit > 0 ? logit / options->repetition_penalty : logit * options->repetition_penalty;
}

// The sum that the OpenAI API defines.
static float penalise_times(const tern_sampling *options, float logit, int32_t times)
{
    return add_finite(logit, -(options->presence_penalty + options->frequency_penalty * (float)times));
}

static void penalise_recent(struct sampler *s, const tern_token *recent, size_t n_recent)
{
    const tern_sampling *o = &s->options;
    size_t window = o->penalty_window < 0 ? n_recent : (size_t)o->penalty_window;
    if (window < n_recent) {
        recent += n_recent - window;
        n_recent = window;
    }
    for (size_t i = 0; i < n_recent; i++)
        if (recent[i] >= 0 && recent[i] < s->n_vocabulary) s->seen[recent[i]]++;
    for (size_t i = 0; i < n_recent; i++) {
        if (recent[i] < 0 || recent[i] >= s->n_vocabulary || s->seen[recent[i]] == 0) continue;
        float *logit = &s->logits[recent[i]];
        *logit = penalise_repetition(o, *logit);
        if (s->drawn_times == NULL) *logit = penalise_times(o, *logit, s->seen[recent[i]]);
        s->seen[recent[i]] = 0;
    }
}

static void penalise_drawn(struct sampler *s)
{
    for (int32_t i = 0; i < s->n_drawn; i++) {
        float *logit = &s->logits[s->drawn[i]];
        *logit = penalise_times(&s->options, *logit, s->drawn_times[s->drawn[i]]);
    }
}

static bool has_count_penalty(const struct sampler *s)
{
    return s->options.presence_penalty != 0 || s->options.frequency_penalty != 0;
}

static void apply_penalties(struct sampler *s, const tern_token *recent, size_t n_recent)
{
    if (s->options.repetition_penalty == 1 && !has_count_penalty(s)) return;
    penalise_recent(s, recent, n_recent);
    penalise_drawn(s);
}

static tern_status open_counts(struct sampler *s)
{
    const size_t n = (size_t)s->n_vocabulary;
    s->drawn = malloc(n * sizeof *s->drawn);
    s->drawn_times = calloc(n, sizeof *s->drawn_times);
    if (s->drawn != NULL && s->drawn_times != NULL) return TERN_OK;
    return status_fail(TERN_NO_MEMORY, "no memory to count %d tokens", (int)s->n_vocabulary);
}

tern_status sampler_count(struct sampler *s, const tern_token *drawn, size_t count)
{
    if (!has_count_penalty(s)) return TERN_OK;
    if (s->drawn_times == NULL) TRY(open_counts(s));
    for (size_t i = 0; i < count; i++)
        if (s->drawn_times[drawn[i]]++ == 0) s->drawn[s->n_drawn++] = drawn[i];
    return TERN_OK;
}

// ---- Ranking ----------------------------------------------------------------------------------------------------

static int32_t block_end(const struct sampler *s, int32_t block)
{
    int32_t end = (block + 1) * BLOCK;
    return end < s->n_vocabulary ? end : s->n_vocabulary;
}

static float highest_of(const float *x, int32_t n)
{
    float most[LANES];
    int32_t i = 0;
    for (int j = 0; j < LANES; j++)
        most[j] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
    for (; i < n; i++)
        most[0] = x[i] > most[0] ? x[i] : most[0];
    for (int j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static void fill_highest(struct sampler *s)
{
    for (int32_t b = 0; b < count_blocks(s->n_vocabulary); b++)
        s->highest[b] = highest_of(s->logits + b * BLOCK, block_end(s, b) - b * BLOCK);
}

static tern_token highest_logit(struct sampler *s)
{
    fill_highest(s);
    int32_t block = 0;
    for (int32_t b = 1; b < count_blocks(s->n_vocabulary); b++)
        if (s->highest[b] > s->highest[block]) block = b;
    tern_token best = block * BLOCK;
    while (s->logits[best] != s->highest[block])
        best++;
    return best;
}

// Unsigned integers that ascend as floats fall: flip what makes IEEE bits ascend with the value, inverted.
static uint32_t sort_key(float x)
{
    uint32_t bits = half_to_bits32(x);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

enum { RADIX_BITS = 11, RADIX_BUCKETS = 1 << RADIX_BITS };

// Adds up how many of the blocks' highest logits have keys that begin with `prefix`, by the RADIX_BITS that follow it
// down to bit `shift`.
static void count_blocks_by_key(const struct sampler *s, uint64_t prefix, int shift, int32_t count[RADIX_BUCKETS])
{
    memset(count, 0, RADIX_BUCKETS * sizeof *count);
    for (int32_t b = 0; b < count_blocks(s->n_vocabulary); b++) {
        const uint64_t key = sort_key(s->highest[b]);
        if (key >> (shift + RADIX_BITS) == prefix) count[key >> shift & (RADIX_BUCKETS - 1)]++;
    }
}

// A key that the highest logits of at least `wanted` blocks, and so those of at least `wanted` tokens, do not pass; the
// least such one but for its last bits. The largest of all if there are fewer blocks.
static uint32_t key_bound(const struct sampler *s, int32_t wanted)
{
    int32_t count[RADIX_BUCKETS], before = 0;
    uint64_t prefix = 0;
    int shift = 32;
    while (shift >= RADIX_BITS) {
        shift -= RADIX_BITS;
        count_blocks_by_key(s, prefix, shift, count);
        uint64_t bucket = 0;
        while (before + count[bucket] < wanted && bucket < RADIX_BUCKETS - 1)
            before += count[bucket++];
        prefix = prefix << RADIX_BITS | bucket;
    }
    return (uint32_t)((prefix + 1) << shift) - 1;
}

// Stable, from the low bits up: equal keys keep their ascending ids.
static void radix_sort(struct sampler *s)
{
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        int32_t start[RADIX_BUCKETS + 1] = {0};
        for (int32_t i = 0; i < s->n_candidates; i++)
            start[(s->candidates[i].key >> shift & (RADIX_BUCKETS - 1)) + 1]++;
        for (int32_t b = 0; b < RADIX_BUCKETS; b++)
            start[b + 1] += start[b];
        for (int32_t i = 0; i < s->n_candidates; i++)
            s->scratch[start[s->candidates[i].key >> shift & (RADIX_BUCKETS - 1)]++] = s->candidates[i];
        struct candidate *sorted = s->scratch;
        s->scratch = s->candidates;
        s->candidates = sorted;
    }
}

// Fills candidates with the `wanted` highest finite logits (0: all) in rank order. The highest of each block tell
// which blocks can have one; only what those hold is sorted.
static void rank_candidates(struct sampler *s, int32_t wanted)
{
    if (wanted == 0 || wanted > s->n_vocabulary) wanted = s->n_vocabulary;
    fill_highest(s);
    const uint32_t bound = key_bound(s, wanted);

    s->n_candidates = 0;
    for (int32_t b = 0; b < count_blocks(s->n_vocabulary); b++) {
        if (sort_key(s->highest[b]) > bound) continue;
        for (int32_t i = b * BLOCK; i < block_end(s, b); i++) {
            uint32_t key = sort_key(s->logits[i]);
            if (key <= bound && s->logits[i] > -INFINITY)
                s->candidates[s->n_candidates++] = (struct candidate){.key = key, .id = i};
        }
    }
    radix_sort(s);
    s->all_ranked = s->n_candidates <= wanted;
    if (s->n_candidates > wanted) s->n_candidates = wanted;
}

// ---- Filters: each keeps at least one candidate, and rank order ---------------------------------------------------

// ln of a candidate's weight.
static double log_weight(const struct sampler *s, const struct candidate *c)
{
    return ((double)s->logits[c->id] - (double)s->logits[s->candidates[0].id]) / (double)s->options.temperature;
}

static void weigh_candidates(struct sampler *s)
{
    for (int32_t i = 0; i < s->n_candidates; i++)
        s->candidates[i].weight = elementary_exp(log_weight(s, &s->candidates[i]));
}

static double total_weight(const struct sampler *s)
{
    double total = 0;
    for (int32_t i = 0; i < s->n_candidates; i++)
        total += s->candidates[i].weight;
    return total;
}

static int compare_weight(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_id(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

// Writes to scratch, for each candidate, its rank (as id) and how far its surprise -ln p lies from the expected one,
// the entropy (as weight), nearest first.
static void sort_by_typicality(struct sampler *s, double total)
{
    double log_total = elementary_log(total), entropy = 0;
    for (int32_t i = 0; i < s->n_candidates; i++) {
        double surprise = log_total - log_weight(s, &s->candidates[i]);
        entropy += s->candidates[i].weight / total * surprise;
    }
    for (int32_t i = 0; i < s->n_candidates; i++) {
        double surprise = log_total - log_weight(s, &s->candidates[i]);
        s->scratch[i] = (struct candidate){.id = i, .weight = fabs(surprise - entropy)};
    }
    qsort(s->scratch, (size_t)s->n_candidates, sizeof *s->scratch, compare_weight);
}

// Meister et al. 2022, "Locally Typical Sampling".
static void keep_typical(struct sampler *s)
{
    if (s->options.typical_p >= 1) return;
    double total = total_weight(s), wanted = (double)s->options.typical_p * total, sum = 0;
    sort_by_typicality(s, total);
    int32_t kept = 0;
    do {
        sum += s->candidates[s->scratch[kept++].id].weight;
    } while (sum < wanted && kept < s->n_candidates);

    qsort(s->scratch, (size_t)kept, sizeof *s->scratch, compare_id);
    for (int32_t i = 0; i < kept; i++) // ranks ascend, so nothing is overwritten before it is read
        s->candidates[i] = s->candidates[s->scratch[i].id];
    s->n_candidates = kept;
}

// Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
static void keep_top_p(struct sampler *s, double total)
{
    if (s->options.top_p >= 1) return;
    double wanted = (double)s->options.top_p * total, sum = 0;
    int32_t kept = 0;
    do {
        sum += s->candidates[kept++].weight;
    } while (sum < wanted && kept < s->n_candidates);
    s->n_candidates = kept;
}

static void keep_min_p(struct sampler *s)
{
    double bound = (double)s->options.min_p * s->candidates[0].weight;
    while (s->n_candidates > 1 && s->candidates[s->n_candidates - 1].weight < bound)
        s->n_candidates--;
}

// ---- Drawing ----------------------------------------------------------------------------------------------------

// splitmix64 (Steele, Lea, Flood 2014), the top 53 bits as a number in [0, 1).
static double draw_uniform(struct sampler *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

// The token at which the sum of weights passes `target`; -1: none of the candidates.
static tern_token candidate_at(const struct sampler *s, double target)
{
    double sum = 0;
    for (int32_t i = 0; i < s->n_candidates; i++) {
        sum += s->candidates[i].weight;
        if (sum > target) return s->candidates[i].id;
    }
    return -1;
}

static tern_token draw_candidate(struct sampler *s)
{
    tern_token token = candidate_at(s, draw_uniform(s) * total_weight(s));
    return token >= 0 ? token : s->candidates[0].id; // rounding brought the target up to the total, or all weigh 0
}

enum {
    FIRST_RANKED = 256, // candidates that are tried where all tokens may be drawn: these are likely to be enough
};

// As weigh_candidates(), by the function that totals are made of, in a fraction of the time.
static void weigh_quickly(struct sampler *s)
{
    float most = s->n_candidates > 0 ? s->logits[s->candidates[0].id] : 0;
    for (int32_t i = 0; i < s->n_candidates; i++)
        s->candidates[i].weight = (double)softmax_weight(s->logits[s->candidates[i].id], most, s->options.temperature);
}

static bool ranks_behind(const struct sampler *s, tern_token token, const struct candidate *c)
{
    float x = s->logits[token], y = s->logits[c->id];
    return x < y || (x == y && token > c->id);
}

// The token behind the candidates, in ascending order of ids, at which the sum of weights passes `target`; -1: none.
static tern_token unranked_at(const struct sampler *s, double target)
{
    const struct candidate *last = &s->candidates[s->n_candidates - 1];
    float most = s->logits[s->candidates[0].id];
    double sum = total_weight(s);
    for (tern_token i = 0; i < s->n_vocabulary; i++) {
        if (!ranks_behind(s, i, last)) continue;
        sum += (double)softmax_weight(s->logits[i], most, s->options.temperature);
        if (sum > target) return i;
    }
    return -1;
}

// Without truncation: down the first ranks, then through all others, to where the sum of weights passes its mark.
static tern_token draw_untruncated(struct sampler *s, double total)
{
    double target = draw_uniform(s) * total;
    tern_token token = candidate_at(s, target);
    if (token < 0 && !s->all_ranked) token = unranked_at(s, target);
    return token >= 0 ? token : s->candidates[0].id;
}

// From all tokens, where no top_k says how many need be ranked. The total of all weights tells whether the first ones
// are enough.
static tern_token draw_from_all(struct sampler *s)
{
    const tern_sampling *o = &s->options;
    rank_candidates(s, FIRST_RANKED);
    weigh_quickly(s);
    if (s->n_candidates == 0) return 0;
    double least = s->candidates[s->n_candidates - 1].weight, total = 0;
    if (o->top_p < 1 || o->min_p == 0)
        total = softmax_total(s->logits, s->n_vocabulary, s->logits[s->candidates[0].id], o->temperature);
    if (o->top_p >= 1 && o->min_p == 0) return draw_untruncated(s, total);

    bool enough = (o->top_p < 1 && total_weight(s) >= (double)o->top_p * total) || least < (double)o->min_p;
    if (!enough && !s->all_ranked) {
        rank_candidates(s, 0);
        weigh_quickly(s);
    }
    keep_top_p(s, total);
    keep_min_p(s);
    s->all_ranked = true; // all that may be drawn, that is
    return draw_candidate(s);
}

// Ranks, truncates and draws from s->logits.
static tern_token draw_token(struct sampler *s)
{
    if (s->options.top_k == 0 && s->options.typical_p >= 1) return draw_from_all(s);
    rank_candidates(s, s->options.top_k);
    s->all_ranked = true;
    if (s->n_candidates == 0) return 0;
    weigh_candidates(s);
    keep_typical(s);
    keep_top_p(s, total_weight(s));
    keep_min_p(s);
    return draw_candidate(s);
}

tern_token sampler_sample(struct sampler *s, const float *logits, const tern_token *recent, size_t n_recent)
{
    copy_logits(s, logits);
    apply_bias(s);
    apply_penalties(s, recent, n_recent);
    return s->options.temperature == 0 ? highest_logit(s) : draw_token(s);
}

// ---- Filters that the caller brings

enum {
    MOST_ASKED = 64, // candidates that are asked for one by one: a mask asks for the whole vocabulary
};

static bool mask_allows(const uint32_t *mask, tern_token token)
{
    return (mask[token / 32] >> (token % 32) & 1) != 0;
}

// Keeps the candidates that are allowed, in rank order.
static tern_status keep_allowed(struct sampler *s, const struct sampler_filter *filter)
{
    bool ask = s->n_candidates <= MOST_ASKED;
    if (!ask) TRY(filter->mask(filter->context, s->mask, s->n_vocabulary));
    int32_t kept = 0;
    for (int32_t i = 0; i < s->n_candidates; i++) {
        tern_token id = s->candidates[i].id;
        if (ask ? filter->allows(filter->context, id) : mask_allows(s->mask, id))
            s->candidates[kept++] = s->candidates[i];
    }
    s->n_candidates = kept;
    return TERN_OK;
}

// From all allowed tokens, where no candidate was.
static tern_status draw_masked(struct sampler *s, const struct sampler_filter *filter, tern_token *out)
{
    TRY(filter->mask(filter->context, s->mask, s->n_vocabulary));
    tern_token first = -1;
    for (tern_token i = s->n_vocabulary - 1; i >= 0; i--) {
        if (mask_allows(s->mask, i))
            first = i;
        else
            s->logits[i] = -INFINITY;
    }
    if (first < 0) return status_fail(TERN_INVALID, "no token is allowed to come next");
    *out = s->options.temperature == 0 ? highest_logit(s) : draw_token(s);
    if (!mask_allows(s->mask, *out)) *out = first; // all that are allowed have a logit of -infinity
    return TERN_OK;
}

// Most answers mostly go the way they must, so the first draw is made as if anything were allowed and then looked at.
// That is exact: with p(t) what sampler_sample() draws from and Z the sum of p over allowed tokens, an allowed t comes
// out with p(t) in the first draw, and with (1 - Z) p(t) / Z in the second: in all p(t) (Z + 1 - Z) / Z = p(t) / Z.
tern_status sampler_sample_allowed(struct sampler *s, const float *logits, const tern_token *recent, size_t n_recent,
                                   const struct sampler_filter *filter, tern_token *out)
{
    *out = sampler_sample(s, logits, recent, n_recent);
    if (filter->allows(filter->context, *out)) return TERN_OK;
    if (s->options.temperature == 0)
        rank_candidates(s, MOST_ASKED);
    else if (!s->all_ranked)
        return draw_masked(s, filter, out);
    TRY(keep_allowed(s, filter));
    if (s->n_candidates == 0) return draw_masked(s, filter, out);
    *out = s->options.temperature == 0 ? s->candidates[0].id : draw_candidate(s);
    return TERN_OK;
}
