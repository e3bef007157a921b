// Tools: the schema of a call, and conversations with tools as templates are given them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/constraint_fixture.h"
#include "../support/constraint_walk.h"
#include "serve/schema_text.h"
#include "serve/tool_constraint.h"
#include "serve/tool_prompt.h"
#include "serve/tool_schema.h"

static const char weather[] =
    "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"Tells it.\", \"parameters\": "
    "{\"type\": \"object\", \"properties\": {\"where\": {\"$ref\": \"#/$defs/place\"}, \"const\": {\"$ref\": \"#\"}}, "
    "\"$defs\": {\"place\": {\"enum\": [{\"$ref\": \"#/no\"}]}}}}}";
static const char hours[] = "{\"type\": \"function\", \"function\": {\"name\": \"clock\"}}";

static struct reply_style hermes(bool shows_tools)
{
    return (struct reply_style){.call_open = "<tool_call>",
                                .call_close = "</tool_call>",
                                .name_key = "name",
                                .arguments_key = "arguments",
                                .shows_tools = shows_tools};
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (value == NULL) fail_msg("%s: %s", text, error.text);
    return value;
}

static json_t *both_tools(void)
{
    return json_pack("[o, o]", parse(weather), parse(hours));
}

// Takes both references.
static void expect_json(json_t *found, json_t *expected)
{
    if (!json_equal(found, expected)) print_message("%s\n", json_dumps(found, 0));
    assert_true(json_equal(found, expected));
    json_decref(found);
    json_decref(expected);
}

static void a_call_is_one_of_the_tools(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    const bool loose[2] = {false, false};
    json_t *tools = both_tools();
    expect_json(
        tool_schema(&style, tools, NULL, false, loose),
        parse("{\"anyOf\": ["
              "{\"type\": \"object\", \"properties\": {\"name\": {\"const\": \"weather\"}, \"arguments\": {\"$ref\": "
              "\"#/$defs/0\", \"type\": \"object\"}}, \"required\": [\"name\", \"arguments\"], "
              "\"additionalProperties\": false}, "
              "{\"type\": \"object\", \"properties\": {\"name\": {\"const\": \"clock\"}, \"arguments\": {\"$ref\": "
              "\"#/$defs/1\", \"type\": \"object\"}}, \"required\": [\"name\", \"arguments\"], "
              "\"additionalProperties\": false}], "
              "\"$defs\": {\"0\": {\"type\": \"object\", \"properties\": {\"where\": {\"$ref\": "
              "\"#/$defs/0/$defs/place\"}, \"const\": {\"$ref\": \"#/$defs/0\"}}, "
              "\"$defs\": {\"place\": {\"enum\": [{\"$ref\": \"#/no\"}]}}}, "
              "\"1\": {\"type\": \"object\", \"properties\": {}, \"additionalProperties\": false}}}"));
    json_decref(tools);
}

static json_t *tool_of(const char *parameters)
{
    return json_pack("{s:{s:s, s:o}}", "function", "name", "f", "parameters", parse(parameters));
}

// What becomes of a tool's parameters among those of others.
static void expect_moved(const char *parameters, const char *expected)
{
    struct reply_style style = hermes(true);
    const bool loose[1] = {false};
    json_t *tools = json_pack("[o]", tool_of(parameters));
    json_t *schema = tool_schema(&style, tools, NULL, false, loose);
    expect_json(json_incref(json_object_get(json_object_get(schema, "$defs"), "0")), parse(expected));
    json_decref(schema);
    json_decref(tools);
}

static void anchors_are_those_of_the_tool(void **state)
{
    (void)state;
    expect_moved("{\"properties\": {\"a\": {\"$ref\": \"#p\"}}, \"$defs\": {\"b\": {\"$anchor\": \"p\"}}}",
                 "{\"properties\": {\"a\": {\"$ref\": \"#0.p\"}}, \"$defs\": {\"b\": {\"$anchor\": \"0.p\"}}}");
    expect_moved("{\"properties\": {\"$anchor\": {\"const\": {\"$anchor\": \"p\"}}}}",
                 "{\"properties\": {\"$anchor\": {\"const\": {\"$anchor\": \"p\"}}}}");
}

