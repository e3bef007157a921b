// The sampler against an independent implementation (tests/tools/golden_sampler.py), and where a table cannot reach:
// impossible options, logits that are no numbers, determinism, time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/sampler.h"

enum { MAX_KEPT = 64, MAX_RECENT = 8, MAX_BIAS = 4 };

struct sampler_case {
    const char *name;
    float temperature, top_p, min_p, typical_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int top_k, penalty_window;
    uint64_t seed;
    size_t n_recent, n_bias;
    tern_token recent[MAX_RECENT];
    tern_token bias_tokens[MAX_BIAS];
    float bias_values[MAX_BIAS];
    int n_kept;
    tern_token kept[MAX_KEPT];   // that may be drawn, most likely first
    float probability[MAX_KEPT]; // of these
    tern_token draws[24];        // the first ones
};

#include "engine_sampler_table.h"

static tern_sampling case_options(const struct sampler_case *c)
{
    return (tern_sampling){
        .temperature = c->temperature,
        .top_k = c->top_k,
        .top_p = c->top_p,
        .min_p = c->min_p,
        .typical_p = c->typical_p,
        .repetition_penalty = c->repetition_penalty,
        .presence_penalty = c->presence_penalty,
        .frequency_penalty = c->frequency_penalty,
        .penalty_window = c->penalty_window,
        .seed = c->seed,
        .bias_tokens = c->bias_tokens,
        .bias_values = c->bias_values,
        .n_bias = c->n_bias,
    };
}

static struct sampler *open_sampler(const tern_sampling *options, int32_t n_vocabulary)
{
    struct sampler *sampler;
    if (sampler_open(options, n_vocabulary, &sampler) != TERN_OK) fail_msg("%s", status_message());
    return sampler;
}

static tern_sampling plain_options(void)
{
    return (tern_sampling){.temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .penalty_window = -1};
}

static void draws_equal_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sampler_case *c = &cases[i];
        tern_sampling options = case_options(c);
        struct sampler *sampler = open_sampler(&options, N_VOCABULARY);
        for (int d = 0; d < N_DRAWS; d++) {
            tern_token token = sampler_sample(sampler, test_logits, c->recent, c->n_recent);
            if (token != c->draws[d])
                fail_msg("%s: draw %d is %d, expected %d", c->name, d, (int)token, (int)c->draws[d]);
        }
        sampler_close(sampler);
    }
}

// Over many draws, exactly the kept tokens come, as often as they should (within five standard deviations).
static void frequencies_equal_the_table(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sampler_case *c = &cases[i];
        tern_sampling options = case_options(c);
        struct sampler *sampler = open_sampler(&options, N_VOCABULARY);
        double expected[N_VOCABULARY] = {0};
        int count[N_VOCABULARY] = {0};
        for (int k = 0; k < c->n_kept; k++)
            expected[c->kept[k]] = (double)c->probability[k];
        for (int d = 0; d < DRAWS; d++)
            count[sampler_sample(sampler, test_logits, c->recent, c->n_recent)]++;
        for (int t = 0; t < N_VOCABULARY; t++) {
            double p = expected[t], deviation = sqrt(p * (1 - p) / DRAWS);
            if (fabs((double)count[t] / DRAWS - p) > 5 * deviation + 1e-6)
                fail_msg("%s: token %d came %d times of %d, expected %.1f", c->name, t, count[t], DRAWS, p * DRAWS);
        }
        sampler_close(sampler);
    }
}

static void temperature_zero_takes_the_lowest_of_the_best(void **state)
{
    (void)state;
    tern_sampling options = plain_options();
    options.temperature = 0;
    const float logits[5] = {1, 3, -2, 3, 0};
    struct sampler *sampler = open_sampler(&options, 5);
    assert_int_equal(sampler_sample(sampler, logits, NULL, 0), 1);
    sampler_close(sampler);

    tern_token bias_token = 4;
    float bias = 3.5f;
    options.bias_tokens = &bias_token;
    options.bias_values = &bias;
    options.n_bias = 1;
    sampler = open_sampler(&options, 5);
    assert_int_equal(sampler_sample(sampler, logits, NULL, 0), 4);
    sampler_close(sampler);
}

