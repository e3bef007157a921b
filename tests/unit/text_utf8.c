// UTF-8: decoding by table 3-7 of the Unicode standard, and streams cut at any byte.
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is_scalar(uint32_t code_point)
{
    return code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
}

static void test_every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= 0x10FFFF; code_point++) {
        char bytes[4];
        uint32_t found;
        int length = utf8_encode(code_point, bytes);
        int expected = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
        assert_int_equal(length, expected);
        assert_int_equal(utf8_decode(bytes, (size_t)length, &found), length);
        assert_int_equal(found, is_scalar(code_point) ? code_point : 0xFFFD);
    }
    char bytes[4];
    assert_int_equal(utf8_encode(0x110000, bytes), 3);
    assert_memory_equal(bytes, "\xEF\xBF\xBD", 3);
}

// What one call makes of broken text: the number of bytes that become one U+FFFD. Expected: what CPython's
// bytes.decode(errors="replace") does.
static void test_broken_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int result;
    } cases[] = {
        {"\x80", -1},             // nothing begins with a continuation byte
        {"\xC0\x80", -1},         // overlong
        {"\xC1\xBF", -1},         //
        {"\xE0\x80\xAF", -1},     //
        {"\xE0\x9F\xBF", -1},     //
        {"\xF0\x8F\xBF\xBF", -1}, //
        {"\xED\xA0\x80", -1},     // surrogates
        {"\xED\xBF\xBF", -1},     //
        {"\xF4\x90\x80\x80", -1}, // above U+10FFFF
        {"\xF5\x80\x80\x80", -1}, //
        {"\xFF", -1},             //
        {"\xC3", -1},             // unfinished
        {"\xC3(", -1},            //
        {"\xE2\x82", -2},         //
        {"\xE2\x82(", -2},        //
        {"\xF0\x9F\x98", -3},     //
        {"\xF0\x9F(", -2},        //
        {"\xF0\x9F\x98\xE2", -3}, //
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t code_point = 0;
        assert_int_equal(utf8_decode(cases[i].bytes, strlen(cases[i].bytes), &code_point), cases[i].result);
        assert_int_equal(code_point, 0xFFFD);
        assert_false(utf8_valid(cases[i].bytes, strlen(cases[i].bytes)));
    }
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("only ASCII, more than eight bytes", 33));
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid("d\u00E9j\u00E0 vu \u20AC \U0001F600", 18));
    assert_false(utf8_valid("d\u00E9j\u00E0 vu \u20AC \U0001F600", 17));
    assert_false(utf8_valid("12345678\xFF", 9));
    assert_false(utf8_valid("1234567\xFF", 8));
}

static void push(struct utf8_stream *stream, const char *bytes, size_t length, struct buffer *out)
{
    assert_int_equal(utf8_stream_push(stream, bytes, length, out), TERN_OK);
}

static void test_stream_holds_back_unfinished_characters(void **state)
{
    (void)state;
    struct utf8_stream stream = {0};
    struct buffer out = {0};
    push(&stream, "a\xF0\x9F", 3, &out);
    assert_int_equal(out.length, 1);
    push(&stream, "\x98", 1, &out);
    assert_int_equal(out.length, 1);
    push(&stream,
         "\x80"
         "b",
         2, &out);
    assert_string_equal(out.data, "a\U0001F600b");
    push(&stream, "\xE2\x82", 2, &out);
    push(&stream, "c\xE2", 2, &out);
    assert_string_equal(out.data, "a\U0001F600b\uFFFDc");
    assert_int_equal(utf8_stream_finish(&stream, &out), TERN_OK);
    assert_int_equal(utf8_stream_finish(&stream, &out), TERN_OK); // nothing is held any more
    assert_string_equal(out.data, "a\U0001F600b\uFFFDc\uFFFD");
    buffer_free(&out);
}

static void stream_in_three(const char *bytes, size_t length, size_t first, size_t second, const char *expected)
{
    struct utf8_stream stream = {0};
    struct buffer out = {0};
    push(&stream, bytes, first, &out);
    assert_true(out.length == 0 || utf8_valid(out.data, out.length));
    push(&stream, bytes + first, second - first, &out);
    push(&stream, bytes + second, length - second, &out);
    assert_int_equal(utf8_stream_finish(&stream, &out), TERN_OK);
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

// However a text is cut, the same comes out. Expected: CPython's bytes.decode(errors="replace").
static void test_stream_cut_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"\u00E9\u20AC\U0001F600x", "\u00E9\u20AC\U0001F600x"},
        {"\xF0\x9F\x98\xE2\x82\xAC\xC3", "\uFFFD\u20AC\uFFFD"},
        {"\xED\xA0\x80\xC0\xAF\xF4\x90", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
         "A",
         "\uFFFD\uFFFD\uFFFD\uFFFD"
         "A"},
        {"\x80\xBF\xFE\xFF\xF0\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length = strlen(cases[i].bytes);
        for (size_t first = 0; first <= length; first++) {
            for (size_t second = first; second <= length; second++) {
                stream_in_three(cases[i].bytes, length, first, second, cases[i].expected);
            }
        }
    }
}

static void test_stream_stops_at_the_limit_of_its_buffer(void **state)
{
    (void)state;
    struct utf8_stream stream = {0};
    struct buffer out = {.limit = 4};
    assert_int_equal(utf8_stream_push(&stream, "12345", 5, &out), TERN_LIMIT);
    buffer_free(&out);
}

static void test_repair_replaces_what_is_no_character(void **state)
{
    (void)state;
    char cut[] = "na\u00EFve \xE9t\xE9 \U0001F600 \xF0\x9F\x98";
    utf8_repair(cut);
    assert_string_equal(cut, "na\u00EFve ?t? \U0001F600 ???");
    char fine[] = "\u20AC";
    utf8_repair(fine);
    assert_string_equal(fine, "\u20AC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_comes_back),
        cmocka_unit_test(test_broken_sequences),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_stream_holds_back_unfinished_characters),
        cmocka_unit_test(test_stream_cut_anywhere),
        cmocka_unit_test(test_stream_stops_at_the_limit_of_its_buffer),
        cmocka_unit_test(test_repair_replaces_what_is_no_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
