// tern perplexity: how well a model foretells a text, with llama.cpp's conventions, so that figures compare.
#include "cli/commands.h"
#include "cli/evaluation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"

#include <math.h>

struct perplexity_options {
    const char *model, *text, *save;
    int context, chunks, threads, f32_activations, kv_type, json;
};

#define AT(field) offsetof(struct perplexity_options, field)

static const struct option options_perplexity[] = {
    {OPTION_TEXT, "-m, --model", "FILE", AT(model), .help = "the model, a GGUF file; or give it as first word"},
    {OPTION_TEXT, "-f, --file", "TEXT", AT(text), .help = "the text, a file; - is standard input; 16 MiB at most"},
    {OPTION_INTEGER, "-c, --context", "N", AT(context), CHUNKS_LEAST_CONTEXT, EVALUATION_MAX_CONTEXT,
     "tokens of a chunk, 4 or more, default 512"},
    {OPTION_INTEGER, "--chunks", "N", AT(chunks), 0, EVALUATION_MAX_CHUNKS, "take the first N chunks, default 0: all"},
    {OPTION_INTEGER, "-t, --threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "compute threads, default 0: one for each physical core"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type), .help = "how keys and values are kept, default f16"},
    {OPTION_SET, "--f32-activations", NULL, AT(f32_activations), 1,
     .help = "multiply unrounded activations: exact and slow"},
    {OPTION_TEXT, "--save-logits", "FILE", AT(save),
     .help = "keep what the model predicts, as a reference for tern verify: 2 bytes a counted token and word of the "
             "vocabulary"},
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {.help = NULL},
};

const struct command command_perplexity = {
    .name = "perplexity",
    .usage = "-m MODEL -f TEXT [options]",
    .summary = "measure how well a model foretells a text",
    .options = options_perplexity,
    .max_arguments = 1,
    .details = "The text is cut into chunks of N tokens, each begins anew, and what the model predicts counts in the\n"
               "second half of each: as in llama.cpp's perplexity tool, so that figures compare.\n"
               "\n"
               "examples:\n"
               "  tern perplexity -m model.gguf -f wiki.test.raw\n"
               "  tern perplexity -m model.gguf -f wiki.test.raw --chunks 20 --save-logits reference.logits",
};

static void print_text(const struct chunks *chunks, const struct evaluation *e)
{
    evaluation_print_estimate("perplexity", estimate_perplexity(e->loss_a, e->n), 4);
    double loss = estimate_mean(e->loss_a, e->n).mean;
    printf("%-14s %.4f nats, %.4f bits\n", "loss", loss, loss / log(2));
    evaluation_print_chunks(chunks, e->n);
}

static int print_json(const struct perplexity_options *o, const struct chunks *chunks, const struct evaluation *e)
{
    return evaluation_print_json(json_pack("{s:o, s:o, s:I, s:I, s:i, s:b}", "perplexity",
                                           evaluation_estimate_to_json(estimate_perplexity(e->loss_a, e->n)), "loss",
                                           evaluation_estimate_to_json(estimate_mean(e->loss_a, e->n)), "tokens",
                                           (json_int_t)e->n, "chunks", (json_int_t)chunks->count, "context",
                                           (int)chunks->context, "f32_activations", o->f32_activations));
}

static int measure(const struct perplexity_options *o, tern_model *model, const struct chunks *chunks)
{
    struct evaluation evaluation;
    struct evaluate_options options = {.chunks = chunks, .a = {.model = model, .kv_type = (tern_kv_type)o->kv_type}};
    struct evaluation_save save = {.path = o->save, .f32_activations = o->f32_activations != 0};
    int code = evaluation_run(&options, save, &evaluation);
    if (code != EXIT_OK) return code;
    if (o->json)
        code = print_json(o, chunks, &evaluation);
    else
        print_text(chunks, &evaluation);
    evaluation_free(&evaluation);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

static int cut_and_measure(const struct perplexity_options *o, tern_model *model)
{
    struct buffer text = {0};
    struct chunks chunks = {0};
    tern_status status = input_read(o->text, &text);
    if (status == TERN_OK) status = evaluation_cut_text(o->text, &text, model, o->context, o->chunks, &chunks);
    buffer_free(&text);
    int code = status == TERN_OK ? measure(o, model, &chunks) : terminal_error(EXIT_FAILED, "%s", tern_last_error());
    chunks_free(&chunks);
    return code;
}

static int open_and_measure(const struct perplexity_options *o)
{
    tern_model *model;
    interrupt_install(INTERRUPT_ONCE);
    int code = loading_open_model(
        o->model, (tern_model_options){.threads = o->threads, .f32_activations = o->f32_activations != 0}, &model);
    if (code != EXIT_OK) return code;
    code = cut_and_measure(o, model);
    tern_model_close(model);
    return code;
}

int perplexity_main(int argc, char **argv)
{
    struct perplexity_options o = {.context = CHUNKS_CONTEXT};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_perplexity, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_perplexity, stdout);
        return terminal_finish_output();
    }
    if (o.model != NULL && words.count > 0)
        return options_error(&command_perplexity, "two models: '%s' and -m '%s'", words.words[0], o.model);
    if (words.count > 0) o.model = words.words[0];
    if (o.model == NULL) return options_error(&command_perplexity, "which model? Give a GGUF file");
    if (o.text == NULL) return options_error(&command_perplexity, "which text? Give a file with -f");
    return open_and_measure(&o);
}
