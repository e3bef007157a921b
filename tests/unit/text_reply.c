// Replies taken apart: what each style's marks mean, whatever the pieces that the text comes in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/reply.h"

// What was said, as text: <content>, (thinking), and call:name=arguments; with ! in place of the ; if it has no end.
struct record {
    struct buffer said;
    char open; // of the piece that is being written: '<', '(', ':' or 0
};

static void close_piece(struct record *record)
{
    if (record->open == '<') assert_int_equal(buffer_append(&record->said, ">", 1), TERN_OK);
    if (record->open == '(') assert_int_equal(buffer_append(&record->said, ")", 1), TERN_OK);
    if (record->open == ':') assert_int_equal(buffer_append(&record->said, "!", 1), TERN_OK);
    record->open = 0;
}

static tern_status write_piece(struct record *record, char open, const char *text, size_t length)
{
    assert_true(length > 0);
    if (record->open != open) {
        close_piece(record);
        TRY(buffer_append(&record->said, &open, 1));
        record->open = open;
    }
    return buffer_append(&record->said, text, length);
}

static tern_status on_content(void *context, const char *text, size_t length)
{
    return write_piece(context, '<', text, length);
}

static tern_status on_reasoning(void *context, const char *text, size_t length)
{
    return write_piece(context, '(', text, length);
}

static tern_status on_call_begin(void *context, int32_t index, const char *name)
{
    struct record *record = context;
    close_piece(record);
    record->open = ':';
    return buffer_append_format(&record->said, "%d:%s=", index, name);
}

static tern_status on_call_arguments(void *context, int32_t index, const char *text, size_t length)
{
    struct record *record = context;
    (void)index;
    assert_int_equal(record->open, ':');
    assert_true(length > 0);
    return buffer_append(&record->said, text, length);
}

static tern_status on_call_end(void *context, int32_t index)
{
    struct record *record = context;
    (void)index;
    assert_int_equal(record->open, ':');
    record->open = 0;
    return buffer_append(&record->said, ";", 1);
}

// The caller frees it.
static char *take_apart(const struct reply_style *style, bool tools, const char *text, size_t length, size_t piece)
{
    struct record record = {0};
    struct reply_events events = {on_content, on_reasoning, on_call_begin, on_call_arguments, on_call_end, &record};
    struct reply *reply;
    assert_int_equal(reply_open(style, tools, &events, &reply), TERN_OK);
    for (size_t at = 0; at < length; at += piece)
        assert_int_equal(reply_push(reply, text + at, length - at < piece ? length - at : piece), TERN_OK);
    assert_int_equal(reply_finish(reply), TERN_OK);
    close_piece(&record);
    reply_close(reply);
    return buffer_take(&record.said);
}

static void expect(const struct reply_style *style, bool tools, const char *text, const char *said)
{
    size_t length = strlen(text), pieces[] = {1, 2, 3, 5, 7, 64, length + 1};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char *found = take_apart(style, tools, text, length, pieces[i]);
        if (strcmp(found, said) != 0) print_message("pieces of %zu bytes of %s\n", pieces[i], text);
        assert_string_equal(found, said);
        free(found);
    }
}

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 16);
    *length = fread(text, 1, 1 << 16, file);
    fclose(file);
    return text;
}

static struct reply_style style_of(const char *path)
{
    size_t length;
    char *text = read_file(path, &length);
    struct reply_style style;
    reply_style_detect(text, length, &style);
    free(text);
    return style;
}

static struct reply_style style_of_text(const char *text)
{
    struct reply_style style;
    reply_style_detect(text, strlen(text), &style);
    return style;
}

static struct reply_style qwen(void)
{
    return style_of("golden/template/qwen3.jinja");
}

static struct reply_style llama(void)
{
    return style_of_text("Respond in the format {\"name\": function name, \"parameters\": dictionary of ...}");
}

static struct reply_style mistral(void)
{
    return style_of("golden/template/mistral_nemo.jinja");
}

