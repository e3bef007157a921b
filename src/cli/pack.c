// tern pack: a small file from a large one.
#include "cli/calibration.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/model_name.h"
#include "cli/time_left.h"

#include "convert/pack.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum scale_span { SCALE_GROUP, SCALE_TENSOR };

struct pack_command {
    const char *type, *embedding_type, *head_type, *odd_type, *pretokenizer, *calibration;
    struct text_list rules;
    int method, scale, lossless, force, threads, quiet, i2_s_order;
};

#define AT(field) offsetof(struct pack_command, field)

#define METHODS "least-squares|absmean|threshold|sign|block64"

enum method_choice { CHOICE_LEAST_SQUARES, CHOICE_ABSMEAN, CHOICE_THRESHOLD, CHOICE_SIGN, CHOICE_BLOCK64, CHOICE_NONE };

static const struct option options_pack[] = {
    {OPTION_TEXT, "-t, --type", "TYPE", AT(type),
     .help =
         "of the matrices: F32, F16, BF16, Q8_0, Q4_0, Q1_0, Q2_0 (64 weights a group), PQ2_0 (128), PTQ1_0, TQ1_0, "
         "TQ2_0, I2_S, or keep"},
    {OPTION_TEXT, "--embedding-type", "TYPE", AT(embedding_type),
     .help = "of token_embd.weight, default: as --type (F16 for BitNet models)"},
    {OPTION_TEXT, "--head-type", "TYPE", AT(head_type),
     .help = "of output.weight where the model has one, default: as the embedding"},
    {OPTION_TEXTS, "--tensor", "PATTERN=TYPE", AT(rules),
     .help = "another type for tensors whose name fits (* any text, ? any character); the first that fits decides; up "
             "to 64 times"},
    {OPTION_TEXT, "--odd-type", "TYPE", AT(odd_type),
     .help = "of matrices whose rows are not whole blocks of their type, default: refuse them"},
    {OPTION_HEADING, .help = "weights that are not ternary or binary yet"},
    {OPTION_SET, "--lossless", NULL, AT(lossless), 1, .help = "refuse to change any weight"},
    {OPTION_CHOICE, "--method", METHODS, AT(method),
     .help =
         "how to find trits and scales, default least-squares (sign for Q1_0; absmean over tensors for BitNet models)"},
    {OPTION_CHOICE, "--scale", "group|tensor", AT(scale), .help = "what shares a scale, default group"},
    {OPTION_TEXT, "--calibrate", "TEXT", AT(calibration),
     .help =
         "weigh errors by what the columns of each matrix are given over this text: INPUT, a GGUF file, is run over "
         "its first 65536 tokens; for least-squares and block64"},
    {OPTION_HEADING, .help = "and"},
    {OPTION_TEXT, "--pre", "NAME", AT(pretokenizer),
     .help = "the pre-tokenizer of a Hugging Face model, where its tokenizer.json is not of a known kind"},
    {OPTION_CHOICE, "--i2s", "x86|arm|sequential", AT(i2_s_order), 0, 0,
     "how INPUT's I2_S tensors are packed, which nothing in a file says: by bitnet.cpp on x86 (the default) or ARM, or "
     "four weights a byte in sequence"},
    {OPTION_SET, "-f, --force", NULL, AT(force), 1, .help = "replace OUTPUT if it is there"},
    {OPTION_SET, "-q, --quiet", NULL, AT(quiet), 1, .help = "no line for each matrix"},
    {OPTION_INTEGER, "--threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "compute threads, default 0: one for each physical core"},
    {.help = NULL},
};

const struct command command_pack = {
    .name = "pack",
    .usage = "INPUT OUTPUT --type TYPE [options]",
    .summary = "make a file with small weights from a model",
    .options = options_pack,
    .max_arguments = 2,
    .details =
        "INPUT is a GGUF file, the name of a model ('tern pull' lists them), or a Hugging Face model: its folder or\n"
        "its .safetensors file (qwen3, llama, bitnet).\n"
        "OUTPUT is a GGUF file; it appears when it is complete. Vectors stay F32.\n"
        "\n"
        "Groups of weights that already are {-s, 0, +s} (or {-s, +s}) are kept exactly, whatever the method. A model\n"
        "that was not trained to be ternary loses most of its ability when it is rounded to ternary or binary "
        "weights,\n"
        "by every method here: the methods differ in how much is left. docs/packing.md shows it in figures.\n"
        "\n"
        "examples:\n"
        "  tern pack Ternary-Bonsai-8B-F16.gguf bonsai.gguf --type PTQ1_0 --lossless\n"
        "  tern pack ./SmolLM2-135M-Instruct smollm2.gguf --type Q8_0\n"
        "  tern pack model.gguf mixed.gguf --type TQ2_0 --embedding-type Q8_0 --tensor 'blk.0.*=F16'",
};

// ---- Signals ----------------------------------------------------------------------------------------------------

static char shrunk_message[512];

// A mapped file that became shorter has no bytes where there were some: the system says so with SIGBUS. The output has
// no name yet, so there is nothing to clean up. Only what is safe in a handler.
static void on_shrunk(int signal_number)
{
    (void)signal_number;
    ssize_t unused = write(STDERR_FILENO, shrunk_message, strlen(shrunk_message));
    (void)unused;
    _exit(EXIT_FAILED);
}

static void install_signals(const char *input)
{
    snprintf(shrunk_message, sizeof shrunk_message,
             "tern: %.400s: the file became shorter (or the disk failed) while it was read; nothing was written\n",
             input);
    struct sigaction action = {.sa_handler = on_shrunk};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow further is a failed write, with a message
    interrupt_install(INTERRUPT_ONCE);
}

// ---- Progress ---------------------------------------------------------------------------------------------------

struct display {
    struct time_left line;
    bool quiet;
};

static bool show_progress(void *context, double fraction)
{
    struct display *display = context;
    time_left_show(&display->line, (float)fraction, "");
    return !interrupt_seen();
}

static double relative_error(const struct pack_tally *tally)
{
    return tally->weight_squared > 0 ? sqrt(tally->error_squared / tally->weight_squared) : 0;
}

static void print_tensor(void *context, const struct tensor_plan *plan, const struct pack_tally *tally)
{
    struct display *display = context;
    if (display->quiet) return;
    time_left_end(&display->line);
    const struct tensor *t = &plan->source->tensor;
    terminal_write(stdout, t->name, strlen(t->name));
    printf("%*s %8s -> %-8s ", (int)(28 - (strlen(t->name) < 28 ? strlen(t->name) : 28)), "",
           plan->source->packed_bitnet ? "packed" : dtype_info(t->type)->name, dtype_info(plan->type)->name);
    if (tally->exact_groups == tally->groups)
        puts("exact");
    else
        printf("exact %.1f %% of %" PRIu64 " groups, error %.4f, at most %.4g\n",
               100 * (double)tally->exact_groups / (double)tally->groups, tally->groups, relative_error(tally),
               (double)tally->largest_error);
}

static void print_summary(const char *output, const struct pack_report *report)
{
    const struct pack_tally *all = &report->matrices;
    if (report->n_exact == report->n_matrices) {
        printf("all %" PRIu64 " matrices are exact (%" PRIu64 " groups)\n", report->n_matrices, all->groups);
    } else {
        printf("%" PRIu64 " of %" PRIu64 " matrices and %" PRIu64 " of %" PRIu64 " groups are exact\n", report->n_exact,
               report->n_matrices, all->exact_groups, all->groups);
        printf("error: %.4f of the weights' root mean square; most in %s: %.4f\n", relative_error(all),
               report->least_exact, report->least_exact_error);
    }
    if (all->merged_groups > 0)
        printf("%" PRIu64 " groups lie in two or more tiles: each has the best scale for its tiles' trits\n",
               all->merged_groups);
    terminal_write(stdout, output, strlen(output));
    printf(": %.1f MiB, %.3f bits a weight in matrices\n", (double)report->file_bytes / 0x1p20,
           8 * (double)report->matrix_bytes / (double)all->weights);
}

// ---- Command ----------------------------------------------------------------------------------------------------

// False after a message.
static bool read_type(const char *option, const char *name, int *out)
{
    if (name == NULL || pack_parse_type(name, out)) return true;
    options_error(&command_pack, "%s: '%s' is not one of %s", option, name, pack_type_names());
    return false;
}

// "PATTERN=TYPE"; the pattern is cut off in place.
static bool read_rule(char *text, struct pack_rule *out)
{
    char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text) {
        options_error(&command_pack, "--tensor takes PATTERN=TYPE, got '%s'", text);
        return false;
    }
    *equals = '\0';
    out->pattern = text;
    return read_type("--tensor", equals + 1, &out->type);
}

