// Sessions and generation on tests/golden/chain.gguf (tests/tools/chain_model.py): after a line's end its most likely
// tokens say "I am a very tiny model ✓." and stop; the check mark comes in two tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "engine/session.h"

static const char MODEL[] = "golden/chain.gguf", SENTENCE[] = "I am a very tiny model \xe2\x9c\x93.";

static tern_model *open_model(const char *path)
{
    tern_model *model;
    tern_model_options options = {.threads = 2};
    if (tern_model_open(path, &options, &model) != TERN_OK) fail_msg("%s", tern_last_error());
    return model;
}

static tern_session *open_session(tern_model *model, int32_t context)
{
    tern_session *session;
    tern_sampling sampling = tern_sampling_default();
    sampling.temperature = 0;
    tern_session_options options = {.context = context, .sampling = &sampling};
    if (tern_session_open(model, &options, &session) != TERN_OK) fail_msg("%s", tern_last_error());
    return session;
}

struct fixture {
    tern_model *model;
    tern_session *session;
};

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    assert_non_null(f);
    f->model = open_model(MODEL);
    f->session = open_session(f->model, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tern_session_close(f->session);
    tern_model_close(f->model);
    free(f);
    return 0;
}

// ---- Generation -----------------------------------------------------------------------------------------------------

struct received {
    char text[256];
    size_t length;
    int calls, allowed; // allowed: calls answered with true; -1: all
};

static bool receive(void *context, const char *text, size_t length)
{
    struct received *r = context;
    assert_true(length > 0 && r->length + length < sizeof r->text);
    memcpy(r->text + r->length, text, length);
    r->length += length;
    return r->allowed < 0 || ++r->calls <= r->allowed;
}

static const tern_token NEWLINE = '\n';

static tern_status generate(tern_session *session, const char *stop, int32_t max_tokens, struct received *received,
                            tern_result *result)
{
    tern_generation g = {
        .max_tokens = max_tokens, .stop = &stop, .n_stop = stop != NULL, .on_text = receive, .context = received};
    memset(received->text, 0, sizeof received->text);
    received->length = 0;
    return tern_session_generate(session, &NEWLINE, 1, &g, result);
}

static void it_says_its_sentence_and_ends(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = -1};
    tern_result result;
    assert_int_equal(generate(f->session, NULL, -1, &received, &result), TERN_OK);
    assert_string_equal(received.text, SENTENCE);
    assert_int_equal(result.finish, TERN_FINISH_END);
    assert_int_equal(result.n_prompt, 1);
    assert_int_equal(result.n_generated, 9);
    assert_int_equal(tern_session_length(f->session), 10); // the end token is not fed
    assert_true(result.generate_seconds > 0);
}

static void characters_are_never_split(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = -1};
    tern_result result;
    assert_int_equal(generate(f->session, NULL, 7, &received, &result), TERN_OK);
    // After 7 tokens the first half of the check mark is there: at the end it becomes U+FFFD, not a stray byte.
    assert_string_equal(received.text, "I am a very tiny model \xef\xbf\xbd");
    assert_int_equal(result.finish, TERN_FINISH_LENGTH);
}

static void stop_strings_end_the_answer(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = -1};
    tern_result result;
    assert_int_equal(generate(f->session, "ry ti", -1, &received, &result), TERN_OK);
    assert_string_equal(received.text, "I am a ve");
    assert_int_equal(result.finish, TERN_FINISH_STOP);
    assert_int_equal(result.n_generated, 5);
    assert_int_equal(tern_session_length(f->session), 5); // "\n", 4 words; " tiny" completed the stop string
    assert_int_equal(generate(f->session, "", -1, &received, &result), TERN_INVALID);
}

static void generation_goes_on_from_where_it_was(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = -1};
    assert_int_equal(generate(f->session, NULL, 3, &received, NULL), TERN_OK);
    assert_string_equal(received.text, "I am a");
    tern_generation g = {.max_tokens = 2, .on_text = receive, .context = &received};
    assert_int_equal(tern_session_generate(f->session, NULL, 0, &g, NULL), TERN_OK);
    assert_string_equal(received.text, "I am a very tiny");
}