static void odd_logits_do_no_harm(void **state)
{
    (void)state;
    const float odd[6] = {NAN, -INFINITY, 1, NAN, 1, -INFINITY}, nothing[6] = {NAN, -INFINITY, NAN, NAN, NAN, NAN};
    const float infinite[6] = {0, INFINITY, 0, INFINITY, -INFINITY, NAN}, zeros[6] = {-0.0f, 0.0f, -1, -1, -1, -1};
    tern_sampling options = plain_options();
    struct sampler *sampler = open_sampler(&options, 6);
    for (int i = 0; i < 200; i++) {
        tern_token token = sampler_sample(sampler, odd, NULL, 0);
        assert_true(token == 2 || token == 4);
        token = sampler_sample(sampler, infinite, NULL, 0);
        assert_true(token == 1 || token == 3);
        assert_int_equal(sampler_sample(sampler, nothing, NULL, 0), 0);
    }
    sampler_close(sampler);

    options.top_k = 1; // the two zeros are equal: the lower id
    sampler = open_sampler(&options, 6);
    assert_int_equal(sampler_sample(sampler, zeros, NULL, 0), 0);
    sampler_close(sampler);
}

static void recent_tokens_out_of_range_are_passed_over(void **state)
{
    (void)state;
    const float logits[3] = {2, 1.5f, 0};
    const tern_token recent[4] = {-1, 0, 3, INT32_MAX};
    tern_sampling options = plain_options();
    options.temperature = 0;
    options.presence_penalty = 1;
    struct sampler *sampler = open_sampler(&options, 3);
    assert_int_equal(sampler_sample(sampler, logits, recent, 4), 1);
    assert_int_equal(sampler_sample(sampler, logits, recent, 1), 0); // nothing is left over from the last call
    sampler_close(sampler);
}

// Repetition is of the recent tokens, presence and frequency are of those that were counted.
static void an_answers_own_tokens_are_counted(void **state)
{
    (void)state;
    const float logits[4] = {2, 1.5f, 1, 0};
    const tern_token prompt[3] = {0, 0, 1}, drawn[3] = {1, 2, 1};
    tern_sampling options = plain_options();
    options.temperature = 0;
    options.presence_penalty = 0.25f;
    options.frequency_penalty = 1;
    struct sampler *sampler = open_sampler(&options, 4);
    assert_int_equal(sampler_sample(sampler, logits, prompt, 3), 2);
    assert_int_equal(sampler_count(sampler, NULL, 0), TERN_OK);
    assert_int_equal(sampler_sample(sampler, logits, prompt, 3), 0);
    const tern_token two_of_0[2] = {0, 0};
    assert_int_equal(sampler_count(sampler, two_of_0, 2), TERN_OK); // 2 - 2.25
    assert_int_equal(sampler_sample(sampler, logits, prompt, 3), 1);
    assert_int_equal(sampler_count(sampler, drawn, 3), TERN_OK); // 1.5 - 2.25, 1 - 1.25
    assert_int_equal(sampler_sample(sampler, logits, prompt, 3), 3);
    sampler_close(sampler);

    options.repetition_penalty = 4; // 0 is recent and not counted, 1 is counted and not recent
    sampler = open_sampler(&options, 4);
    assert_int_equal(sampler_count(sampler, drawn, 1), TERN_OK);
    assert_int_equal(sampler_sample(sampler, logits, prompt, 2), 2); // 2 / 4, 1.5 - 1.25, 1
    sampler_close(sampler);
}

static void expect_refused(tern_sampling options, const char *message)
{
    struct sampler *sampler;
    assert_int_equal(sampler_open(&options, 8, &sampler), TERN_INVALID);
    assert_null(sampler);
    assert_string_equal(status_message(), message);
}