static void parameters_give_up_their_address(void **state)
{
    (void)state;
    expect_moved(
        "{\"$id\": \"x:y\", \"anyOf\": [{\"$ref\": \"x:y\"}, {\"$ref\": \"x:y#/$defs/a\"}, {\"$ref\": \"x:y#p\"}, "
        "{\"$ref\": \"\"}, {\"$ref\": \"x:yz\"}, {\"$id\": \"x:z\"}], \"properties\": {\"$id\": {}, \"id\": {}}}",
        "{\"anyOf\": [{\"$ref\": \"#/$defs/0\"}, {\"$ref\": \"#/$defs/0/$defs/a\"}, {\"$ref\": \"#0.p\"}, "
        "{\"$ref\": \"#/$defs/0\"}, {\"$ref\": \"x:yz\"}, {\"$id\": \"x:z\"}], \"properties\": {\"$id\": {}, \"id\": "
        "{}}}");
    expect_moved("{\"id\": \"x:y\", \"type\": \"object\"}", "{\"type\": \"object\"}");
}

static void a_list_of_calls_may_be_of_one(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    const bool loose[2] = {true, false};
    json_t *tools = both_tools(), *schema;
    style.call_is_list = true;
    style.arguments_key = "parameters";
    schema = tool_schema(&style, tools, "weather", true, loose);
    expect_json(schema,
                parse("{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 1, \"items\": {\"anyOf\": ["
                      "{\"type\": \"object\", \"properties\": {\"name\": {\"const\": \"weather\"}, \"parameters\": "
                      "{\"$ref\": \"#/$defs/0\", \"type\": \"object\"}}, \"required\": [\"name\", \"parameters\"], "
                      "\"additionalProperties\": false}]}, \"$defs\": {\"0\": {\"type\": \"object\"}}}"));
    schema = tool_schema(&style, tools, NULL, false, loose);
    assert_null(json_object_get(schema, "maxItems"));
    json_decref(schema);
    json_decref(tools);
}

static void expect_text(const char *schema, const char *expected)
{
    json_t *value = parse(schema);
    char *text = schema_text(value);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void numbers_of_a_schema_stay_short(void **state)
{
    (void)state;
    expect_text("{\"minimum\": 2.99, \"maximum\": 1e300}", "{\"minimum\":2.99,\"maximum\":1e300}");
    expect_text("0.1", "0.1");
    expect_text("0.12345678901234559", "0.12345678901234559"); // all of its digits count
}

// ---- Constraints --------------------------------------------------------------------------------------------------

// Processor time until the tools are refused, as too much. Takes the reference.
static clock_t time_to_refuse(json_t *tools)
{
    struct reply_style style = hermes(true);
    const struct generation_request request = {.tools = tools};
    struct constraint *constraint;
    clock_t start = clock();
    assert_int_equal(tool_constraint_open(vocabulary, &style, &request, NULL, &constraint), TERN_LIMIT);
    json_decref(tools);
    return clock() - start;
}

// Each of them could be compiled alone. The first one cannot be enforced, so that all of them are looked at.
static void many_tools_take_no_longer_than_one(void **state)
{
    (void)state;
    json_t *tools = json_pack("[o]", tool_of("{\"not\": {\"minimum\": 1}}"));
    for (int i = 0; i < 24; i++) {
        json_array_append_new(tools, tool_of("{\"pattern\": \"a.{8}b\"}"));
    }
    clock_t one = time_to_refuse(json_pack("[o]", tool_of("{\"pattern\": \"a.{9}b\"}")));
    assert_true(time_to_refuse(tools) < 4 * one);
}

static bool may_be_called(const char *parameters, const char *call)
{
    struct reply_style style = hermes(true);
    json_t *tools = json_pack("[o]", tool_of(parameters));
    const struct generation_request request = {.tools = tools, .tool_choice = TOOL_CHOICE_REQUIRED};
    struct constraint *constraint;
    size_t at;
    assert_int_equal(tool_constraint_open(vocabulary, &style, &request, NULL, &constraint), TERN_OK);
    enum walk_result result = walk_text(constraint, call, strlen(call), &at);
    constraint_close(constraint);
    json_decref(tools);
    return result == WALK_COMPLETE;
}

// Whatever else their schema lets pass: clients read an object.
static void arguments_are_an_object(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{}", "{\"description\": \"Any.\"}", "{\"type\": [\"object\", \"null\"]}",
        "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}, {\"type\": \"number\"}, {\"type\": \"object\"}]}"};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        assert_true(may_be_called(schemas[i], "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"));
        assert_false(may_be_called(schemas[i], "<tool_call>{\"name\":\"f\",\"arguments\":null}</tool_call>"));
        assert_false(may_be_called(schemas[i], "<tool_call>{\"name\":\"f\",\"arguments\":\"a\"}</tool_call>"));
        assert_false(may_be_called(schemas[i], "<tool_call>{\"name\":\"f\",\"arguments\":7}</tool_call>"));
    }
}

