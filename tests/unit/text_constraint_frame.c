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

// Whether the answer may go on by each byte of the text, and where it cannot, the byte's index; -1 if it may not end
// behind the text, -2 if all is well.
static int follow(const struct constraint_options *options, const char *text)
{
    struct constraint *constraint;
    struct constraint_state *state;
    int found = -2;
    if (constraint_open_schema(vocabulary, call, strlen(call), options, &constraint) != TERN_OK)
        fail_msg("%s", status_message());
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    for (int i = 0; text[i] != '\0' && found == -2; i++) {
        if (constraint_accept(state, (unsigned char)text[i]) != TERN_OK) found = i;
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
    assert_int_equal(follow(&options, "hm <call> </think>\n\n<call>\"c\"</call>"), -2);
    assert_int_equal(follow(&options, "</think><call>\"c\"</call>"), -2);
    assert_int_equal(follow(&options, "hm"), -1);
    assert_int_equal(follow(&options, "hm</think>"), -1);
    assert_int_equal(follow(&options, "hm</think>So:"), 10);
    assert_int_equal(follow(&options, "hm</think>\n\n\n\n"), 13);
    assert_int_equal(follow(&options, "</think><call>\"c\"</call><"), 24); // without `repeat` that is the end
}

static void an_answer_may_be_calls_or_json(void **unused)
{
    (void)unused;
    struct constraint_options options = {.triggers = triggers,
                                         .n_triggers = 1,
                                         .repeat = true,
                                         .suffix = "</call>",
                                         .otherwise = "{\"enum\": [\"yes\", 7]}"};
    assert_int_equal(follow(&options, "<call>\"c\"</call>\n<call>\"c\"</call>"), -2);
    assert_int_equal(follow(&options, "\"yes\""), -2);
    assert_int_equal(follow(&options, "7"), -2);
    assert_int_equal(follow(&options, ""), -1);
    assert_int_equal(follow(&options, "words"), 0);
    assert_int_equal(follow(&options, "<call>7"), 6);
    assert_int_equal(follow(&options, "\"yes\"<call>"), 5);
    options.behind = "</think>";
    assert_int_equal(follow(&options, "words 7 </think>\n7"), -2);
    assert_int_equal(follow(&options, "</think><call>\"c\"</call>"), -2);
    assert_int_equal(follow(&options, "</think>words"), 8);
}

static void what_stands_in_its_place_needs_a_trigger(void **unused)
{
    (void)unused;
    struct constraint *constraint;
    const struct constraint_options alone = {.otherwise = "{}"};
    const struct constraint_options broken = {.triggers = triggers, .n_triggers = 1, .otherwise = "{\"type\": \"x\"}"};
    assert_int_equal(constraint_open_schema(vocabulary, call, strlen(call), &alone, &constraint), TERN_INVALID);
    assert_non_null(strstr(status_message(), "need a trigger"));
    assert_int_equal(constraint_open_schema(vocabulary, call, strlen(call), &broken, &constraint), TERN_INVALID);
    assert_non_null(strstr(status_message(), "/type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_may_have_to_come_right_behind_the_thinking),
        cmocka_unit_test(an_answer_may_be_calls_or_json),
        cmocka_unit_test(what_stands_in_its_place_needs_a_trigger),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