static void styles_are_read_off_real_templates(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    assert_string_equal(style.think_open, "<think>");
    assert_string_equal(style.call_open, "<tool_call>");
    assert_string_equal(style.call_close, "</tool_call>");
    assert_string_equal(style.arguments_key, "arguments");
    assert_true(style.shows_tools && !style.call_is_list && !style.call_is_bare && !style.short_ids);

    style = style_of("golden/template/qwen2_5.jinja");
    assert_null(style.think_open);
    assert_string_equal(style.call_open, "<tool_call>");
    assert_true(style.shows_tools);

    style = mistral();
    assert_null(style.think_open);
    assert_string_equal(style.call_open, "[TOOL_CALLS]");
    assert_string_equal(style.call_close, "");
    assert_true(style.shows_tools && style.call_is_list && style.short_ids);

    style = llama();
    assert_string_equal(style.call_open, "<|python_tag|>");
    assert_string_equal(style.arguments_key, "parameters");
    assert_true(style.shows_tools && style.call_is_bare);
}

static void templates_without_known_tools_get_the_marks_of_hermes(void **state)
{
    (void)state;
    const char *const templates[] = {"golden/template/smollm2.jinja", "golden/template/deepseek_v3.jinja",
                                     "golden/template/chatml.jinja"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        struct reply_style style = style_of(templates[i]);
        assert_null(style.think_open);
        assert_string_equal(style.call_open, "<tool_call>");
        assert_false(style.shows_tools);
    }
    struct reply_style style = style_of_text("<tool_call>{{ name }}\n<arg_key>{{ key }}</arg_key></think>");
    assert_false(style.shows_tools);
    assert_string_equal(style.think_close, "</think>");
    reply_style_detect(NULL, 0, &style);
    assert_false(style.shows_tools);
    assert_null(style.think_open);
}

static void a_prompt_may_have_opened_the_thinking(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    const char *const prompts[] = {"<|im_start|>assistant\n<think>\n", "x<think>", "<think>\n\n</think>\n\n", "think>"};
    const bool opened[] = {true, true, false, false};
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++) {
        reply_style_read_prompt(&style, prompts[i], strlen(prompts[i]));
        assert_int_equal(style.think_opened, opened[i]);
    }
    reply_style_read_prompt(&style, prompts[0], strlen(prompts[0]));
    expect(&style, false, "\nhm\n</think>\n\nYes.", "(hm)<Yes.>");
    expect(&style, false, "hm, and no end \n", "(hm, and no end \n)");
}

static void marks_are_known_as_control_tokens(void **state)
{
    (void)state;
    struct reply_style style = mistral();
    assert_true(reply_style_has_mark(&style, "[TOOL_CALLS]", 12));
    assert_false(reply_style_has_mark(&style, "[TOOL_CALLS", 11));
    assert_false(reply_style_has_mark(&style, "", 0));
    assert_false(reply_style_has_mark(&style, "<s>", 3));
}

static void thinking_comes_first_and_once(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    expect(&style, false, "<think>\nhm\n\n...\n</think>\n\nYes.\n", "(hm\n\n...)<Yes.\n>");
    expect(&style, false, " \n<think></think>Yes", "<Yes>");
    expect(&style, false, "No <think>tag</think> here", "<No <think>tag</think> here>");
    expect(&style, false, "<think>a</think>b<think>c", "(a)<b<think>c>");
    expect(&style, false, "<think>a <think> b</think>c", "(a <think> b)<c>");
    expect(&style, false, "<think", "<<think>");
    expect(&style, false, "<think>a</think", "(a</think)");
    expect(&style, false, "\n\n", "<\n\n>");
    expect(&style, false, "", "");
}

