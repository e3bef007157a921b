// The requests of /v1/responses and /v1/messages: what they become, and what is said of those that make no sense.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "serve/messages_request.h"
#include "serve/responses_request.h"
#include "serve/server.h"

enum endpoint { RESPONSES, MESSAGES, COUNT };

static bool read_request(enum endpoint endpoint, const char *body, struct generation_request *request, bool *stream,
                         struct api_error *error)
{
    static const struct server server; // its options' defaults do not matter here
    json_t *root;
    *stream = false;
    *error = (struct api_error){0};
    assert_true(field_open_body(body, strlen(body), &root, error));
    generation_request_init(&server, request, root);
    request->count_only = endpoint == COUNT;
    const struct fields fields = {.object = root, .error = error};
    return endpoint == RESPONSES ? responses_read_request(&fields, request, stream)
                                 : messages_read_request(&fields, request, stream);
}

static struct generation_request read_well(enum endpoint endpoint, const char *body)
{
    struct generation_request request;
    struct api_error error;
    bool stream;
    if (!read_request(endpoint, body, &request, &stream, &error)) fail_msg("%s: %s", error.param, error.message);
    return request;
}

static void expect_error(enum endpoint endpoint, const char *body, const char *param, const char *words)
{
    struct generation_request request;
    struct api_error error;
    bool stream;
    if (read_request(endpoint, body, &request, &stream, &error)) fail_msg("no error: %s", body);
    assert_int_equal(error.status, 400);
    assert_string_equal(error.param, param);
    if (strstr(error.message, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.message, words);
    generation_request_free(&request);
}

static void expect_message(const struct generation_request *request, size_t index, const char *role,
                           const char *content)
{
    assert_true(index < request->n_messages);
    assert_string_equal(request->messages[index].role, role);
    assert_string_equal(request->messages[index].content, content);
}

static void a_response_may_be_asked_for_in_one_string(void **state)
{
    (void)state;
    struct generation_request r = read_well(
        RESPONSES, "{\"model\": \"m\", \"input\": \"Hi\", \"instructions\": \"Be brief.\", \"max_output_tokens\": 7, "
                   "\"temperature\": 0.5, \"reasoning\": {\"effort\": \"xhigh\"}, \"parallel_tool_calls\": false, "
                   "\"unknown\": 1}");
    assert_string_equal(r.model, "m");
    assert_int_equal(r.n_messages, 2);
    expect_message(&r, 0, "system", "Be brief.");
    expect_message(&r, 1, "user", "Hi");
    assert_int_equal(r.max_tokens, 7);
    assert_true(r.sampling.temperature == 0.5F);
    assert_string_equal(r.reasoning_effort, "high");
    assert_true(r.one_call);
    assert_int_equal(r.format, FORMAT_TEXT);
    generation_request_free(&r);
}

static void items_of_one_turn_become_one_message(void **state)
{
    (void)state;
    struct generation_request r = read_well(
        RESPONSES,
        "{\"instructions\": \"A\", \"input\": [{\"role\": \"developer\", \"content\": \"B\"}, "
        "{\"role\": \"user\", \"content\": [{\"type\": \"input_text\", \"text\": \"x\"}, {\"type\": \"input_text\", "
        "\"text\": \"y\"}]}, "
        "{\"type\": \"reasoning\", \"id\": \"rs\", \"summary\": [], \"content\": [{\"type\": \"reasoning_text\", "
        "\"text\": "
        "\"hm\"}]}, "
        "{\"type\": \"message\", \"role\": \"assistant\", \"content\": [{\"type\": \"output_text\", \"text\": \"so\", "
        "\"annotations\": []}]}, "
        "{\"type\": \"function_call\", \"call_id\": \"c1\", \"name\": \"f\", \"arguments\": \"{}\"}, "
        "{\"type\": \"function_call\", \"call_id\": \"c2\", \"name\": \"g\", \"arguments\": \"{\\\"a\\\": 1}\"}, "
        "{\"type\": \"function_call_output\", \"call_id\": \"c1\", \"output\": \"1\"}, "
        "{\"type\": \"function_call_output\", \"call_id\": \"c2\", \"output\": [{\"type\": \"input_text\", \"text\": "
        "\"2\"}]}]}");
    assert_int_equal(r.n_messages, 5);
    expect_message(&r, 0, "system", "A\n\nB");
    expect_message(&r, 1, "user", "x\ny");
    expect_message(&r, 2, "assistant", "so");
    assert_string_equal(r.messages[2].reasoning, "hm");
    assert_string_equal(
        r.messages[2].tool_calls,
        "[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"a\\\": 1}\"}}]");
    expect_message(&r, 3, "tool", "1");
    assert_string_equal(r.messages[3].tool_call_id, "c1");
    expect_message(&r, 4, "tool", "2");
    assert_string_equal(r.messages[4].tool_call_id, "c2");
    generation_request_free(&r);
}

// However many pieces the system speaks in, no more than what it says is kept.
static void pieces_of_the_system_are_kept_once(void **state)
{
    (void)state;
    enum { PIECES = 500, BYTES = 100 };
    static char piece[BYTES + 1];
    memset(piece, 's', BYTES);
    struct buffer body = {0};
    assert_int_equal(buffer_append_string(&body, "{\"input\": ["), TERN_OK);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(buffer_append_format(&body, "{\"role\": \"system\", \"content\": \"%s\"}, ", piece), TERN_OK);
    assert_int_equal(buffer_append_string(&body, "{\"role\": \"assistant\", \"content\": \"so\"}, "
                                                 "{\"role\": \"system\", \"content\": \"late\"}]}"),
                     TERN_OK);
    struct generation_request r = read_well(RESPONSES, body.data);
    assert_int_equal(r.n_messages, 3);
    assert_string_equal(r.messages[0].role, "system");
    assert_int_equal(strlen(r.messages[0].content), PIECES * (BYTES + 2) - 2);
    expect_message(&r, 1, "assistant", "so");
    expect_message(&r, 2, "system", "late");
    size_t kept = 0, index;
    json_t *value;
    json_array_foreach(r.kept, index, value)
    {
        kept += json_string_length(value);
    }
    assert_true(kept < 2 * PIECES * BYTES);
    generation_request_free(&r);
    buffer_free(&body);
}

static void responses_have_tools_and_formats(void **state)
{
    (void)state;
    struct generation_request r = read_well(
        RESPONSES,
        "{\"input\": \"Hi\", \"tools\": [{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}, \"strict\": "
        "true}, {\"type\": \"function\", \"name\": \"g\"}], \"tool_choice\": {\"type\": \"function\", \"name\": "
        "\"g\"}, \"text\": {\"format\": {\"type\": \"json_schema\", \"name\": \"x\", \"schema\": {\"type\": "
        "\"object\"}}}, \"top_logprobs\": 2}");
    char *tools = json_dumps(r.tools, JSON_COMPACT);
    assert_string_equal(tools,
                        "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{},\"strict\":true}},"
                        "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]");
    free(tools);
    assert_int_equal(r.tool_choice, TOOL_CHOICE_NAMED);
    assert_string_equal(r.tool_name, "g");
    assert_int_equal(r.format, FORMAT_JSON_SCHEMA);
    assert_string_equal(r.format_text, "{\"type\":\"object\"}");
    assert_int_equal(r.n_logprobs, 2);
    generation_request_free(&r);

    r = read_well(RESPONSES,
                  "{\"input\": \"Hi\", \"tools\": [{\"type\": \"function\", \"name\": \"f\"}, {\"type\": "
                  "\"function\", \"name\": \"g\"}], \"tool_choice\": {\"type\": \"allowed_tools\", \"mode\": "
                  "\"required\", \"tools\": [{\"type\": \"function\", \"name\": \"g\"}]}}");
    assert_int_equal(r.tool_choice, TOOL_CHOICE_REQUIRED);
    assert_int_equal(json_array_size(r.tools), 1);
    generation_request_free(&r);
}

static void broken_responses_requests_are_told_what_is_wrong(void **state)
{
    (void)state;
    const enum endpoint d = RESPONSES;
    expect_error(d, "{}", "input", "missing");
    expect_error(d, "{\"input\": []}", "input", "no messages");
    expect_error(d, "{\"input\": 5}", "input", "expected an array");
    expect_error(d, "{\"input\": [5]}", "input[0]", "expected an object");
    expect_error(d, "{\"input\": [{\"type\": \"item_reference\", \"id\": \"x\"}]}", "input[0].type", "unknown");
    expect_error(d, "{\"input\": [{\"role\": \"user\"}]}", "input[0].content", "missing");
    expect_error(d, "{\"input\": [{\"content\": \"x\"}]}", "input[0].role", "missing");
    expect_error(d, "{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_image\"}]}]}",
                 "input[0].content[0].type", "input_image");
    expect_error(d, "{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_text\"}]}]}",
                 "input[0].content[0].text", "missing");
    expect_error(d, "{\"input\": [{\"type\": \"function_call\", \"call_id\": \"c\"}]}", "input[0].name", "missing");
    expect_error(d, "{\"input\": [{\"type\": \"function_call_output\"}]}", "input[0].output", "missing");
    expect_error(d, "{\"input\": \"x\", \"previous_response_id\": \"resp_1\"}", "previous_response_id",
                 "keeps no responses");
    expect_error(d, "{\"input\": \"x\", \"conversation\": \"conv_1\"}", "conversation", "keeps no responses");
    expect_error(d, "{\"input\": \"x\", \"background\": true}", "background", "keeps no responses");
    expect_error(d, "{\"input\": \"x\", \"prompt\": {\"id\": \"p\"}}", "prompt", "keeps no prompts");
    expect_error(d, "{\"input\": \"x\", \"max_output_tokens\": 0}", "max_output_tokens", "out of bounds");
    expect_error(d, "{\"input\": \"x\", \"tools\": [{\"type\": \"web_search\"}]}", "tools[0].type", "web_search");
    expect_error(d, "{\"input\": \"x\", \"tools\": [{\"type\": \"function\"}]}", "tools[0].name", "missing");
    expect_error(d, "{\"input\": \"x\", \"tool_choice\": \"required\"}", "tool_choice", "no tools");
    expect_error(d, "{\"input\": \"x\", \"tool_choice\": {\"type\": \"function\", \"name\": \"f\"}}",
                 "tool_choice.name", "no tool");
    expect_error(d, "{\"input\": \"x\", \"tool_choice\": {}}", "tool_choice.type", "missing");
    expect_error(d,
                 "{\"input\": \"x\", \"tools\": [{\"type\": \"function\", \"name\": \"f\"}], \"tool_choice\": "
                 "{\"type\": \"allowed_tools\", \"mode\": \"required\", \"tools\": [{\"type\": \"function\", "
                 "\"name\": \"g\"}]}}",
                 "tool_choice.tools", "none of these");
    expect_error(d, "{\"input\": \"x\", \"text\": {\"format\": {\"type\": \"json_schema\"}}}", "text.format.schema",
                 "missing");
    expect_error(d, "{\"input\": \"x\", \"reasoning\": {\"effort\": \"huge\"}}", "reasoning.effort", "huge");
    expect_error(d, "{\"input\": \"x\", \"stream\": \"yes\"}", "stream", "true or false");
}

static void messages_become_a_conversation(void **state)
{
    (void)state;
    struct generation_request r = read_well(
        MESSAGES,
        "{\"model\": \"m\", \"max_tokens\": 9, \"system\": [{\"type\": \"text\", \"text\": \"A\"}, {\"type\": "
        "\"text\", "
        "\"text\": \"B\", \"cache_control\": {\"type\": \"ephemeral\"}}], \"stop_sequences\": [\"end\"], \"top_k\": 3, "
        "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, "
        "{\"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", \"thinking\": \"hm\", \"signature\": \"\"}, "
        "{\"type\": \"redacted_thinking\", \"data\": \"?\"}, {\"type\": \"text\", \"text\": \"so\"}, {\"type\": "
        "\"tool_use\", "
        "\"id\": \"t1\", \"name\": \"f\", \"input\": {\"a\": 1}}]}, "
        "{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"t1\", \"content\": "
        "[{\"type\": "
        "\"text\", \"text\": \"1\"}]}, {\"type\": \"text\", \"text\": \"y\"}, {\"type\": \"text\", \"text\": "
        "\"z\"}]}]}");
    assert_int_equal(r.max_tokens, 9);
    assert_int_equal(r.sampling.top_k, 3);
    assert_int_equal(r.n_stop, 1);
    assert_string_equal(r.stop[0], "end");
    assert_int_equal(r.thinking_budget, 0);
    assert_int_equal(r.n_messages, 5);
    expect_message(&r, 0, "system", "A\nB");
    expect_message(&r, 1, "user", "x");
    expect_message(&r, 2, "assistant", "so");
    assert_string_equal(r.messages[2].reasoning, "hm");
    assert_string_equal(r.messages[2].tool_calls, "[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                                                  "\"arguments\":\"{\\\"a\\\":1}\"}}]");
    expect_message(&r, 3, "tool", "1");
    assert_string_equal(r.messages[3].tool_call_id, "t1");
    expect_message(&r, 4, "user", "y\nz");
    assert_false(r.continue_last);
    generation_request_free(&r);
}

static void messages_have_tools_thinking_and_formats(void **state)
{
    (void)state;
    struct generation_request r = read_well(
        MESSAGES,
        "{\"max_tokens\": 9, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"assistant\", "
        "\"content\": \"It is \"}], \"tools\": [{\"name\": \"f\", \"description\": \"d\", \"input_schema\": "
        "{\"type\": \"object\"}}], \"tool_choice\": {\"type\": \"any\", \"disable_parallel_tool_use\": true}, "
        "\"thinking\": {\"type\": \"enabled\", \"budget_tokens\": 1024}, \"output_config\": {\"effort\": \"low\", "
        "\"format\": {\"type\": \"json_schema\", \"schema\": {\"type\": \"object\"}}}}");
    char *tools = json_dumps(r.tools, JSON_COMPACT);
    assert_string_equal(tools,
                        "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
                        "{\"type\":\"object\"}}}]");
    free(tools);
    assert_int_equal(r.tool_choice, TOOL_CHOICE_REQUIRED);
    assert_true(r.one_call && r.continue_last);
    assert_int_equal(r.thinking_budget, 1024);
    assert_string_equal(r.reasoning_effort, "low");
    assert_int_equal(r.format, FORMAT_JSON_SCHEMA);
    generation_request_free(&r);

    r = read_well(COUNT,
                  "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"thinking\": {\"type\": \"adaptive\"}}");
    assert_int_equal(r.thinking_budget, -1);
    assert_string_equal(r.reasoning_effort, "medium");
    generation_request_free(&r);
}

static void broken_messages_requests_are_told_what_is_wrong(void **state)
{
    (void)state;
    const enum endpoint d = MESSAGES;
    const char *const hello = "\"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]";
    static const struct {
        const char *more, *param, *words;
    } cases[] = {
        {"\"tools\": [{\"type\": \"web_search_20250305\", \"name\": \"w\"}]", "tools[0].type", "web_search"},
        {"\"tools\": [{}]", "tools[0].name", "missing"},
        {"\"tool_choice\": {\"type\": \"any\"}", "tool_choice.type", "no tools"},
        {"\"tool_choice\": {\"type\": \"tool\", \"name\": \"f\"}", "tool_choice.name", "no tool"},
        {"\"tool_choice\": \"auto\"", "tool_choice", "expected an object"},
        {"\"thinking\": {\"type\": \"enabled\"}", "thinking.budget_tokens", "missing"},
        {"\"stop_sequences\": [\"\"]", "stop_sequences", "entry 0"},
        {"\"output_config\": {\"format\": {\"type\": \"json_schema\"}}", "output_config.format.schema", "missing"},
        {"\"system\": 1", "system", "a string"},
        {"\"temperature\": \"hot\"", "temperature", "a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        snprintf(body, sizeof body, "{%s, %s}", hello, cases[i].more);
        expect_error(d, body, cases[i].param, cases[i].words);
    }
    expect_error(d, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", "max_tokens", "missing");
    expect_error(d, "{\"max_tokens\": 1}", "messages", "at least one");
    expect_error(d, "{\"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": []}]}", "messages",
                 "nothing");
    expect_error(d, "{\"max_tokens\": 1, \"messages\": [{\"role\": \"tool\", \"content\": \"\"}]}", "messages[0].role",
                 "tool");
    expect_error(d, "{\"max_tokens\": 1, \"messages\": [{\"content\": \"\"}]}", "messages[0].role", "missing");
    expect_error(d, "{\"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}",
                 "messages[0].content[0].type", "image");
    expect_error(
        d, "{\"max_tokens\": 1, \"messages\": [{\"role\": \"assistant\", \"content\": [{\"type\": \"tool_use\"}]}]}",
        "messages[0].content[0].id", "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_may_be_asked_for_in_one_string),
        cmocka_unit_test(items_of_one_turn_become_one_message),
        cmocka_unit_test(pieces_of_the_system_are_kept_once),
        cmocka_unit_test(responses_have_tools_and_formats),
        cmocka_unit_test(broken_responses_requests_are_told_what_is_wrong),
        cmocka_unit_test(messages_become_a_conversation),
        cmocka_unit_test(messages_have_tools_thinking_and_formats),
        cmocka_unit_test(broken_messages_requests_are_told_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
