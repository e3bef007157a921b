// tern size: what a model would weigh in each type, and whether it would fit this machine.
#include "cli/commands.h"
#include "cli/evaluation.h"
#include "cli/loading.h"

#include "device/device.h"
#include "eval/benchmark.h"
#include "eval/sizes.h"
#include "model/memory_plan.h"

#include <inttypes.h>
#include <stdlib.h>

struct size_options {
    const char *file;
    int context, kv_type, json;
};

#define AT(field) offsetof(struct size_options, field)

static const struct option options_size[] = {
    {OPTION_TEXT, "-m, --model", "FILE", AT(file), .help = "the model, a GGUF file; or give it as first word"},
    {OPTION_INTEGER, "-c, --context", "N", AT(context), 0, 1 << 30,
     "count the memory for a context of N tokens, default 0: what the model was trained for"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type),
     .help = "how keys and values would be kept, default f16"},
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {.help = NULL},
};

const struct command command_size = {
    .name = "size",
    .usage = "FILE [options]",
    .summary = "say what a model would weigh in each type",
    .options = options_size,
    .max_arguments = 1,
    .details = "All matrices, embedding and head included, are counted in one type, vectors in F32. Memory is that of\n"
               "weights as tern runs them, keys and values of the context, and working space, as tern info has it.\n"
               "\n"
               "examples:\n"
               "  tern size model.gguf\n"
               "  tern size model.gguf --context 4096\n"
               "  tern size model.gguf --kv-type q8_0",
};

// In the order of the table; the two layouts of 128 weights weigh the same.
static const enum dtype types[] = {
    DTYPE_F16,   DTYPE_Q8_0, DTYPE_Q4_0,   DTYPE_Q2_0_G64, DTYPE_PQ2_0,
    DTYPE_TQ2_0, DTYPE_I2_S, DTYPE_PTQ1_0, DTYPE_TQ1_0,    DTYPE_Q1_0,
};

enum { N_TYPES = sizeof types / sizeof *types };

struct size_report {
    const struct gguf_file *file;
    struct config config;
    bool has_config; // without one, memory is not known
    int32_t context;
    tern_kv_type kv_type;
    struct size_estimate as_is, of_type[N_TYPES];
    struct machine_memory memory;
};

static uint64_t memory_of(const struct size_report *r, const struct size_estimate *e)
{
    return sizes_memory(e, &r->config, r->kv_type, r->context);
}

static bool fits(const struct size_report *r, const struct size_estimate *e)
{
    return memory_of(r, e) - e->mapped_bytes <= memory_spare(&r->memory);
}

static const char *verdict(const struct size_report *r, const struct size_estimate *e)
{
    if (memory_of(r, e) <= memory_spare(&r->memory)) return "fits";
    return fits(r, e) ? "runs from disk" : "does not fit";
}

// ---- Text ----------------------------------------------------------------------------------------------------------

static void print_row(const struct size_report *r, const char *name, const struct size_estimate *e)
{
    printf("%-13s %8.3f  %9.1f MiB  %8.3f GB", name, sizes_bits_per_weight(e), (double)e->tensor_bytes / 0x1p20,
           (double)e->tensor_bytes / 1e9);
    if (r->has_config) {
        printf("  %8.2f GB", (double)memory_of(r, e) / 1e9);
        if (r->memory.total > 0) printf("  %s", verdict(r, e));
    }
    if (e->odd_matrices > 0) printf("  (%" PRIu64 " matrices do not divide into its blocks: F16)", e->odd_matrices);
    putchar('\n');
}

