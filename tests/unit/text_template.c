// Templates against what Python's jinja2 makes of them (golden/template/, tests/tools/golden_template.py), the words
// of errors, and the bounds that no template can leave.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/template_value.h"

enum { NOW = 1750000000 }; // as in the generator: 2025-06-15 15:06:40 UTC

// ---- Helpers ----------------------------------------------------------------------------------------------------

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    *length = fread(text, 1, (size_t)size, file);
    assert_int_equal(*length, size);
    assert_int_equal(fclose(file), 0);
    return text;
}

static tern_status render(struct string source, struct string variables, const struct template_limits *limits,
                          struct buffer *out)
{
    struct template *tmpl;
    TRY(template_parse(source.data, source.length, &tmpl));
    tern_status status = template_render(tmpl, variables.data, variables.length, NOW, limits, out);
    template_free(tmpl);
    return status;
}

static struct string text(const char *literal)
{
    return (struct string){literal, strlen(literal)};
}

static void expect_output(const char *source, const char *variables, const char *expected)
{
    struct buffer out = {0};
    tern_status status = render(text(source), text(variables), NULL, &out);
    if (status != TERN_OK) fail_msg("%s: %s", source, status_message());
    assert_string_equal(out.data ? out.data : "", expected);
    buffer_free(&out);
}

static void expect_error(const char *source, tern_status expected, const char *words)
{
    struct buffer out = {0};
    tern_status status = render(text(source), text("{\"l\": [1, 2, 3]}"), NULL, &out);
    assert_int_equal(status, expected);
    assert_int_equal(out.length, 0);
    assert_string_equal(status_message(), words);
}

// A golden file, read with the JSON reader of the templates themselves.
struct golden {
    struct run run;
    char *text;
    struct value root;
};

static struct value member(struct golden *golden, struct value dict, const char *name)
{
    struct value *found;
    assert_int_equal(dict.kind, VALUE_DICT);
    assert_int_equal(dict_find(&golden->run, dict.dict, value_text(name), &found), TERN_OK);
    assert_non_null(found);
    return *found;
}

static void golden_open(struct golden *golden, const char *path)
{
    const struct template_limits limits = {.steps = INT64_MAX / 2, .memory_bytes = (size_t)1 << 30};
    size_t length;
    golden->text = read_file(path, &length);
    assert_int_equal(run_open(&golden->run, &limits, NOW), TERN_OK);
    assert_int_equal(json_parse(&golden->run, golden->text, length, &golden->root), TERN_OK);
}

static void golden_close(struct golden *golden)
{
    run_close(&golden->run);
    free(golden->text);
}

static struct string json_text(struct golden *golden, struct value value)
{
    const struct json_style style = {.item_separator = text(", "), .key_separator = text(": ")};
    struct builder builder = {0};
    assert_int_equal(json_write(&golden->run, value, &style, &builder), TERN_OK);
    return builder_value(&builder).string;
}

// Compares one rendering; `expected` is none where jinja2 fails. Returns whether they agree, and prints if not.
static bool agrees(struct string source, struct string variables, struct value expected, const char *where)
{
    struct buffer out = {0};
    tern_status status = render(source, variables, NULL, &out);
    bool same = expected.kind == VALUE_NONE
                    ? status != TERN_OK
                    : status == TERN_OK && out.length == expected.string.length &&
                          (out.length == 0 || memcmp(out.data, expected.string.data, out.length) == 0);
    if (!same)
        print_error("%s: %.*s\n  gives    %s\n  expected %.*s\n", where, (int)source.length, source.data,
                    status == TERN_OK ? (out.data ? out.data : "") : status_message(),
                    expected.kind == VALUE_NONE ? 8 : (int)expected.string.length,
                    expected.kind == VALUE_NONE ? "an error" : expected.string.data);
    buffer_free(&out);
    return same;
}

// ---- Known answers ----------------------------------------------------------------------------------------------

static void snippets_equal_jinja2(void **state)
{
    struct golden golden;
    (void)state;
    golden_open(&golden, "golden/template/snippets.json");
    struct string variables = json_text(&golden, member(&golden, golden.root, "variables"));
    const struct list *cases = member(&golden, golden.root, "cases").list;
    size_t different = 0;
    for (size_t i = 0; i < cases->count; i++) {
        const struct value *row = cases->items[i].list->items; // template, output
        different += !agrees(row[0].string, variables, row[1], "snippet");
    }
    assert_true(cases->count > 600);
    assert_int_equal(different, 0);
    golden_close(&golden);
}