static void a_full_context_ends_the_answer(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = -1};
    tern_result result;
    tern_session *small = open_session(f->model, 4);
    assert_int_equal(generate(small, NULL, -1, &received, &result), TERN_OK);
    assert_string_equal(received.text, "I am a");
    assert_int_equal(result.finish, TERN_FINISH_LENGTH);
    assert_int_equal(tern_session_length(small), 4);
    assert_int_equal(tern_session_feed(small, &NEWLINE, 1), TERN_LIMIT);
    assert_string_equal(tern_last_error(), "1 tokens do not fit: the context of 4 tokens has 0 left");
    tern_session_close(small);
}

// ---- Cancelling -----------------------------------------------------------------------------------------------------

static void a_receiver_can_stop(void **state)
{
    struct fixture *f = *state;
    struct received received = {.allowed = 1};
    tern_result result;
    assert_int_equal(generate(f->session, NULL, -1, &received, &result), TERN_CANCELLED);
    assert_string_equal(received.text, "I am");
    assert_int_equal(result.finish, TERN_FINISH_CANCELLED);
    assert_int_equal(result.n_generated, 2);
}

static void cancelling_counts_once(void **state)
{
    struct fixture *f = *state;
    tern_session_cancel(f->session);
    assert_int_equal(tern_session_feed(f->session, &NEWLINE, 1), TERN_CANCELLED);
    assert_int_equal(tern_session_length(f->session), 0);
    assert_int_equal(tern_session_feed(f->session, &NEWLINE, 1), TERN_OK);
}

static bool cancel_from_outside(void *context, const char *text, size_t length)
{
    (void)text;
    (void)length;
    tern_session_cancel(context);
    return true;
}

static void cancelling_stops_a_generation(void **state)
{
    struct fixture *f = *state;
    tern_generation g = {.max_tokens = -1, .on_text = cancel_from_outside, .context = f->session};
    tern_result result;
    assert_int_equal(tern_session_generate(f->session, &NEWLINE, 1, &g, &result), TERN_CANCELLED);
    assert_int_equal(result.finish, TERN_FINISH_CANCELLED);
    assert_int_equal(result.n_generated, 1);
}

// ---- Feeding --------------------------------------------------------------------------------------------------------

enum { LONG_PROMPT = 300 };

static void fill_prompt(tern_token *tokens, int first)
{
    for (int i = 0; i < LONG_PROMPT; i++)
        tokens[i] = (i * 37 + first) % 256;
}

static void logits_do_not_depend_on_how_tokens_came(void **state)
{
    struct fixture *f = *state;
    tern_token tokens[LONG_PROMPT];
    fill_prompt(tokens, 0);
    size_t bytes = (size_t)tern_model_vocabulary(f->model) * sizeof(float);
    float *whole = malloc(bytes);
    assert_non_null(whole);
    assert_int_equal(tern_session_feed(f->session, tokens, LONG_PROMPT), TERN_OK);
    memcpy(whole, tern_session_logits(f->session), bytes);

    assert_int_equal(tern_session_truncate(f->session, 130), TERN_OK);
    assert_null(tern_session_logits(f->session));
    assert_int_equal(tern_session_feed(f->session, tokens + 130, 1), TERN_OK);
    assert_int_equal(tern_session_feed(f->session, tokens + 131, LONG_PROMPT - 131), TERN_OK);
    assert_memory_equal(tern_session_logits(f->session), whole, bytes);
    assert_memory_equal(tern_session_tokens(f->session), tokens, sizeof tokens);
    free(whole);
}

static void impossible_calls_are_refused(void **state)
{
    struct fixture *f = *state;
    tern_token bad[2] = {5, tern_model_vocabulary(f->model)};
    assert_int_equal(tern_session_feed(f->session, bad, 2), TERN_INVALID);
    assert_int_equal(tern_session_length(f->session), 0);
    assert_int_equal(tern_session_sample(f->session), -1);
    assert_int_equal(tern_session_truncate(f->session, 1), TERN_INVALID);
    assert_int_equal(tern_session_generate(f->session, NULL, 0, NULL, NULL), TERN_INVALID);
    tern_session *session;
    tern_session_options options = {.context = 513};
    assert_int_equal(tern_session_open(f->model, &options, &session), TERN_INVALID);
    assert_string_equal(tern_last_error(), "a context of 513 tokens; the model was trained for 1 to 512");
    assert_null(session);
}

