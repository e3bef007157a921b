// Names of models: what they mean, where the files go, and what is refused.
#include "hub/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HUB "https://hub.example"

static void check(const char *text, const char *url, const char *path)
{
    struct hub_source source;
    assert_int_equal(source_parse(text, HUB, &source), TERN_OK);
    assert_string_equal(source.url, url);
    assert_string_equal(source.path, path);
}

// The address is fetched as it is, and its file lies in a folder of twelve hexadecimal digits between these two.
static void check_marked(const char *text, const char *before, const char *behind)
{
    struct hub_source source;
    assert_int_equal(source_parse(text, HUB, &source), TERN_OK);
    assert_string_equal(source.url, text);
    assert_memory_equal(source.path, before, strlen(before));
    const char *mark = source.path + strlen(before);
    assert_int_equal(strspn(mark, "0123456789abcdef"), 12);
    assert_string_equal(mark + 12, behind);
}

static void check_refused(const char *text, const char *words)
{
    struct hub_source source;
    assert_int_equal(source_parse(text, HUB, &source), TERN_INVALID);
    if (strstr(status_message(), words) == NULL) fail_msg("%s: '%s' does not say '%s'", text, status_message(), words);
}

static void test_names(void **state)
{
    (void)state;
    check("hf:own/model:a.gguf", HUB "/own/model/resolve/main/a.gguf", "hub/own/model/a.gguf");
    check("HF:own/model:q2/a.GGUF", HUB "/own/model/resolve/main/q2/a.GGUF", "hub/own/model/q2/a.GGUF");
    check("hf:own/model", "", "");
    check("https://Host.example/d/a.gguf", "https://Host.example/d/a.gguf", "url/Host.example/d/a.gguf");
    check_marked("http://[::1]:8080/a.gguf?x=y#z", "url/___1__8080/", "/a.gguf");
}

static void test_addresses(void **state)
{
    (void)state;
    check_marked("https://h/a%20b.gguf", "url/h/", "/a_b.gguf");
    check_marked("https://h/%2e%2e/%2fetc/a.gguf", "url/h/", "/_./etc/a.gguf");
    check_marked("https://h/x/.hidden/a", "url/h/", "/x/_hidden/a.gguf");
    check_marked("https://h//a.gguf/", "url/h/", "/a.gguf");
    check("https://h/m?FilePath=a.gguf", "https://h/m?FilePath=a.gguf", "url/h/3b05403188bc/m.gguf");
}

static void test_no_two_addresses_share_a_name(void **state)
{
    (void)state;
    static const char *const texts[] = {"https://h/m?FilePath=a.gguf",
                                        "https://h/m?FilePath=b.gguf",
                                        "https://h/m",
                                        "https://h/m.gguf",
                                        "http://h/m.gguf",
                                        "https://h:80/m.gguf",
                                        "https://h_80/m.gguf",
                                        "https://h//m.gguf",
                                        "https://h/a%20b.gguf",
                                        "https://h/a_b.gguf",
                                        "https://h/a%2Fb.gguf",
                                        "https://h/a/b.gguf",
                                        "https://h/c-00001-of-00002.gguf?v=1",
                                        "https://h/c-00001-of-00002.gguf?v=2"};
    enum { COUNT = sizeof texts / sizeof *texts };
    static struct hub_source sources[COUNT];
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(source_parse(texts[i], HUB, &sources[i]), TERN_OK);
        for (int j = 0; j < i; j++)
            if (strcmp(sources[i].path, sources[j].path) == 0)
                fail_msg("%s and %s are both %s", texts[i], texts[j], sources[i].path);
    }
}

