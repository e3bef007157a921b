// tern bench: how fast a model reads and writes here, beside how fast this machine's memory is. Decoding reads every
// weight once a token, so memory is the wall; the two are measured in turns, because machines change their pace.
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/loading.h"

#include "base/cpu.h"
#include "engine/model.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEATS = 100 };
enum bench_format { FORMAT_MD, FORMAT_JSON, FORMAT_CSV };

struct bench_options {
    const char *model;
    int n_prompt, n_decode, threads, repeats, format, f32_activations, kv_type;
};

#define AT(field) offsetof(struct bench_options, field)

static const struct option options_bench[] = {
    {OPTION_TEXT, "-m, --model", "FILE", AT(model), .help = "the model, a GGUF file; or give it as first word"},
    {OPTION_INTEGER, "-p, --prompt", "N", AT(n_prompt), 1, 1 << 20, "tokens of the prompt, 1 or more, default 512"},
    {OPTION_INTEGER, "-n, --decode", "N", AT(n_decode), 1, 1 << 20,
     "tokens decoded one by one, 1 or more, default 128"},
    {OPTION_INTEGER, "-r, --repeat", "N", AT(repeats), 1, MAX_REPEATS, "how often to measure, 1 to 100, default 5"},
    {OPTION_INTEGER, "-t, --threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "compute threads, default 0: one for each physical core"},
    {OPTION_CHOICE, "-o, --output", "md|json|csv", AT(format), .help = "how to print, default md"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type), .help = "how keys and values are kept, default f16"},
    {OPTION_SET, "--f32-activations", NULL, AT(f32_activations), 1, .help = "multiply unrounded activations"},
    {.help = NULL},
};

const struct command command_bench = {
    .name = "bench",
    .usage = "MODEL [options]",
    .summary = "measure how fast a model runs here",
    .options = options_bench,
    .max_arguments = 1,
    .details = "Each repeat reads a prompt of N tokens, decodes N tokens from an empty context, and streams through\n"
               "memory with as many threads. Rates are medians; 'share of the wall' is decoding's bytes a second over\n"
               "the bandwidth measured in the same run.\n"
               "\n"
               "examples:\n"
               "  tern bench model.gguf\n"
               "  tern bench model.gguf -p 64 -n 32 -r 3 -o json",
};

// ---- Measuring ----------------------------------------------------------------------------------------------------

struct sample {
    int count;
    double values[MAX_REPEATS];
};

