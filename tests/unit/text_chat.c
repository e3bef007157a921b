// Conversations as the variables that chat templates expect.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/chat.h"

static tern_status render(const char *source, const tern_message *messages, size_t n_messages,
                          const tern_chat_options *options, char **text)
{
    struct template *tmpl;
    TRY(template_parse(source, strlen(source), &tmpl));
    tern_status status = chat_render(tmpl, "<s>", "</s>", messages, n_messages, options, text);
    template_free(tmpl);
    return status;
}

static void expect_text(const char *source, const tern_message *messages, size_t n_messages,
                        const tern_chat_options *options, const char *expected)
{
    char *text;
    tern_status status = render(source, messages, n_messages, options, &text);
    if (status != TERN_OK) fail_msg("%s", status_message());
    assert_string_equal(text, expected);
    free(text);
}

static const tern_message conversation[] = {
    {.role = "system", .content = "Be \"brief\"."},
    {.role = "user", .content = "Gr\xC3\xBC\xC3\x9F"},
    {.role = "assistant",
     .reasoning = "hm",
     .tool_calls = "[{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1}}}]"},
};

static void messages_are_dicts(void **state)
{
    (void)state;
    expect_text("{{ messages | tojson }}", conversation, 3, NULL,
                "[{\"role\": \"system\", \"content\": \"Be \\\"brief\\\".\"}, "
                "{\"role\": \"user\", \"content\": \"Gr\xC3\xBC\xC3\x9F\"}, "
                "{\"role\": \"assistant\", \"content\": null, \"reasoning_content\": \"hm\", "
                "\"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1}}}]}]");
    expect_text("{{ messages[2].tool_calls[0].function.arguments.x + 1 }}", conversation, 3, NULL, "2");
    const tern_message result = {.role = "tool", .content = "7", .tool_call_id = "a1"};
    expect_text("{{ messages | tojson }}", &result, 1, NULL,
                "[{\"role\": \"tool\", \"content\": \"7\", \"tool_call_id\": \"a1\"}]");
}

static void variables_have_defaults(void **state)
{
    (void)state;
    expect_text("{{ bos_token }}{{ eos_token }} {{ add_generation_prompt }} {{ tools }} {{ documents }} {{ messages }}",
                NULL, 0, NULL, "<s></s> True None None []");
}

static void options_are_seen(void **state)
{
    const tern_chat_options options = {.no_generation_prompt = true,
                                       .tools = "[{\"type\": \"function\"}]",
                                       .variables = "{\"enable_thinking\": false, \"eos_token\": \"<end>\"}"};
    (void)state;
    expect_text("{{ add_generation_prompt }} {{ tools[0].type }} {{ enable_thinking }} {{ eos_token }}", NULL, 0,
                &options, "False function False <end>");
}

static void empty_output_is_an_empty_string(void **state)
{
    (void)state;
    expect_text("", NULL, 0, NULL, "");
}

static void expect_error(const char *source, const tern_message *messages, const tern_chat_options *options,
                         tern_status expected, const char *words)
{
    char *text = NULL;
    assert_int_equal(render(source, messages, messages ? 1 : 0, options, &text), expected);
    assert_string_equal(status_message(), words);
}

static void broken_input_is_named(void **state)
{
    (void)state;
    expect_error("", &(tern_message){.content = "x"}, NULL, TERN_INVALID, "message 0: a message has no role");
    expect_error("", &(tern_message){.role = "user", .tool_calls = "{}"}, NULL, TERN_INVALID,
                 "message 0: tool_calls: a JSON array was expected, not dict");
    expect_error("", NULL, &(tern_chat_options){.tools = "[1"}, TERN_INVALID,
                 "tools: JSON: ',' or ']' expected at byte 2 of 2");
    expect_error("", NULL, &(tern_chat_options){.variables = "[]"}, TERN_INVALID,
                 "variables: a JSON object was expected, not list");
    expect_error("{{ raise_exception('no') }}", NULL, NULL, TERN_BAD_FILE, "template line 1: no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_dicts),    cmocka_unit_test(variables_have_defaults),
        cmocka_unit_test(options_are_seen),      cmocka_unit_test(empty_output_is_an_empty_string),
        cmocka_unit_test(broken_input_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
