// What servers say and disks hold: SHA-256, the hub's list of files, the cache's folder.
#include "hub/cache.h"
#include "hub/part.h"
#include "hub/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// ---- SHA-256 ------------------------------------------------------------------------------------------------------

static void check_sha256(struct sha256 *hash, const char *text, const char *expected)
{
    char hex[SHA256_HEX_BYTES];
    sha256_begin(hash);
    for (size_t i = 0; i < strlen(text); i++)
        sha256_add(hash, text + i, 1);
    sha256_finish(hash, hex);
    assert_string_equal(hex, expected);
}

// Known answers: FIPS 180-2, appendix B; the empty text by sha256sum.
static void test_sha256(void **state)
{
    (void)state;
    struct sha256 *hash;
    assert_int_equal(sha256_open(&hash), TERN_OK);
    check_sha256(hash, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256(hash, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256(hash, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sha256_close(hash);
}

static void test_sha256_in_words(void **state)
{
    (void)state;
    char hex[SHA256_HEX_BYTES], text[80];
    memset(text, 'A', sizeof text);
    text[64] = '\0';
    assert_true(sha256_parse(text, hex));
    assert_int_equal(hex[0], 'a');
    assert_int_equal(strlen(hex), 64);
    text[63] = '\0';
    assert_false(sha256_parse(text, hex));
    text[63] = 'g';
    assert_false(sha256_parse(text, hex));
    text[63] = text[64] = 'A';
    text[65] = '\0';
    assert_false(sha256_parse(text, hex));
    assert_string_equal(hex, "");
}

// ---- The list of files --------------------------------------------------------------------------------------------

static void test_tree(void **state)
{
    (void)state;
    static const char text[] = "[{\"type\":\"directory\",\"path\":\"d\"},"
                               "{\"type\":\"file\",\"path\":\"README.md\",\"size\":12,\"oid\":\"ab\"},"
                               "{\"type\":\"file\",\"path\":\"d/a.gguf\",\"size\":1074969344,\"lfs\":{\"oid\":"
                               "\"829ABEC7eb92f5bf464762be7c9e8a45d777c714543a1474fc90cee20e698beb\",\"size\":1}}]";
    struct tree tree;
    assert_int_equal(tree_parse(text, strlen(text), &tree), TERN_OK);
    assert_int_equal(tree.count, 2);
    assert_null(tree_find(&tree, "d"));
    assert_string_equal(tree_find(&tree, "README.md")->sha256, "");
    const struct tree_file *file = tree_find(&tree, "d/a.gguf");
    assert_int_equal(file->size, 1074969344);
    assert_string_equal(file->sha256, "829abec7eb92f5bf464762be7c9e8a45d777c714543a1474fc90cee20e698beb");
    tree_free(&tree);
}

static void check_broken_tree(const char *text, tern_status expected, const char *words)
{
    struct tree tree;
    assert_int_equal(tree_parse(text, strlen(text), &tree), expected);
    if (strstr(status_message(), words) == NULL) fail_msg("'%s' does not say '%s'", status_message(), words);
}

static void test_broken_trees(void **state)
{
    (void)state;
    check_broken_tree("", TERN_BAD_FILE, "no JSON");
    check_broken_tree("[{\"type\":", TERN_BAD_FILE, "no JSON: line 1");
    check_broken_tree("{\"error\":\"x\"}", TERN_BAD_FILE, "expected a JSON array");
    check_broken_tree("[{\"type\":\"file\",\"path\":\"a\"},{\"type\":\"file\"}]", TERN_BAD_FILE, "without \"path\"");
    check_broken_tree("[{\"type\":\"file\",\"path\":3}]", TERN_BAD_FILE, "without \"path\"");
    struct buffer many = {0};
    assert_int_equal(buffer_append_string(&many, "[0"), TERN_OK);
    for (int i = 0; i < TREE_MAX_FILES; i++)
        assert_int_equal(buffer_append_string(&many, ",0"), TERN_OK);
    assert_int_equal(buffer_append_string(&many, "]"), TERN_OK);
    check_broken_tree(many.data, TERN_LIMIT, "10001 entries");
    buffer_free(&many);
    many = (struct buffer){0};
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buffer_append_string(&many, "["), TERN_OK);
    check_broken_tree(many.data, TERN_BAD_FILE, "no JSON");
    buffer_free(&many);
}

static void test_tree_of_odd_values(void **state)
{
    (void)state;
    static const char text[] = "[1,null,\"x\",[],{},{\"type\":7},"
                               "{\"type\":\"file\",\"path\":\"a\",\"size\":-5,\"lfs\":{\"oid\":\"abc\"}}]";
    struct tree tree;
    assert_int_equal(tree_parse(text, strlen(text), &tree), TERN_OK);
    assert_int_equal(tree.count, 1);
    assert_true(tree.files[0].size == HTTP_UNKNOWN);
    assert_string_equal(tree.files[0].sha256, "");
    tree_free(&tree);
}

// ---- The cache ----------------------------------------------------------------------------------------------------

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/tern-cache-XXXXXX", sizeof "/tmp/tern-cache-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); // tests leave it empty
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, size_t bytes)
{
    struct part_file part;
    bool busy;
    assert_int_equal(part_open(in_folder(name), &part, &busy), TERN_OK);
    assert_false(busy);
    char *zeros = calloc(1, bytes + 1);
    assert_int_equal(part_append(&part, zeros, bytes), TERN_OK);
    free(zeros);
    assert_int_equal(part_commit(&part, "https://h/x", "00"), TERN_OK);
    part_close(&part);
}