static void a_tool_takes_objects(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    json_t *tools = json_pack("[o, o]", parse(hours), tool_of("{\"type\": [\"string\", \"array\"]}"));
    const struct generation_request request = {.tools = tools};
    struct constraint *constraint;
    assert_int_equal(tool_constraint_open(vocabulary, &style, &request, NULL, &constraint), TERN_INVALID);
    assert_string_equal(status_message(), "tool \"f\": schema, /type: \"object\" expected");
    json_decref(tools);
}

// ---- Prompts ------------------------------------------------------------------------------------------------------

static const tern_message asked[] = {
    {.role = "user", .content = "Weather?"},
    {.role = "assistant",
     .tool_calls = "[{\"id\": \"call_ab-1\", \"type\": \"function\", \"function\": {\"name\": \"weather\", "
                   "\"arguments\": \"{\\\"where\\\": 1}\"}}]"},
    {.role = "tool", .content = "Sun.", .tool_call_id = "call_ab-1"},
    {.role = "tool", .content = "Rain."},
};

struct prompted {
    struct tool_prompt prompt;
    json_t *tools;
};

static struct prompted open_prompt(const struct reply_style *style, const tern_message *messages, size_t n,
                                   enum generation_tool_choice choice)
{
    struct prompted p = {.tools = both_tools()};
    const struct generation_request request = {
        .messages = (tern_message *)(uintptr_t)messages, .n_messages = n, .tools = p.tools, .tool_choice = choice};
    assert_int_equal(tool_prompt_open(style, &request, &p.prompt), TERN_OK);
    return p;
}

static void close_prompt(struct prompted *p)
{
    tool_prompt_close(&p->prompt);
    json_decref(p->tools);
}

static void a_template_that_knows_tools_is_given_them(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    struct prompted p = open_prompt(&style, asked, 4, TOOL_CHOICE_AUTO);
    assert_int_equal(p.prompt.n_messages, 4);
    expect_json(parse(p.prompt.tools), both_tools());
    assert_string_equal(p.prompt.messages[1].content, "");
    expect_json(parse(p.prompt.messages[1].tool_calls),
                parse("[{\"id\": \"call_ab-1\", \"type\": \"function\", \"function\": {\"name\": \"weather\", "
                      "\"arguments\": {\"where\": 1}}}]"));
    assert_string_equal(p.prompt.messages[2].role, "tool");
    assert_string_equal(p.prompt.messages[2].tool_call_id, "call_ab-1");
    close_prompt(&p);

    p = open_prompt(&style, asked, 1, TOOL_CHOICE_NONE);
    assert_null(p.prompt.tools);
    close_prompt(&p);
}