static struct value chat_variables(struct golden *golden, const struct value *row)
{
    struct value variables, name = row[1];
    struct value settings = member(golden, golden->root, "settings").list->items[row[2].integer];
    struct value conversations = member(golden, golden->root, "conversations"), *messages;
    assert_int_equal(value_new_dict(&golden->run, VALUE_DICT, &variables), TERN_OK);
    for (size_t i = 0; i < settings.dict->count; i++)
        dict_set(&golden->run, variables.dict, settings.dict->entries[i].key, settings.dict->entries[i].value);
    assert_int_equal(dict_find(&golden->run, conversations.dict, name, &messages), TERN_OK);
    dict_set_text(&golden->run, variables.dict, "messages", *messages);
    dict_set_text(&golden->run, variables.dict, "bos_token", value_text("<s>"));
    dict_set_text(&golden->run, variables.dict, "eos_token", value_text("</s>"));
    return variables;
}

static void chats_equal_jinja2(void **state)
{
    struct golden golden;
    (void)state;
    golden_open(&golden, "golden/template/chats.json");
    const struct list *cases = member(&golden, golden.root, "cases").list;
    size_t different = 0;
    for (size_t i = 0; i < cases->count; i++) {
        const struct value *row = cases->items[i].list->items; // template, conversation, settings, output
        char path[128];
        size_t length;
        snprintf(path, sizeof path, "golden/template/%.*s.jinja", (int)row[0].string.length, row[0].string.data);
        char *source = read_file(path, &length);
        struct string variables = json_text(&golden, chat_variables(&golden, row));
        different += !agrees((struct string){source, length}, variables, row[3], path);
        free(source);
    }
    assert_true(cases->count >= 300);
    assert_int_equal(different, 0);
    golden_close(&golden);
}

// ---- Words of errors --------------------------------------------------------------------------------------------

static void errors_say_line_and_cause(void **state)
{
    (void)state;
    expect_error("a\n{% if x %}\nb", TERN_BAD_FILE, "template line 3: the template ends where 'elif' was expected");
    expect_error("\n\n{{ 1 + }}", TERN_BAD_FILE, "template line 3: '}}' where an expression was expected");
    expect_error("{% include 'x' %}", TERN_BAD_FILE,
                 "template line 1: the tag 'include' is not supported in chat templates");
    expect_error("{{ 'abc }}", TERN_BAD_FILE, "template line 1: a string without its closing quote");
    expect_error("{{ (1] }}", TERN_BAD_FILE, "template line 1: unexpected ']', expected ')'");
    expect_error("\n{{ raise_exception('No ' ~ 'system role') }}", TERN_BAD_FILE, "template line 2: No system role");
    expect_error("{{ nobody.name }}", TERN_BAD_FILE, "template line 1: 'nobody' is undefined");
    expect_error("{{ 1 + 'a' }}", TERN_BAD_FILE, "template line 1: '+' between 'int' and 'str'");
    expect_error("{{ l | nosuch }}", TERN_BAD_FILE, "template line 1: there is no filter 'nosuch'");
    expect_error("{{ l.append(4) }}", TERN_BAD_FILE, "template line 1: 'append' is undefined");
    expect_error("{{ 9223372036854775807 + 1 }}", TERN_BAD_FILE, "template line 1: an integer beyond 64 bits");
}