static void test_pages_of_the_hub(void **state)
{
    (void)state;
    static const char url[] = HUB "/own/model/resolve/main/d/a.gguf", path[] = "hub/own/model/d/a.gguf";
    check(HUB "/own/model/blob/main/d/a.gguf", url, path);
    check(HUB "/own/model/resolve/main/d/a.gguf?download=true", url, path);
    check(HUB "/own/model", "", "");
    check(HUB "/own/model?library=x", "", "");
    check(HUB "/own/model/resolve/v2/a.gguf", HUB "/own/model/resolve/v2/a.gguf",
          "url/hub.example/own/model/resolve/v2/a.gguf");
    check(HUB ".org/own/model/blob/main/a.gguf", HUB ".org/own/model/blob/main/a.gguf",
          "url/hub.example.org/own/model/blob/main/a.gguf");
    check_marked(HUB ".own/model", "url/hub.example.own/", "/model.gguf");
    check_refused(HUB "/own/model/blob/main/../a.gguf", "a file's name is refused");
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const files[] = {
        "../a.gguf", "a/../b.gguf", "/a.gguf",       "a//b.gguf", ".a.gguf", "a\n.gguf", "a\x7f.gguf", "a\\b.gguf",
        "a b.gguf",  "a;b.gguf",    "\xc3\xa4.gguf", "",          "a/.gguf", "a?.gguf",  "a%2e.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[64];
        snprintf(text, sizeof text, "hf:own/model:%s", files[i]);
        check_refused(text, "a file's name is refused");
    }
    check_refused("hf:own/model:a.bin", "no GGUF file by its name");
    check_refused("hf:own", "expected hf:OWNER/REPO");
    check_refused("hf:a/b/c", "expected hf:OWNER/REPO");
    check_refused("hf:../b", "expected hf:OWNER/REPO");
    check_refused("hf:", "expected hf:OWNER/REPO");
    check_refused("file:///etc/passwd", "only addresses with https:// or http://");
    check_refused("ftp://h/a.gguf", "only addresses");
    check_refused("https://user:word@h/a.gguf", "no address");
    check_refused("https://h/", "names no file");
    check_refused("https://h/a b.gguf", "printable ASCII");
    check_refused("https://h/\xc3\xa4.gguf", "printable ASCII");
    check_refused("https://h/a%00b.gguf", "control characters");
    check_refused("https://h/a%0ab.gguf", "control characters");
    check_refused("nothing-of-this-name", "no model is known");
}

static void test_lengths(void **state)
{
    (void)state;
    char text[4000];
    for (size_t length = 1; length + 40 < sizeof text; length += 7) { // none may overrun anything
        struct hub_source source;
        snprintf(text, sizeof text, "hf:%.*s/m:a.gguf", (int)length, "");
        memset(text + 3, 'o', length);
        snprintf(text + 3 + length, 40, "/m:a.gguf");
        tern_status status = source_parse(text, HUB, &source);
        assert_true(status == (length <= 197 ? TERN_OK : TERN_INVALID));
        memcpy(text, "https://h/", 10);
        memset(text + 10, 'p', length);
        snprintf(text + 10 + length, 10, "/a.gguf");
        status = source_parse(text, HUB, &source);
        assert_true(status == (length <= 200 ? TERN_OK : TERN_INVALID));
        for (size_t i = 10; i < 10 + length; i += 2)
            text[i] = '/';
        status = source_parse(text, HUB, &source);
        assert_true(status == TERN_OK || status == TERN_INVALID);
        assert_true(strlen(source.path) < sizeof source.path);
    }
}

static void test_catalogue(void **state)
{
    (void)state;
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    for (size_t i = 0; i < count; i++) {
        struct hub_source source;
        assert_true(source_is_meant(models[i].name));
        assert_int_equal(source_parse(models[i].name, HUB, &source), TERN_OK);
        assert_ptr_equal(source.model, &models[i]);
        assert_ptr_equal(hub_find_model(models[i].name), &models[i]); // no name stands there twice
        assert_true(source.path[0] != '\0');
    }
    check("Bonsai-4B", HUB "/prism-ml/Bonsai-4B-gguf/resolve/main/Bonsai-4B-Q1_0.gguf",
          "hub/prism-ml/Bonsai-4B-gguf/Bonsai-4B-Q1_0.gguf");
    check("smollm2-135m", "", "SmolLM2-135M-Instruct.Q4_1.gguf");
    assert_false(source_is_meant("model.gguf"));
    assert_false(source_is_meant("./bonsai-4b"));
}

static int count_parts(const char *text, struct hub_source *source)
{
    int parts;
    assert_int_equal(source_parse(text, HUB, source), TERN_OK);
    return source_count_parts(source, &parts) == TERN_OK ? parts : -1;
}

static void test_parts(void **state)
{
    (void)state;
    struct hub_source source;
    assert_int_equal(count_parts("hf:o/m:a.gguf", &source), 1);
    assert_int_equal(count_parts("hf:o/m:a-00001-of-00000.gguf", &source), -1);
    assert_int_equal(count_parts("hf:o/m:a-00004-of-00003.gguf", &source), -1);
    assert_int_equal(count_parts("hf:o/m:a-00001-of-99999.gguf", &source), -1);
    assert_int_equal(count_parts("https://h/a-00001-of-00003.gguf?x", &source), -1);
    assert_int_equal(count_parts("https://h/a-00001-of-00003.gguf", &source), 3);
    assert_int_equal(count_parts("hf:o/m:d/a-00002-of-00012.gguf", &source), 12);
    source_select_part(&source, 11);
    assert_string_equal(source.url, HUB "/o/m/resolve/main/d/a-00011-of-00012.gguf");
    assert_string_equal(source.path, "hub/o/m/d/a-00011-of-00012.gguf");
    assert_string_equal(source.file, "d/a-00011-of-00012.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_no_two_addresses_share_a_name),
        cmocka_unit_test(test_pages_of_the_hub),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