static void arguments_that_are_no_object_stay_text(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    const tern_message broken = {.role = "assistant", .tool_calls = "[{\"function\": {\"arguments\": \"{\"}}]"};
    struct prompted p = open_prompt(&style, &broken, 1, TOOL_CHOICE_AUTO);
    expect_json(parse(p.prompt.messages[0].tool_calls), parse("[{\"function\": {\"arguments\": \"{\"}}]"));
    close_prompt(&p);
}

static void mistral_gets_its_short_ids(void **state)
{
    (void)state;
    struct reply_style style = hermes(true);
    style.short_ids = true;
    struct prompted p = open_prompt(&style, asked, 4, TOOL_CHOICE_AUTO);
    json_t *calls = parse(p.prompt.messages[1].tool_calls);
    assert_string_equal(json_string_value(json_object_get(json_array_get(calls, 0), "id")), "00callab1");
    assert_string_equal(p.prompt.messages[2].tool_call_id, "00callab1");
    json_decref(calls);
    close_prompt(&p);
}

static void other_templates_get_text(void **state)
{
    (void)state;
    struct reply_style style = hermes(false);
    struct prompted p = open_prompt(&style, asked, 4, TOOL_CHOICE_AUTO);
    const tern_message *m = p.prompt.messages;
    assert_int_equal(p.prompt.n_messages, 4);
    assert_null(p.prompt.tools);
    assert_string_equal(m[0].role, "system");
    assert_non_null(strstr(m[0].content, "<tools>\n{\"name\": \"weather\", "));
    assert_non_null(strstr(m[0].content, "\n{\"name\": \"clock\"}\n</tools>"));
    assert_non_null(strstr(m[0].content, "<tool_call>\n{\"name\": NAME, \"arguments\": {...}}\n</tool_call>"));
    assert_string_equal(m[1].content, "Weather?");
    assert_string_equal(m[2].role, "assistant");
    assert_string_equal(m[2].content,
                        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"where\": 1}}\n</tool_call>");
    assert_null(m[2].tool_calls);
    assert_string_equal(m[3].role, "user");
    assert_string_equal(m[3].content,
                        "<tool_response>\nSun.\n</tool_response>\n<tool_response>\nRain.\n</tool_response>");
    close_prompt(&p);
}

static void the_system_text_of_the_request_stays(void **state)
{
    (void)state;
    struct reply_style style = hermes(false);
    const tern_message messages[] = {
        {.role = "system", .content = "Be brief."},
        {.role = "assistant",
         .content = "Let me see.",
         .tool_calls =
             "[{\"function\": {\"name\": \"a\"}}, {\"function\": {\"name\": \"b\", \"arguments\": \"{}\"}}]"}};
    struct prompted p = open_prompt(&style, messages, 2, TOOL_CHOICE_AUTO);
    assert_int_equal(p.prompt.n_messages, 2);
    assert_int_equal(strncmp(p.prompt.messages[0].content, "Be brief.\n\nYou may call", 22), 0);
    assert_string_equal(p.prompt.messages[1].content,
                        "Let me see.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n"
                        "{\"name\": \"b\", \"arguments\": {}}\n</tool_call>");
    close_prompt(&p);
    p = open_prompt(&style, messages, 2, TOOL_CHOICE_NONE);
    assert_string_equal(p.prompt.messages[0].content, "Be brief.");
    close_prompt(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_one_of_the_tools),
        cmocka_unit_test(anchors_are_those_of_the_tool),
        cmocka_unit_test(parameters_give_up_their_address),
        cmocka_unit_test(a_list_of_calls_may_be_of_one),
        cmocka_unit_test(numbers_of_a_schema_stay_short),
        cmocka_unit_test(arguments_are_an_object),
        cmocka_unit_test(a_tool_takes_objects),
        cmocka_unit_test(many_tools_take_no_longer_than_one),
        cmocka_unit_test(a_template_that_knows_tools_is_given_them),
        cmocka_unit_test(arguments_that_are_no_object_stay_text),
        cmocka_unit_test(mistral_gets_its_short_ids),
        cmocka_unit_test(other_templates_get_text),
        cmocka_unit_test(the_system_text_of_the_request_stays),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
