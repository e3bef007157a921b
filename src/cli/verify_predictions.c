// tern verify A B -f TEXT: what two models predict, in one pass over the text.
#include "cli/verify.h"

#include "cli/evaluation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/terminal.h"

#include <inttypes.h>
#include <string.h>

struct pair {
    const struct verify_options *options;
    struct saved_logits saved; // if a_is_saved
    bool a_is_saved;
    tern_model *model_a, *model_b; // model_a is NULL if a_is_saved
    struct chunks own;             // of the text; none if it was not given
    const struct chunks *chunks;   // those of the run
};

// ---- Opening -------------------------------------------------------------------------------------------------------

static bool is_exact(const struct verify_options *o, enum verify_side side)
{
    return o->f32_activations == (int)side || o->f32_activations == VERIFY_BOTH;
}

static tern_kv_type b_kv_type(const struct verify_options *o)
{
    return o->kv_type >= 0 ? (tern_kv_type)o->kv_type : TERN_KV_F16;
}

static tern_status check_same_tokens(const struct chunks *a, const struct chunks *b)
{
    int64_t n_a = a->count * a->context, n_b = b->count * b->context;
    for (int64_t i = 0; i < n_a && i < n_b; i++)
        if (a->tokens[i] != b->tokens[i])
            return status_fail(TERN_INVALID,
                               "the tokens of the text differ: number %" PRId64
                               " is %d in A and %d in B, so that their "
                               "predictions cannot be compared",
                               i, (int)a->tokens[i], (int)b->tokens[i]);
    if (n_a == n_b) return TERN_OK;
    return status_fail(TERN_INVALID, "A has %" PRId64 " tokens of the text, B has %" PRId64, n_a, n_b);
}

// The text's chunks by both tokenizers, which must agree. A saved reference brings its own.
static tern_status read_text(struct pair *pair)
{
    const struct verify_options *o = pair->options;
    struct chunks other = {0};
    int context = o->context > 0 ? o->context : CHUNKS_CONTEXT, most = o->chunks;
    if (pair->a_is_saved) {
        context = pair->saved.chunks.context;
        most = (int)pair->saved.chunks.count;
    }
    pair->chunks = pair->a_is_saved ? &pair->saved.chunks : &pair->own;
    if (o->text == NULL) return TERN_OK;
    struct buffer text = {0};
    tern_status status = input_read(o->text, &text);
    if (status == TERN_OK) status = evaluation_cut_text(o->text, &text, pair->model_b, context, most, &pair->own);
    if (status == TERN_OK && pair->model_a != NULL)
        status = evaluation_cut_text(o->text, &text, pair->model_a, context, most, &other);
    if (status == TERN_OK) status = check_same_tokens(pair->a_is_saved ? &pair->saved.chunks : &other, &pair->own);
    buffer_free(&text);
    chunks_free(&other);
    return status;
}

