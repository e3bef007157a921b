// The file of a benchmark: everything that was measured, so that it can be looked at again and compared.
#include "eval/benchmark.h"

#include "text/utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "tern-bench";
enum { FORMAT_VERSION = 1, MAX_CASES = 1 << 16 };

static const char *const TESTS[] = {"stream", "prefill", "decode"};
static const char *const KV_TYPES[] = {"f16", "q8_0", "q4_0"};

enum { N_TESTS = sizeof TESTS / sizeof *TESTS, N_KV_TYPES = sizeof KV_TYPES / sizeof *KV_TYPES };

const char *benchmark_test_name(enum benchmark_test test)
{
    return TESTS[test];
}

const char *benchmark_kv_name(tern_kv_type type)
{
    return KV_TYPES[type];
}

void benchmark_free(struct benchmark *benchmark)
{
    free(benchmark->cases);
    *benchmark = (struct benchmark){0};
}

// ---- Writing ------------------------------------------------------------------------------------------------------

// Names come from files and may hold anything.
static json_t *text_to_json(const char *text)
{
    return utf8_valid(text, strlen(text)) ? json_string(text) : json_string("");
}

static json_t *samples_to_json(const struct samples *samples)
{
    struct interval interval = samples_interval(samples);
    json_t *values = json_array();
    for (int32_t i = 0; i < samples->count; i++)
        json_array_append_new(values, json_real(samples->values[i]));
    return json_pack("{s:f, s:f, s:f, s:f, s:o}", "median", interval.middle, "low", interval.low, "high", interval.high,
                     "confidence", interval.confidence, "values", values);
}

static json_t *model_to_json(const struct benchmark_model *m)
{
    return json_pack("{s:o, s:o, s:s, s:s, s:b, s:f, s:f, s:f}", "file", text_to_json(m->file), "name",
                     text_to_json(m->name), "architecture", m->architecture, "type", m->type, "dense_tiles",
                     (int)m->dense_tiles, "file_bytes", m->file_bytes, "weight_bytes_per_token", m->weight_bytes,
                     "load_seconds", m->load_seconds);
}

static json_t *case_to_json(const struct benchmark_case *c)
{
    json_t *object = json_pack("{s:s, s:i}", "test", TESTS[c->test], "threads", (int)c->threads);
    if (c->test == BENCHMARK_STREAM) {
        json_object_set_new(object, "bytes_per_second", samples_to_json(&c->rates));
        return object;
    }
    json_object_update_new(object, json_pack("{s:i, s:i, s:i, s:i, s:s, s:f}", "model", (int)c->model, "tokens",
                                             (int)c->tokens, "depth", (int)c->depth, "streams", (int)c->streams,
                                             "kv_type", KV_TYPES[c->kv_type], "bytes_per_token", c->bytes));
    json_object_set_new(object, "tokens_per_second", samples_to_json(&c->rates));
    if (c->shares.count > 0) json_object_set_new(object, "share_of_wall", samples_to_json(&c->shares));
    if (c->joules.count > 0) json_object_set_new(object, "joules_per_token", samples_to_json(&c->joules));
    if (c->busy.count > 0) json_object_set_new(object, "processor_share", samples_to_json(&c->busy));
    if (c->was_left_out) json_object_set_new(object, "left_out", text_to_json(c->why_left_out));
    return object;
}

static json_t *machine_to_json(const struct benchmark *b)
{
    return json_pack("{s:o, s:i, s:i, s:i, s:f, s:s}", "cpu", text_to_json(b->cpu), "processors", (int)b->processors,
                     "cores", (int)b->cores, "nodes", (int)b->nodes, "memory_bytes", b->memory, "kernels", b->kernels);
}

char *benchmark_to_json(const struct benchmark *b)
{
    json_t *models = json_array(), *cases = json_array();
    for (int32_t i = 0; i < b->n_models; i++)
        json_array_append_new(models, model_to_json(&b->models[i]));
    for (int32_t i = 0; i < b->n_cases; i++)
        json_array_append_new(cases, case_to_json(&b->cases[i]));
    json_t *object =
        json_pack("{s:s, s:i, s:s, s:s, s:o, s:b, s:i, s:f, s:s, s:o, s:o}", "format", FORMAT, "format_version",
                  FORMAT_VERSION, "version", b->version, "date", b->date, "machine", machine_to_json(b),
                  "f32_activations", (int)b->f32_activations, "rounds", (int)b->rounds, "peak_resident_bytes",
                  b->peak_resident, "energy_not_measured", b->energy, "models", models, "cases", cases);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    return text;
}

// ---- Reading ------------------------------------------------------------------------------------------------------

// Copies what fits of a member that must be text; one that is missing or of another type is "".
static void get_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t length = text != NULL ? strlen(text) : 0;
    if (length >= size) length = size - 1;
    if (length > 0) memcpy(out, text, length);
    out[length] = '\0';
}

static double get_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

// A whole number that is counted; 0 if it is missing or out of range.
static int32_t get_count(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value >= 0 && value <= INT32_MAX ? (int32_t)value : 0;
}

// The index of a member's text among words; -1 if it is none of them.
static int get_word(const json_t *object, const char *key, const char *const *words, int n_words)
{
    const char *text = json_string_value(json_object_get(object, key));
    for (int i = 0; text != NULL && i < n_words; i++)
        if (strcmp(text, words[i]) == 0) return i;
    return -1;
}

