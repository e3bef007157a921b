// One seed, one answer: the same logits, bit for bit, whatever computes them.
//
//     identity MODEL.gguf [HASH [f16|q8_0|q4_0]]
//
// Runs a fixed row of tokens through the model with every kernel table that this CPU has, with 1, 2 and 3 threads, as
// one prompt, token by token and split in several ways, beside a second sequence in the same batch, with loose and
// dense tiles, and compares all logits by memcmp. Prints their 64-bit FNV-1a hash; a HASH given must be equal, which is
// how machines are compared. The last word is how keys and values are kept, each with its own hash. Needs nothing above
// src/model/, so that it can be cross-built and run under an emulator.
#include "kernel/kernel.h"
#include "model/decoder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// More than one block of 64 positions, and no multiple of any tile.
enum { N_TOKENS = 83, MAX_CHUNKS = 128 };

struct setup {
    tern_kv_type kv_type;
    const char *kernels;
    int threads;
    const char *name;
    int chunk; // tokens in a batch; 0: sizes that vary
    bool twin; // a second sequence of other tokens shares every batch
    bool dense_tiles;
};

static tern_token token_at(int i, int32_t n_vocabulary, int sequence)
{
    return (tern_token)(((uint32_t)i * 2654435761U + (uint32_t)sequence * 40503U + 12345U) % (uint32_t)n_vocabulary);
}

static int chunk_at(const struct setup *setup, int n)
{
    static const int SIZES[] = {1, 2, 3, 5, 8, 17, 31, 16};
    int size = setup->chunk > 0 ? setup->chunk : SIZES[n % 8];
    return size;
}

// All logits of the sequence: [N_TOKENS][n_vocabulary].
static tern_status compute(const struct gguf_file *file, const struct setup *setup, float *logits)
{
    struct config config;
    struct device *device;
    struct weights *weights;
    struct decoder *decoder;
    struct kv_cache *cache[2];
    TRY(config_read(file, &config));
    struct device_options options = {
        .threads = setup->threads, .kernels = setup->kernels, .dense_tiles = setup->dense_tiles};
    TRY(device_open(&options, &device));
    TRY(weights_load(file, &config, device, NULL, NULL, &weights));
    TRY(decoder_open(&config, weights, &decoder));
    for (int s = 0; s < 2; s++) {
        TRY(kv_cache_open(&config, setup->kv_type, N_TOKENS, &cache[s]));
        TRY(kv_cache_reserve(cache[s], N_TOKENS));
    }
    for (int done = 0, n = 0; done < N_TOKENS; n++) {
        struct decoder_row rows[2 * N_TOKENS];
        int32_t n_rows = 0, size = chunk_at(setup, n);
        if (size > N_TOKENS - done) size = N_TOKENS - done;
        for (int s = setup->twin ? 1 : 0; s >= 0; s--)
            for (int i = done; i < done + size; i++)
                rows[n_rows++] =
                    (struct decoder_row){.token = token_at(i, config.n_vocabulary, s),
                                         .position = i,
                                         .cache = cache[s],
                                         .logits = s == 0 ? logits + (size_t)i * (size_t)config.n_vocabulary : NULL};
        TRY(decoder_forward(decoder, rows, n_rows));
        done += size;
    }
    for (int s = 0; s < 2; s++)
        kv_cache_close(cache[s]);
    decoder_close(decoder);
    weights_free(weights);
    device_close(device);
    return TERN_OK;
}

static uint64_t hash_bytes(const void *data, size_t size)
{
    uint64_t hash = 14695981039346656037U;
    for (const uint8_t *p = data; size > 0; p++, size--)
        hash = (hash ^ *p) * 1099511628211U;
    return hash;
}

static int compare_setups(const struct gguf_file *file, const char *path, const char *expected, tern_kv_type type)
{
    struct config config;
    if (config_read(file, &config) != TERN_OK) return 1;
    size_t size = (size_t)N_TOKENS * (size_t)config.n_vocabulary * sizeof(float);
    float *first = malloc(size), *other = malloc(size);
    int n_tables, failed = first == NULL || other == NULL;
    const struct kernels *const *tables = kernel_tables(&n_tables);
    struct cpu_features cpu = cpu_detect();
    bool have_first = false;

    for (int t = 0; t < n_tables && !failed; t++) {
        if (kernel_select(&cpu, tables[t]->name) == NULL) continue;
        const char *name = tables[t]->name;
        struct setup setups[] = {
            {type, name, 1, "prompt", N_TOKENS, false, false},
            {type, name, 1, "token by token", 1, false, false},
            {type, name, 2, "prompt", N_TOKENS, false, false},
            {type, name, 2, "token by token", 1, false, false},
            {type, name, 3, "prompt in parts", 0, false, false},
            {type, name, 3, "prompt beside another", N_TOKENS, true, false},
            {type, name, 2, "tokens beside another's", 1, true, false},
            {type, name, 2, "parts beside another's", 0, true, false},
            {type, name, 2, "prompt, dense tiles", N_TOKENS, false, true},
            {type, name, 2, "token by token, dense tiles", 1, false, true},
            {type, name, 3, "parts beside another's, dense tiles", 0, true, true},
        };
        for (size_t i = 0; i < sizeof setups / sizeof *setups && !failed; i++) {
            float *logits = have_first ? other : first;
            memset(logits, 0xff, size);
            failed = compute(file, &setups[i], logits) != TERN_OK;
            if (failed) {
                fprintf(stderr, "%s\n", status_message());
            } else if (have_first && memcmp(first, other, size) != 0) {
                fprintf(stderr, "%s: %s, %d threads, %s: logits differ from the first run's\n", path, name,
                        setups[i].threads, setups[i].name);
                failed = 1;
            }
            have_first = true;
        }
    }
    char hash[17] = "";
    if (!failed) snprintf(hash, sizeof hash, "%016" PRIx64, hash_bytes(first, size));
    if (!failed) printf("%s  %s\n", hash, path);
    if (!failed && expected != NULL && strcmp(hash, expected) != 0) {
        fprintf(stderr, "%s: the logits' hash is %s, expected %s\n", path, hash, expected);
        failed = 1;
    }
    free(first);
    free(other);
    return failed;
}

static bool parse_type(const char *word, tern_kv_type *out)
{
    static const char *const words[] = {"f16", "q8_0", "q4_0"};
    for (int type = TERN_KV_F16; type <= TERN_KV_Q4_0; type++) {
        *out = (tern_kv_type)type;
        if (strcmp(word, words[type]) == 0) return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    tern_kv_type type = TERN_KV_F16;
    if (argc < 2 || argc > 4 || (argc > 3 && !parse_type(argv[3], &type))) {
        fprintf(stderr, "usage: identity MODEL.gguf [HASH [f16|q8_0|q4_0]]\n");
        return 2;
    }
    struct gguf_file *file;
    if (gguf_open(argv[1], &file) != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    int failed = compare_setups(file, argv[1], argc > 2 ? argv[2] : NULL, type);
    gguf_close(file);
    return failed;
}
