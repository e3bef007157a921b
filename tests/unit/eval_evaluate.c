// Runs over a text with a tiny model (tests/golden/chain.gguf) against what a session says token by token; saved
// logits; texts, files and runs that end badly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/session.h"
#include "eval/summary.h"

enum { CONTEXT = 16 };

// No letter is part of a longer token: a token a byte.
static const char TEXT[] = "A text of some length, because chunks of 16 are cut from it.\nTwo lines of it.\n";

struct fixture {
    tern_model *model;
    struct chunks chunks;
    char path[64]; // of a file of saved logits
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    tern_model_options options = {.threads = 2};
    if (tern_model_open("golden/chain.gguf", &options, &f->model) != TERN_OK) fail_msg("%s", tern_last_error());
    assert_int_equal(chunks_make(f->model->tokenizer, TEXT, strlen(TEXT), CONTEXT, 0, &f->chunks), TERN_OK);
    snprintf(f->path, sizeof f->path, "/tmp/tern-eval-%d.logits", (int)getpid());
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    chunks_free(&f->chunks);
    tern_model_close(f->model);
    free(f);
    return 0;
}

static void assert_message(const char *expected)
{
    if (strstr(status_message(), expected) == NULL) fail_msg("said '%s', expected '%s'", status_message(), expected);
}

// ---- Chunks -------------------------------------------------------------------------------------------------------

static void a_text_is_cut_into_whole_chunks(void **state)
{
    struct fixture *f = *state;
    tern_token *tokens;
    size_t n;
    assert_int_equal(tern_tokenize(f->model, TEXT, strlen(TEXT) - 1, 0, &tokens, &n), TERN_OK);
    assert_int_equal(f->chunks.count, n / CONTEXT);
    assert_memory_equal(f->chunks.tokens, tokens, (size_t)f->chunks.count * CONTEXT * sizeof *tokens);
    tern_free(tokens);
    struct chunks two;
    assert_int_equal(chunks_make(f->model->tokenizer, TEXT, strlen(TEXT), CONTEXT, 2, &two), TERN_OK);
    assert_int_equal(two.count, 2);
    chunks_free(&two);
    assert_int_equal(chunks_first(512), 256); // as llama.cpp's perplexity tool has it
    assert_int_equal(chunks_scored(512), 255);
}

static void too_short_texts_are_told(void **state)
{
    struct fixture *f = *state;
    struct chunks none;
    assert_int_equal(chunks_make(f->model->tokenizer, "A", 1, CONTEXT, 0, &none), TERN_LIMIT);
    assert_message("the text has 1 token, one chunk takes 16");
    assert_int_equal(chunks_make(f->model->tokenizer, "A\n", 2, 4, 0, &none), TERN_LIMIT);
    assert_message("the text has 1 token, one chunk takes 4");
    assert_int_equal(chunks_make(f->model->tokenizer, "\n", 1, CONTEXT, 0, &none), TERN_INVALID);
    assert_message("the text is empty");
}

// ---- Runs ---------------------------------------------------------------------------------------------------------

static tern_status run(const struct fixture *f, const struct source *a, bool two, struct evaluation *out)
{
    struct evaluate_options options = {.chunks = &f->chunks, .a = *a};
    if (two) options.b.model = f->model;
    return evaluate(&options, out);
}

// -ln p of the tokens that came, by a session that reads one token at a time.
static void expect_losses(const struct fixture *f, const double *losses)
{
    tern_session *session;
    int32_t n_vocabulary = tern_model_vocabulary(f->model);
    assert_int_equal(tern_session_open(f->model, NULL, &session), TERN_OK);
    for (int64_t chunk = 0; chunk < f->chunks.count; chunk++) {
        const tern_token *tokens = f->chunks.tokens + chunk * CONTEXT;
        tern_session_truncate(session, 0);
        for (int i = 0; i < CONTEXT - 1; i++) {
            assert_int_equal(tern_session_feed(session, &tokens[i], 1), TERN_OK);
            if (i < CONTEXT / 2) continue;
            const float *logits = tern_session_logits(session);
            double sum = 0;
            for (int32_t k = 0; k < n_vocabulary; k++)
                sum += exp((double)logits[k]);
            assert_true(fabs(log(sum) - (double)logits[tokens[i + 1]] - *losses++) < 1e-9);
        }
    }
    tern_session_close(session);
}

