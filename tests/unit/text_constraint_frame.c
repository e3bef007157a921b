// What may stand before the constrained part: thinking, or something else in its place.
#include "text/constraint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/constraint_fixture.h"

static const char call[] = "{\"const\": \"c\"}";
static const char *const triggers[] = {"<call>"};

// Whether the answer may go on by each byte of the text ("\1": the control token), and where it cannot, the byte's
// index; -1 if it may not end behind the text, -2 if all is well.
static int follow(const char *schema, const struct constraint_options *options, const char *text)
{
    struct constraint *constraint;
    struct constraint_state *state;
    int found = -2;
    if (constraint_open_schema(vocabulary, schema, strlen(schema), options, &constraint) != TERN_OK)
        fail_msg("%s", status_message());
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    for (int i = 0; text[i] != '\0' && found == -2; i++) {
        tern_token token = text[i] == '\1' ? BYTE_TOKEN_CONTROL : (unsigned char)text[i];
        if (constraint_accept(state, token) != TERN_OK) found = i;
    }
    if (found == -2 && !constraint_may_end(state)) found = -1;
    constraint_end(state);
    constraint_close(constraint);
    return found;
}

static void a_call_may_have_to_come_right_behind_the_thinking(void **unused)
{
    (void)unused;
    const struct constraint_options options = {.triggers = triggers,
                                               .n_triggers = 1,
                                               .must_trigger = true,
                                               .begins = true,
                                               .behind = "</think>",
                                               .prefix = "<call>",
                                               .suffix = "</call>"};
    assert_int_equal(follow(call, &options, "hm <call> </think>\n\n<call>\"c\"</call>"), -2);
    assert_int_equal(follow(call, &options, "</think><call>\"c\"</call>"), -2);
    assert_int_equal(follow(call, &options, "hm"), -1);
    assert_int_equal(follow(call, &options, "hm</think>"), -1);
    assert_int_equal(follow(call, &options, "hm</think>So:"), 10);
    assert_int_equal(follow(call, &options, "hm</think>\n\n\n\n"), 13);
    assert_int_equal(follow(call, &options, "</think><call>\"c\"</call><"), 24); // without `repeat` that is the end
}

static void an_answer_may_be_calls_or_json(void **unused)
{
    (void)unused;
    struct constraint_options options = {.triggers = triggers,
                                         .n_triggers = 1,
                                         .repeat = true,
                                         .suffix = "</call>",
                                         .otherwise = "{\"enum\": [\"yes\", 7]}"};
    assert_int_equal(follow(call, &options, "<call>\"c\"</call>\n<call>\"c\"</call>"), -2);
    assert_int_equal(follow(call, &options, "\"yes\""), -2);
    assert_int_equal(follow(call, &options, "7"), -2);
    assert_int_equal(follow(call, &options, ""), -1);
    assert_int_equal(follow(call, &options, "words"), 0);
    assert_int_equal(follow(call, &options, "<call>7"), 6);
    assert_int_equal(follow(call, &options, "\"yes\"<call>"), 5);
    options.behind = "</think>";
    assert_int_equal(follow(call, &options, "words 7 </think>\n7"), -2);
    assert_int_equal(follow(call, &options, "</think><call>\"c\"</call>"), -2);
    assert_int_equal(follow(call, &options, "</think>words"), 8);
}

