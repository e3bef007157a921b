// tern verify: whether two files hold the same weights, or how far their predictions are apart.
#include "cli/verify.h"

#include "cli/evaluation.h"
#include "cli/loading.h"

#define AT(field) offsetof(struct verify_options, field)

static const struct option options_verify[] = {
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {OPTION_INTEGER, "-t, --threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "threads, default 0: one for each physical core"},
    {OPTION_HEADING, NULL, NULL, 0, .help = "Predictions"},
    {OPTION_TEXT, "-f, --file", "TEXT", AT(text),
     .help = "compare predictions over this text, not weights; - is standard input; 16 MiB at most"},
    {OPTION_INTEGER, "-c, --context", "N", AT(context), CHUNKS_LEAST_CONTEXT, EVALUATION_MAX_CONTEXT,
     "tokens of a chunk, 4 or more, default 512"},
    {OPTION_INTEGER, "--chunks", "N", AT(chunks), 0, EVALUATION_MAX_CHUNKS, "take the first N chunks, default 0: all"},
    {OPTION_CHOICE, "--f32-activations", "a|b|both", AT(f32_activations),
     .help = "which side multiplies unrounded activations, exact and slow; with one model given, it is compared with "
             "itself"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type),
     .help = "how B keeps its keys and values, default f16 (as A); with one model given, it is compared with itself"},
    {OPTION_TEXT, "--save-logits", "FILE", AT(save),
     .help = "keep A's predictions: FILE can then stand for A, and no text is needed"},
    {OPTION_FLOAT, "--max-kld", "D", AT(most_divergence), 0, 1000,
     "exit with 1 if the mean divergence is above D nats"},
    {OPTION_FLOAT, "--min-same-top", "P", AT(least_same_top), 0, 100,
     "exit with 1 if fewer than P percent of the positions have the same likeliest token"},
    {.help = NULL},
};

const struct command command_verify = {
    .name = "verify",
    .usage = "A B [options]",
    .summary = "compare the weights or the predictions of two models",
    .options = options_verify,
    .max_arguments = 2,
    .details = "Without a text it compares weights, value for value, whatever types and layouts the files use, and "
               "exits with\n"
               "0 if all are equal, 1 if not. With one it compares what the two models predict: A is the reference.\n"
               "\n"
               "examples:\n"
               "  tern verify original.gguf packed.gguf\n"
               "  tern verify f16.gguf ternary.gguf -f text.txt --max-kld 0.01\n"
               "  tern verify model.gguf --f32-activations a -f text.txt\n"
               "  tern verify model.gguf --kv-type q8_0 -f text.txt\n"
               "  tern verify f16.gguf q8.gguf -f text.txt --save-logits f16.logits\n"
               "  tern verify f16.logits ternary.gguf",
};

// Options that speak of predictions only.
static const char *predictions_only(const struct verify_options *o)
{
    if (o->save != NULL) return "--save-logits";
    if (o->most_divergence >= 0) return "--max-kld";
    if (o->least_same_top >= 0) return "--min-same-top";
    if (o->f32_activations >= 0) return "--f32-activations";
    if (o->kv_type >= 0) return "--kv-type";
    if (o->context > 0) return "--context";
    return o->chunks > 0 ? "--chunks" : NULL;
}

static int choose_way(const struct verify_options *o)
{
    if (o->text != NULL || saved_logits_is(o->a)) return verify_predictions(o);
    const char *needless = predictions_only(o);
    if (needless != NULL) return options_error(&command_verify, "%s needs a text: give a file with -f", needless);
    return verify_weights(o);
}

int verify_main(int argc, char **argv)
{
    struct verify_options o = {.f32_activations = -1, .kv_type = -1, .most_divergence = -1, .least_same_top = -1};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_verify, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_verify, stdout);
        return terminal_finish_output();
    }
    bool itself = words.count == 1 && (o.f32_activations >= 0 || o.kv_type >= 0);
    if (words.count < 1 || (words.count < 2 && !itself))
        return options_error(&command_verify, "which files? Give two, A and B");
    o.a = words.words[0];
    o.b = itself ? o.a : words.words[1];
    return choose_way(&o);
}