static void words_without_marks_stay_as_they_are(void **state)
{
    (void)state;
    struct reply_style style = qwen(), plain = style_of_text("");
    const char *call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n";
    char said[128];
    snprintf(said, sizeof said, "<%s>", call);
    expect(&style, false, call, said);
    expect(&plain, true, " \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 <x>\n\n",
           "< \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 <x>\n\n>");
}

static void calls_are_found(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    expect(&style, true,
           "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, {\"b\": \"}\\\"\"}]}}\n</tool_call>",
           "0:f={\"a\": [1, {\"b\": \"}\\\"\"}]};");
    expect(&style, true,
           "<think>\nwhich?\n</think>\n\nI look.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n"
           "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"x\": 1}}\n</tool_call>\nDone.",
           "(which?)<I look.>0:f={};1:g={\"x\": 1};<Done.>");
    // In any order, with other keys, under the other word, without arguments, with a scalar for them.
    expect(&style, true, "<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"f\"}</tool_call>", "0:f={\"x\": 1};");
    expect(&style, true,
           "<tool_call>{\"id\": \"1,}\", \"name\":\"f\", \"n\": [{}], \"parameters\": {\"y\": 2}, \"v\": -1e5 }",
           "0:f={\"y\": 2};");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": {}, \"arguments\": {\"x\": 1}}", "0:f={};");
    expect(&style, true, "<tool_call>{\"name\": \"f\"}</tool_call>", "0:f={};");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>", "0:f=null;");
    // A list between the marks, or marks without an end.
    expect(&style, true, "<tool_call>[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {}}]",
           "0:f={};1:g={};");
    expect(&style, true, "a\n<tool_call>{\"name\": \"f\", \"arguments\": {}} \n<tool_call>{\"name\": \"g\"}",
           "<a>0:f={};1:g={};");
    // A model that calls amid its thinking has not ended it.
    expect(&style, true, "<think>a <tool_call>{\"name\": \"f\"}</tool_call> b</think> c", "(a)0:f={};(b)<c>");
}

static void arguments_in_a_string_are_what_it_says(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    expect(
        &style, true,
        "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": \\\"\\\\n\\u00e9\\ud83d\\uDE00\\\"}\"}</tool_call>",
        "0:f={\"a\": \"\\n\xc3\xa9\xf0\x9f\x98\x80\"};");
    expect(&style, true, "<tool_call>{\"name\": \"\\u0066\", \"arguments\": \"\\ud83dx\\ud83d\"}",
           "0:f=\xef\xbf\xbdx\xef\xbf\xbd;");
    expect(&style, true, "<tool_call>{\"name\": \"f\\u0000g\", \"arguments\": 1}", "0:f\xef\xbf\xbdg=1;");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": \"a\\q\\u00zb\nc\"}", "0:f=a\\q\\u00zb\nc;");
}

static void what_is_no_call_is_content(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    const char *const texts[] = {
        "a\n<tool_call>",
        "a\n<tool_call>\n\nb ",
        "<tool_call>{\"name\"",
        "<tool_call>{\"name\": \"\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
        "<tool_call>{\"arguments\": {}}</tool_call>",
        "<tool_call>{}</tool_call>",
        "<tool_call>[]</tool_call>",
        "<tool_call>[[{\"name\": \"f\"}]]</tool_call>",
        "<tool_call>[[[",
        "<tool_call>{\"na\\qme\": 1}</tool_call>",
        "<tool_call>{name: \"f\"}</tool_call>",
        "<tool_call>{\"name\": \"f\" \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"x\": 1\"}</tool_call>",
        "the tag <tool_call> and </tool_call>",
        "</tool_call> <tool_",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char said[128];
        snprintf(said, sizeof said, "<%s>", texts[i]);
        expect(&style, true, texts[i], said);
    }
    expect(&style, true, "<tool_call><tool_call>{\"name\": \"f\"}</tool_call>", "<<tool_call>>0:f={};");
    expect(&style, true, "<tool_call>{\"<tool_call>{\"name\": \"f\"}</tool_call>",
           "<<tool_call>{\"<tool_call>{\"name\": \"f\"}</tool_call>>");
}