static void a_bare_call_is_one_too(void **unused)
{
    (void)unused;
    static const char object[] = "{\"const\": {\"c\": 1}}";
    struct constraint_options options = {.triggers = triggers, .n_triggers = 1, .bare = true};
    assert_int_equal(follow(object, &options, "{\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, " \n\t\n {\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, "{\"d\""), 2);
    assert_int_equal(follow(object, &options, "\n{\"c\":2"), 6);
    assert_int_equal(follow(object, &options, "{\"c\":1} ok"), 7); // that was the answer
    assert_int_equal(follow(object, &options, ""), -2);
    assert_int_equal(follow(object, &options, " \n"), -2);
    assert_int_equal(follow(object, &options, "So: {\"d\""), -2); // braces amid words mean nothing
    assert_int_equal(follow(object, &options, "<{<call>{\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, "<call>{\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, "\n<call>{\"d\""), 9);
    options.behind = "</think>";
    assert_int_equal(follow(object, &options, "{\"d\"</think>\n\n\n\n\n{\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, "</think>{\"d\""), 10);
    assert_int_equal(follow(object, &options, "</think>words"), -2);
    options.behind = NULL;
    options.otherwise = "{\"const\": {\"d\": 2}}";
    assert_int_equal(follow(object, &options, "{\"c\":1}"), -2);
    assert_int_equal(follow(object, &options, "{\"d\":2}"), -2);
    assert_int_equal(follow(object, &options, "{\"d\":1}"), 5);
    assert_int_equal(follow(object, &options, "<call>{\"c\":1}"), -2);
}

// Behind the text, which is taken.
static void expect_control_token(const char *schema, const struct constraint_options *options, const char *text,
                                 bool expected)
{
    enum { N_TOKENS = BYTE_TOKEN_FIRST };
    uint32_t mask[(N_TOKENS + 31) / 32];
    struct constraint *constraint;
    struct constraint_state *state;
    assert_int_equal(constraint_open_schema(vocabulary, schema, strlen(schema), options, &constraint), TERN_OK);
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    for (; *text != '\0'; text++) {
        assert_int_equal(constraint_accept(state, (unsigned char)*text), TERN_OK);
    }
    assert_int_equal(constraint_allows(state, BYTE_TOKEN_CONTROL), expected);
    assert_int_equal(constraint_mask(state, mask, N_TOKENS), TERN_OK);
    assert_int_equal(mask[BYTE_TOKEN_CONTROL / 32] >> (BYTE_TOKEN_CONTROL % 32) & 1, expected);
    constraint_end(state);
    constraint_close(constraint);
}

static void a_control_token_may_be_a_mark(void **unused)
{
    (void)unused;
    static const char *const tool[] = {"<|tool|>"};
    struct constraint_options options = {.triggers = tool, .n_triggers = 1};
    assert_int_equal(follow(call, &options, "Let me see.\1\"c\""), -2);
    assert_int_equal(follow(call, &options, "Let me see.\1words"), 12);
    assert_int_equal(follow(call, &options, "<|\1words"), 3); // in the midst of the mark's own beginning
    assert_int_equal(follow(call, &options, "<|tool|>words"), 8);
    assert_int_equal(follow(call, &options, "\1\"c\"\1"), 4);
    options.repeat = true;
    assert_int_equal(follow(call, &options, "\1\"c\" \1\"c\""), -2);
    expect_control_token(call, &options, "", true);
    expect_control_token(call, &options, "<|tool|>", false);
    expect_control_token(call, &options, "<|tool|>\"c\"", true);
    options.must_trigger = options.begins = true;
    options.prefix = "<|tool|>";
    assert_int_equal(follow(call, &options, "\1\"c\""), -2);
    expect_control_token(call, &options, "", true);
    expect_control_token(call, &options, "<", false);
    const struct constraint_options suffix = {.suffix = "<|tool|>"}, behind = {.behind = "<|tool|>"};
    assert_int_equal(follow(call, &suffix, "\"c\"\1"), -2);
    assert_int_equal(follow(call, &behind, "hm\1\"c\""), -2);
    expect_control_token(call, &behind, "hm", true);
    const struct constraint_options other = {.triggers = triggers, .n_triggers = 1, .must_trigger = true};
    expect_control_token(call, &other, "hm", false);
}

static void what_stands_in_its_place_needs_a_trigger(void **unused)
{
    (void)unused;
    struct constraint *constraint;
    const struct constraint_options alone = {.otherwise = "{}"}, bare = {.bare = true};
    const struct constraint_options broken = {.triggers = triggers, .n_triggers = 1, .otherwise = "{\"type\": \"x\"}"};
    assert_int_equal(constraint_open_schema(vocabulary, call, strlen(call), &alone, &constraint), TERN_INVALID);
    assert_non_null(strstr(status_message(), "need a trigger"));
    assert_int_equal(constraint_open_schema(vocabulary, call, strlen(call), &bare, &constraint), TERN_INVALID);
    assert_int_equal(constraint_open_schema(vocabulary, call, strlen(call), &broken, &constraint), TERN_INVALID);
    assert_non_null(strstr(status_message(), "/type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_may_have_to_come_right_behind_the_thinking),
        cmocka_unit_test(an_answer_may_be_calls_or_json),
        cmocka_unit_test(a_bare_call_is_one_too),
        cmocka_unit_test(a_control_token_may_be_a_mark),
        cmocka_unit_test(what_stands_in_its_place_needs_a_trigger),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