static void losses_are_those_of_single_tokens(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    assert_int_equal(run(f, &(struct source){.model = f->model}, false, &e), TERN_OK);
    assert_int_equal(e.n, f->chunks.count * (CONTEXT / 2 - 1));
    assert_int_equal(e.n, e.capacity);
    expect_losses(f, e.loss_a);
    evaluation_free(&e);
}

static void a_model_is_not_apart_from_itself(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    assert_int_equal(run(f, &(struct source){.model = f->model}, true, &e), TERN_OK);
    for (int64_t i = 0; i < e.n; i++)
        assert_true(e.divergence[i] == 0 && e.same_top[i] == 1 && e.loss_a[i] == e.loss_b[i]);
    evaluation_free(&e);
}

static void exact_activations_are_near_rounded_ones(void **state)
{
    struct fixture *f = *state;
    tern_model *exact;
    tern_model_options options = {.threads = 1, .f32_activations = true};
    assert_int_equal(tern_model_open("golden/chain.gguf", &options, &exact), TERN_OK);
    struct evaluation e;
    struct summary s;
    assert_int_equal(run(f, &(struct source){.model = exact}, true, &e), TERN_OK);
    assert_int_equal(summarise(&e, &s), TERN_OK);
    assert_true(s.divergence.mean > 0 && s.divergence.mean < 0.05);
    evaluation_free(&e);
    tern_model_close(exact);
}

static void contexts_beyond_the_models_are_refused(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    struct chunks long_chunks = {.context = 4096, .count = 1, .tokens = f->chunks.tokens};
    struct evaluate_options options = {.chunks = &long_chunks, .a.model = f->model};
    assert_int_equal(evaluate(&options, &e), TERN_INVALID);
    assert_message("chunks of 4096 tokens; the model was trained for 512");
}

static bool stop_in_the_middle(void *context, float fraction, const struct evaluation *so_far)
{
    *(int64_t *)context = so_far->n;
    return fraction < 0.5f;
}

static void runs_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    int64_t n = 0;
    struct evaluate_options options = {
        .chunks = &f->chunks, .a.model = f->model, .progress = stop_in_the_middle, .context = &n};
    assert_int_equal(evaluate(&options, &e), TERN_CANCELLED);
    assert_true(n > 0 && n < f->chunks.count * (CONTEXT / 2 - 1));
    assert_null(e.loss_a);
}

// ---- Saved logits -------------------------------------------------------------------------------------------------

static void save(const struct fixture *f, struct evaluation *e)
{
    struct evaluate_options options = {.chunks = &f->chunks, .a.model = f->model};
    assert_int_equal(
        saved_logits_create(f->path, "name", true, tern_model_vocabulary(f->model), &f->chunks, &options.save),
        TERN_OK);
    assert_int_equal(access(f->path, F_OK), -1); // not before it is complete
    assert_int_equal(evaluate(&options, e), TERN_OK);
    assert_int_equal(saved_logits_finish(options.save), TERN_OK);
}

static void saved_logits_stand_for_the_model(void **state)
{
    struct fixture *f = *state;
    struct evaluation live, from_file;
    struct saved_logits saved;
    save(f, &live);
    assert_true(saved_logits_is(f->path));
    assert_int_equal(saved_logits_open(f->path, &saved), TERN_OK);
    assert_string_equal(saved.name, "name");
    assert_true(saved.f32_activations);
    assert_int_equal(saved.chunks.count, f->chunks.count);
    assert_memory_equal(saved.chunks.tokens, f->chunks.tokens,
                        (size_t)f->chunks.count * CONTEXT * sizeof *f->chunks.tokens);
    assert_int_equal(run(f, &(struct source){.saved = &saved}, true, &from_file), TERN_OK);
    for (int64_t i = 0; i < live.n; i++) {
        assert_true(from_file.loss_a[i] == live.loss_a[i] && from_file.same_top[i] == 1);
        assert_true(from_file.divergence[i] < 1e-7);
    }
    saved_logits_close(&saved);
    evaluation_free(&live);
    evaluation_free(&from_file);
}

