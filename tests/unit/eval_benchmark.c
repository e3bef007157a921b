// Files of measurements: written, read, broken, compared, drawn.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval/benchmark_chart.h"

enum { ROUNDS = 5, MOST_CASES = 16 };

// A case whose rounds are `rate` and four others within 2 % of it.
static struct samples rates_around(double rate)
{
    struct samples s = {0};
    for (int i = 0; i < ROUNDS; i++)
        samples_add(&s, rate * (1 + 0.01 * (i * 2 % ROUNDS - 2)));
    return s;
}

static struct benchmark_case *add(struct benchmark *b, enum benchmark_test test, int32_t tokens, int32_t depth,
                                  double rate)
{
    assert_true(b->n_cases < MOST_CASES);
    struct benchmark_case *c = &b->cases[b->n_cases++];
    *c = (struct benchmark_case){.test = test, .tokens = tokens, .depth = depth, .streams = 1, .threads = 2};
    c->rates = rates_around(rate);
    return c;
}

static void make(struct benchmark *b, double speed)
{
    *b = (struct benchmark){.version = "0.1.0",
                            .date = "2026-01-02T03:04:05Z",
                            .cpu = "A \"processor\" & more",
                            .kernels = "avx2",
                            .processors = 4,
                            .cores = 2,
                            .nodes = 1,
                            .memory = 8e9,
                            .peak_resident = 1e9,
                            .energy = "no meter",
                            .rounds = ROUNDS,
                            .n_models = 1};
    b->models[0] = (struct benchmark_model){.file = "m<1>.gguf",
                                            .name = "M",
                                            .architecture = "qwen3",
                                            .type = "PQ2_0",
                                            .file_bytes = 4e8,
                                            .weight_bytes = 4.5e8,
                                            .load_seconds = 0.5};
    b->cases = calloc(MOST_CASES, sizeof *b->cases);
    assert_non_null(b->cases);
    add(b, BENCHMARK_STREAM, 0, 0, 3e10);
    add(b, BENCHMARK_PREFILL, 512, 0, 200 * speed);
    struct benchmark_case *decode = add(b, BENCHMARK_DECODE, 128, 0, 50 * speed);
    decode->bytes = 4.6e8;
    decode->shares = rates_around(0.8);
    decode->joules = rates_around(0.3);
    decode->busy = rates_around(0.7);
    add(b, BENCHMARK_DECODE, 128, 4096, 40 * speed)->kv_type = TERN_KV_Q8_0;
    add(b, BENCHMARK_DECODE, 128, 0, 200 * speed)->streams = 8;
}

static void assert_same_samples(const struct samples *a, const struct samples *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        assert_true(fabs(a->values[i] / b->values[i] - 1) < 1e-8);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct benchmark b, again;
    make(&b, 1);
    struct benchmark_case *left_out = add(&b, BENCHMARK_DECODE, 7, 9, 1);
    *left_out = (struct benchmark_case){.test = BENCHMARK_DECODE, .streams = 1, .was_left_out = true};
    strcpy(left_out->why_left_out, "too long");
    char *text = benchmark_to_json(&b);
    assert_non_null(text);
    assert_int_equal(benchmark_from_json("a.json", text, strlen(text), &again), TERN_OK);
    assert_string_equal(again.cpu, b.cpu);
    assert_string_equal(again.kernels, b.kernels);
    assert_string_equal(again.date, b.date);
    assert_string_equal(again.energy, b.energy);
    assert_string_equal(again.models[0].file, b.models[0].file);
    assert_true(again.models[0].weight_bytes == b.models[0].weight_bytes && again.peak_resident == b.peak_resident);
    assert_int_equal(again.rounds, ROUNDS);
    assert_int_equal(again.n_cases, b.n_cases);
    for (int i = 0; i < b.n_cases; i++) {
        const struct benchmark_case *x = &b.cases[i], *y = &again.cases[i];
        assert_int_equal(x->test, y->test);
        assert_int_equal(x->threads, y->threads);
        assert_int_equal(x->tokens, y->tokens);
        assert_int_equal(x->depth, y->depth);
        if (x->test != BENCHMARK_STREAM) assert_int_equal(x->streams, y->streams);
        assert_int_equal(x->kv_type, y->kv_type);
        assert_string_equal(x->why_left_out, y->why_left_out);
        assert_int_equal(x->was_left_out, y->was_left_out);
        assert_same_samples(&x->rates, &y->rates);
        assert_same_samples(&x->shares, &y->shares);
        assert_same_samples(&x->joules, &y->joules);
        assert_same_samples(&x->busy, &y->busy);
    }
    free(text);
    benchmark_free(&b);
    benchmark_free(&again);
}