static void a_seed_gives_the_same_draws_again(void **state)
{
    struct fixture *f = *state;
    tern_sampling sampling = tern_sampling_default();
    sampling.temperature = 50;
    sampling.top_k = 0;
    sampling.min_p = 0;
    sampling.seed = 5;
    tern_token first[20];
    int different = 0;
    assert_int_equal(tern_session_feed(f->session, &NEWLINE, 1), TERN_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(tern_session_set_sampling(f->session, &sampling), TERN_OK);
        for (int i = 0; i < 20; i++) {
            tern_token token = tern_session_sample(f->session);
            if (round == 0) first[i] = token;
            assert_int_equal(token, first[i]);
            different += token != first[0];
        }
    }
    assert_true(different > 20);
}

// ---- Threads --------------------------------------------------------------------------------------------------------

// Each worker reads a prompt of its own, three tokens at a time.
struct worker {
    tern_model *model;
    tern_token tokens[LONG_PROMPT];
    pthread_barrier_t *start; // all begin together; NULL: alone
    uint64_t hash;            // of all logits on the way
};

// FNV-1a over words.
static uint64_t hash_logits(uint64_t hash, const float *logits, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        hash = (hash ^ half_to_bits32(logits[i])) * 0x100000001b3u;
    return hash;
}

static void *feed_in_thread(void *context)
{
    struct worker *w = context;
    tern_session *session = open_session(w->model, 0);
    w->hash = 0xcbf29ce484222325u;
    if (w->start != NULL) pthread_barrier_wait(w->start);
    for (int i = 0; i < LONG_PROMPT; i += 3) {
        if (tern_session_feed(session, w->tokens + i, 3) != TERN_OK) break;
        w->hash = hash_logits(w->hash, tern_session_logits(session), tern_model_vocabulary(w->model));
    }
    tern_session_close(session);
    return NULL;
}

static void sessions_on_threads_get_the_logits_they_get_alone(void **state)
{
    struct fixture *f = *state;
    enum { WORKERS = 4 };
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, WORKERS), 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.model = f->model, .start = &start};
        fill_prompt(workers[i].tokens, 20 * i);
        assert_int_equal(pthread_create(&threads[i], NULL, feed_in_thread, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < WORKERS; i++) {
        struct worker alone = workers[i];
        alone.start = NULL;
        feed_in_thread(&alone);
        assert_true(workers[i].hash == alone.hash);
        if (i > 0) assert_true(workers[i].hash != workers[0].hash);
    }
    pthread_barrier_destroy(&start);
}

// ---- Models ---------------------------------------------------------------------------------------------------------

static void chats_are_rendered_by_the_files_template(void **state)
{
    struct fixture *f = *state;
    const tern_message messages[] = {{.role = "system", .content = "Be brief."}, {.role = "user", .content = "Hi"}};
    char *text;
    assert_true(tern_model_has_chat_template(f->model));
    assert_int_equal(tern_chat_render(f->model, messages, 2, NULL, &text), TERN_OK);
    assert_string_equal(text, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                              "<|im_start|>assistant\n");
    tern_free(text);
}

// A copy of the model in which `from` is `to`, of the same length.
static void write_changed_model(char *path, const char *from, const char *to)
{
    static char bytes[1 << 17];
    FILE *in = fopen(MODEL, "rb");
    assert_non_null(in);
    size_t length = fread(bytes, 1, sizeof bytes, in), n = strlen(from);
    fclose(in);
    assert_int_equal(strlen(to), n);
    size_t at = 0;
    while (at + n <= length && memcmp(bytes + at, from, n) != 0)
        at++;
    assert_true(at + n <= length);
    memcpy(bytes + at, to, n);
    int out = mkstemp(path);
    assert_true(out >= 0 && write(out, bytes, length) == (ssize_t)length && close(out) == 0);
}