static bool read_method(const struct pack_command *c, struct pack_options *out)
{
    static const enum ternarise_method methods[] = {
        [CHOICE_LEAST_SQUARES] = TERNARISE_LEAST_SQUARES,
        [CHOICE_ABSMEAN] = TERNARISE_ABSMEAN,
        [CHOICE_THRESHOLD] = TERNARISE_THRESHOLD,
        [CHOICE_SIGN] = TERNARISE_LEAST_SQUARES,
        [CHOICE_BLOCK64] = TERNARISE_BLOCK64,
    };
    bool binary = out->type == DTYPE_Q1_0;
    if (c->method == CHOICE_NONE) return true;
    if (binary != (c->method == CHOICE_SIGN)) {
        options_error(&command_pack, "--method sign is for binary weights (Q1_0), the others are for ternary ones");
        return false;
    }
    out->method_given = true;
    out->method = methods[c->method];
    return true;
}

static bool read_options(struct pack_command *c, char **rules, struct pack_options *out)
{
    *out = (struct pack_options){
        .embedding_type = PACK_DEFAULT,
        .head_type = PACK_DEFAULT,
        .odd_type = PACK_DEFAULT,
        .n_rules = c->rules.count,
        .tensor_scale = c->scale == SCALE_TENSOR,
        .lossless = c->lossless,
        .replace = c->force,
        .i2_s_order = (enum i2_s_order)c->i2_s_order,
        .pretokenizer = c->pretokenizer,
        .threads = c->threads,
    };
    if (c->type == NULL) {
        options_error(&command_pack, "which --type? One of %s", pack_type_names());
        return false;
    }
    for (size_t i = 0; i < c->rules.count; i++)
        if (!read_rule(rules[i], &out->rules[i])) return false;
    return read_type("--type", c->type, &out->type) &&
           read_type("--embedding-type", c->embedding_type, &out->embedding_type) &&
           read_type("--head-type", c->head_type, &out->head_type) &&
           read_type("--odd-type", c->odd_type, &out->odd_type) && read_method(c, out);
}

