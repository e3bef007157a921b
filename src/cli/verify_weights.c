// tern verify A B: the weights of two files.
#include "cli/verify.h"

#include "base/cpu.h"
#include "cli/evaluation.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/terminal.h"
#include "cli/time_left.h"
#include "engine/model.h"
#include "eval/compare.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LISTED_TENSORS = 10 };

static const char *const state_names[] = {"equal", "different", "of another shape", "only in A", "only in B"};

struct weights_report {
    const struct verify_options *options;
    const struct gguf_file *a, *b;
    struct comparison comparison;
    double seconds;
};

// ---- Text ----------------------------------------------------------------------------------------------------------

static void print_name(const struct compared_tensor *t)
{
    terminal_write(stdout, compared_name(t), strlen(compared_name(t)));
}

static void print_shape(const struct tensor *t)
{
    for (uint32_t i = t->n_dims; i-- > 0;)
        printf("%" PRIu64 "%s", t->dims[i], i > 0 ? " x " : "");
}

static void print_difference(const struct compared_tensor *t)
{
    switch (t->state) {
    case COMPARE_DIFFERENT:
        printf("row %" PRIu64 ", column %" PRIu64 ": A has %.9g (%s), B has %.9g (%s); %" PRIu64 " of %" PRIu64
               " differ, by %.9g at most",
               t->row, t->column, (double)t->value_a, dtype_info(t->a->type)->name, (double)t->value_b,
               dtype_info(t->b->type)->name, t->different, t->weights, t->largest);
        break;
    case COMPARE_MISSHAPEN:
        fputs("A has ", stdout);
        print_shape(t->a);
        fputs(", B has ", stdout);
        print_shape(t->b);
        break;
    default:
        fputs(state_names[t->state], stdout);
        break;
    }
}

static void print_differences(const struct comparison *c)
{
    uint64_t listed = 0, all = c->n_tensors - c->counts[COMPARE_EQUAL];
    for (uint64_t i = 0; i < c->n_tensors && listed < LISTED_TENSORS; i++) {
        const struct compared_tensor *t = &c->tensors[i];
        if (t->state == COMPARE_EQUAL) continue;
        fputs("  ", stdout);
        print_name(t);
        fputs(": ", stdout);
        print_difference(t);
        putchar('\n');
        listed++;
    }
    if (all > listed) printf("  and %" PRIu64 " more (--json lists all)\n", all - listed);
}

static void print_text(const struct weights_report *r)
{
    const struct comparison *c = &r->comparison;
    puts(comparison_is_equal(c) ? "equal" : "not equal");
    print_differences(c);
    printf("%-14s", "tensors");
    for (int state = 0; state <= COMPARE_ONLY_B; state++)
        if (state == COMPARE_EQUAL || c->counts[state] > 0)
            printf("%s %" PRIu64 " %s", state == COMPARE_EQUAL ? "" : ",", c->counts[state], state_names[state]);
    printf("\n%-14s %" PRIu64 " compared, %" PRIu64 " different\n", "weights", c->weights, c->different);
    printf("%-14s %.2f s, %.2f GB/s\n", "time", r->seconds, (double)c->bytes / 1e9 / r->seconds);
}

// ---- JSON ----------------------------------------------------------------------------------------------------------

// JSON has no infinities and no NaN: null.
static json_t *number_to_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *name_to_json(const char *name)
{
    return utf8_valid(name, strlen(name)) ? json_string(name) : json_null();
}

static json_t *tensor_to_json(const struct compared_tensor *t)
{
    json_t *object = json_pack("{s:o, s:s}", "tensor", name_to_json(compared_name(t)), "state", state_names[t->state]);
    if (t->a != NULL) json_object_set_new(object, "type_a", json_string(dtype_info(t->a->type)->name));
    if (t->b != NULL) json_object_set_new(object, "type_b", json_string(dtype_info(t->b->type)->name));
    if (t->state != COMPARE_DIFFERENT) return object;
    json_object_set_new(object, "weights", json_integer((json_int_t)t->weights));
    json_object_set_new(object, "different", json_integer((json_int_t)t->different));
    json_object_set_new(object, "largest", number_to_json(t->largest));
    json_object_set_new(object, "first",
                        json_pack("{s:I, s:I, s:o, s:o}", "row", (json_int_t)t->row, "column", (json_int_t)t->column,
                                  "a", number_to_json((double)t->value_a), "b", number_to_json((double)t->value_b)));
    return object;
}

static int print_json(const struct weights_report *r)
{
    const struct comparison *c = &r->comparison;
    json_t *differences = json_array(), *counts = json_object();
    for (uint64_t i = 0; i < c->n_tensors; i++)
        if (c->tensors[i].state != COMPARE_EQUAL) json_array_append_new(differences, tensor_to_json(&c->tensors[i]));
    for (int state = 0; state <= COMPARE_ONLY_B; state++)
        json_object_set_new(counts, state_names[state], json_integer((json_int_t)c->counts[state]));
    return evaluation_print_json(json_pack("{s:b, s:o, s:I, s:I, s:o, s:I, s:f}", "equal", (int)comparison_is_equal(c),
                                           "tensors", counts, "weights", (json_int_t)c->weights, "different",
                                           (json_int_t)c->different, "differences", differences, "bytes",
                                           (json_int_t)c->bytes, "seconds", r->seconds));
}

// ---- Comparing -----------------------------------------------------------------------------------------------------

static bool show_progress(void *context, float fraction)
{
    time_left_show(context, fraction, "");
    return !interrupt_seen();
}

static int print_report(const struct weights_report *r)
{
    int code = EXIT_OK;
    if (r->options->json)
        code = print_json(r);
    else
        print_text(r);
    if (code == EXIT_OK) code = terminal_finish_output();
    return code == EXIT_OK && !comparison_is_equal(&r->comparison) ? EXIT_FAILED : code;
}

static int compare_files(struct weights_report *r)
{
    struct time_left line;
    int threads = r->options->threads > 0 ? r->options->threads : cpu_cores();
    double start = model_clock();
    time_left_begin(&line, "comparing");
    tern_status status = compare_weights(r->a, r->b, threads, show_progress, &line, &r->comparison);
    time_left_end(&line);
    r->seconds = model_clock() - start;
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    if (status != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    int code = print_report(r);
    comparison_free(&r->comparison);
    return code;
}

int verify_weights(const struct verify_options *options)
{
    struct gguf_file *a, *b;
    interrupt_install(INTERRUPT_ONCE);
    int code = loading_open_file(options->a, &a);
    if (code != EXIT_OK) return code;
    if ((code = loading_open_file(options->b, &b)) == EXIT_OK) {
        code = compare_files(&(struct weights_report){.options = options, .a = a, .b = b});
        gguf_close(b);
    }
    gguf_close(a);
    return code;
}
