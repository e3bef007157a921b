// What stands around the constrained part (prefix, free part, triggers, suffix), masks, ends.
#include "text/constraint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/constraint_fixture.h"
#include "../support/constraint_walk.h"

static const char *const extra[] = {"<call>", "<call>{", "<call>x", "yes", "no", "no</call>", "ab", "zzz"};
enum { N_EXTRA = sizeof extra / sizeof extra[0], N_TOKENS = BYTE_TOKEN_FIRST + N_EXTRA };
enum { CALL = BYTE_TOKEN_FIRST, CALL_BRACE, CALL_X, YES, NO, NO_CLOSED, AB, ZZZ };

static int open_extra_words(void **unused)
{
    (void)unused;
    return open_words(extra, N_EXTRA);
}

static struct constraint_state *begin(const char *grammar, const struct constraint_options *options,
                                      struct constraint **constraint)
{
    struct constraint_state *state = NULL;
    if (constraint_open_grammar(vocabulary, grammar, strlen(grammar), options, constraint) != TERN_OK ||
        constraint_begin(*constraint, &state) != TERN_OK)
        fail_msg("%s", status_message());
    return state;
}

static void end(struct constraint_state *state, struct constraint *constraint)
{
    constraint_end(state);
    constraint_close(constraint);
}

static void take(struct constraint_state *state, const char *text)
{
    for (; *text; text++) {
        if (constraint_accept(state, (unsigned char)*text) != TERN_OK)
            fail_msg("at \"%s\": %s", text, status_message());
    }
}

static bool refuses(struct constraint_state *state, tern_token token)
{
    return !constraint_allows(state, token) && constraint_accept(state, token) == TERN_INVALID;
}

// The mask's tokens; all that constraint_allows() says is in it and nothing else.
static int count_allowed(struct constraint_state *state)
{
    uint32_t mask[(N_TOKENS + 100) / 32 + 1];
    int count = 0;
    memset(mask, 0xFF, sizeof mask);
    assert_int_equal(constraint_mask(state, mask, N_TOKENS + 100), TERN_OK);
    for (tern_token token = 0; token < N_TOKENS + 100; token++) {
        bool allowed = mask[token / 32] >> (token % 32) & 1;
        assert_int_equal(allowed, constraint_allows(state, token));
        count += allowed;
    }
    return count;
}

static void constrained_from_the_start(void **unused)
{
    (void)unused;
    struct constraint *constraint;
    struct constraint_state *state = begin("root ::= \"yes\" | \"no\" \"!\"?", NULL, &constraint);
    assert_false(constraint_is_free(state));
    assert_int_equal(count_allowed(state), 4); // y, n, yes, no
    assert_true(refuses(state, 'x') && refuses(state, BYTE_TOKEN_END) && refuses(state, BYTE_TOKEN_CONTROL));
    assert_true(refuses(state, -1) && refuses(state, N_TOKENS));
    assert_int_equal(constraint_accept(state, NO), TERN_OK);
    assert_true(constraint_may_end(state) && !constraint_must_end(state));
    assert_int_equal(count_allowed(state), 2); // ! and the end
    take(state, "!");
    assert_true(constraint_may_end(state) && constraint_must_end(state));
    assert_int_equal(count_allowed(state), 1);
    assert_int_equal(constraint_accept(state, BYTE_TOKEN_END), TERN_OK);
    assert_true(constraint_may_end(state) && constraint_must_end(state));
    assert_true(refuses(state, BYTE_TOKEN_END) && refuses(state, '!'));
    assert_int_equal(count_allowed(state), 0);
    end(state, constraint);
}