static void what_others_took_is_a_median_of_medians(void **state)
{
    (void)state;
    struct benchmark b;
    make(&b, 1);
    assert_true(fabs(benchmark_busy(&b) - 0.7) < 1e-12);
    b.cases[1].busy = rates_around(0.9);
    assert_true(fabs(benchmark_busy(&b) - 0.8) < 1e-12);
    b.n_cases = 1;
    assert_true(benchmark_busy(&b) == 0);
    benchmark_free(&b);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
#define HEAD  "{\"format\": \"tern-bench\", \"format_version\": 1, \"models\": [{}], \"cases\": ["
#define FRONT "{\"test\": \"decode\", \"model\": 0, \"kv_type\": \"f16\", \"tokens_per_second\": {\"values\": "
    static const struct {
        const char *text, *message;
    } broken[] = {
        {"", "x.json: line 1: '[' or '{' expected near end of file"},
        {"[]", "x.json: not what 'tern bench --json' writes: no \"format\": \"tern-bench\""},
        {"{\"format\": \"tern-bench\", \"format_version\": 2}", "x.json: version 2 of the format, expected 1"},
        {HEAD "]}", "x.json: 0 cases, expected 1 to 65536"},
        {HEAD "{}]}", "x.json: case 1: \"test\" is not stream, prefill or decode"},
        {HEAD "7]}", "x.json: case 1: \"test\" is not stream, prefill or decode"},
        {HEAD "{\"test\": \"decode\", \"model\": 1}]}", "x.json: case 1: \"model\" is 1, there are 1 models"},
        {HEAD "{\"test\": \"decode\", \"kv_type\": 7}]}", "x.json: case 1: \"kv_type\" is not f16, q8_0 or q4_0"},
        {HEAD FRONT "[1, 0]}}]}", "x.json: case 1: value 2 of tokens_per_second is not a number above 0"},
        {HEAD FRONT "[\"1\"]}}]}", "x.json: case 1: value 1 of tokens_per_second is not a number above 0"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct benchmark b;
        assert_int_equal(benchmark_from_json("x.json", broken[i].text, strlen(broken[i].text), &b), TERN_BAD_FILE);
        assert_string_equal(status_message(), broken[i].message);
        benchmark_free(&b);
    }
}

static void too_many_values_are_refused(void **state)
{
    (void)state;
    struct buffer text = {0};
    struct benchmark b;
    assert_int_equal(buffer_append_string(&text, HEAD FRONT "[1"), TERN_OK);
    for (int i = 0; i < SAMPLES_MAX; i++)
        assert_int_equal(buffer_append_string(&text, ", 1"), TERN_OK);
    assert_int_equal(buffer_append_string(&text, "]}}]}"), TERN_OK);
    assert_int_equal(benchmark_from_json("x", text.data, text.length, &b), TERN_BAD_FILE);
    assert_string_equal(status_message(), "x: case 1: 101 values of tokens_per_second, expected 100 at most");
    benchmark_free(&b);
    buffer_free(&text);
}

static void known_ratios_come_out(void **state)
{
    (void)state;
    struct benchmark a, b;
    struct benchmark_comparison comparison;
    make(&a, 1);
    make(&b, 1.25);
    b.cases[2].depth = 1; // measured something else
    strcpy(b.models[0].file, "renamed.gguf");
    assert_int_equal(benchmark_compare(&a, &b, &comparison), TERN_OK);
    assert_int_equal(comparison.n_pairs, 4);
    assert_int_equal(comparison.only_a, 1);
    assert_int_equal(comparison.only_b, 1);
    static const double expected[] = {1, 1.25, 1.25, 1.25};
    for (int i = 0; i < 4; i++) {
        const struct interval *ratio = &comparison.pairs[i].ratio;
        assert_true(fabs(ratio->middle - expected[i]) < 1e-9);
        assert_true(ratio->low > expected[i] * 0.95 && ratio->high < expected[i] * 1.05);
        assert_int_equal(interval_is_noise(ratio), i == 0);
    }
    assert_int_equal(comparison.pairs[3].a->streams, 8);
    benchmark_comparison_free(&comparison);

    b.cases[1].tokens = 128; // as cases 2 and 4 of A decode
    b.cases[2].depth = 0;
    b.cases[3].kv_type = TERN_KV_F16;
    assert_int_equal(benchmark_compare(&a, &b, &comparison), TERN_OK);
    assert_int_equal(comparison.n_pairs, 3);
    assert_int_equal(comparison.pairs[1].b->test, BENCHMARK_DECODE);
    benchmark_comparison_free(&comparison);

    a.n_models = b.n_models = 2; // now names tell models apart
    assert_int_equal(benchmark_compare(&a, &b, &comparison), TERN_OK);
    assert_int_equal(comparison.n_pairs, 1);
    benchmark_comparison_free(&comparison);
    benchmark_free(&a);
    benchmark_free(&b);
}

// ---- The picture --------------------------------------------------------------------------------------------------

// Elements close in the order in which they opened, attributes are quoted, & and < are escaped. That is as much of XML
// as the charts use.
static void assert_well_formed(const char *text)
{
    char open[32][16];
    int depth = 0;
    for (const char *at = text; *at != '\0';) {
        assert_true(*at != '&' || strncmp(at, "&amp;", 5) == 0 || strncmp(at, "&lt;", 4) == 0 ||
                    strncmp(at, "&gt;", 4) == 0);
        if (*at++ != '<') continue;
        bool closes = *at == '/';
        at += closes;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        assert_true(length > 0 && length < sizeof *open && depth < 31);
        if (closes) {
            assert_true(depth > 0 && strlen(open[depth - 1]) == length && strncmp(open[depth - 1], at, length) == 0);
            depth--;
        } else {
            snprintf(open[depth++], sizeof *open, "%.*s", (int)length, at);
        }
        at += length;
        for (; *at != '>'; at++) {
            assert_true(*at != '\0' && *at != '<');
            if (*at == '"') at = strchr(at + 1, '"');
            assert_non_null(at);
        }
        depth -= !closes && at[-1] == '/';
        at++;
    }
    assert_int_equal(depth, 0);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static void the_chart_is_svg(void **state)
{
    (void)state;
    struct benchmark b;
    struct buffer svg = {0};
    make(&b, 1);
    add(&b, BENCHMARK_DECODE, 128, 8192, 45); // joins the line of depth 0
    assert_int_equal(benchmark_draw(&b, &svg), TERN_OK);
    assert_well_formed(svg.data);
    assert_int_equal(count(svg.data, "<polyline"), 4); // three of decoding, one of prompts
    assert_non_null(strstr(svg.data, "prefers-color-scheme: dark"));
    assert_non_null(strstr(svg.data, "m&lt;1&gt;.gguf, keys and values in f16, 2 threads, 8 streams together"));
    assert_non_null(strstr(svg.data, "keys and values in q8_0"));
    // From the left edge (80) to 8,256 of 10,000 tokens, on a scale that ends at 250 tokens a second.
    assert_non_null(strstr(svg.data, "points=\"85.4,"));
    assert_non_null(strstr(svg.data, " 773.5,"));
    buffer_free(&svg);
    benchmark_free(&b);
}

static void nothing_measured_is_no_chart(void **state)
{
    (void)state;
    struct benchmark b;
    struct buffer svg = {0};
    make(&b, 1);
    b.n_cases = 1; // the stream
    assert_int_equal(benchmark_draw(&b, &svg), TERN_INVALID);
    assert_string_equal(status_message(), "nothing was measured that could be drawn");
    buffer_free(&svg);
    benchmark_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),      cmocka_unit_test(what_others_took_is_a_median_of_medians),
        cmocka_unit_test(broken_files_are_refused),     cmocka_unit_test(too_many_values_are_refused),
        cmocka_unit_test(known_ratios_come_out),        cmocka_unit_test(the_chart_is_svg),
        cmocka_unit_test(nothing_measured_is_no_chart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