static int pack_files(const char *input, const char *output, struct pack_options *options, bool quiet)
{
    struct display display = {.quiet = quiet};
    struct pack_report report;
    options->progress = show_progress;
    options->on_tensor = print_tensor;
    options->context = &display;
    time_left_begin(&display.line, "packing");
    tern_status status = pack_run(input, output, options, &report);
    time_left_end(&display.line);
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    if (status != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    print_summary(output, &report);
    return terminal_finish_output();
}

// Only least squares weighs errors.
static bool takes_calibration(const struct pack_options *options)
{
    if (options->type != DTYPE_Q1_0 &&
        (options->method == TERNARISE_LEAST_SQUARES || options->method == TERNARISE_BLOCK64))
        return true;
    options_error(&command_pack, "--calibrate is for the methods least-squares and block64");
    return false;
}

static int calibrate_and_pack(const char *input, const char *output, const struct pack_command *c,
                              struct pack_options *options)
{
    struct calibration *calibration = NULL;
    install_signals(input);
    if (c->calibration != NULL) {
        int code = calibration_run(input, c->calibration, c->threads, &calibration);
        if (code != EXIT_OK) return code;
        options->importance = calibration_find;
        options->importance_context = calibration;
    }
    int code = pack_files(input, output, options, c->quiet);
    calibration_free(calibration);
    return code;
}

static int find_and_pack(const char *name, const char *output, const struct pack_command *c,
                         struct pack_options *options)
{
    char *input;
    interrupt_install(INTERRUPT_ONCE); // of a download
    int code = model_name_find(name, &input);
    if (code == EXIT_OK) code = calibrate_and_pack(input, output, c, options);
    free(input);
    return code;
}

int pack_main(int argc, char **argv)
{
    struct pack_command c = {.method = CHOICE_NONE};
    struct arguments words;
    struct pack_options options;
    enum parse_result parsed = options_parse(&command_pack, argc, argv, &c, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_pack, stdout);
        return terminal_finish_output();
    }
    if (words.count < 2) return options_error(&command_pack, "which files? Give INPUT and OUTPUT");
    char *rules[TEXT_LIST_MAX] = {0};
    bool copied = true;
    for (size_t i = 0; i < c.rules.count; i++)
        copied = (rules[i] = strdup(c.rules.items[i])) != NULL && copied;
    int code = EXIT_USAGE;
    if (!copied)
        code = terminal_error(EXIT_FAILED, "no memory for the rules");
    else if (read_options(&c, rules, &options) && (c.calibration == NULL || takes_calibration(&options)))
        code = find_and_pack(words.words[0], words.words[1], &c, &options);
    for (size_t i = 0; i < c.rules.count; i++)
        free(rules[i]);
    return code;
}