static void prefix_and_suffix(void **unused)
{
    (void)unused;
    struct constraint *constraint;
    struct constraint_options options = {.prefix = "<p>", .suffix = "</call>"};
    struct constraint_state *state = begin("root ::= \"no\"", &options, &constraint);
    assert_true(refuses(state, NO));
    take(state, "<p>");
    assert_false(constraint_may_end(state));
    assert_true(constraint_allows(state, NO) && constraint_allows(state, NO_CLOSED));
    assert_int_equal(constraint_accept(state, NO), TERN_OK);
    assert_false(constraint_may_end(state));
    take(state, "</call>");
    assert_true(constraint_must_end(state));
    end(state, constraint);
}

static void a_trigger_ends_the_free_part(void **unused)
{
    (void)unused;
    const char *const triggers[] = {"<call>", "```"};
    struct constraint *constraint;
    struct constraint_options options = {.triggers = triggers, .n_triggers = 2, .suffix = "</call>"};
    struct constraint_state *state = begin("root ::= \"no\"", &options, &constraint);
    assert_true(constraint_may_end(state) && !constraint_must_end(state));
    assert_false(constraint_is_free(state)); // "<call>x" could come
    assert_true(refuses(state, CALL_X) && constraint_allows(state, CALL));
    assert_true(constraint_allows(state, 0xFF) && constraint_allows(state, BYTE_TOKEN_END));
    take(state, "free <call <<cal ``");
    assert_true(constraint_may_end(state));
    take(state, "<call>");
    assert_false(constraint_may_end(state));
    assert_true(refuses(state, 'x') && refuses(state, '<'));
    take(state, "no</call>");
    assert_true(constraint_must_end(state));
    end(state, constraint);
}

static void any_token_where_none_holds_more_than_a_trigger(void **unused)
{
    (void)unused;
    const char *const triggers[] = {"<tool>"};
    struct constraint *constraint;
    struct constraint_options options = {.triggers = triggers, .n_triggers = 1, .repeat = true};
    struct constraint_state *state = begin("root ::= [ab]", &options, &constraint);
    uint32_t mask[(N_TOKENS + 31) / 32];
    assert_true(constraint_is_free(state));
    assert_true(constraint_allows(state, BYTE_TOKEN_CONTROL) && constraint_allows(state, ZZZ));
    assert_int_equal(constraint_accept(state, BYTE_TOKEN_CONTROL), TERN_OK);
    assert_int_equal(constraint_mask(state, mask, N_TOKENS), TERN_OK);
    for (tern_token token = 0; token < N_TOKENS; token++) {
        assert_true(mask[token / 32] >> (token % 32) & 1);
    }
    take(state, "a<to");
    assert_false(constraint_is_free(state)); // within the trigger: not all of it is certain
    take(state, "o x");
    assert_true(constraint_is_free(state));
    take(state, "<tool>");
    assert_true(!constraint_is_free(state) && !constraint_may_end(state));
    assert_int_equal(count_allowed(state), 2); // a, b
    take(state, "a");
    assert_true(!constraint_is_free(state) && constraint_may_end(state) && !constraint_must_end(state));
    assert_int_equal(count_allowed(state), 4); // the end, a blank, the end of a line, <
    take(state, "\n<tool>b<tool>a");
    assert_int_equal(constraint_accept(state, BYTE_TOKEN_END), TERN_OK);
    end(state, constraint);
}

static void the_constrained_part_may_begin(void **unused)
{
    (void)unused;
    const char *const triggers[] = {"<call>"};
    struct constraint *constraint;
    struct constraint_options options = {
        .triggers = triggers, .n_triggers = 1, .begins = true, .repeat = true, .prefix = "<call>", .suffix = "</call>"};
    struct constraint_state *state = begin("root ::= \"no\" | \"x\"", &options, &constraint);
    assert_false(constraint_is_free(state));
    assert_int_equal(constraint_accept(state, CALL_X), TERN_OK);
    take(state, "</call>");
    assert_true(constraint_may_end(state) && !constraint_must_end(state));
    take(state, "\n<call>");
    assert_int_equal(constraint_accept(state, NO_CLOSED), TERN_OK);
    assert_true(constraint_may_end(state));
    end(state, constraint);
}

