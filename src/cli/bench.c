// tern bench: how fast models read and write here, beside how fast this machine's memory is. Decoding reads every
// weight once a token, so memory is the wall; everything is measured in turns, because machines change their pace.
#include "cli/bench.h"

#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"

#include "base/cpu.h"
#include "eval/benchmark_chart.h"
#include "model/decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum bench_format { FORMAT_MD, FORMAT_JSON, FORMAT_CSV };

struct bench_options {
    struct text_list models;
    const char *prompts, *decodes, *depths, *streams, *kv_types, *tiles, *threads; // lists, as they were typed
    const char *json, *csv, *svg;
    int rounds, format, f32_activations, compare;
};

#define AT(field) offsetof(struct bench_options, field)

static const struct option options_bench[] = {
    {OPTION_HEADING, .help = "what to measure: every combination of the lists, as in -d 0,2048,8192"},
    {OPTION_TEXTS, "-m, --model", "FILE", AT(models),
     .help = "a model, a GGUF file; may be given 16 times, or as first words"},
    {OPTION_TEXT, "-p, --prompt", "N,...", AT(prompts), .help = "tokens of a prompt, default 512; 0: none"},
    {OPTION_TEXT, "-n, --decode", "N,...", AT(decodes), .help = "tokens decoded one by one, default 128; 0: none"},
    {OPTION_TEXT, "-d, --depth", "N,...", AT(depths), .help = "tokens that are in the context before, default 0"},
    {OPTION_TEXT, "-b, --batch", "N,...", AT(streams),
     .help = "sequences decoded together, 1 to 256, default 1; tokens a second are those of all"},
    {OPTION_TEXT, "--kv-type", "TYPE,...", AT(kv_types),
     .help = "how keys and values are kept: f16, q8_0, q4_0, default f16"},
    {OPTION_TEXT, "--tiles", "WORD,...", AT(tiles), .help = LOADING_TILES_HELP},
    {OPTION_TEXT, "-t, --threads", "N,...", AT(threads),
     .help = "compute threads, default 0: one for each physical core"},
    {OPTION_INTEGER, "-r, --repeat", "N", AT(rounds), 1, SAMPLES_MAX, "rounds, 1 to 100, default 5"},
    {OPTION_SET, "--f32-activations", NULL, AT(f32_activations), 1, .help = "multiply unrounded activations"},
    {OPTION_HEADING, .help = "results"},
    {OPTION_CHOICE, "-o, --output", "md|json|csv", AT(format), .help = "how to print, default md"},
    {OPTION_TEXT, "--json", "FILE", AT(json), .help = "write everything that was measured to a file"},
    {OPTION_TEXT, "--csv", "FILE", AT(csv), .help = "write a line for each case to a file"},
    {OPTION_TEXT, "--svg", "FILE", AT(svg), .help = "draw tokens a second against the length of the context"},
    {OPTION_SET, "--compare", NULL, AT(compare), 1,
     .help = "measure nothing: compare two files that --json wrote, case by case"},
    {.help = NULL},
};

const struct command command_bench = {
    .name = "bench",
    .usage = "MODEL... [options]\n       tern bench --compare A.json B.json",
    .summary = "measure how fast models run here",
    .options = options_bench,
    .max_arguments = 4,
    .details =
        "In each round everything is measured once, in turn: streaming through memory, each prompt, each decoding "
        "with\n"
        "the drawing of its tokens. Rates are medians, with an interval that holds the median in 95 of 100 runs (93.8\n"
        "with 5 rounds; 6 are the fewest for 95). 'of the wall' is the share of the bandwidth, measured in the same\n"
        "round, that decoding's reads of weights, keys and values use. Energy is that of the whole processor, where "
        "the\n"
        "system lets it be read (RAPL). Ctrl-C ends early and prints what was measured so far.\n"
        "\n"
        "examples:\n"
        "  tern bench model.gguf\n"
        "  tern bench a.gguf b.gguf -p 128,512 -n 64 -r 9\n"
        "  tern bench model.gguf -p 0 -d 0,2048,8192 --kv-type f16,q8_0 --svg speed.svg\n"
        "  tern bench model.gguf -p 0 -b 1,8,16 --json after.json\n"
        "  tern bench model.gguf --tiles loose,dense\n"
        "  tern bench --compare before.json after.json",
};

// ---- Lists --------------------------------------------------------------------------------------------------------

struct list_option {
    const char *name, *text; // as typed; NULL: not given
    int low, high, missing;
    int zero; // what 0 stands for
    struct bench_list *out;
};

static bool has_value(const struct bench_list *list, int value)
{
    for (int i = 0; i < list->count; i++)
        if (list->values[i] == value) return true;
    return false;
}

