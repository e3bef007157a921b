// What rounding activations costs, and where: one model with exact activations against itself with those of some
// matrices rounded in other ways than kernels do. docs/checking.md has figures from it.
//
//     cmake --build build/release --target rounding
//     build/release/tests/rounding MODEL.gguf TEXT CHUNKS WAY...
//
// A WAY is PLACE:BITS:GROUP[,...]: activations that go into the matrices of PLACE (qkv, output, gate, down, head or
// all) are rounded to BITS bits with one scale for each GROUP of them; "all:8:128" is what tern does for ternary
// weights, "all:8:32" for most others. With a fourth number the scale with the smallest squared error is taken among
// so many, each 2 % below the one before.
#include "engine/model.h"
#include "eval/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QKV, OUTPUT, GATE, DOWN, HEAD, N_PLACES, MAX_GROUP = 1024, MAX_TEXT = 16 << 20 };

static const char *const names[N_PLACES] = {"qkv", "output", "gate", "down", "head"};

struct way {
    int bits; // 0: exact
    int group, scales;
};

struct rounding {
    const struct weights *weights;
    struct way ways[N_PLACES];
};

static int place_of(const struct weights *weights, const struct weight *weight)
{
    for (int i = 0; i < weights->n_layers; i++) {
        const struct layer *l = &weights->layers[i];
        if (weight == l->q || weight == l->k || weight == l->v) return QKV;
        if (weight == l->attn_output) return OUTPUT;
        if (weight == l->gate || weight == l->up) return GATE;
        if (weight == l->down) return DOWN;
    }
    return HEAD;
}

// Squared error of n values rounded to multiples of `scale`, at most `most` of them.
static float round_group(const float *x, int n, float scale, float most, float *out)
{
    float error = 0;
    for (int i = 0; i < n; i++) {
        float steps = scale > 0 ? rintf(x[i] / scale) : 0;
        out[i] = fmaxf(-most, fminf(most, steps)) * scale;
        error += (out[i] - x[i]) * (out[i] - x[i]);
    }
    return error;
}

static void round_best(float *x, int n, const struct way *way)
{
    float most = (float)((1 << (way->bits - 1)) - 1), largest = 0, best[MAX_GROUP], other[MAX_GROUP];
    for (int i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    float least = round_group(x, n, largest / most, most, best);
    for (int i = 1; i < way->scales; i++) {
        float error = round_group(x, n, largest / most * (1 - 0.02f * (float)i), most, other);
        if (error >= least) continue;
        least = error;
        memcpy(best, other, (size_t)n * sizeof *best);
    }
    memcpy(x, best, (size_t)n * sizeof *x);
}

// Rounds where it should only look: the decoder makes its activations anew for each product that this sees.
static void observe(void *context, const struct weight *weight, const float *x, int64_t n_rows, int64_t columns)
{
    const struct rounding *rounding = context;
    const struct way *way = &rounding->ways[place_of(rounding->weights, weight)];
    if (way->bits == 0) return;
    float *row = (float *)(uintptr_t)x;
    for (int64_t r = 0; r < n_rows; r++, row += columns)
        for (int64_t i = 0; i < columns; i += way->group)
            round_best(row + i, (int)(columns - i < way->group ? columns - i : way->group), way);
}

static bool read_way(char *text, struct way ways[N_PLACES])
{
    memset(ways, 0, N_PLACES * sizeof *ways);
    for (char *part = strtok(text, ","); part != NULL; part = strtok(NULL, ",")) {
        char name[16];
        struct way way = {.scales = 1};
        bool known = false;
        int n = sscanf(part, "%15[^:]:%d:%d:%d", name, &way.bits, &way.group, &way.scales);
        if (n < 3 || way.bits < 2 || way.bits > 24 || way.group < 1 || way.group > MAX_GROUP) return false;
        for (int i = 0; i < N_PLACES; i++) {
            if (strcmp(name, names[i]) != 0 && strcmp(name, "all") != 0) continue;
            ways[i] = way;
            known = true;
        }
        if (!known) return false;
    }
    return true;
}

static tern_status measure(tern_model *model, tern_model *exact, const struct chunks *chunks, const char *text)
{
    struct rounding rounding = {.weights = model->weights};
    struct evaluation evaluation;
    struct summary summary;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    if (!read_way(copy, rounding.ways)) return status_fail(TERN_INVALID, "%s: not PLACE:BITS:GROUP,...", text);
    device_observe(model->device, observe, &rounding);
    TRY(evaluate(&(struct evaluate_options){.chunks = chunks, .a = {.model = exact}, .b = {.model = model}},
                 &evaluation));
    TRY(summarise(&evaluation, &summary));
    printf("%-40s divergence %.3e +/- %.0e, same top token %.2f +/- %.2f %%\n", text, summary.divergence.mean,
           summary.divergence.error, 100 * summary.same_top.mean, 100 * summary.same_top.error);
    fflush(stdout);
    evaluation_free(&evaluation);
    return TERN_OK;
}

static tern_status read_chunks(const char *path, int64_t most, const tern_model *model, struct chunks *out)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(MAX_TEXT);
    if (file == NULL || text == NULL) return status_fail(TERN_IO, "%s: cannot be read", path);
    size_t length = fread(text, 1, MAX_TEXT, file);
    fclose(file);
    if (length > 0 && text[length - 1] == '\n') length--;
    tern_status status = chunks_make(model->tokenizer, text, length, CHUNKS_CONTEXT, most, out);
    free(text);
    return status;
}

static tern_status measure_all(char **argv, int n_ways)
{
    tern_model *model, *exact;
    struct chunks chunks;
    tern_model_options options = {.f32_activations = true};
    TRY(tern_model_open(argv[1], &options, &model));
    TRY(tern_model_open(argv[1], &options, &exact));
    TRY(read_chunks(argv[2], atoi(argv[3]), exact, &chunks));
    for (int i = 0; i < n_ways; i++)
        TRY(measure(model, exact, &chunks, argv[4 + i]));
    chunks_free(&chunks);
    tern_model_close(exact);
    tern_model_close(model);
    return TERN_OK;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: rounding MODEL.gguf TEXT CHUNKS WAY...\n");
        return 2;
    }
    if (measure_all(argv, argc - 4) == TERN_OK) return 0;
    fprintf(stderr, "%s\n", tern_last_error());
    return 1;
}