static void cut_off_calls_keep_what_they_have(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"b", "0:f={\"a\": \"b!");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}", "0:f={\"a\": 1};");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": {}, \"id\": oops", "0:f={};<, \"id\": oops>");
    expect(&style, true, "<think>a</think><tool_call>{\"name\": \"f\", \"arguments\": {} oops", "(a)0:f={};< oops>");
    expect(&style, true, "<tool_call>{\"name\": \"f\", \"arguments\": 1\"2", "0:f=1!<\"2>");
    expect(&style, true, "<tool_call>{\"name\": \"f\"}</tool_ca", "0:f={};<</tool_ca>");
}

static void mistral_writes_lists(void **state)
{
    (void)state;
    struct reply_style style = mistral();
    expect(&style, true, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": []}, \"id\": \"123456789\"}]",
           "0:f={\"a\": []};");
    expect(&style, true, "[TOOL_CALLS] [{\"name\": \"f\"}, {\"arguments\": {}, \"name\": \"g\"}] ok",
           "0:f={};1:g={};<ok>");
    expect(&style, true, "[TOOL_CALLS][{\"name\": \"f\"}, oops", "0:f={};<, oops>");
    expect(&style, true, "[TOOL_CALLS]none", "<[TOOL_CALLS]none>");
    expect(&style, true, "[[TOOL_CALLS]{\"name\": \"f\"}", "<[>0:f={};");
}