static bool parse_numbers(const struct list_option *o)
{
    const char *at = o->text;
    for (;;) {
        char *end;
        errno = 0;
        long value = strtol(at, &end, 10);
        if (end == at || errno != 0 || value < o->low || value > o->high || o->out->count == BENCH_MAX_LIST)
            return false;
        int meant = value == 0 ? o->zero : (int)value;
        if (!has_value(o->out, meant)) o->out->values[o->out->count++] = meant;
        if (*end == '\0') return true;
        if (*end != ',') return false;
        at = end + 1;
    }
}

static int take_list(const struct list_option *o)
{
    *o->out = (struct bench_list){.count = o->text == NULL, .values = {o->missing}};
    if (o->text == NULL || parse_numbers(o)) return EXIT_OK;
    return options_error(&command_bench, "%s takes up to %d whole numbers from %d to %d with commas between, got '%s'",
                         o->name, BENCH_MAX_LIST, o->low, o->high, o->text);
}

static int take_kv_types(const char *text, struct bench_list *out)
{
    if (text == NULL) text = "f16";
    for (const char *at = text; out->count < BENCH_MAX_LIST;) {
        size_t length = strcspn(at, ",");
        int type = TERN_KV_F16;
        while (type <= TERN_KV_Q4_0 && (strlen(benchmark_kv_name((tern_kv_type)type)) != length ||
                                        strncmp(benchmark_kv_name((tern_kv_type)type), at, length) != 0))
            type++;
        if (type > TERN_KV_Q4_0) break;
        if (!has_value(out, type)) out->values[out->count++] = type;
        if (at[length] == '\0') return EXIT_OK;
        at += length + 1;
    }
    return options_error(&command_bench, "--kv-type takes f16, q8_0, q4_0 with commas between, got '%s'", text);
}

// 0 among the lengths means none.
static void drop_zero(struct bench_list *list)
{
    int n = 0;
    for (int i = 0; i < list->count; i++)
        if (list->values[i] > 0) list->values[n++] = list->values[i];
    list->count = n;
}

