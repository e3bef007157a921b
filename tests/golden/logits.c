// Logits of small models against an independent implementation's.
//
//     logits ANSWERS.json NAME MODEL.gguf [int8|f32]
//
// tiny.json: one model in every type, by llama.cpp. decoder.json: every architecture, by llama.cpp (golden_decoder.py).
// With f32 activations, and for f16 and f32 models always, what differs is the order of sums. With int8 activations
// llama.cpp and tern round in groups of their own (32 or 256 elements there, 128 here), and two roundings differ by
// more than either differs from exact arithmetic: llama.cpp's own answers for the same trits in two types are up to
// 0.074 apart, with a root mean square of 0.023. The highest logit must have the same token where it leads by more than
// the tolerance.
#include "model/decoder.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 256 };

static const double TOLERANCE_F32 = 0.005, TOLERANCE_INT8 = 0.06;

// Prints and counts a comparison that fails.
static int check(bool ok, const char *what, int position, double found, double expected)
{
    if (!ok) fprintf(stderr, "position %d: %s is %.5f, expected %.5f\n", position, what, found, expected);
    return !ok;
}

static int compare_position(const json_t *known, const float *logits, int32_t n_vocabulary, double tolerance,
                            double *largest)
{
    int failed = 0, position = (int)json_integer_value(json_object_get(known, "position"));
    const json_t *top = json_object_get(known, "top"), *first = json_object_get(known, "first");
    char what[64];

    for (size_t i = 0; i < json_array_size(first); i++) {
        double expected = json_number_value(json_array_get(first, i)), found = (double)logits[i];
        snprintf(what, sizeof what, "logit %zu", i);
        failed += check(fabs(found - expected) <= tolerance, what, position, found, expected);
        *largest = fmax(*largest, fabs(found - expected));
    }
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *pair = json_array_get(top, i);
        json_int_t id = json_integer_value(json_array_get(pair, 0));
        double expected = json_number_value(json_array_get(pair, 1)), found = (double)logits[id];
        snprintf(what, sizeof what, "logit %d, the top's number %zu,", (int)id, i + 1);
        failed += check(fabs(found - expected) <= tolerance, what, position, found, expected);
        *largest = fmax(*largest, fabs(found - expected));
    }

    int32_t best = 0;
    double squares = 0;
    for (int32_t i = 0; i < n_vocabulary; i++) {
        squares += (double)logits[i] * (double)logits[i];
        if (logits[i] > logits[best]) best = i;
    }
    const json_t *winner = json_array_get(top, 0), *second = json_array_get(top, 1);
    double lead = json_number_value(json_array_get(winner, 1)) - json_number_value(json_array_get(second, 1));
    int32_t expected_best = (int32_t)json_integer_value(json_array_get(winner, 0));
    if (lead > tolerance) failed += check(best == expected_best, "the top token", position, best, expected_best);
    double expected_squares = json_number_value(json_object_get(known, "sum_of_squares"));
    failed +=
        check(fabs(squares / expected_squares - 1) < 0.01, "the sum of squares", position, squares, expected_squares);
    return failed;
}

// Logits of all tokens: malloc'd, [n][n_vocabulary].
static tern_status compute(const char *path, bool f32, const tern_token *tokens, int n, int32_t *n_vocabulary,
                           float **out)
{
    struct gguf_file *file;
    struct config config;
    struct device *device;
    struct weights *weights;
    struct decoder *decoder;
    struct kv_cache *cache;
    struct decoder_row rows[MAX_TOKENS];
    TRY(gguf_open(path, &file));
    TRY(config_read(file, &config));
    TRY(device_open(&(struct device_options){.f32_activations = f32}, &device));
    TRY(weights_load(file, &config, device, NULL, NULL, &weights));
    TRY(decoder_open(&config, weights, &decoder));
    TRY(kv_cache_open(&config, TERN_KV_F16, n, &cache));
    TRY(kv_cache_reserve(cache, n));
    *n_vocabulary = config.n_vocabulary;
    *out = malloc((size_t)n * (size_t)config.n_vocabulary * sizeof **out);
    if (*out == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %d rows of logits", n);
    for (int i = 0; i < n; i++)
        rows[i] = (struct decoder_row){.token = tokens[i],
                                       .position = i,
                                       .cache = cache,
                                       .logits = *out + (size_t)i * (size_t)config.n_vocabulary};
    TRY(decoder_forward(decoder, rows, n));
    kv_cache_close(cache);
    decoder_close(decoder);
    weights_free(weights);
    device_close(device);
    gguf_close(file);
    return TERN_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: logits ANSWERS.json NAME MODEL.gguf [int8|f32]\n");
        return 2;
    }
    json_error_t error;
    json_t *known = json_load_file(argv[1], 0, &error);
    const json_t *positions = json_object_get(json_object_get(known, "models"), argv[2]);
    const json_t *ids = json_object_get(known, "tokens");
    int n = (int)json_array_size(ids);
    if (json_array_size(positions) == 0 || n < 1 || n > MAX_TOKENS) {
        fprintf(stderr, "%s: no known answers for %s\n", argv[1], argv[2]);
        return 1;
    }
    tern_token tokens[MAX_TOKENS];
    for (int i = 0; i < n; i++)
        tokens[i] = (tern_token)json_integer_value(json_array_get(ids, (size_t)i));

    int32_t n_vocabulary;
    float *logits;
    bool f32 = argc > 4 && strcmp(argv[4], "f32") == 0;
    if (compute(argv[3], f32, tokens, n, &n_vocabulary, &logits) != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    int failed = 0;
    double largest = 0, tolerance = f32 || strcmp(argv[2], "f16") == 0 ? TOLERANCE_F32 : TOLERANCE_INT8;
    for (size_t i = 0; i < json_array_size(positions); i++) {
        const json_t *position = json_array_get(positions, i);
        json_int_t p = json_integer_value(json_object_get(position, "position"));
        failed += compare_position(position, logits + p * n_vocabulary, n_vocabulary, tolerance, &largest);
    }
    printf("%s: largest difference %.4f on %zu positions, %d comparisons failed\n", argv[2], largest,
           json_array_size(positions), failed);
    free(logits);
    json_decref(known);
    return failed != 0;
}