static void impossible_options_are_named(void **state)
{
    (void)state;
    tern_sampling o = plain_options();
    o.temperature = -1;
    expect_refused(o, "sampling: temperature is -1, expected 0 to 100");
    o = plain_options();
    o.top_p = NAN;
    expect_refused(o, "sampling: top_p is nan, expected 0 to 1");
    o = plain_options();
    o.min_p = 1.5f;
    expect_refused(o, "sampling: min_p is 1.5, expected 0 to 1");
    o = plain_options();
    o.repetition_penalty = 0;
    expect_refused(o, "sampling: repetition_penalty is 0, expected 0.01 to 100");
    o = plain_options();
    o.top_k = -1;
    expect_refused(o, "sampling: top_k is -1, expected 0 (all) or more");
    o = plain_options();
    o.penalty_window = -2;
    expect_refused(o, "sampling: penalty_window is -2, expected -1 (all) or more");
    o = plain_options();
    const tern_token token = 8;
    float value = 1;
    o.bias_tokens = &token;
    o.bias_values = &value;
    o.n_bias = 1;
    expect_refused(o, "sampling: bias for token 8, the vocabulary has tokens 0 to 7");
    value = NAN;
    const tern_token good = 7;
    o.bias_tokens = &good;
    expect_refused(o, "sampling: the bias of token 7 is not a number");
    o.bias_values = NULL;
    expect_refused(o, "sampling: n_bias is 1, but bias_tokens or bias_values is NULL");
}

// ---- Filters

struct allowed {
    uint32_t mask; // of tokens 0..31
    int asked, masked;
};

static bool allows(void *context, tern_token token)
{
    struct allowed *a = context;
    a->asked++;
    return token < 32 && (a->mask >> token & 1) != 0;
}

static tern_status fill_mask(void *context, uint32_t *mask, int32_t n_vocabulary)
{
    struct allowed *a = context;
    a->masked++;
    memset(mask, 0, ((size_t)n_vocabulary + 31) / 32 * sizeof *mask);
    mask[0] = a->mask;
    return TERN_OK;
}

static tern_token sample_allowed(struct sampler *sampler, const float *logits, struct allowed *allowed)
{
    tern_token token = -1;
    struct sampler_filter filter = {.allows = allows, .mask = fill_mask, .context = allowed};
    assert_int_equal(sampler_sample_allowed(sampler, logits, NULL, 0, &filter, &token), TERN_OK);
    assert_true(token >= 0 && token < 32 && (allowed->mask >> token & 1) != 0);
    return token;
}

// Every case of the table, with half of its tokens allowed: what may be drawn comes as often as its probability says,
// divided by that of all that are allowed.
static void filtered_frequencies_are_exact(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sampler_case *c = &cases[i];
        if (c->n_recent > 0) continue;
        tern_sampling options = case_options(c);
        struct allowed allowed = {0};
        double share = 0, expected[N_VOCABULARY] = {0};
        int count[N_VOCABULARY] = {0};
        for (int k = 0; k < c->n_kept; k += 2) {
            if (c->kept[k] >= 32) continue;
            allowed.mask |= 1u << c->kept[k];
            share += (double)c->probability[k];
            expected[c->kept[k]] = (double)c->probability[k];
        }
        struct sampler *sampler = open_sampler(&options, N_VOCABULARY);
        for (int d = 0; d < DRAWS && share > 0; d++)
            count[sample_allowed(sampler, test_logits, &allowed)]++;
        for (int t = 0; t < N_VOCABULARY && share > 0; t++) {
            double p = expected[t] / share, deviation = sqrt(p * (1 - p) / DRAWS);
            if (fabs((double)count[t] / DRAWS - p) > 5 * deviation + 1e-6)
                fail_msg("%s: token %d came %d times of %d, expected %.1f", c->name, t, count[t], DRAWS, p * DRAWS);
        }
        sampler_close(sampler);
    }
}

