// The small real model's greedy answers against llama.cpp's (greedy.json, made by golden_greedy.py).
//
//     greedy ANSWERS.json MODEL.gguf
//
// Reads each prompt and llama.cpp's answer as one text and asks at every step for the highest logit. It must be
// llama.cpp's token, except where that one led the second by less than the two programs' roundings of activations to
// int8 are apart. Without the model's file it says so and is skipped (exit code 77).
#include "model/decoder.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_TOKENS = DECODER_MAX_ROWS, SKIPPED = 77 };

// Leads below this may be overturned. llama.cpp's logits are themselves 0.26 (root mean square) away from unrounded
// arithmetic on these texts, and tern's about as far in another direction.
static const double ROUNDING = 0.5;

struct running {
    struct gguf_file *file;
    struct config config;
    struct device *device;
    struct weights *weights;
    struct decoder *decoder;
    float *logits; // [MAX_TOKENS][n_vocabulary]
};

static tern_status start(const char *path, struct running *r)
{
    TRY(gguf_open(path, &r->file));
    TRY(config_read(r->file, &r->config));
    TRY(device_open(&(struct device_options){0}, &r->device));
    TRY(weights_load(r->file, &r->config, r->device, NULL, NULL, &r->weights));
    TRY(decoder_open(&r->config, r->weights, &r->decoder));
    r->logits = malloc(sizeof(float) * MAX_TOKENS * (size_t)r->config.n_vocabulary);
    return r->logits != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for logits");
}

static void stop(struct running *r)
{
    free(r->logits);
    decoder_close(r->decoder);
    weights_free(r->weights);
    device_close(r->device);
    gguf_close(r->file);
}

static tern_status forward(struct running *r, const tern_token *tokens, int n)
{
    struct decoder_row rows[MAX_TOKENS];
    struct kv_cache *cache;
    TRY(kv_cache_open(&r->config, TERN_KV_F16, n, &cache));
    tern_status status = kv_cache_reserve(cache, n);
    for (int i = 0; i < n; i++)
        rows[i] = (struct decoder_row){.token = tokens[i],
                                       .position = i,
                                       .cache = cache,
                                       .logits = r->logits + (size_t)i * (size_t)r->config.n_vocabulary};
    if (status == TERN_OK) status = decoder_forward(r->decoder, rows, n);
    kv_cache_close(cache);
    return status;
}

static tern_token best(const struct running *r, int row)
{
    const float *logits = r->logits + (size_t)row * (size_t)r->config.n_vocabulary;
    tern_token best = 0;
    for (tern_token i = 1; i < r->config.n_vocabulary; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

struct tally {
    int steps, equal, close, wrong;
    double largest; // lead of llama.cpp's token at a step where tern chose another
};

static int append(const json_t *list, tern_token *tokens, int n)
{
    for (size_t i = 0; i < json_array_size(list) && n < MAX_TOKENS; i++)
        tokens[n++] = (tern_token)json_integer_value(json_array_get(list, i));
    return n;
}

static tern_status compare(struct running *r, const json_t *known, struct tally *tally)
{
    tern_token tokens[MAX_TOKENS];
    const json_t *answer = json_object_get(known, "answer"), *leads = json_object_get(known, "lead");
    int prompt = append(json_object_get(known, "tokens"), tokens, 0), n = append(answer, tokens, prompt);
    TRY(forward(r, tokens, n));
    for (int i = prompt; i < n; i++) {
        double lead = json_number_value(json_array_get(leads, (size_t)(i - prompt)));
        tally->steps++;
        if (best(r, i - 1) == tokens[i]) {
            tally->equal++;
            continue;
        }
        if (lead > tally->largest) tally->largest = lead;
        if (lead < ROUNDING) {
            tally->close++;
            continue;
        }
        tally->wrong++;
        fprintf(stderr, "\"%s\", step %d: token %d, expected %d, which led by %.3f\n",
                json_string_value(json_object_get(known, "prompt")), i - prompt, best(r, i - 1), tokens[i], lead);
    }
    return TERN_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: greedy ANSWERS.json MODEL.gguf\n");
        return 2;
    }
    if (access(argv[2], R_OK) != 0) {
        printf("%s is not there: skipped (make run fetches it)\n", argv[2]);
        return SKIPPED;
    }
    json_error_t error;
    json_t *known = json_load_file(argv[1], 0, &error);
    const json_t *answers = json_object_get(known, "answers");
    struct running r = {0};
    struct tally tally = {0};
    tern_status status = start(argv[2], &r);
    for (size_t i = 0; status == TERN_OK && i < json_array_size(answers); i++)
        status = compare(&r, json_array_get(answers, i), &tally);
    if (status != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    printf("%d steps: %d equal, %d closer than rounding (largest lead overturned %.3f), %d wrong\n", tally.steps,
           tally.equal, tally.close, tally.largest, tally.wrong);
    stop(&r);
    json_decref(known);
    return tally.wrong > 0 || tally.steps == 0;
}