static int take_lists(const struct bench_options *o, struct bench_plan *plan)
{
    enum { MOST_TOKENS = 1 << 24 };
    const struct list_option lists[] = {
        {"-p", o->prompts, 0, MOST_TOKENS, 512, 0, &plan->prompts},
        {"-n", o->decodes, 0, MOST_TOKENS, 128, 0, &plan->decodes},
        {"-d", o->depths, 0, MOST_TOKENS, 0, 0, &plan->depths},
        {"-b", o->streams, 1, DECODER_MAX_ROWS, 1, 0, &plan->streams},
        {"-t", o->threads, 0, LOADING_MAX_THREADS, cpu_cores(), cpu_cores(), &plan->threads},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (take_list(&lists[i]) != EXIT_OK) return EXIT_USAGE;
    drop_zero(&plan->prompts);
    drop_zero(&plan->decodes);
    if (plan->prompts.count == 0 && plan->decodes.count == 0)
        return options_error(&command_bench, "-p 0 and -n 0 leave nothing to measure");
    return take_kv_types(o->kv_types, &plan->kv_types);
}

static int take_tiles(const char *text, struct bench_list *out)
{
    static const char *const words[] = {"auto", "loose", "dense"};
    if (text == NULL) text = "auto";
    for (const char *at = text; out->count < BENCH_MAX_LIST;) {
        size_t length = strcspn(at, ",");
        int tiles = TERN_TILES_AUTO;
        while (tiles <= TERN_TILES_DENSE && (strlen(words[tiles]) != length || strncmp(words[tiles], at, length) != 0))
            tiles++;
        if (tiles > TERN_TILES_DENSE) break;
        if (!has_value(out, tiles)) out->values[out->count++] = tiles;
        if (at[length] == '\0') return EXIT_OK;
        at += length + 1;
    }
    return options_error(&command_bench, "--tiles takes auto, loose, dense with commas between, got '%s'", text);
}

// A file with other tiles is another model.
static void add_model(struct bench_plan *plan, const char *model, const struct bench_list *tiles)
{
    for (int i = 0; i < tiles->count; i++) {
        plan->tiles[plan->n_models] = (tern_tiles)tiles->values[i];
        plan->models[plan->n_models++] = model;
    }
}

static int take_models(const struct bench_options *o, const struct arguments *words, struct bench_plan *plan)
{
    struct bench_list tiles = {0};
    if (take_tiles(o->tiles, &tiles) != EXIT_OK) return EXIT_USAGE;
    plan->tiles_chosen = o->tiles != NULL;
    const size_t models = (o->models.count + (size_t)words->count) * (size_t)tiles.count;
    if (models > BENCHMARK_MAX_MODELS)
        return options_error(&command_bench, "%zu models, at most %d at once", models, BENCHMARK_MAX_MODELS);
    for (int i = 0; i < words->count; i++)
        add_model(plan, words->words[i], &tiles);
    for (size_t i = 0; i < o->models.count; i++)
        add_model(plan, o->models.items[i], &tiles);
    return plan->n_models > 0 ? EXIT_OK : options_error(&command_bench, "which model? Give a GGUF file");
}

// ---- Results ------------------------------------------------------------------------------------------------------

static int print_json(const struct benchmark *benchmark, FILE *stream)
{
    char *text = benchmark_to_json(benchmark);
    if (text == NULL) return terminal_error(EXIT_FAILED, "the measurements cannot be put in JSON");
    fputs(text, stream);
    fputc('\n', stream);
    free(text);
    return EXIT_OK;
}

static int print_csv(const struct benchmark *benchmark, FILE *stream)
{
    bench_print_csv(benchmark, stream);
    return EXIT_OK;
}

static int print_svg(const struct benchmark *benchmark, FILE *stream)
{
    struct buffer svg = {0};
    tern_status status = benchmark_draw(benchmark, &svg);
    if (status == TERN_OK) fwrite(svg.data, 1, svg.length, stream);
    buffer_free(&svg);
    return status == TERN_OK ? EXIT_OK : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

static int write_file(const char *path, const struct benchmark *benchmark,
                      int (*print)(const struct benchmark *, FILE *))
{
    if (path == NULL) return EXIT_OK;
    FILE *file = fopen(path, "w");
    if (file == NULL) return terminal_error(EXIT_FAILED, "%s: %s", path, strerror(errno));
    int code = print(benchmark, file);
    bool failed = ferror(file) != 0;
    if ((fclose(file) != 0 || failed) && code == EXIT_OK)
        code = terminal_error(EXIT_FAILED, "%s: %s", path, strerror(errno));
    return code;
}

static int print_results(const struct bench_options *o, const struct benchmark *benchmark)
{
    int code = EXIT_OK;
    if (o->format == FORMAT_JSON)
        code = print_json(benchmark, stdout);
    else if (o->format == FORMAT_CSV)
        bench_print_csv(benchmark, stdout);
    else
        bench_print_table(benchmark);
    if (code == EXIT_OK) code = write_file(o->json, benchmark, print_json);
    if (code == EXIT_OK) code = write_file(o->csv, benchmark, print_csv);
    if (code == EXIT_OK) code = write_file(o->svg, benchmark, print_svg);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

// ---- Commands -----------------------------------------------------------------------------------------------------

static bool has_results(const struct benchmark *benchmark)
{
    for (int32_t i = 0; i < benchmark->n_cases; i++)
        if (benchmark->cases[i].test != BENCHMARK_STREAM && benchmark->cases[i].rates.count > 0) return true;
    return false;
}

static int measure(const struct bench_options *o, const struct arguments *words)
{
    struct bench_plan plan = {.rounds = o->rounds, .f32_activations = o->f32_activations != 0};
    if (take_models(o, words, &plan) != EXIT_OK || take_lists(o, &plan) != EXIT_OK) return EXIT_USAGE;
    struct benchmark *benchmark = calloc(1, sizeof *benchmark);
    if (benchmark == NULL) return terminal_error(EXIT_FAILED, "no memory for the measurements");
    interrupt_install(INTERRUPT_ONCE);
    int code = bench_measure(&plan, benchmark), printed = EXIT_OK;
    if (code == EXIT_OK || (code == EXIT_INTERRUPTED && has_results(benchmark))) printed = print_results(o, benchmark);
    benchmark_free(benchmark);
    free(benchmark);
    return code != EXIT_OK ? code : printed;
}

static tern_status read_benchmark(struct bench_file *file)
{
    struct buffer text = {0};
    tern_status status = input_read(file->path, &text);
    if (status == TERN_OK) status = benchmark_from_json(file->path, text.data, text.length, &file->benchmark);
    buffer_free(&text);
    return status;
}

static tern_status compare_files(struct bench_file *a, struct bench_file *b)
{
    struct benchmark_comparison comparison;
    TRY(read_benchmark(a));
    TRY(read_benchmark(b));
    TRY(benchmark_compare(&a->benchmark, &b->benchmark, &comparison));
    bench_print_comparison(a, b, &comparison);
    benchmark_comparison_free(&comparison);
    return TERN_OK;
}

static int compare(const struct arguments *words)
{
    if (words->count != 2) return options_error(&command_bench, "--compare wants two files that --json wrote");
    struct bench_file *files = calloc(2, sizeof *files);
    if (files == NULL) return terminal_error(EXIT_FAILED, "no memory for two files");
    files[0].path = words->words[0];
    files[1].path = words->words[1];
    tern_status status = compare_files(&files[0], &files[1]);
    benchmark_free(&files[0].benchmark);
    benchmark_free(&files[1].benchmark);
    free(files);
    return status == TERN_OK ? terminal_finish_output() : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

int bench_main(int argc, char **argv)
{
    struct bench_options o = {.rounds = 5};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_bench, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_bench, stdout);
        return terminal_finish_output();
    }
    return o.compare ? compare(&words) : measure(&o, &words);
}