static void change_byte(const char *path, long offset, int whence)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, offset, whence);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ 0x20, file);
    fclose(file);
}

static void assert_refused(const struct fixture *f, const char *message)
{
    struct saved_logits saved;
    assert_int_not_equal(saved_logits_open(f->path, &saved), TERN_OK);
    assert_message(message);
}

static void damaged_headers_are_told(void **state)
{
    struct fixture *f = *state;
    static const struct {
        long offset;
        const char *message;
    } cases[] = {
        {0, "not a file of saved logits"},
        {8, "version 33 of saved logits, this tern reads version 1"},
        {18, "bytes, expected"},
        {19, "the vocabulary is 5368"},
        {20, "bytes, expected"},
        {23, "the context is 536870928, expected 4 to"},
        {31, "the number of chunks is 2305843009213693956, expected 1 to"},
        {33, "the length of the name is 8196, expected 0 to 255"},
        {12, "the header's hash is not that of its bytes"},
        {50, "the header's hash is not that of its bytes"},
        {60, "the header's hash is not that of its bytes"},
    };
    struct evaluation e;
    save(f, &e);
    evaluation_free(&e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        change_byte(f->path, cases[i].offset, SEEK_SET);
        assert_refused(f, cases[i].message);
        change_byte(f->path, cases[i].offset, SEEK_SET);
    }
}

static void files_of_another_length_are_told(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    struct saved_logits saved;
    save(f, &e);
    evaluation_free(&e);
    assert_int_equal(saved_logits_open(f->path, &saved), TERN_OK);
    size_t size = saved.file.size;
    saved_logits_close(&saved);
    assert_int_equal(truncate(f->path, (off_t)size + 1), 0);
    assert_refused(f, "bytes, expected");
    for (size_t left = size - 1; left > 0; left = left * 3 / 4) {
        assert_int_equal(truncate(f->path, (off_t)left), 0);
        assert_refused(f, f->path);
    }
}

static void damaged_rows_are_told(void **state)
{
    struct fixture *f = *state;
    struct evaluation e;
    struct saved_logits saved;
    save(f, &e);
    evaluation_free(&e);
    change_byte(f->path, -100, SEEK_END);
    assert_int_equal(saved_logits_open(f->path, &saved), TERN_OK);
    assert_int_equal(run(f, &(struct source){.saved = &saved}, true, &e), TERN_BAD_FILE);
    assert_message("the hash of chunk 4 is not that of its bytes: the file is damaged");
    saved_logits_close(&saved);
}

static void another_vocabulary_is_refused(void **state)
{
    struct fixture *f = *state;
    struct saved_logits saved = {.path = "saved", .n_vocabulary = 3};
    struct evaluation e;
    assert_int_equal(run(f, &(struct source){.saved = &saved}, true, &e), TERN_INVALID);
    assert_message("the vocabularies differ: 3 tokens and ");
}

static void places_that_cannot_be_written_are_told(void **state)
{
    struct fixture *f = *state;
    struct saved_logits_writer *writer;
    assert_int_equal(saved_logits_create("/nowhere/x", "", false, 3, &f->chunks, &writer), TERN_IO);
    assert_message("/nowhere/x.part: No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_is_cut_into_whole_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_short_texts_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_are_those_of_single_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_is_not_apart_from_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exact_activations_are_near_rounded_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(contexts_beyond_the_models_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saved_logits_stand_for_the_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_headers_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_another_length_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_rows_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_vocabulary_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_that_cannot_be_written_are_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
