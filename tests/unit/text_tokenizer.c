// The tokenizer against Hugging Face's: small vocabularies of every kind in golden/tokenizer, and, with arguments
// VOCABULARY IDS STRINGS, any other (tools/golden_tokenizer.py makes such files from real vocabularies).
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mapped_file.h"

// ---- Known answers --------------------------------------------------------------------------------------------------

// Numbers (LEB128) and bytes of an answer file, read one after another.
struct reader {
    const uint8_t *at, *end;
};

static uint64_t read_number(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    return value;
}

static void print_ids(const char *whose, const tern_token *ids, size_t count)
{
    fprintf(stderr, "  %s:", whose);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, " %d", ids[i]);
    }
    fprintf(stderr, "\n");
}

static bool same_ids(const struct tokenizer *tokenizer, struct reader *text, struct reader *answer, bool print)
{
    size_t length = (size_t)read_number(text), wanted = (size_t)read_number(answer), count;
    tern_token expected[4096], *ids;
    assert_true(length <= (size_t)(text->end - text->at) && wanted < 4096);
    for (size_t i = 0; i < wanted; i++) {
        expected[i] = (tern_token)read_number(answer);
    }
    const char *bytes = (const char *)text->at;
    text->at += length;
    assert_int_equal(tokenizer_encode(tokenizer, bytes, length, TERN_TOKENIZE_SPECIAL, &ids, &count), TERN_OK);
    bool same = count == wanted && (count == 0 || memcmp(ids, expected, count * sizeof *ids) == 0);
    if (!same && print) {
        fprintf(stderr, "differs: \"%.*s\"\n", (int)length, bytes);
        print_ids("expected", expected, wanted);
        print_ids("found   ", ids, count);
    }
    free(ids);
    return same;
}

// Returns how many strings there were; *different: how many had other ids than the answer file says.
static int compare(const char *vocabulary, const char *answers, const char *strings, int *different)
{
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    struct mapped_file text_file, answer_file;
    int count = 0;
    *different = 0;
    if (gguf_open(vocabulary, &file) != TERN_OK || tokenizer_open(file, &tokenizer) != TERN_OK) {
        fail_msg("%s", status_message());
    }
    gguf_close(file); // a tokenizer needs the file no longer
    assert_int_equal(mapped_file_open(strings, &text_file), TERN_OK);
    assert_int_equal(mapped_file_open(answers, &answer_file), TERN_OK);
    struct reader text = {text_file.data, text_file.data + text_file.size};
    struct reader answer = {answer_file.data, answer_file.data + answer_file.size};
    for (; text.at < text.end; count++) {
        if (!same_ids(tokenizer, &text, &answer, *different < 20)) ++*different;
    }
    assert_ptr_equal(answer.at, answer.end);
    mapped_file_close(&answer_file);
    mapped_file_close(&text_file);
    tokenizer_close(tokenizer);
    return count;
}

static void test_known_answers(void **state)
{
    const char *name = *state;
    char vocabulary[64], answers[64];
    int different;
    snprintf(vocabulary, sizeof vocabulary, "golden/tokenizer/%s.vocab", name);
    snprintf(answers, sizeof answers, "golden/tokenizer/%s.ids", name);
    int count = compare(vocabulary, answers, "golden/tokenizer/strings.bin", &different);
    assert_true(count >= 5000);
    assert_int_equal(different, 0);
}

// ---- Main -----------------------------------------------------------------------------------------------------------

static int compare_arguments(char **arguments)
{
    int different, count = compare(arguments[1], arguments[2], arguments[3], &different);
    printf("%s: %d strings, %d different\n", arguments[1], count, different);
    return different > 0;
}

int main(int argc, char **argv)
{
    if (argc == 4) return compare_arguments(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_known_answers, "gpt-2"),
        cmocka_unit_test_prestate(test_known_answers, "smollm"),
        cmocka_unit_test_prestate(test_known_answers, "qwen2"),
        cmocka_unit_test_prestate(test_known_answers, "llama-bpe"),
        cmocka_unit_test_prestate(test_known_answers, "olmo"),
        cmocka_unit_test_prestate(test_known_answers, "llama"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
