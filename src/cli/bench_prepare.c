#include "cli/bench_state.h"

#include "cli/loading.h"

#include "base/cpu.h"
#include "base/machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int most_of(const struct bench_list *list)
{
    int most = 0;
    for (int i = 0; i < list->count; i++)
        if (list->values[i] > most) most = list->values[i];
    return most;
}

// ---- Machine and models -------------------------------------------------------------------------------------------

// "model name" of /proc/cpuinfo; ARM machines have none.
static void machine_name(char *out, size_t size)
{
    snprintf(out, size, "unknown CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) return;
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        out[strcspn(out, "\n")] = '\0';
        break;
    }
    fclose(file);
}

static void describe_machine(struct bench *b)
{
    struct benchmark *out = b->out;
    struct machine_processors processors = machine_processors("");
    time_t now = time(NULL);
    struct tm utc;
    snprintf(out->version, sizeof out->version, "%s", tern_version());
    strftime(out->date, sizeof out->date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    machine_name(out->cpu, sizeof out->cpu);
    out->processors = processors.allowed;
    out->cores = processors.cores;
    out->nodes = processors.nodes;
    out->memory = (double)cpu_memory_total();
    out->rounds = b->plan->rounds;
    out->f32_activations = b->plan->f32_activations;
    energy_open("", &b->meter);
    if (b->meter.count == 0) snprintf(out->energy, sizeof out->energy, "%s", b->meter.why);
}

// The type that most weights have.
static const char *main_type(const struct gguf_file *file)
{
    uint64_t weights[DTYPE_COUNT] = {0};
    enum dtype best = 0;
    for (uint64_t i = 0; i < file->n_tensors; i++)
        weights[file->tensors[i].type] += file->tensors[i].rows * file->tensors[i].dims[0];
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        if (weights[type] > weights[best]) best = type;
    return dtype_info(best)->name;
}

// The file's name without its folders. Tiles are part of it where they were chosen, and a number where another model
// has the same, so that measurements are told apart.
static void name_model(const tern_model *model, bool tiles_chosen, struct benchmark *b)
{
    struct benchmark_model *out = &b->models[b->n_models];
    const char *slash = strrchr(model->file->path, '/'), *file = slash != NULL ? slash + 1 : model->file->path;
    const char *tiles = tiles_chosen && tern_model_tiles(model) == TERN_TILES_DENSE ? " (dense tiles)" : "";
    int twins = 1;
    snprintf(out->file, sizeof out->file, "%.200s%s", file, tiles);
    for (int32_t i = 0; i < b->n_models; i++)
        if (strcmp(b->models[i].file, out->file) == 0)
            snprintf(out->file, sizeof out->file, "%.200s%s (%d)", file, tiles, ++twins);
}

static void describe_model(const tern_model *model, double load_seconds, struct benchmark_model *out)
{
    snprintf(out->name, sizeof out->name, "%s", tern_model_name(model));
    snprintf(out->architecture, sizeof out->architecture, "%s", tern_model_architecture(model));
    snprintf(out->type, sizeof out->type, "%s", main_type(model->file));
    out->dense_tiles = tern_model_tiles(model) == TERN_TILES_DENSE;
    out->file_bytes = (double)model->file->file_bytes;
    out->weight_bytes = (double)weights_bytes_per_token(model->weights);
    out->load_seconds = load_seconds;
}

int bench_load(struct bench *b)
{
    describe_machine(b);
    for (int i = 0; i < b->plan->n_models; i++) {
        double start = model_clock();
        tern_model **model = &b->subjects[i].model;
        tern_model_options options = {.threads = most_of(&b->plan->threads),
                                      .f32_activations = b->plan->f32_activations,
                                      .tiles = b->plan->tiles[i]};
        int code = loading_open_model(b->plan->models[i], options, model);
        if (code != EXIT_OK) return code;
        name_model(*model, b->plan->tiles_chosen, b->out);
        describe_model(*model, model_clock() - start, &b->out->models[b->out->n_models++]);
    }
    snprintf(b->out->kernels, sizeof b->out->kernels, "%s", tern_model_kernels(b->subjects[0].model));
    return EXIT_OK;
}

static tern_status open_engines(struct bench *b)
{
    for (int t = 0; t < b->plan->threads.count; t++) {
        struct device_options options = {.threads = b->plan->threads.values[t],
                                         .kernels = b->out->kernels,
                                         .f32_activations = b->plan->f32_activations};
        TRY(device_open(&options, &b->lanes[t].device));
        for (int i = 0; i < b->plan->n_models; i++) {
            struct bench_engine *engine = &b->subjects[i].engines[t];
            const tern_model *model = b->subjects[i].model;
            engine->weights = *model->weights;
            engine->weights.device = b->lanes[t].device;
            TRY(decoder_open(&model->config, &engine->weights, &engine->decoder));
        }
    }
    return TERN_OK;
}

static tern_status open_subjects(struct bench *b)
{
    int64_t most = 0;
    tern_sampling sampling = tern_sampling_default();
    for (int i = 0; i < b->plan->n_models; i++) {
        int32_t vocabulary = tern_model_vocabulary(b->subjects[i].model);
        TRY(sampler_open(&sampling, vocabulary, &b->subjects[i].sampler));
        if (vocabulary > most) most = vocabulary;
    }
    most *= most_of(&b->plan->streams);
    b->logits = malloc((size_t)most * sizeof *b->logits);
    return b->logits != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for logits");
}

// ---- Cases --------------------------------------------------------------------------------------------------------

static void leave_out(struct benchmark_case *c, const struct bench *b)
{
    const tern_model *model = b->subjects[c->model].model;
    int64_t context = (int64_t)c->depth + c->tokens;
    uint64_t bytes = kv_cache_bytes(&model->config, c->kv_type, c->depth + c->tokens) * (uint64_t)c->streams;
    uint64_t available = cpu_memory_available();
    c->was_left_out = true;
    if (context > tern_model_context(model))
        snprintf(c->why_left_out, sizeof c->why_left_out, "a context of %lld tokens; the model was trained for 1 to %d",
                 (long long)context, (int)tern_model_context(model));
    else if (available > 0 && bytes > available)
        snprintf(c->why_left_out, sizeof c->why_left_out,
                 "keys and values of %d x %lld tokens take %.2f GiB, %.2f GiB of memory are available", (int)c->streams,
                 (long long)context, (double)bytes / 0x1p30, (double)available / 0x1p30);
    else
        c->was_left_out = false;
}

static void add_case(struct bench *b, struct benchmark_case c)
{
    const tern_model *model = b->subjects[c.model].model;
    double position = (double)kv_cache_bytes(&model->config, c.kv_type, DEVICE_KV_BLOCK) / DEVICE_KV_BLOCK;
    leave_out(&c, b);
    if (c.test == BENCHMARK_DECODE) // the weights are read once for all streams
        c.bytes = b->out->models[c.model].weight_bytes / c.streams + position * (c.depth + (c.tokens + 1) / 2.0);
    b->out->cases[b->out->n_cases++] = c;
}

static void add_cases_of(struct bench *b, struct benchmark_case c)
{
    const struct bench_plan *p = b->plan;
    c.streams = 1;
    c.test = BENCHMARK_PREFILL;
    for (int i = 0; i < p->prompts.count; i++) {
        c.tokens = p->prompts.values[i];
        add_case(b, c);
    }
    c.test = BENCHMARK_DECODE;
    for (int i = 0; i < p->decodes.count; i++) {
        for (int j = 0; j < p->streams.count; j++) {
            c.tokens = p->decodes.values[i];
            c.streams = p->streams.values[j];
            add_case(b, c);
        }
    }
}

static tern_status list_cases(struct bench *b)
{
    const struct bench_plan *p = b->plan;
    int each = p->prompts.count + p->decodes.count * p->streams.count;
    int n = p->threads.count * (1 + p->n_models * p->kv_types.count * p->depths.count * each);
    b->out->cases = calloc((size_t)n, sizeof *b->out->cases);
    if (b->out->cases == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %d cases", n);
    for (int t = 0; t < p->threads.count; t++) {
        b->lanes[t].stream = &b->out->cases[b->out->n_cases++];
        *b->lanes[t].stream =
            (struct benchmark_case){.test = BENCHMARK_STREAM, .threads = device_threads(b->lanes[t].device)};
    }
    for (int m = 0; m < p->n_models; m++)
        for (int t = 0; t < p->threads.count; t++)
            for (int k = 0; k < p->kv_types.count; k++)
                for (int d = 0; d < p->depths.count; d++)
                    add_cases_of(b, (struct benchmark_case){.model = m,
                                                            .threads = b->lanes[t].stream->threads,
                                                            .kv_type = (tern_kv_type)p->kv_types.values[k],
                                                            .depth = p->depths.values[d]});
    return TERN_OK;
}

// Counts the runs; if every case is left out, the first says why.
static tern_status count_runs(struct bench *b)
{
    const struct benchmark_case *left_out = NULL;
    for (int i = b->out->n_cases - 1; i >= 0; i--) {
        const struct benchmark_case *c = &b->out->cases[i];
        if (c->was_left_out) left_out = c;
        if (c->test != BENCHMARK_STREAM && !c->was_left_out) b->all += b->plan->rounds + 1;
    }
    return b->all > 0 ? TERN_OK : status_fail(TERN_INVALID, "%s", left_out->why_left_out);
}

// ---- All ----------------------------------------------------------------------------------------------------------

tern_status bench_prepare(struct bench *b)
{
    TRY(open_engines(b));
    TRY(open_subjects(b));
    TRY(list_cases(b));
    return count_runs(b);
}

void bench_close(struct bench *b)
{
    for (int i = 0; i < b->plan->n_models; i++) {
        struct bench_subject *subject = &b->subjects[i];
        for (int t = 0; t < b->plan->threads.count; t++)
            decoder_close(subject->engines[t].decoder);
        for (int k = 0; k < BENCH_KV_TYPES; k++)
            kv_cache_close(subject->filled[k]);
        sampler_close(subject->sampler);
        tern_model_close(subject->model);
    }
    for (int t = 0; t < b->plan->threads.count; t++)
        device_close(b->lanes[t].device);
    free(b->logits);
}
