#include "cli/evaluation.h"

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/time_left.h"

#include <inttypes.h>
#include <string.h>

tern_status evaluation_cut_text(const char *path, const struct buffer *text, const struct tern_model *model,
                                int context, int most, struct chunks *out)
{
    tern_status status = chunks_make(model->tokenizer, text->data, text->length, context, most, out);
    if (status != TERN_OK) status_prefix(status, "%s: ", strcmp(path, "-") == 0 ? "standard input" : path);
    return status;
}

static bool show_progress(void *context, float fraction, const struct evaluation *so_far)
{
    char figures[64] = "";
    if (so_far->n > 0)
        snprintf(figures, sizeof figures, ", perplexity %.2f", estimate_perplexity(so_far->loss_a, so_far->n).mean);
    if (so_far->n > 0 && so_far->divergence != NULL)
        snprintf(figures, sizeof figures, ", divergence %.2g", estimate_mean(so_far->divergence, so_far->n).mean);
    time_left_show(context, fraction, figures);
    return !interrupt_seen();
}

static tern_status create_save(struct evaluate_options *options, struct evaluation_save save)
{
    const struct tern_model *model = options->a.model;
    if (save.path == NULL) return TERN_OK;
    return saved_logits_create(save.path, tern_model_name(model), save.f32_activations, tern_model_vocabulary(model),
                               options->chunks, &options->save);
}

static tern_status run_and_save(struct evaluate_options *options, struct evaluation_save save, struct evaluation *out)
{
    TRY(create_save(options, save));
    tern_status status = evaluate(options, out);
    if (status != TERN_OK) {
        saved_logits_abandon(options->save);
        return status;
    }
    if (options->save != NULL) status = saved_logits_finish(options->save);
    if (status != TERN_OK) evaluation_free(out);
    return status;
}

int evaluation_run(struct evaluate_options *options, struct evaluation_save save, struct evaluation *out)
{
    struct time_left line;
    time_left_begin(&line, "evaluating");
    options->progress = show_progress;
    options->context = &line;
    tern_status status = run_and_save(options, save, out);
    time_left_end(&line);
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    return status == TERN_OK ? EXIT_OK : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

void evaluation_print_estimate(const char *label, struct estimate estimate, int digits)
{
    printf("%-14s %.*f +/- %.*f\n", label, digits, estimate.mean, digits, estimate.error);
}

json_t *evaluation_estimate_to_json(struct estimate estimate)
{
    return json_pack("{s:f, s:f}", "mean", estimate.mean, "error", estimate.error);
}

void evaluation_print_chunks(const struct chunks *chunks, int64_t n)
{
    printf("%-14s %" PRId64 " counted of %" PRId64 " (chunks: %" PRId64 " of %d tokens, the second half counts)\n",
           "tokens", n, chunks->count * chunks->context, chunks->count, (int)chunks->context);
}

int evaluation_print_json(json_t *object)
{
    if (object == NULL) return terminal_error(EXIT_FAILED, "the figures cannot be put in JSON");
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
    return EXIT_OK;
}
