// Reading a request's fields: what is taken, and how what is refused is told. Errors, access by origin.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/access.h"
#include "serve/field.h"

static json_t *root;
static struct api_error error;

static struct fields parse(const char *text)
{
    error = (struct api_error){0};
    json_decref(root);
    assert_true(field_open_body(text, strlen(text), &root, &error));
    return (struct fields){.object = root, .error = &error};
}

static int forget(void **state)
{
    (void)state;
    json_decref(root);
    root = NULL;
    return 0;
}

static void assert_refused(bool taken, const char *param, const char *words)
{
    assert_false(taken);
    assert_int_equal(error.status, 400);
    assert_string_equal(error.param, param);
    if (strstr(error.message, words) == NULL) fail_msg("'%s' does not say '%s'", error.message, words);
}

static void whole_numbers(void **state)
{
    (void)state;
    struct fields f = parse("{\"a\": 5, \"b\": 5.0, \"c\": 5.5, \"d\": \"5\", \"e\": 1e300, \"f\": null, \"g\": -3}");
    int n = 7;
    assert_true(field_int(&f, "a", 0, 10, &n) && n == 5);
    n = 7;
    assert_true(field_int(&f, "b", 0, 10, &n) && n == 5);
    n = 7;
    assert_true(field_int(&f, "f", 0, 10, &n) && n == 7);
    assert_true(field_int(&f, "absent", 0, 10, &n) && n == 7);
    assert_refused(field_int(&f, "a", 6, 10, &n), "a", "5 is out of bounds, expected 6 to 10");
    assert_refused(field_int(&f, "c", 0, 10, &n), "c", "expected a whole number, got a number");
    assert_refused(field_int(&f, "d", 0, 10, &n), "d", "expected a whole number, got a string");
    assert_refused(field_int(&f, "e", 0, 10, &n), "e", "expected a whole number");
    assert_refused(field_int(&f, "g", 0, 10, &n), "g", "-3 is out of bounds");
    assert_int_equal(n, 7);
}

static void other_types(void **state)
{
    (void)state;
    struct fields f = parse("{\"n\": 0.5, \"t\": \"x\", \"y\": true, \"a\": [1, 2, 3], \"o\": {}}");
    double number = 0;
    bool flag = false;
    const char *text = NULL;
    const json_t *value = NULL;
    int choice = -1;
    assert_true(field_number(&f, "n", 0, 1, &number) && number == 0.5);
    assert_refused(field_number(&f, "n", 1, 2, &number), "n", "0.5 is out of bounds");
    assert_true(field_bool(&f, "y", &flag) && flag);
    assert_refused(field_bool(&f, "n", &flag), "n", "expected true or false");
    assert_true(field_text(&f, "t", &text) && strcmp(text, "x") == 0);
    assert_refused(field_text(&f, "o", &text), "o", "expected a string, got an object");
    assert_true(field_array(&f, "a", 3, &value) && json_array_size(value) == 3);
    assert_refused(field_array(&f, "a", 2, &value), "a", "3 entries, at most 2");
    assert_refused(field_object(&f, "a", &value), "a", "expected an object, got an array");
    assert_true(field_choice(&f, "t", "w|x|y", &choice) && choice == 1);
    assert_refused(field_choice(&f, "t", "w|xx|y", &choice), "t", "'x' is unknown, expected one of w|xx|y");
}

static void places(void **state)
{
    (void)state;
    struct fields f = parse("{\"list\": [{\"inner\": {\"x\": 1}}, 5]}"), entry, inner;
    const json_t *list = NULL;
    const char *text = NULL;
    assert_true(field_array(&f, "list", 2, &list));
    assert_true(field_enter(&f, "list", 0, json_array_get(list, 0), &entry));
    assert_true(field_enter(&entry, "inner", -1, json_object_get(entry.object, "inner"), &inner));
    assert_refused(field_text(&inner, "x", &text), "list[0].inner.x", "list[0].inner.x: expected a string");
    assert_refused(field_enter(&f, "list", 1, json_array_get(list, 1), &entry), "list[1]", "expected an object");
    assert_refused(field_enter(&f, "list", 2, json_array_get(list, 2), &entry), "list[2]", "it is missing");
}