static void allowed_tokens_come_even_if_all_others_are_likelier(void **state)
{
    (void)state;
    enum { N = 200 };
    float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = (float)i;
    logits[2] = NAN;
    tern_sampling options = plain_options();
    const float temperatures[2] = {0, 0.5f};
    for (int i = 0; i < 2; i++) {
        options.temperature = temperatures[i];
        options.top_k = 5;
        struct sampler *sampler = open_sampler(&options, N);
        struct allowed allowed = {.mask = 1u << 3 | 1u << 2 | 1u << 20};
        assert_int_equal(sample_allowed(sampler, logits, &allowed), 20);
        allowed.mask = 1u << 2; // of no likelihood at all, but the only one
        assert_int_equal(sample_allowed(sampler, logits, &allowed), 2);
        tern_token token;
        struct sampler_filter filter = {.allows = allows, .mask = fill_mask, .context = &allowed};
        allowed.mask = 0;
        assert_int_equal(sampler_sample_allowed(sampler, logits, NULL, 0, &filter, &token), TERN_INVALID);
        assert_string_equal(status_message(), "no token is allowed to come next");
        sampler_close(sampler);
    }
}

// The whole vocabulary is asked for only where it must be, and a first draw that is allowed is that without a filter.
static void filters_are_asked_little(void **state)
{
    (void)state;
    float logits[32] = {[4] = 9, [5] = 8, [6] = 7};
    tern_sampling options = plain_options();
    options.temperature = 0;
    struct sampler *sampler = open_sampler(&options, 32);
    struct allowed allowed = {.mask = 1u << 4};
    assert_int_equal(sample_allowed(sampler, logits, &allowed), 4);
    assert_int_equal(allowed.asked, 1);
    allowed.mask = 1u << 6;
    assert_int_equal(sample_allowed(sampler, logits, &allowed), 6);
    assert_int_equal(allowed.masked, 0);
    sampler_close(sampler);

    options.temperature = 1;
    struct sampler *plain = open_sampler(&options, 32);
    sampler = open_sampler(&options, 32);
    allowed.mask = UINT32_MAX;
    for (int i = 0; i < 100; i++)
        assert_int_equal(sample_allowed(sampler, logits, &allowed), sampler_sample(plain, logits, NULL, 0));
    sampler_close(sampler);
    sampler_close(plain);
}

// Falls steeply at first, then slowly.
static void fill_steep(float *logits, int n)
{
    uint32_t random = 3;
    for (int i = 0; i < n; i++) {
        random = random * 1664525u + 1013904223u;
        float x = (float)(random >> 8) * 0x1p-24f;
        logits[i] = 12 * x * x * x * x - 3;
    }
}

// Where no top_k says how many tokens to rank, only as many are as it takes. The draws are those of ranking all, which
// a top_k of the whole vocabulary does.
static void ranking_few_draws_as_ranking_all(void **state)
{
    (void)state;
    enum { N = 5000, DRAWS = 300 };
    static const struct {
        float temperature, top_p, min_p;
    } settings[] = {{1, 0.9f, 0}, {1, 1, 0.02f}, {1, 0.99f, 0.001f}, {3, 0.95f, 0.01f}, {3, 0.95f, 0}, {0.3f, 1, 0}};
    static float logits[N];
    fill_steep(logits, N);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        tern_sampling options = plain_options();
        options.temperature = settings[i].temperature;
        options.top_p = settings[i].top_p;
        options.min_p = settings[i].min_p;
        struct sampler *few = open_sampler(&options, N);
        options.top_k = N;
        struct sampler *all = open_sampler(&options, N);
        for (int d = 0; d < DRAWS; d++)
            assert_int_equal(sampler_sample(few, logits, NULL, 0), sampler_sample(all, logits, NULL, 0));
        sampler_close(few);
        sampler_close(all);
    }
}