static void a_trigger_may_be_required(void **unused)
{
    (void)unused;
    const char *const triggers[] = {"<tool>"};
    struct constraint *constraint;
    struct constraint_options options = {.triggers = triggers, .n_triggers = 1, .must_trigger = true, .repeat = true};
    struct constraint_state *state = begin("root ::= [ab]", &options, &constraint);
    assert_true(!constraint_is_free(state) && !constraint_may_end(state));
    assert_true(refuses(state, BYTE_TOKEN_END) && constraint_allows(state, ZZZ));
    take(state, "words <tool>a");
    assert_true(constraint_may_end(state) && constraint_allows(state, BYTE_TOKEN_END));
    end(state, constraint);
}

static void options_are_checked(void **unused)
{
    (void)unused;
    const char *const empty[] = {""};
    static const char grammar[] = "root ::= \"a\"";
    struct constraint *constraint;
    struct constraint_options options = {.repeat = true};
    assert_int_equal(constraint_open_grammar(vocabulary, grammar, strlen(grammar), &options, &constraint),
                     TERN_INVALID);
    assert_non_null(strstr(status_message(), "need a trigger"));
    options = (struct constraint_options){.triggers = empty, .n_triggers = 1};
    assert_int_equal(constraint_open_grammar(vocabulary, grammar, strlen(grammar), &options, &constraint),
                     TERN_INVALID);
    assert_non_null(strstr(status_message(), "a trigger is empty"));
}

static void whitespace(void **unused)
{
    (void)unused;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}},\"required\":[\"a\"]}";
    static const char *const spaced[] = {"{\"a\": [1, {}]}", "{ \"a\": [ ] }", "\n{\n  \"a\": [\n    1\n  ]\n}",
                                         " {\"a\":[]}"};
    static const char tight[] = "{\"a\":[1,{\"b\":2}]}", wide[] = "{  \"a\":[]}", tail[] = "{\"a\":[]}\n";
    struct constraint *loose, *compact;
    struct constraint_options options = {.no_whitespace = true};
    size_t at;
    assert_int_equal(constraint_open_schema(vocabulary, schema, strlen(schema), NULL, &loose), TERN_OK);
    assert_int_equal(constraint_open_schema(vocabulary, schema, strlen(schema), &options, &compact), TERN_OK);
    for (size_t i = 0; i < sizeof spaced / sizeof spaced[0]; i++) {
        assert_int_equal(walk_text(loose, spaced[i], strlen(spaced[i]), &at), WALK_COMPLETE);
        assert_int_equal(walk_text(compact, spaced[i], strlen(spaced[i]), &at), WALK_REFUSED);
    }
    assert_int_equal(walk_text(loose, tight, strlen(tight), &at), WALK_COMPLETE);
    assert_int_equal(walk_text(compact, tight, strlen(tight), &at), WALK_COMPLETE);
    assert_int_equal(walk_text(loose, wide, strlen(wide), &at), WALK_REFUSED);
    assert_int_equal(walk_text(loose, tail, strlen(tail), &at), WALK_REFUSED);
    constraint_close(loose);
    constraint_close(compact);
}

static void any_json_object(void **unused)
{
    (void)unused;
    static const char *const good[] = {
        "{}", "{\"a\": [1, -2.5e3, true, null, \"\\u00e9\\ud83d\\ude00\\n/\\/\"], \"b\": {\"c\": {}}}"};
    static const char *const bad[] = {"[]",
                                      "1",
                                      "{\"a\"}",
                                      "{\"a\": 01}",
                                      "{\"a\": \"\\ud83d\"}",
                                      "{\"a\": \"\\udc00\"}",
                                      "{\"a\": \"\\udc00\\udc00\"}",
                                      "{\"a\": \"\\ud83dx\"}",
                                      "{\"a\": \"\\x\"}",
                                      "{\"a\": \"\n\"}",
                                      "{\"a\": \"\xFF\"}",
                                      "{\"a\": \"\\u0000\"}",
                                      "{\"a\": 1,}",
                                      "{'a': 1}",
                                      "{\"a\": .5}",
                                      "{\"a\": 1.}",
                                      "{\"a\": +1}",
                                      "{\"a\": NaN}"};
    struct constraint *constraint;
    size_t at;
    assert_int_equal(constraint_open_json(vocabulary, NULL, &constraint), TERN_OK);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (walk_text(constraint, good[i], strlen(good[i]), &at) != WALK_COMPLETE) fail_msg("%s at %zu", good[i], at);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (walk_text(constraint, bad[i], strlen(bad[i]), &at) == WALK_COMPLETE) fail_msg("%s", bad[i]);
    }
    constraint_close(constraint);
}