static void broken_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "[]", "5", "{\"a\": \"\xff\"}", "{\"a\": \"\\u0000\"}", "{} {}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        json_t *value;
        assert_false(field_open_body(bodies[i], strlen(bodies[i]), &value, &error));
        assert_null(value);
        assert_string_equal(error.code, "invalid_json");
    }
    // Brackets and commas inside of strings are text.
    static char text[3 * FIELD_MAX_CONTAINERS + 16] = "{\"a\": \"\\\"";
    memset(text + 9, '{', 2 * FIELD_MAX_CONTAINERS);
    strcpy(text + 9 + 2 * FIELD_MAX_CONTAINERS, "\"}");
    parse(text);
    memcpy(text, "{\"a\":\"\",\"", 9);
    json_t *value;
    assert_true(field_open_body(text, strlen(text), &value, &error) == false);
}

// About what malloc gives for it, and no body of that length takes more.
static void weights(void **state)
{
    (void)state;
    static char numbers[3000], objects[3000], pairs[3000];
    size_t n_numbers = 0, n_objects = 0, n_pairs = 0;
    for (int i = 0; i < 1000; i++)
        n_numbers += (size_t)sprintf(numbers + n_numbers, "1,");
    for (int i = 0; i < 900; i++)
        n_objects += (size_t)sprintf(objects + n_objects, "{},");
    for (int i = 0; i < 300; i++)
        n_pairs += (size_t)sprintf(pairs + n_pairs, "\"a:,{\":1,");
    assert_int_equal(field_body_memory(numbers, n_numbers), 1000 * 64 + n_numbers);
    assert_int_equal(field_body_memory(objects, n_objects), 900 * (256 + 64) + n_objects);
    assert_int_equal(field_body_memory(pairs, n_pairs), 300 * (96 + 64) + n_pairs);
    assert_true(field_most_memory(n_numbers) >= field_body_memory(numbers, n_numbers));
    assert_true(field_most_memory(n_objects) >= field_body_memory(objects, n_objects));
    assert_true(field_most_memory(n_pairs) >= field_body_memory(pairs, n_pairs));
    assert_true(field_most_memory(SIZE_MAX / 2 + 1) - SIZE_MAX / 2 < (size_t)500 << 20); // values have a bound
}

static void cut_words(void **state)
{
    (void)state;
    char name[API_ERROR_MESSAGE_BYTES];
    for (size_t i = 0; i + 3 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xb6", 3);
    api_error_invalid(&error, name + 1, NULL, "x%s", name);
    json_t *body = api_error_json(&error);
    assert_non_null(json_object_get(json_object_get(body, "error"), "message"));
    json_decref(body);
}

static void origins(void **state)
{
    (void)state;
    assert_true(access_allows_origin("http://localhost:8080", "localhost:8080", NULL));
    assert_true(access_allows_origin("http://[::1]:8080", "[::1]:8080", NULL));
    assert_true(access_allows_origin("http://good.example:8080", "good.example:8080", NULL));
    assert_false(access_allows_origin("http://localhost:3000", "localhost:8080", NULL));
    assert_false(access_allows_origin("null", "localhost:8080", NULL));
    assert_false(access_allows_origin("http://localhost:8080", NULL, NULL));
    assert_true(access_allows_origin("https://site.example", "localhost:8080", "https://site.example"));
    assert_true(access_allows_origin("null", "localhost:8080", "*"));
    assert_false(access_allows_origin("https://site.example.evil", "localhost:8080", "https://site.example"));
}

static void hosts(void **state)
{
    (void)state;
    static const char *const local[] = {"localhost:8080", "127.0.0.1:8080", "[::1]:8080", "box", "a.localhost:80"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(access_allows_host(local[i], NULL));
    assert_true(access_allows_host(NULL, NULL));
    assert_false(access_allows_host("evil.example:8080", NULL));
    assert_false(access_allows_host("localhost.evil.example", NULL));
    assert_true(access_allows_host("evil.example", "*"));
    assert_true(access_allows_host("site.example", "https://site.example"));
    assert_true(access_allows_host("localhost", "https://site.example"));
    assert_false(access_allows_host("site.example.evil", "https://site.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whole_numbers, forget),
        cmocka_unit_test_teardown(other_types, forget),
        cmocka_unit_test_teardown(places, forget),
        cmocka_unit_test_teardown(broken_bodies, forget),
        cmocka_unit_test(weights),
        cmocka_unit_test(cut_words),
        cmocka_unit_test(origins),
        cmocka_unit_test(hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