static int open_a(struct pair *pair)
{
    const struct verify_options *o = pair->options;
    pair->a_is_saved = saved_logits_is(o->a);
    if (!pair->a_is_saved)
        return loading_open_model(o->a,
                                  (tern_model_options){.threads = o->threads, .f32_activations = is_exact(o, VERIFY_A)},
                                  &pair->model_a);
    if (o->save != NULL || o->context > 0 || o->chunks > 0 || is_exact(o, VERIFY_A))
        return options_error(&command_verify,
                             "A is a file of saved logits: its chunks and how it multiplies are fixed");
    if (saved_logits_open(o->a, &pair->saved) == TERN_OK) return EXIT_OK;
    return terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

static int open_pair(struct pair *pair)
{
    const struct verify_options *o = pair->options;
    int code = open_a(pair);
    if (code == EXIT_OK)
        code = loading_open_model(o->b,
                                  (tern_model_options){.threads = o->threads, .f32_activations = is_exact(o, VERIFY_B)},
                                  &pair->model_b);
    if (code != EXIT_OK) return code;
    return read_text(pair) == TERN_OK ? EXIT_OK : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

static void close_pair(struct pair *pair)
{
    chunks_free(&pair->own);
    if (pair->a_is_saved) saved_logits_close(&pair->saved);
    tern_model_close(pair->model_a);
    tern_model_close(pair->model_b);
}

// ---- Output --------------------------------------------------------------------------------------------------------

static bool within_limits(const struct verify_options *o, const struct summary *s)
{
    bool divergence = o->most_divergence < 0 || s->divergence.mean <= (double)o->most_divergence;
    return divergence && (o->least_same_top < 0 || 100 * s->same_top.mean >= (double)o->least_same_top);
}

static void print_side(const char *label, const char *path, bool exact, bool saved, tern_kv_type kv_type)
{
    static const char *const kept[] = {"", " (keys and values in q8_0)", " (keys and values in q4_0)"};
    printf("%-14s ", label);
    terminal_write(stdout, path, strlen(path));
    fputs(saved ? " (saved logits)" : exact ? " (unrounded activations)" : "", stdout);
    puts(kept[kv_type]);
}

static void print_quantiles(const struct summary *s)
{
    printf("%-14s", "  quantiles");
    for (int i = 0; i < SUMMARY_QUANTILES; i++)
        printf("%s %g %%: %.2e", i > 0 ? "," : "", 100 * summary_shares[i], s->quantiles[i]);
    putchar('\n');
}

static void print_text(const struct pair *pair, const struct summary *s)
{
    const struct verify_options *o = pair->options;
    print_side("A", o->a, is_exact(o, VERIFY_A), pair->a_is_saved, TERN_KV_F16);
    print_side("B", o->b, is_exact(o, VERIFY_B), false, b_kv_type(o));
    evaluation_print_chunks(pair->chunks, s->n);
    evaluation_print_estimate("perplexity A", s->perplexity_a, 4);
    evaluation_print_estimate("perplexity B", s->perplexity_b, 4);
    evaluation_print_estimate("ln (B / A)", s->log_ratio, 6);
    printf("%-14s %.4e +/- %.1e nats (Kullback-Leibler, of B from A), largest %.4e\n", "divergence", s->divergence.mean,
           s->divergence.error, s->largest_divergence);
    print_quantiles(s);
    printf("%-14s %.3f +/- %.3f %%\n", "same top token", 100 * s->same_top.mean, 100 * s->same_top.error);
    if (!within_limits(o, s)) puts("beyond the limits given");
}

static json_t *quantiles_to_json(const struct summary *s)
{
    json_t *quantiles = json_array();
    for (int i = 0; i < SUMMARY_QUANTILES; i++)
        json_array_append_new(quantiles, json_pack("{s:f, s:f}", "share", summary_shares[i], "nats", s->quantiles[i]));
    return quantiles;
}

static int print_json(const struct pair *pair, const struct summary *s)
{
    const struct chunks *c = pair->chunks;
    return evaluation_print_json(json_pack(
        "{s:I, s:I, s:i, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:b}", "tokens", (json_int_t)s->n, "chunks",
        (json_int_t)c->count, "context", (int)c->context, "perplexity_a", evaluation_estimate_to_json(s->perplexity_a),
        "perplexity_b", evaluation_estimate_to_json(s->perplexity_b), "log_ratio",
        evaluation_estimate_to_json(s->log_ratio), "divergence", evaluation_estimate_to_json(s->divergence),
        "largest_divergence", s->largest_divergence, "divergence_quantiles", quantiles_to_json(s), "same_top",
        evaluation_estimate_to_json(s->same_top), "within_limits", (int)within_limits(pair->options, s)));
}

// ---- Comparing -----------------------------------------------------------------------------------------------------

static int print_summary(const struct pair *pair, const struct evaluation *evaluation)
{
    struct summary summary;
    if (summarise(evaluation, &summary) != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    int code = EXIT_OK;
    if (pair->options->json)
        code = print_json(pair, &summary);
    else
        print_text(pair, &summary);
    if (code == EXIT_OK) code = terminal_finish_output();
    return code == EXIT_OK && !within_limits(pair->options, &summary) ? EXIT_FAILED : code;
}

static int compare_pair(struct pair *pair)
{
    struct evaluation evaluation;
    struct evaluate_options options = {
        .chunks = pair->chunks,
        .a = {.model = pair->model_a, .saved = pair->a_is_saved ? &pair->saved : NULL},
        .b = {.model = pair->model_b, .kv_type = b_kv_type(pair->options)},
    };
    struct evaluation_save save = {pair->options->save, is_exact(pair->options, VERIFY_A)};
    int code = evaluation_run(&options, save, &evaluation);
    if (code != EXIT_OK) return code;
    code = print_summary(pair, &evaluation);
    evaluation_free(&evaluation);
    return code;
}

int verify_predictions(const struct verify_options *options)
{
    struct pair pair = {.options = options};
    interrupt_install(INTERRUPT_ONCE);
    int code = open_pair(&pair);
    if (code == EXIT_OK) code = compare_pair(&pair);
    close_pair(&pair);
    return code;
}