static void a_broken_template_does_not_stop_the_model(void **state)
{
    (void)state;
    char path[] = "/tmp/tern-test-XXXXXX", *text;
    write_changed_model(path, "{% endfor %}", "{% endfox %}");
    tern_model *model = open_model(path);
    const tern_message message = {.role = "user", .content = "Hi"};
    assert_false(tern_model_has_chat_template(model));
    assert_int_equal(tern_chat_render(model, &message, 1, NULL, &text), TERN_BAD_FILE);
    assert_null(text);
    assert_non_null(strstr(tern_last_error(), "tokenizer.chat_template: "));

    struct received received = {.allowed = -1};
    tern_session *session = open_session(model, 0);
    assert_int_equal(generate(session, NULL, -1, &received, NULL), TERN_OK);
    assert_string_equal(received.text, SENTENCE);
    tern_session_close(session);
    tern_model_close(model);
    remove(path);
}

static void a_missing_template_is_said(void **state)
{
    (void)state;
    char path[] = "/tmp/tern-test-XXXXXX", *text, expected[128];
    write_changed_model(path, "tokenizer.chat_template", "tokenizer.chat_tomplate");
    tern_model *model = open_model(path);
    const tern_message message = {.role = "user", .content = "Hi"};
    assert_int_equal(tern_chat_render(model, &message, 1, NULL, &text), TERN_UNSUPPORTED);
    snprintf(expected, sizeof expected, "%s has no chat template (tokenizer.chat_template)", path);
    assert_string_equal(tern_last_error(), expected);
    tern_model_close(model);
    remove(path);
}

static bool give_up(void *context, float fraction)
{
    (void)context;
    (void)fraction;
    return false;
}

static void opening_says_what_is_wrong(void **state)
{
    (void)state;
    tern_model *model;
    assert_int_equal(tern_model_open(NULL, NULL, &model), TERN_INVALID);
    assert_int_equal(tern_model_open("golden/absent.gguf", NULL, &model), TERN_IO);
    assert_string_equal(tern_last_error(), "golden/absent.gguf: No such file or directory");
    tern_model_options options = {.threads = -1};
    assert_int_equal(tern_model_open(MODEL, &options, &model), TERN_INVALID);
    options = (tern_model_options){.progress = give_up};
    assert_int_equal(tern_model_open(MODEL, &options, &model), TERN_CANCELLED);
    assert_null(model);
    setenv("TERN_CPU", "abacus", 1);
    assert_int_equal(tern_model_open(MODEL, NULL, &model), TERN_INVALID);
    assert_non_null(strstr(tern_last_error(), "abacus"));
    unsetenv("TERN_CPU");
}

static void facts_come_from_the_file(void **state)
{
    struct fixture *f = *state;
    size_t length;
    assert_string_equal(tern_model_name(f->model), "Chain");
    assert_string_equal(tern_model_architecture(f->model), "llama");
    assert_int_equal(tern_model_context(f->model), 512);
    assert_int_equal(tern_model_threads(f->model), 2);
    assert_memory_equal(tern_token_text(f->model, 'A', &length), "A", 1);
    assert_int_equal(length, 1);
    assert_null(tern_token_text(f->model, -1, &length));
    assert_false(tern_token_is_end(f->model, 'A'));
    assert_true(tern_token_is_end(f->model, 258)); // <|im_end|>
    assert_string_equal(tern_version(), "0.1.0");
}

int main(void)
{
#define ON_MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_MODEL(it_says_its_sentence_and_ends),
        ON_MODEL(characters_are_never_split),
        ON_MODEL(stop_strings_end_the_answer),
        ON_MODEL(generation_goes_on_from_where_it_was),
        ON_MODEL(a_full_context_ends_the_answer),
        ON_MODEL(a_receiver_can_stop),
        ON_MODEL(cancelling_counts_once),
        ON_MODEL(cancelling_stops_a_generation),
        ON_MODEL(logits_do_not_depend_on_how_tokens_came),
        ON_MODEL(impossible_calls_are_refused),
        ON_MODEL(a_seed_gives_the_same_draws_again),
        ON_MODEL(sessions_on_threads_get_the_logits_they_get_alone),
        ON_MODEL(chats_are_rendered_by_the_files_template),
        cmocka_unit_test(a_broken_template_does_not_stop_the_model),
        cmocka_unit_test(a_missing_template_is_said),
        cmocka_unit_test(opening_says_what_is_wrong),
        ON_MODEL(facts_come_from_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