static void print_text(const struct size_report *r)
{
    printf("%-13s %8s  %13s%s\n", "type", "bits", "weights", r->has_config ? "                    memory" : "");
    print_row(r, "as it is", &r->as_is);
    for (int i = 0; i < N_TYPES; i++)
        print_row(r, dtype_info(types[i])->name, &r->of_type[i]);
    double bound = sizes_ternary_bound / 8 * (double)(r->as_is.matrix_weights);
    printf("%-13s %8.3f  %9.1f MiB  %8.3f GB\n", "ternary bound", sizes_ternary_bound, bound / 0x1p20, bound / 1e9);
    printf("\nbits: of a weight in a matrix; the bound is log2 3 + 16/128, matrices alone. A file has %.1f MiB more "
           "for its header.\n",
           (double)(r->file->file_bytes - r->as_is.tensor_bytes) / 0x1p20);
    if (r->has_config)
        printf("memory: with a context of %d tokens, keys and values in %s", (int)r->context,
               benchmark_kv_name(r->kv_type));
    if (r->has_config && r->memory.total > 0)
        printf("; this machine can spare %.2f GB", (double)memory_spare(&r->memory) / 1e9);
    if (r->has_config) putchar('\n');
}

// ---- JSON ----------------------------------------------------------------------------------------------------------

static json_t *estimate_to_json(const struct size_report *r, const char *name, const struct size_estimate *e)
{
    json_t *object =
        json_pack("{s:s, s:f, s:I, s:I}", "type", name, "bits_per_weight", sizes_bits_per_weight(e), "tensor_bytes",
                  (json_int_t)e->tensor_bytes, "odd_matrices", (json_int_t)e->odd_matrices);
    if (!r->has_config) return object;
    json_object_set_new(object, "memory_bytes", json_integer((json_int_t)memory_of(r, e)));
    if (r->memory.total > 0) json_object_set_new(object, "fits", json_boolean(fits(r, e)));
    return object;
}

static int print_json(const struct size_report *r)
{
    json_t *list = json_array();
    for (int i = 0; i < N_TYPES; i++)
        json_array_append_new(list, estimate_to_json(r, dtype_info(types[i])->name, &r->of_type[i]));
    return evaluation_print_json(
        json_pack("{s:o, s:o, s:f, s:I, s:i, s:s, s:I}", "as_it_is", estimate_to_json(r, "as it is", &r->as_is),
                  "types", list, "ternary_bound_bits", sizes_ternary_bound, "header_bytes",
                  (json_int_t)(r->file->file_bytes - r->as_is.tensor_bytes), "context", (int)r->context, "kv_type",
                  benchmark_kv_name(r->kv_type), "available_bytes", (json_int_t)r->memory.available));
}

// ---- Command -------------------------------------------------------------------------------------------------------

static void gather(struct size_report *r, const struct gguf_file *file, const struct size_options *o)
{
    *r = (struct size_report){.file = file, .kv_type = (tern_kv_type)o->kv_type, .memory = machine_memory("")};
    r->has_config = config_read(file, &r->config) == TERN_OK;
    if (r->has_config) r->context = o->context > 0 ? o->context : r->config.context;
    const bool dense = device_prefers_dense(&(struct device_options){.kernels = getenv("TERN_CPU")});
    r->as_is = sizes_as_is(file->tensors, file->n_tensors, dense);
    for (int i = 0; i < N_TYPES; i++)
        r->of_type[i] = sizes_of_type(file->tensors, file->n_tensors, types[i], dense);
}

static int describe(const struct size_options *o)
{
    struct gguf_file *file;
    int code = loading_open_file(o->file, &file);
    if (code != EXIT_OK) return code;
    struct size_report report;
    gather(&report, file, o);
    if (o->json)
        code = print_json(&report);
    else
        print_text(&report);
    gguf_close(file);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

int size_main(int argc, char **argv)
{
    struct size_options o = {0};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_size, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_size, stdout);
        return terminal_finish_output();
    }
    if (o.file != NULL && words.count > 0)
        return options_error(&command_size, "two files: '%s' and -m '%s'", words.words[0], o.file);
    if (words.count > 0) o.file = words.words[0];
    if (o.file == NULL) return options_error(&command_size, "which file? Give a GGUF file");
    return describe(&o);
}
