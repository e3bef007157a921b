// Densities against the published ones; lists of scores, right and wrong; what the picture holds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/frontier.h"

static const struct scored_model *find(const struct scored_models *models, const char *name)
{
    for (size_t i = 0; i < models->count; i++)
        if (strcmp(models->items[i].name, name) == 0) return &models->items[i];
    fail_msg("no model %s", name);
    return NULL;
}

static void published_densities_come_out(void **state)
{
    (void)state;
    static const struct {
        const char *model, *density;
    } known[] = {
        {"Ternary Bonsai 4B", "1.202"}, {"1-bit Bonsai 4B", "1.744"}, {"Ministral3 3B", "0.192"},
        {"Qwen 3 4B", "0.183"},         {"Llama 3.2 3B", "0.161"},    {"Gemma 3 4B", "0.146"},
        {"1-bit Bonsai 1.7B", "2.832"}, {"1-bit Bonsai 8B", "1.060"}, {"Qwen 3 0.6B", "0.549"},
        {"Qwen 3 1.7B", "0.318"},       {"Qwen 3 8B", "0.096"},       {"Gemma 3 1B", "0.304"},
        {"LFM2 1.2B", "0.269"},         {"Llama 3.2 1B", "0.206"},    {"Llama 3.1 8B", "0.069"},
    };
    struct scored_models models = {0};
    assert_int_equal(density_read_published(&models), TERN_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char found[16];
        snprintf(found, sizeof found, "%.3f", density_of(find(&models, known[i].model)));
        assert_string_equal(found, known[i].density);
    }
    scored_models_free(&models);
}

static tern_status read(const char *text, struct scored_models *models)
{
    *models = (struct scored_models){0};
    return density_read("scores", text, strlen(text), models);
}

static void csv_is_read(void **state)
{
    (void)state;
    struct scored_models models;
    assert_int_equal(read("score,model,bytes,color\r\n50,\"a, \"\"b\"\"\",2e9,red\r\n\r\n0,c,1,\r\n", &models),
                     TERN_OK);
    assert_int_equal(models.count, 2);
    assert_string_equal(models.items[0].name, "a, \"b\"");
    assert_true(models.items[0].gigabytes == 2 && fabs(density_of(&models.items[0]) - log(2) / 2) < 1e-15);
    assert_true(density_of(&models.items[1]) == 0);
    scored_models_free(&models);
}

static void json_is_read(void **state)
{
    (void)state;
    struct scored_models models;
    assert_int_equal(read("[{\"model\": \"m\", \"gb\": 0.5, \"scores\": {\"x\": 40, \"y\": 60}, \"group\": \"g\"},"
                          " {\"model\": \"n\", \"file\": \"golden/chain.gguf\", \"score\": 1}]",
                          &models),
                     TERN_OK);
    assert_true(models.items[0].score == 50);
    assert_string_equal(models.items[0].group, "g");
    assert_true(models.items[1].gigabytes > 1e-6 && models.items[1].gigabytes < 1e-3);
    scored_models_free(&models);
}

static void wrong_lists_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "scores: is empty"},
        {"model,gb,score\na,1\n", "scores: line 2: 2 values, the first line names 3"},
        {"model,gb,score\na,1,x\n", "scores: line 2: score is 'x', expected a number"},
        {"model,gb,score\na,1,nan\n", "scores: line 2: score is 'nan', expected a number"},
        {"model,gb,score\na,1,100\n", "scores: line 2: a score of 100, expected 0 to less than 100 percent"},
        {"model,gb,score\na,0,10\n", "scores: line 2: a size of 0 GB, expected more than 0 and less than 1e9"},
        {"model,score\na,10\n", "scores: line 2: no size: gb, bytes or file is needed"},
        {"gb,score\n1,10\n", "scores: line 2: no name: model is needed"},
        {"model,gb,score\na,1,\n", "scores: line 2: no score: a number in percent is needed"},
        {"model,gb,score\n\"a,1,2\n", "scores: line 2: a quoted value that does not end"},
        {"{}", "scores: expected an array"},
        {"[1]", "scores: model 1: is no object"},
        {"[{\"model\": \"a\", \"gb\": 1, \"scores\": {\"x\": \"y\"}}]", "scores: model 1: no score"},
        {"[", "scores: line 1: "},
        {"model,file,score\na,absent.gguf,1\n", "scores: line 2: absent.gguf: No such file"},
        {"model,gb,score\n\xff,1,2\n", "scores: line 2: a name that is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scored_models models;
        assert_int_not_equal(read(cases[i].text, &models), TERN_OK);
        if (strncmp(status_message(), cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("said '%s', expected '%s'", status_message(), cases[i].message);
        scored_models_free(&models);
    }
}

static void the_frontier_is_what_nothing_beats(void **state)
{
    (void)state;
    struct scored_models models;
    assert_int_equal(read("model,gb,score\na,1,50\nb,2,40\nc,2,60\nd,1,50\ne,3,60\n", &models), TERN_OK);
    static const bool expected[] = {true, false, true, true, false};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(density_on_frontier(&models, i), expected[i]);
    scored_models_free(&models);
}

static void the_picture_names_models_safely(void **state)
{
    (void)state;
    struct scored_models models;
    struct buffer svg = {0};
    assert_int_equal(read("model,gb,score,group\n<script>&\x01,1,50,<g>\nb,2,60,h\n", &models), TERN_OK);
    assert_int_equal(frontier_draw(&models, &svg), TERN_OK);
    assert_non_null(strstr(svg.data, ">&lt;script&gt;&amp; <title>1 GB, 50.00 %, density 0.693</title>"));
    assert_non_null(strstr(svg.data, "&lt;g&gt;"));
    assert_null(strstr(svg.data, "<script"));
    buffer_free(&svg);
    scored_models_free(&models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_densities_come_out),
        cmocka_unit_test(csv_is_read),
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(wrong_lists_are_told),
        cmocka_unit_test(the_frontier_is_what_nothing_beats),
        cmocka_unit_test(the_picture_names_models_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