static void broken_variables_are_refused(void **state)
{
    static const char *const broken[][2] = {
        {"", "JSON: a value expected at byte 0 of 0"},
        {"[1]", "a template's variables must be a JSON object, not list"},
        {"{\"a\": }", "JSON: a value expected at byte 6 of 7"},
        {"{\"a\": 1,}", "JSON: a key in '\"' expected at byte 8 of 9"},
        {"{\"a\": \"\\x\"}", "JSON: an escape (one of \"\\/bfnrtu) expected at byte 8 of 11"},
        {"{\"a\": 01}", "JSON: a number without leading zeros expected at byte 8 of 9"},
        {"{\"a\": \"b", "JSON: '\"' expected at byte 8 of 8"},
        {"{} x", "JSON: the end expected at byte 3 of 4"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct buffer out = {0};
        assert_int_equal(render(text("x"), text(broken[i][0]), NULL, &out), TERN_INVALID);
        assert_string_equal(status_message(), broken[i][1]);
    }
}

static void json_is_read_exactly(void **state)
{
    (void)state;
    expect_output("{{ a }}", "{\"a\": [9223372036854775807, -9223372036854775808, 18446744073709551616, 1.50, -0]}",
                  "[9223372036854775807, -9223372036854775808, 1.8446744073709552e+19, 1.5, 0]");
    expect_output("{{ a }}", "{\"a\": 1, \"b\": 0, \"a\": 2}", "2");
    expect_output("{{ a }}", "{\"a\": \"\\ud83d\\ude42 \\u00e9 \\ud83d \\/\"}",
                  "\xF0\x9F\x99\x82 \xC3\xA9 \xEF\xBF\xBD /");
}

// ---- Bounds -----------------------------------------------------------------------------------------------------

static void hostile_templates_fail(void **state)
{
    static const char *const hostile[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 999999999999 }}",
        "{{ [1] * 999999999999 }}",
        "{% set x = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set x.s = x.s + x.s %}{% endfor %}",
        "{% set x = namespace(s=[1]) %}{% for i in range(60) %}{% set x.s = x.s + x.s %}{% endfor %}",
        "{% set x = namespace(s=[1]) %}{% for i in range(60) %}{% set x.s = [x.s, x.s] %}{% endfor %}{{ x.s }}",
        ("{% set x = namespace(s=[1], t=[1]) %}{% for i in range(60) %}{% set x.s = [x.s, x.s] %}"
         "{% set x.t = [x.t, x.t] %}{% endfor %}{{ x.s == x.t }}"),
        "{% set x = namespace(s=[1]) %}{% for i in range(9999) %}{% set x.s = [x.s] %}{% endfor %}{{ x.s | tojson }}",
        "{% set x = namespace() %}{% set x.x = x %}{{ x }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
        "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
        "{{ range(99999) | map('string') | join('a' * 100000) }}",
        "{{ 'x' | indent(999999999999) }}",
        "{{ l | tojson(indent=999999999999) }}",
        "{{ 'x'.ljust(999999999999) }}",
        "{% for i in range(99999) %}{{ ('a' * 100000).find('b') }}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
        "{% for i in range(99999) %}{% set x = ['a'] * 1000 %}{% endfor %}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct buffer out = {0};
        tern_status status = render(text(hostile[i]), text("{\"l\": [1]}"), NULL, &out);
        if (status != TERN_LIMIT) fail_msg("%s: status %d (%s)", hostile[i], (int)status, status_message());
        assert_int_equal(out.length, 0);
    }
}

static void expect_limit(const char *source, struct template_limits limits, const char *words)
{
    struct buffer out = {0};
    assert_int_equal(render(text(source), text("{}"), &limits, &out), TERN_LIMIT);
    assert_string_equal(status_message(), words);
}

static void limits_are_the_callers(void **state)
{
    (void)state;
    expect_limit("{% for i in range(100) %}{{ i }}{% endfor %}", (struct template_limits){.steps = 100},
                 "template line 1: more than 100 steps");
    expect_limit("0123456789\nx{{ 'abc' }}", (struct template_limits){.output_bytes = 13},
                 "template line 2: more than 13 bytes of output");
    expect_limit("{{ [[[[[[1]]]]]] }}", (struct template_limits){.depth = 5},
                 "template line 1: nested more than 5 deep");
    expect_limit("{{ 'a' * 100000 }}", (struct template_limits){.memory_bytes = 70000},
                 "template line 1: a repetition longer than the memory allowed");
}

static void deep_sources_are_refused(void **state)
{
    static const char *const parts[] = {"(",      "[",           "-", "not ", "{% if x %}", "{% for x in y %}",
                                        "{{ x.y", "1 if 1 else "};
    enum { TIMES = 5000 };
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buffer source = {0};
        struct template *tmpl;
        if (parts[i][0] != '{') assert_int_equal(buffer_append_string(&source, "{{ "), TERN_OK);
        for (int k = 0; k < TIMES; k++)
            assert_int_equal(buffer_append_string(&source, i == 6 && k > 0 ? ".y" : parts[i]), TERN_OK);
        assert_int_equal(template_parse(source.data, source.length, &tmpl), TERN_LIMIT);
        buffer_free(&source);
    }
}

static void long_chains_are_not_deep(void **state)
{
    struct buffer source = {0}, out = {0};
    (void)state;
    buffer_append_string(&source, "{{ 0");
    for (int i = 0; i < 3000; i++)
        buffer_append_string(&source, " + 1");
    buffer_append_string(&source, " }}");
    assert_int_equal(render((struct string){source.data, source.length}, text("{}"), NULL, &out), TERN_OK);
    assert_string_equal(out.data, "3000");
    buffer_free(&source);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snippets_equal_jinja2),     cmocka_unit_test(chats_equal_jinja2),
        cmocka_unit_test(errors_say_line_and_cause), cmocka_unit_test(broken_variables_are_refused),
        cmocka_unit_test(json_is_read_exactly),      cmocka_unit_test(hostile_templates_fail),
        cmocka_unit_test(limits_are_the_callers),    cmocka_unit_test(deep_sources_are_refused),
        cmocka_unit_test(long_chains_are_not_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