struct measurement {
    struct sample prefill, decode; // tokens a second
    struct sample bandwidth;       // bytes a second
    uint64_t weight_bytes;         // read for one token
    double cache_bytes;            // read for one token, on average
    double share;                  // of the bandwidth that decoding uses, of the medians
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort_sample(struct sample *s)
{
    qsort(s->values, (size_t)s->count, sizeof *s->values, compare_doubles);
}

static double median(const struct sample *s) // sorted
{
    return (s->values[(s->count - 1) / 2] + s->values[s->count / 2]) / 2;
}

// Half of the distance from the lowest to the highest, as a share of the median.
static double spread(const struct sample *s) // sorted
{
    return (s->values[s->count - 1] - s->values[0]) / 2 / median(s);
}

static void add_rate(struct sample *s, double amount, double seconds)
{
    s->values[s->count++] = seconds > 0 ? amount / seconds : 0;
}

// Tokens that differ, so that no cache sees the same row of the embedding twice in a row.
static tern_token test_token(const tern_model *model, int index)
{
    return (tern_token)((uint64_t)index * 7919u % (uint64_t)tern_model_vocabulary(model));
}

static tern_status measure_prefill(const struct bench_options *o, tern_session *session, const tern_token *tokens,
                                   struct sample *sample)
{
    TRY(tern_session_truncate(session, 0));
    double start = model_clock();
    TRY(tern_session_feed(session, tokens, (size_t)o->n_prompt));
    add_rate(sample, o->n_prompt, model_clock() - start);
    return TERN_OK;
}

static tern_status measure_decode(const struct bench_options *o, tern_session *session, const tern_token *tokens,
                                  struct sample *sample)
{
    TRY(tern_session_truncate(session, 0));
    double start = model_clock();
    for (int i = 0; i < o->n_decode; i++)
        TRY(tern_session_feed(session, &tokens[i], 1));
    add_rate(sample, o->n_decode, model_clock() - start);
    return TERN_OK;
}

// More than any cache holds, less than the machine has free.
static uint64_t streamed_bytes(void)
{
    uint64_t bytes = (uint64_t)1 << 29, available = cpu_memory_available();
    return available > 0 && available / 4 < bytes ? available / 4 : bytes;
}

static tern_status measure_bandwidth(const tern_model *model, struct sample *sample)
{
    TRY(device_bandwidth(model->device, streamed_bytes(), 3, &sample->values[sample->count]));
    sample->count++;
    return TERN_OK;
}

// The first round warms up caches and clocks and lets the session find its batch size; it does not count.
static tern_status measure_rounds(const struct bench_options *o, tern_model *model, tern_session *session,
                                  const tern_token *tokens, struct measurement *m)
{
    struct progress progress;
    progress_begin(&progress, "measuring");
    tern_status status = TERN_OK;
    for (int round = -1; status == TERN_OK && round < o->repeats; round++) {
        struct measurement *into = round < 0 ? &(struct measurement){0} : m;
        status = measure_bandwidth(model, &into->bandwidth);
        if (status == TERN_OK) status = measure_prefill(o, session, tokens, &into->prefill);
        if (status == TERN_OK) status = measure_decode(o, session, tokens, &into->decode);
        progress_show(&progress, (float)(round + 2) / (float)(o->repeats + 1));
    }
    progress_end(&progress);
    return status;
}

static void conclude(const struct bench_options *o, const tern_model *model, struct measurement *m)
{
    sort_sample(&m->prefill);
    sort_sample(&m->decode);
    sort_sample(&m->bandwidth);
    const struct config *c = &model->config;
    double position_bytes = (double)kv_cache_bytes(c, (tern_kv_type)o->kv_type, DEVICE_KV_BLOCK) / DEVICE_KV_BLOCK;
    m->weight_bytes = weights_bytes_per_token(model->weights);
    m->cache_bytes = position_bytes * (o->n_decode + 1) / 2;
    m->share = median(&m->decode) * ((double)m->weight_bytes + m->cache_bytes) / median(&m->bandwidth);
}

static tern_status measure(const struct bench_options *o, tern_model *model, struct measurement *m)
{
    int n_tokens = o->n_prompt > o->n_decode ? o->n_prompt : o->n_decode;
    tern_session *session;
    tern_session_options options = {.context = n_tokens, .no_prompt_lookup = true, .kv_type = (tern_kv_type)o->kv_type};
    TRY(tern_session_open(model, &options, &session));
    tern_token *tokens = malloc((size_t)n_tokens * sizeof *tokens);
    tern_status status = tokens != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for %d tokens", n_tokens);
    for (int i = 0; status == TERN_OK && i < n_tokens; i++)
        tokens[i] = test_token(model, i);
    interrupt_watch(session);
    if (status == TERN_OK) status = measure_rounds(o, model, session, tokens, m);
    interrupt_watch(NULL);
    if (status == TERN_OK) conclude(o, model, m);
    free(tokens);
    tern_session_close(session);
    return status;
}

// ---- Describing ---------------------------------------------------------------------------------------------------

// "model name" of /proc/cpuinfo; ARM machines have none.
static void machine_name(char *out, size_t size)
{
    snprintf(out, size, "unknown CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
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

struct report {
    const struct bench_options *options;
    const tern_model *model;
    const struct measurement *m;
    char machine[128];
};

static void print_md_rate(const char *what, int tokens, const struct sample *s)
{
    printf("| %-7s | %6d | %12.2f | %5.1f %% |\n", what, tokens, median(s), 100 * spread(s));
}

static void print_md(const struct report *r)
{
    const struct measurement *m = r->m;
    fputs("model: ", stdout);
    terminal_write(stdout, tern_model_name(r->model), strlen(tern_model_name(r->model)));
    printf(" (%s, %s, %.1f MB read for each token)\n", tern_model_architecture(r->model), main_type(r->model->file),
           (double)m->weight_bytes / 1e6);
    printf("machine: %s, %d threads, %s kernels, tern %s\n\n", r->machine, tern_model_threads(r->model),
           tern_model_kernels(r->model), tern_version());
    puts("| test    | tokens | tokens/s     | +/-     |");
    puts("|---------|-------:|-------------:|--------:|");
    print_md_rate("prefill", r->options->n_prompt, &m->prefill);
    print_md_rate("decode", r->options->n_decode, &m->decode);
    printf("\nmemory: %.2f GB/s +/- %.1f %%; decoding uses %.1f %% of it (medians of %d)\n",
           median(&m->bandwidth) / 1e9, 100 * spread(&m->bandwidth), 100 * m->share, r->options->repeats);
}

static void print_csv(const struct report *r)
{
    const struct measurement *m = r->m;
    puts("test,tokens,tokens_per_second,spread,bytes_per_token,bandwidth,share_of_wall,threads,kernels,type");
    const char *kernels = tern_model_kernels(r->model), *type = main_type(r->model->file);
    int threads = tern_model_threads(r->model);
    printf("prefill,%d,%.4f,%.4f,,%.0f,,%d,%s,%s\n", r->options->n_prompt, median(&m->prefill), spread(&m->prefill),
           median(&m->bandwidth), threads, kernels, type);
    printf("decode,%d,%.4f,%.4f,%.0f,%.0f,%.4f,%d,%s,%s\n", r->options->n_decode, median(&m->decode),
           spread(&m->decode), (double)m->weight_bytes + m->cache_bytes, median(&m->bandwidth), m->share, threads,
           kernels, type);
}

static json_t *sample_to_json(const struct sample *s)
{
    json_t *values = json_array();
    for (int i = 0; i < s->count; i++)
        json_array_append_new(values, json_real(s->values[i]));
    return json_pack("{s:f, s:f, s:o}", "median", median(s), "spread", spread(s), "values", values);
}

static int print_json(const struct report *r)
{
    const struct measurement *m = r->m;
    json_t *object =
        json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:I, s:f, s:f}", "version",
                  tern_version(), "model", tern_model_name(r->model), "architecture", tern_model_architecture(r->model),
                  "type", main_type(r->model->file), "machine", r->machine, "kernels", tern_model_kernels(r->model),
                  "threads", tern_model_threads(r->model), "prompt_tokens", r->options->n_prompt, "decode_tokens",
                  r->options->n_decode, "prefill_tokens_per_second", sample_to_json(&m->prefill),
                  "decode_tokens_per_second", sample_to_json(&m->decode), "bandwidth_bytes_per_second",
                  sample_to_json(&m->bandwidth), "weight_bytes_per_token", (json_int_t)m->weight_bytes,
                  "cache_bytes_per_token", m->cache_bytes, "share_of_wall", m->share);
    if (object == NULL) return terminal_error(EXIT_FAILED, "the measurements cannot be put in JSON");
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
    return EXIT_OK;
}

static int print_report(const struct report *r)
{
    if (r->options->format == FORMAT_JSON) return print_json(r);
    if (r->options->format == FORMAT_CSV)
        print_csv(r);
    else
        print_md(r);
    return EXIT_OK;
}

// ---- Command ------------------------------------------------------------------------------------------------------

static int bench_model(const struct bench_options *o, tern_model *model)
{
    struct measurement m = {0};
    tern_status status = measure(o, model, &m);
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    if (status != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    struct report report = {.options = o, .model = model, .m = &m};
    machine_name(report.machine, sizeof report.machine);
    int code = print_report(&report);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

int bench_main(int argc, char **argv)
{
    struct bench_options o = {.n_prompt = 512, .n_decode = 128, .repeats = 5};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_bench, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_bench, stdout);
        return terminal_finish_output();
    }
    if (o.model != NULL && words.count > 0)
        return options_error(&command_bench, "two models: '%s' and -m '%s'", words.words[0], o.model);
    if (words.count > 0) o.model = words.words[0];
    if (o.model == NULL) return options_error(&command_bench, "which model? Give a GGUF file");

    tern_model *model;
    interrupt_install(INTERRUPT_ONCE);
    int code = loading_open_model(o.model, o.threads, o.f32_activations, &model);
    if (code != EXIT_OK) return code;
    code = bench_model(&o, model);
    tern_model_close(model);
    return code;
}
