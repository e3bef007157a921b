// Guessing at coming tokens: what is guessed, when it stops, and that an answer is the same with and without.
#include "engine/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Numbers below 0 end a list.
static void assert_guesses(struct draft draft, const tern_token *tokens, size_t room, const tern_token *expected)
{
    size_t n = 0;
    while (tokens[n] >= 0)
        n++;
    tern_token out[DRAFT_MAX];
    int32_t guesses = draft_propose(&draft, tokens, n, room, out);
    for (int32_t i = 0; i < guesses; i++)
        assert_int_equal(out[i], expected[i]);
    assert_true(expected[guesses] < 0);
}

#define LIST(...) ((const tern_token[]){__VA_ARGS__, -1})

static void guesses_follow_the_longest_match(void **state)
{
    (void)state;
    const struct draft fresh = {0};
    assert_guesses(fresh, LIST(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3), 100, LIST(4, 5, 6, 7));
    assert_guesses(fresh, LIST(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3), 2, LIST(4, 5));
    assert_guesses(fresh, LIST(1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3), 100, LIST(-1)); // two tokens are too few
    // Of equal matches the latest; a longer one before it wins.
    assert_guesses(fresh, LIST(1, 2, 3, 50, 1, 2, 3, 60, 9, 1, 2, 3), 1, LIST(60));
    assert_guesses(fresh, LIST(9, 1, 2, 3, 50, 1, 2, 3, 60, 9, 1, 2, 3), 1, LIST(50));
    // A text with a period goes on with it.
    assert_guesses(fresh, LIST(7, 8, 7, 8, 7, 8), 100, LIST(7, 8, 7, 8));
    assert_guesses(fresh, LIST(5, 5, 5, 5), 100, LIST(5, 5, 5, 5));
    assert_guesses(fresh, LIST(5, 5, 5), 100, LIST(-1));
}

static void lengths_follow_success(void **state)
{
    (void)state;
    const tern_token *ones = LIST(1, 1, 1, 1, 1, 1);
    tern_token out[DRAFT_MAX];
    struct draft draft = {0};
    draft_count_pass(&draft, 0, 1.0);
    assert_int_equal(draft_propose(&draft, ones, 6, 100, out), 4);
    draft_count_pass(&draft, 4, 1.0);
    for (int i = 0; i < 4; i++)
        draft_count_hit(&draft);
    assert_int_equal(draft_propose(&draft, ones, 6, 100, out), 8);
    draft_count_pass(&draft, 8, 1.0);
    draft_count_hit(&draft);
    assert_int_equal(draft_propose(&draft, ones, 6, 100, out), 2);
    draft_count_pass(&draft, DRAFT_MAX, 1.0);
    for (int i = 0; i < DRAFT_MAX; i++)
        draft_count_hit(&draft);
    assert_int_equal(draft_propose(&draft, ones, 6, 100, out), DRAFT_MAX);
}

// A pass that costs a second more than a single one and gains nothing is paid for by fifty single ones.
static void losses_are_bounded(void **state)
{
    (void)state;
    const tern_token *ones = LIST(1, 1, 1, 1, 1, 1);
    tern_token out[DRAFT_MAX];
    struct draft draft = {0};
    draft_count_pass(&draft, 0, 1.0);
    draft_count_pass(&draft, 4, 2.0);
    int singles = 0;
    for (; draft_propose(&draft, ones, 6, 100, out) == 0; singles++)
        draft_count_pass(&draft, 0, 1.0);
    assert_in_range(singles, 45, 50);
}

// ---- The same answer ------------------------------------------------------------------------------------------------

enum { STEPS = 120 };

struct run {
    tern_token tokens[STEPS];
    float *logits; // [STEPS][vocabulary]
    int32_t hits;
    size_t length;
};

static tern_session *open_session(tern_model *model, bool no_prompt_lookup, float temperature)
{
    tern_sampling sampling = tern_sampling_default();
    sampling.temperature = temperature;
    sampling.seed = 42;
    tern_session_options options = {.sampling = &sampling, .no_prompt_lookup = no_prompt_lookup};
    tern_session *session;
    if (tern_session_open(model, &options, &session) != TERN_OK) fail_msg("%s", tern_last_error());
    return session;
}