// Far from its bounds a count does not matter: the masks of a long string are the same until its end comes near.
static void masks_near_a_bound(void **unused)
{
    (void)unused;
    struct constraint *constraint;
    struct constraint_state *state = begin("root ::= \"a\" [a-z]{100,200} \"b\"?", NULL, &constraint);
    take(state, "a");
    for (int i = 0; i < 200; i++) {
        bool room_for_three = i <= 197, room_for_two = i <= 198;
        bool ends = i >= 100;
        assert_int_equal(constraint_may_end(state), ends);
        assert_int_equal(constraint_allows(state, ZZZ), room_for_three);
        // yes, zzz (3 letters); no, ab (2): "ab" may also be the last letter and the b behind it.
        int expected = 26 + 2 * room_for_three + (room_for_two ? 2 : i == 199 ? 1 : 0) + ends;
        assert_int_equal(count_allowed(state), expected);
        take(state, "c");
    }
    assert_int_equal(count_allowed(state), 2); // b and the end
    end(state, constraint);
}

// SentencePiece has tokens for bytes beside those of one character: equal bytes are equally allowed.
static void tokens_of_the_same_bytes(void **unused)
{
    (void)unused;
    static const char grammar[] = "root ::= [a-e]";
    struct gguf_file *file;
    struct tokenizer *pieces;
    struct constraint_vocabulary *words;
    struct constraint *constraint;
    struct constraint_state *state;
    int allowed = 0, spelled = 0;
    if (gguf_open("golden/tokenizer/llama.vocab", &file) != TERN_OK || tokenizer_open(file, &pieces) != TERN_OK)
        fail_msg("%s", status_message());
    gguf_close(file);
    int32_t n = tokenizer_vocabulary(pieces);
    uint32_t *mask = malloc(((size_t)n + 31) / 32 * sizeof *mask);
    assert_int_equal(constraint_vocabulary_open(pieces, &words), TERN_OK);
    assert_int_equal(constraint_open_grammar(words, grammar, strlen(grammar), NULL, &constraint), TERN_OK);
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    assert_int_equal(constraint_mask(state, mask, n), TERN_OK);
    for (tern_token token = 0; token < n; token++) {
        size_t length;
        const char *bytes = tokenizer_token_bytes(pieces, token, &length);
        spelled += length == 1 && bytes[0] >= 'a' && bytes[0] <= 'e';
        allowed += (mask[token / 32] >> (token % 32) & 1) != 0;
    }
    assert_true(spelled > 5);
    assert_int_equal(allowed, spelled);
    free(mask);
    end(state, constraint);
    constraint_vocabulary_close(words);
    tokenizer_close(pieces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constrained_from_the_start),
        cmocka_unit_test(prefix_and_suffix),
        cmocka_unit_test(a_trigger_ends_the_free_part),
        cmocka_unit_test(any_token_where_none_holds_more_than_a_trigger),
        cmocka_unit_test(the_constrained_part_may_begin),
        cmocka_unit_test(a_trigger_may_be_required),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(whitespace),
        cmocka_unit_test(any_json_object),
        cmocka_unit_test(masks_near_a_bound),
        cmocka_unit_test(tokens_of_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, open_extra_words, close_vocabulary);
}