static void llama_writes_json_alone(void **state)
{
    (void)state;
    struct reply_style style = llama();
    expect(&style, true, "{\"name\": \"f\", \"parameters\": {\"a\": \"b\"}}", "0:f={\"a\": \"b\"};");
    expect(&style, true, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", "0:f={};");
    expect(&style, true,
           "{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}} {\"name\": \"g\", \"parameters\": {}}",
           "0:f={};1:g={};");
    // JSON that is an answer: without arguments, behind words, or where no tools were given.
    expect(&style, true, "{\"name\": \"Ada\"}", "<{\"name\": \"Ada\"}>");
    expect(&style, true, "As JSON: {\"name\": \"f\", \"parameters\": {}}",
           "<As JSON: {\"name\": \"f\", \"parameters\": {}}>");
    expect(&style, false, "{\"name\": \"f\", \"parameters\": {}}", "<{\"name\": \"f\", \"parameters\": {}}>");
}

static void calls_are_counted_when_complete(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    struct reply_events none = {0};
    struct reply *reply;
    const char *text = "<tool_call>{\"name\": \"f\"}</tool_call><tool_call>{\"name\": \"f\", \"arguments\": {";
    assert_int_equal(reply_open(&style, true, &none, &reply), TERN_OK);
    assert_int_equal(reply_push(reply, text, strlen(text)), TERN_OK);
    assert_int_equal(reply_finish(reply), TERN_OK);
    assert_int_equal(reply_calls(reply), 1);
    reply_close(reply);
}

static tern_status refuse(void *context, const char *text, size_t length)
{
    (void)context, (void)text, (void)length;
    return status_fail(TERN_CANCELLED, "enough");
}

static void errors_of_the_receiver_come_back(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    struct reply_events events = {.on_content = refuse};
    struct reply *reply;
    assert_int_equal(reply_open(&style, true, &events, &reply), TERN_OK);
    assert_int_equal(reply_push(reply, "a", 1), TERN_CANCELLED);
    reply_close(reply);
    style.call_open = "a mark that is longer than any that there is";
    assert_int_equal(reply_open(&style, true, &events, &reply), TERN_INVALID);
}

// A text of `count` times `part`, which is all content, is taken apart in a time that grows as it does. Seconds.
static double time_of(const struct reply_style *style, const char *part, size_t count)
{
    struct buffer text = {0};
    struct timespec begin, end;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buffer_append_string(&text, part), TERN_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    char *said = take_apart(style, true, text.data, text.length, 1000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    assert_int_equal(strlen(said), text.length + 2);
    assert_memory_equal(said + 1, text.data, text.length);
    free(said);
    buffer_free(&text);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

static void hostile_texts_take_linear_time(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    const char *const parts[] = {"<",
                                 "<tool_call",
                                 "<tool_call>",
                                 "<tool_call>[",
                                 "\n<tool_call>{\"",
                                 "<tool_call>[{\"x\":{\"",
                                 "<tool_call>{\"a\":[[[[",
                                 " \n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t count = 1000000 / strlen(parts[i]);
        double small = time_of(&style, parts[i], count / 10), large = time_of(&style, parts[i], count);
        if (large > 40 * small + 0.5) fail_msg("%s: %g s for a tenth, %g s for all", parts[i], small, large);
    }
}

static tern_status count_content(void *context, const char *text, size_t length)
{
    (void)text;
    *(size_t *)context += length;
    return TERN_OK;
}

static tern_status count_arguments(void *context, int32_t index, const char *text, size_t length)
{
    (void)index;
    return count_content(context, text, length);
}

static void little_is_held_back(void **state)
{
    (void)state;
    struct reply_style style = qwen();
    size_t given = 0, pushed = 0;
    struct reply_events events = {.on_content = count_content, .context = &given};
    struct reply *reply;
    assert_int_equal(reply_open(&style, true, &events, &reply), TERN_OK);
    const char *head = "<tool_call>{\"name\": \"f\", \"a", *filling = "bcdefghijklmnopq";
    assert_int_equal(reply_push(reply, head, strlen(head)), TERN_OK);
    for (pushed = strlen(head); pushed < 4 * REPLY_MAX_HELD; pushed += strlen(filling)) {
        assert_int_equal(reply_push(reply, filling, strlen(filling)), TERN_OK);
        assert_true(given + REPLY_MAX_HELD + strlen(filling) + 1 >= pushed);
    }
    assert_int_equal(given, pushed);
    reply_close(reply);

    given = 0;
    events.on_call_arguments = count_arguments;
    assert_int_equal(reply_open(&style, true, &events, &reply), TERN_OK);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(reply_push(reply, "\n", 1), TERN_OK);
    assert_in_range(given, 500, 2000);
    head = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a";
    given = 0;
    assert_int_equal(reply_push(reply, head, strlen(head)), TERN_OK);
    assert_int_equal(given, strlen("{\"a"));
    reply_close(reply);
}

static void zero_bytes_are_bytes(void **state)
{
    (void)state;
    struct reply_style style = mistral();
    const char text[] = "[TOOL_CALLS]{\"name\": \"f\"}\0a";
    char *said = take_apart(&style, true, text, sizeof text - 1, 1);
    assert_memory_equal(said, "0:f={};<\0a>", 12);
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(styles_are_read_off_real_templates),
        cmocka_unit_test(templates_without_known_tools_get_the_marks_of_hermes),
        cmocka_unit_test(a_prompt_may_have_opened_the_thinking),
        cmocka_unit_test(marks_are_known_as_control_tokens),
        cmocka_unit_test(thinking_comes_first_and_once),
        cmocka_unit_test(words_without_marks_stay_as_they_are),
        cmocka_unit_test(calls_are_found),
        cmocka_unit_test(arguments_in_a_string_are_what_it_says),
        cmocka_unit_test(what_is_no_call_is_content),
        cmocka_unit_test(cut_off_calls_keep_what_they_have),
        cmocka_unit_test(mistral_writes_lists),
        cmocka_unit_test(llama_writes_json_alone),
        cmocka_unit_test(calls_are_counted_when_complete),
        cmocka_unit_test(errors_of_the_receiver_come_back),
        cmocka_unit_test(hostile_texts_take_linear_time),
        cmocka_unit_test(little_is_held_back),
        cmocka_unit_test(zero_bytes_are_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