static void test_cache(void **state)
{
    (void)state;
    struct cache_list list;
    write_file("hub/o/m/b-00002-of-00002.gguf", 20);
    write_file("hub/o/m/b-00001-of-00002.gguf", 10);
    write_file("hub/o/m/c-00003-of-00003.gguf", 5); // the first is missing
    write_file("hub/o/m/c-00002-of-00003.gguf", 5);
    write_file("a.gguf", 3);
    assert_true(cache_holds(in_folder("a.gguf"), "https://h/x"));
    assert_false(cache_holds(in_folder("a.gguf"), "https://h/other"));
    assert_false(cache_holds(in_folder("b.gguf"), "https://h/x"));

    assert_int_equal(cache_read(folder, &list), TERN_OK);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.entries[0].path, "a.gguf");
    assert_string_equal(list.entries[1].path, "hub/o/m/b-00001-of-00002.gguf");
    assert_int_equal(list.entries[1].bytes, 30);
    assert_int_equal(list.entries[1].parts, 2);
    assert_string_equal(list.entries[2].path, "hub/o/m/c-00002-of-00003.gguf");
    assert_int_equal(list.entries[2].parts, 2);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(cache_remove(folder, &list.entries[i]), TERN_OK);
    cache_free(&list);

    assert_int_equal(cache_read(folder, &list), TERN_OK);
    assert_int_equal(list.count, 0);
    cache_free(&list);
}

static void test_nothing_outside_is_removed(void **state)
{
    (void)state;
    write_file("inner/a.gguf", 1);
    write_file("outer.gguf", 1);
    char inner[256];
    snprintf(inner, sizeof inner, "%s", in_folder("inner"));
    struct cache_entry entry = {.path = (char[]){"../outer.gguf"}, .parts = 1};
    assert_int_equal(cache_remove(inner, &entry), TERN_INVALID);
    assert_non_null(strstr(status_message(), "leads out of"));
    assert_int_equal(symlink(folder, in_folder("inner/link")), 0);
    entry.path = (char[]){"link/outer.gguf"};
    assert_int_equal(cache_remove(inner, &entry), TERN_INVALID);
    assert_int_equal(access(in_folder("outer.gguf"), F_OK), 0);
    unlink(in_folder("inner/link"));
    entry.path = (char[]){"a.gguf"};
    assert_int_equal(cache_remove(inner, &entry), TERN_OK);
    entry.path = (char[]){"outer.gguf"};
    assert_int_equal(cache_remove(folder, &entry), TERN_OK);
    rmdir(in_folder("inner"));
}

static void test_one_owner(void **state)
{
    (void)state;
    struct part_file first, second;
    bool busy;
    assert_int_equal(part_open(in_folder("x.gguf"), &first, &busy), TERN_OK);
    assert_false(busy);
    assert_int_equal(part_open(in_folder("x.gguf"), &second, &busy), TERN_OK);
    assert_true(busy);
    struct cache_entry entry = {.path = (char[]){"x.gguf"}, .parts = 1, .partial = true};
    assert_int_equal(cache_remove(folder, &entry), TERN_IO);
    assert_non_null(strstr(status_message(), "another tern is fetching it"));
    part_discard(&first);
    part_close(&first);
}

static void test_identity_is_kept(void **state)
{
    (void)state;
    struct part_file part;
    bool busy;
    struct part_identity identity = {.etag = "\"e\"", .sha256 = "ab", .size = 77};
    assert_int_equal(part_open(in_folder("y.gguf"), &part, &busy), TERN_OK);
    assert_true(part.identity.size == HTTP_UNKNOWN);
    assert_int_equal(part_append(&part, "1234", 4), TERN_OK);
    assert_int_equal(part_set_identity(&part, &identity, "https://h/y"), TERN_OK);
    part_close(&part);
    assert_int_equal(part_open(in_folder("y.gguf"), &part, &busy), TERN_OK);
    assert_int_equal(part.length, 4);
    assert_string_equal(part.identity.etag, "\"e\"");
    assert_string_equal(part.identity.sha256, "ab");
    assert_int_equal(part.identity.size, 77);
    part_discard(&part);
    part_close(&part);
}

static void test_space(void **state)
{
    (void)state;
    struct part_file part;
    bool busy;
    assert_int_equal(part_open(in_folder("z.gguf"), &part, &busy), TERN_OK);
    assert_int_equal(part_check_space(&part, 1000), TERN_OK);
    assert_int_equal(part_check_space(&part, HTTP_UNKNOWN), TERN_OK);
    assert_int_equal(part_check_space(&part, HTTP_UNKNOWN - 1), TERN_IO);
    assert_non_null(strstr(status_message(), "MB are needed"));
    part_discard(&part);
    part_close(&part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_in_words),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_broken_trees),
        cmocka_unit_test(test_tree_of_odd_values),
        cmocka_unit_test_setup_teardown(test_cache, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_nothing_outside_is_removed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_one_owner, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_identity_is_kept, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_space, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