// Draws and feeds STEPS tokens after a prompt, past every end, and keeps all logits.
static void draw(tern_model *model, bool no_prompt_lookup, float temperature, struct run *run)
{
    size_t n = (size_t)tern_model_vocabulary(model), count;
    tern_session *session = open_session(model, no_prompt_lookup, temperature);
    tern_token *prompt;
    const char text[] = "\nI am a very tiny model.\nI am a very tiny model.\n";
    assert_int_equal(tern_tokenize(model, text, strlen(text), 0, &prompt, &count), TERN_OK);
    assert_int_equal(tern_session_feed(session, prompt, count), TERN_OK);
    tern_free(prompt);
    run->logits = malloc(STEPS * n * sizeof *run->logits);
    assert_non_null(run->logits);
    for (int i = 0; i < STEPS; i++) {
        memcpy(run->logits + (size_t)i * n, tern_session_logits(session), n * sizeof *run->logits);
        run->tokens[i] = tern_session_sample(session);
        bool computed = session->n_ahead == 0 || session->tokens[session->length] != run->tokens[i];
        run->hits += !computed;
        session->draft.balance = 0; // whatever this machine's timing says, go on guessing
        assert_int_equal(tern_session_feed(session, &run->tokens[i], 1), TERN_OK);
    }
    run->length = tern_session_length(session);
    tern_session_close(session);
}

static void answers_do_not_change(void **state)
{
    (void)state;
    tern_model *model;
    if (tern_model_open("golden/chain.gguf", NULL, &model) != TERN_OK) fail_msg("%s", tern_last_error());
    const float temperatures[] = {0, 1, 30};
    for (int i = 0; i < 3; i++) {
        struct run plain = {0}, guessed = {0};
        draw(model, true, temperatures[i], &plain);
        draw(model, false, temperatures[i], &guessed);
        assert_int_equal(plain.hits, 0);
        if (i == 0) assert_true(guessed.hits > STEPS / 2);
        assert_int_equal(plain.length, guessed.length);
        assert_memory_equal(plain.tokens, guessed.tokens, sizeof plain.tokens);
        size_t bytes = STEPS * (size_t)tern_model_vocabulary(model) * sizeof *plain.logits;
        assert_memory_equal(plain.logits, guessed.logits, bytes);
        free(plain.logits);
        free(guessed.logits);
    }
    tern_model_close(model);
}

// Guesses ahead of the end are forgotten with it, and never reach beyond the context.
static void guesses_keep_to_the_context(void **state)
{
    (void)state;
    tern_model *model;
    if (tern_model_open("golden/chain.gguf", NULL, &model) != TERN_OK) fail_msg("%s", tern_last_error());
    tern_session *session;
    tern_session_options options = {.context = 20};
    assert_int_equal(tern_session_open(model, &options, &session), TERN_OK);
    const tern_token same[8] = {65, 65, 65, 65, 65, 65, 65, 65}, other = 66;
    assert_int_equal(tern_session_feed(session, same, 8), TERN_OK);
    for (size_t i = 8; i < 20; i++) {
        session->draft.balance = 0;
        assert_int_equal(tern_session_feed(session, same, 1), TERN_OK);
        assert_int_equal(tern_session_length(session), i + 1);
        assert_true(session->length + session->n_ahead <= 20);
    }
    assert_int_equal(tern_session_feed(session, same, 1), TERN_LIMIT);

    assert_int_equal(tern_session_truncate(session, 10), TERN_OK);
    assert_int_equal(session->n_ahead, 0);
    assert_int_equal(tern_session_feed(session, &other, 1), TERN_OK);
    assert_int_equal(tern_session_tokens(session)[10], other);
    tern_session_close(session);
    tern_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_follow_the_longest_match),
        cmocka_unit_test(lengths_follow_success),
        cmocka_unit_test(losses_are_bounded),
        cmocka_unit_test(answers_do_not_change),
        cmocka_unit_test(guesses_keep_to_the_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