static tern_status get_samples(const json_t *object, const char *key, struct samples *out)
{
    const json_t *values = json_object_get(json_object_get(object, key), "values");
    size_t n = json_array_size(values);
    if (n > SAMPLES_MAX)
        return status_fail(TERN_BAD_FILE, "%zu values of %s, expected %d at most", n, key, SAMPLES_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(values, i);
        if (!json_is_number(value) || !(json_number_value(value) > 0))
            return status_fail(TERN_BAD_FILE, "value %zu of %s is not a number above 0", i + 1, key);
        samples_add(out, json_number_value(value));
    }
    return TERN_OK;
}

static void read_model(const json_t *object, struct benchmark_model *m)
{
    get_text(object, "file", m->file, sizeof m->file);
    get_text(object, "name", m->name, sizeof m->name);
    get_text(object, "architecture", m->architecture, sizeof m->architecture);
    get_text(object, "type", m->type, sizeof m->type);
    m->dense_tiles = json_is_true(json_object_get(object, "dense_tiles"));
    m->file_bytes = get_number(object, "file_bytes");
    m->weight_bytes = get_number(object, "weight_bytes_per_token");
    m->load_seconds = get_number(object, "load_seconds");
}

static tern_status read_case(const json_t *object, int32_t n_models, struct benchmark_case *c)
{
    int test = get_word(object, "test", TESTS, N_TESTS);
    if (test < 0) return status_fail(TERN_BAD_FILE, "\"test\" is not stream, prefill or decode");
    c->test = (enum benchmark_test)test;
    c->threads = get_count(object, "threads");
    if (c->test == BENCHMARK_STREAM) return get_samples(object, "bytes_per_second", &c->rates);

    c->model = get_count(object, "model");
    if (c->model >= n_models)
        return status_fail(TERN_BAD_FILE, "\"model\" is %d, there are %d models", (int)c->model, (int)n_models);
    int kv_type = get_word(object, "kv_type", KV_TYPES, N_KV_TYPES);
    if (kv_type < 0) return status_fail(TERN_BAD_FILE, "\"kv_type\" is not f16, q8_0 or q4_0");
    c->kv_type = (tern_kv_type)kv_type;
    c->tokens = get_count(object, "tokens");
    c->depth = get_count(object, "depth");
    c->streams = get_count(object, "streams");
    c->bytes = get_number(object, "bytes_per_token");
    get_text(object, "left_out", c->why_left_out, sizeof c->why_left_out);
    c->was_left_out = c->why_left_out[0] != '\0';
    TRY(get_samples(object, "tokens_per_second", &c->rates));
    TRY(get_samples(object, "share_of_wall", &c->shares));
    TRY(get_samples(object, "joules_per_token", &c->joules));
    return get_samples(object, "processor_share", &c->busy);
}

static tern_status read_cases(const json_t *cases, struct benchmark *out)
{
    size_t n = json_array_size(cases);
    if (n == 0 || n > MAX_CASES) return status_fail(TERN_BAD_FILE, "%zu cases, expected 1 to %d", n, MAX_CASES);
    out->cases = calloc(n, sizeof *out->cases);
    if (out->cases == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %zu cases", n);
    out->n_cases = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        tern_status status = read_case(json_array_get(cases, i), out->n_models, &out->cases[i]);
        if (status != TERN_OK) return status_prefix(status, "case %zu: ", i + 1);
    }
    return TERN_OK;
}

static tern_status read_benchmark(const json_t *object, struct benchmark *out)
{
    if (get_word(object, "format", (const char *const[]){FORMAT}, 1) < 0)
        return status_fail(TERN_BAD_FILE, "not what 'tern bench --json' writes: no \"format\": \"%s\"", FORMAT);
    int version = (int)get_count(object, "format_version");
    if (version != FORMAT_VERSION)
        return status_fail(TERN_BAD_FILE, "version %d of the format, expected %d", version, FORMAT_VERSION);
    const json_t *machine = json_object_get(object, "machine"), *models = json_object_get(object, "models");
    get_text(object, "version", out->version, sizeof out->version);
    get_text(object, "date", out->date, sizeof out->date);
    get_text(object, "energy_not_measured", out->energy, sizeof out->energy);
    get_text(machine, "cpu", out->cpu, sizeof out->cpu);
    get_text(machine, "kernels", out->kernels, sizeof out->kernels);
    out->processors = get_count(machine, "processors");
    out->cores = get_count(machine, "cores");
    out->nodes = get_count(machine, "nodes");
    out->memory = get_number(machine, "memory_bytes");
    out->peak_resident = get_number(object, "peak_resident_bytes");
    out->f32_activations = json_is_true(json_object_get(object, "f32_activations"));
    out->rounds = get_count(object, "rounds");
    if (json_array_size(models) > BENCHMARK_MAX_MODELS)
        return status_fail(TERN_BAD_FILE, "%zu models, expected %d at most", json_array_size(models),
                           BENCHMARK_MAX_MODELS);
    for (; out->n_models < (int32_t)json_array_size(models); out->n_models++)
        read_model(json_array_get(models, (size_t)out->n_models), &out->models[out->n_models]);
    return read_cases(json_object_get(object, "cases"), out);
}

tern_status benchmark_from_json(const char *name, const char *text, size_t length, struct benchmark *out)
{
    *out = (struct benchmark){0};
    json_error_t error;
    json_t *object = json_loadb(text, length, 0, &error);
    if (object == NULL) return status_fail(TERN_BAD_FILE, "%s: line %d: %s", name, error.line, error.text);
    tern_status status = read_benchmark(object, out);
    json_decref(object);
    return status == TERN_OK ? TERN_OK : status_prefix(status, "%s: ", name);
}