// Without any truncation each token comes as often as it should, those behind the first ranks too: counted in groups of
// 100 ids, for which there are draws enough.
static void untruncated_frequencies_are_exact(void **state)
{
    (void)state;
    enum { N = 5000, GROUP = 100, DRAWS = 40000 };
    static float logits[N];
    double expected[N / GROUP] = {0}, total = 0;
    int count[N / GROUP] = {0};
    fill_steep(logits, N);
    for (int i = 0; i < N; i++)
        total += exp((double)logits[i]);
    for (int i = 0; i < N; i++)
        expected[i / GROUP] += exp((double)logits[i]) / total;
    tern_sampling options = plain_options();
    struct sampler *sampler = open_sampler(&options, N);
    for (int d = 0; d < DRAWS; d++)
        count[sampler_sample(sampler, logits, NULL, 0) / GROUP]++;
    for (int g = 0; g < N / GROUP; g++) {
        double p = expected[g], deviation = sqrt(p * (1 - p) / DRAWS);
        if (fabs((double)count[g] / DRAWS - p) > 5 * deviation)
            fail_msg("group %d came %d times, expected %.1f", g, count[g], p * DRAWS);
    }
    sampler_close(sampler);
}

// Where any token may be drawn, only the likeliest are ranked; an allowed one may lie behind them.
static void filters_reach_the_tail(void **state)
{
    (void)state;
    enum { N = 3000, DRAWS = 20000 };
    static float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = (float)i * 0.001f;
    logits[0] = 1.8f; // behind 1,200 others
    logits[1] = 2.8f; // before all but 200
    tern_sampling options = plain_options();
    struct sampler *sampler = open_sampler(&options, N);
    struct allowed allowed = {.mask = 3};
    int ones = 0;
    for (int d = 0; d < DRAWS; d++)
        ones += sample_allowed(sampler, logits, &allowed) == 1;
    double p = exp(1) / (1 + exp(1)), deviation = sqrt(p * (1 - p) / DRAWS);
    assert_true(fabs((double)ones / DRAWS - p) < 5 * deviation);
    sampler_close(sampler);
}

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

// A fast path that goes quadratic would take seconds here; the bound leaves room for sanitizers and busy machines.
static void a_large_vocabulary_takes_little_time(void **state)
{
    (void)state;
    enum { LARGE = 151936, DRAWS = 20 };
    float *logits = malloc(LARGE * sizeof *logits);
    assert_non_null(logits);
    uint32_t random = 1;
    for (int i = 0; i < LARGE; i++) {
        random = random * 1664525u + 1013904223u;
        logits[i] = (float)(random >> 8) * 0x1p-20f - 8;
    }
    tern_sampling options = plain_options();
    options.top_p = 0.95f;
    const int top_k[2] = {40, 0};
    for (int k = 0; k < 2; k++) {
        options.top_k = top_k[k];
        struct sampler *sampler = open_sampler(&options, LARGE);
        double start = milliseconds();
        for (int i = 0; i < DRAWS; i++)
            sampler_sample(sampler, logits, NULL, 0);
        double each = (milliseconds() - start) / DRAWS;
        print_message("top_k %d of %d tokens: %.2f ms a draw\n", top_k[k], LARGE, each);
        assert_true(each < 100);
        sampler_close(sampler);
    }
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_equal_the_table),
        cmocka_unit_test(frequencies_equal_the_table),
        cmocka_unit_test(temperature_zero_takes_the_lowest_of_the_best),
        cmocka_unit_test(odd_logits_do_no_harm),
        cmocka_unit_test(recent_tokens_out_of_range_are_passed_over),
        cmocka_unit_test(an_answers_own_tokens_are_counted),
        cmocka_unit_test(impossible_options_are_named),
        cmocka_unit_test(filtered_frequencies_are_exact),
        cmocka_unit_test(allowed_tokens_come_even_if_all_others_are_likelier),
        cmocka_unit_test(filters_are_asked_little),
        cmocka_unit_test(ranking_few_draws_as_ranking_all),
        cmocka_unit_test(untruncated_frequencies_are_exact),
        cmocka_unit_test(filters_reach_the_tail),
        cmocka_unit_test(a_large_vocabulary_takes_little_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
