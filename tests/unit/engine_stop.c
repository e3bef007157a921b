// Stop strings: against a naive search over the whole text, whatever the pieces it comes in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/stop.h"

// Pushes `text` in pieces of `piece` bytes; returns what came out, and before the end in *early (caller frees both).
static char *filter_text(const char *const *stops, size_t n_stops, const char *text, size_t piece, bool *stopped,
                         char **early)
{
    struct stop_filter filter;
    struct buffer out = {0};
    assert_int_equal(stop_open(&filter, stops, n_stops), TERN_OK);
    *stopped = false;
    for (size_t at = 0, length = strlen(text); at < length && !*stopped; at += piece) {
        size_t n = length - at < piece ? length - at : piece;
        assert_int_equal(stop_push(&filter, text + at, n, &out, stopped), TERN_OK);
    }
    *early = strdup(out.data != NULL ? out.data : "");
    if (!*stopped) assert_int_equal(stop_finish(&filter, &out), TERN_OK);
    stop_close(&filter);
    char *whole = strdup(out.data != NULL ? out.data : "");
    buffer_free(&out);
    return whole;
}

static void expect(const char *const *stops, size_t n_stops, const char *text, const char *early, const char *whole)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        bool stopped;
        char *came_early, *came = filter_text(stops, n_stops, text, piece, &stopped, &came_early);
        assert_string_equal(came, whole);
        assert_string_equal(came_early, early);
        free(came);
        free(came_early);
    }
}

static void stop_strings_are_cut_and_never_leak(void **state)
{
    (void)state;
    const char *const one[] = {"\nUser:"}, *const two[] = {"END", "ENDING"}, *const inner[] = {"b", "abc"};
    const char *const overlap[] = {"aab"};
    expect(one, 1, "Hello.\nUser: more", "Hello.", "Hello.");
    expect(one, 1, "Hello.\nUse", "Hello.", "Hello.\nUse");
    expect(one, 1, "a\n\nb", "a\n\nb", "a\n\nb");
    expect(two, 2, "the ENDING", "the ", "the ");
    expect(inner, 2, "xabc", "xa", "xa");
    expect(overlap, 1, "aaaab.", "aa", "aa");
    expect(NULL, 0, "no stops", "no stops", "no stops");
}

static void nothing_comes_behind_a_stop_string(void **state)
{
    (void)state;
    const char *const stops[] = {"END", "other"};
    struct stop_filter filter;
    struct buffer out = {0};
    bool stopped;
    assert_int_equal(stop_open(&filter, stops, 2), TERN_OK);
    assert_int_equal(stop_push(&filter, "the END and", 11, &out, &stopped), TERN_OK);
    assert_true(stopped);
    assert_int_equal(stop_push(&filter, " more END", 9, &out, &stopped), TERN_OK);
    assert_true(stopped);
    assert_int_equal(stop_finish(&filter, &out), TERN_OK);
    assert_string_equal(out.data, "the ");
    stop_close(&filter);
    buffer_free(&out);
}

// The first completed stop string, the longest of those completed by the same byte; SIZE_MAX if none. *end: its end.
static size_t naive_search(const char *const *stops, size_t n_stops, const char *text)
{
    for (size_t end = 1; end <= strlen(text); end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n_stops; i++) {
            size_t n = strlen(stops[i]);
            if (n <= end && n > longest && memcmp(text + end - n, stops[i], n) == 0) longest = n;
        }
        if (longest > 0) return end - longest;
    }
    return SIZE_MAX;
}

static void random_texts_equal_a_naive_search(void **state)
{
    (void)state;
    const char *const stops[] = {"abab", "bba", "aaab", "cc"};
    uint32_t random = 7;
    int found = 0;
    for (int round = 0; round < 3000; round++) {
        char text[33] = {0};
        for (int i = 0; i < 32; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = "aaabbbbc"[random >> 29];
        }
        size_t cut = naive_search(stops, 4, text);
        bool stopped;
        char *early, *came = filter_text(stops, 4, text, 1 + (size_t)round % 5, &stopped, &early);
        assert_int_equal(stopped, cut != SIZE_MAX);
        found += stopped;
        if (stopped) text[cut] = '\0';
        assert_string_equal(came, text);
        free(came);
        free(early);
    }
    assert_in_range(found, 1000, 2999);
}

static void expect_refused(const char *const *stops, size_t n_stops, const char *message)
{
    struct stop_filter filter;
    assert_int_equal(stop_open(&filter, stops, n_stops), TERN_INVALID);
    assert_string_equal(status_message(), message);
    stop_close(&filter);
}

static void impossible_strings_are_refused(void **state)
{
    (void)state;
    static char long_string[STOP_MAX_BYTES + 2];
    memset(long_string, 'x', sizeof long_string - 1);
    const char *const empty[] = {"fine", ""}, *const broken[] = {"\xc3"}, *const too_long[] = {long_string};
    expect_refused(empty, 2, "stop string 2 is empty, expected 1 to 1024 bytes");
    expect_refused(too_long, 1, "stop string 1 is too long, expected 1 to 1024 bytes");
    expect_refused(broken, 1, "stop string 1 is not valid UTF-8");
    expect_refused(empty, 65, "65 stop strings, at most 64 are taken");
    expect_refused(NULL, 1, "1 stop strings, but the list is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_strings_are_cut_and_never_leak),
        cmocka_unit_test(nothing_comes_behind_a_stop_string),
        cmocka_unit_test(random_texts_equal_a_naive_search),
        cmocka_unit_test(impossible_strings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
