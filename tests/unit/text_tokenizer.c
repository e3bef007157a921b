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

#include "../support/gguf_image.h"
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

// ---- Vocabularies made in memory ------------------------------------------------------------------------------------

// A GGUF image under construction: header first, then key by key.
struct image {
    struct buffer bytes;
    uint64_t n_pairs;
};

// The full key of a name, until the next call.
static const char *count_key(struct image *image, const char *name)
{
    static char key[64];
    snprintf(key, sizeof key, "tokenizer.ggml.%s", name);
    image->n_pairs++;
    return key;
}

static void put_string(struct image *image, const char *name, const char *value)
{
    image_key_string(&image->bytes, count_key(image, name), value);
}

static void put_u32(struct image *image, const char *name, uint32_t value)
{
    image_key_number(&image->bytes, count_key(image, name), GGUF_U32, value, 4);
}

static void put_bool(struct image *image, const char *name, bool value)
{
    image_key_number(&image->bytes, count_key(image, name), GGUF_BOOL, value, 1);
}

static void put_strings(struct image *image, const char *name, const char *const *strings, size_t count)
{
    image_key_array(&image->bytes, count_key(image, name), GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        image_string(&image->bytes, strings[i]);
    }
}

static void put_numbers(struct image *image, const char *name, enum gguf_type type, const void *numbers, size_t count)
{
    image_key_array(&image->bytes, count_key(image, name), type, count);
    image_bytes(&image->bytes, numbers, 4 * count);
}

static void begin_image(struct image *image)
{
    *image = (struct image){0};
    image_begin(&image->bytes, 3, 0, 0); // the number of pairs: open_image() knows
}

// Opens the tokenizer of an image and frees the image. On failure *tokenizer is NULL and status_message() says why.
static tern_status open_image(struct image *image, struct tokenizer **tokenizer)
{
    struct gguf_file *file;
    memcpy(image->bytes.data + 16, &image->n_pairs, sizeof image->n_pairs);
    tern_status status = gguf_open_memory((const uint8_t *)image->bytes.data, image->bytes.length, "test.gguf", &file);
    assert_int_equal(status, TERN_OK);
    status = tokenizer_open(file, tokenizer);
    gguf_close(file);
    buffer_free(&image->bytes);
    assert_true((status == TERN_OK) == (*tokenizer != NULL));
    return status;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// A vocabulary that has what a byte-level one needs: each test changes one thing about it.
struct small_vocabulary {
    const char *model, *pre;
    const char *tokens[12];
    int32_t types[12];
    float scores[12];
    const char *merges[4];
    size_t n_tokens, n_types, n_scores, n_merges;
};

static struct small_vocabulary byte_level_vocabulary(void)
{
    return (struct small_vocabulary){
        .model = "gpt2",
        .pre = "gpt-2",
        .tokens = {"a", "b", "c", "ab", "abc", "<|im_end|>", "<think>", "\u0120"},
        .types = {1, 1, 1, 1, 1, 3, 4, 1},
        .merges = {"a b", "ab c"},
        .n_tokens = 8,
        .n_types = 8,
        .n_merges = 2,
    };
}

static struct small_vocabulary sentencepiece_vocabulary(void)
{
    return (struct small_vocabulary){
        .model = "llama",
        .tokens = {"<unk>", "<s>", "</s>", "<0x7A>", "\u2581", "a", "b", "ab", "\u2581ab", "bb"},
        .types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1},
        .scores = {0, 0, 0, 0, -9, -9, -9, -2, -3, -1},
        .n_tokens = 10,
        .n_types = 10,
        .n_scores = 10,
    };
}

static void put_vocabulary(struct image *image, const struct small_vocabulary *vocabulary)
{
    begin_image(image);
    if (vocabulary->model) put_string(image, "model", vocabulary->model);
    if (vocabulary->pre) put_string(image, "pre", vocabulary->pre);
    if (vocabulary->n_tokens) put_strings(image, "tokens", vocabulary->tokens, vocabulary->n_tokens);
    if (vocabulary->n_types) put_numbers(image, "token_type", GGUF_I32, vocabulary->types, vocabulary->n_types);
    if (vocabulary->n_scores) put_numbers(image, "scores", GGUF_F32, vocabulary->scores, vocabulary->n_scores);
    if (vocabulary->n_merges) put_strings(image, "merges", vocabulary->merges, vocabulary->n_merges);
}

static struct tokenizer *open_small(struct small_vocabulary vocabulary)
{
    struct image image;
    struct tokenizer *tokenizer;
    put_vocabulary(&image, &vocabulary);
    if (open_image(&image, &tokenizer) != TERN_OK) fail_msg("%s", status_message());
    return tokenizer;
}

static void assert_refused(struct small_vocabulary vocabulary, tern_status status, const char *message)
{
    struct image image;
    struct tokenizer *tokenizer;
    put_vocabulary(&image, &vocabulary);
    assert_int_equal(open_image(&image, &tokenizer), status);
    assert_string_equal(status_message(), message);
}

// The ids of a text as words: "4 5 6".
static void assert_ids(const struct tokenizer *tokenizer, const char *text, unsigned flags, const char *expected)
{
    tern_token *ids;
    size_t count;
    char found[256] = "";
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), flags, &ids, &count), TERN_OK);
    for (size_t i = 0; i < count; i++) {
        size_t at = strlen(found);
        snprintf(found + at, sizeof found - at, i ? " %d" : "%d", ids[i]);
    }
    free(ids);
    assert_string_equal(found, expected);
}

// ---- Behaviour ------------------------------------------------------------------------------------------------------

static void test_special_tokens_in_text(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_small(byte_level_vocabulary());
    assert_ids(tokenizer, "ab<|im_end|>c", TERN_TOKENIZE_SPECIAL, "3 5 2");
    assert_ids(tokenizer, "ab<|im_end|>c", 0, "3 2"); // only text: the name's letters have no tokens here
    assert_ids(tokenizer, "ab<think>c", 0, "3 6 2");  // user-defined tokens are always found
    assert_ids(tokenizer, "<think", 0, "");
    assert_ids(tokenizer, "", TERN_TOKENIZE_SPECIAL | TERN_TOKENIZE_BOS, "");
    tokenizer_close(tokenizer);
}

static void test_longest_special_token_wins(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    const char *tokens[] = {"<a>", "<a><a>", "<a><a><b>", "<c>"};
    for (size_t i = 0; i < COUNT(tokens); i++) {
        vocabulary.tokens[8 + i] = tokens[i];
        vocabulary.types[8 + i] = 4;
    }
    vocabulary.types[9] = 3;
    vocabulary.n_tokens = vocabulary.n_types = 12;
    struct tokenizer *tokenizer = open_small(vocabulary);
    assert_ids(tokenizer, "<a><a><b>", 0, "10");
    assert_ids(tokenizer, "<a><a><c>", 0, "8 8 11"); // the control token is not asked for
    assert_ids(tokenizer, "<a><a><c>", TERN_TOKENIZE_SPECIAL, "9 11");
    assert_ids(tokenizer, "<a><a><a><b", TERN_TOKENIZE_SPECIAL, "9 8 1"); // "<" has no token, "b" has
    tokenizer_close(tokenizer);
}

static void test_token_bytes(void **state)
{
    (void)state;
    struct small_vocabulary odd = byte_level_vocabulary();
    odd.tokens[8] = "\u0144a"; // no byte is spelled U+0144: such a token is taken as it is
    odd.types[8] = 1;
    odd.n_tokens = odd.n_types = 9;
    struct tokenizer *byte_level = open_small(odd);
    struct tokenizer *sentencepiece = open_small(sentencepiece_vocabulary());
    size_t length;
    assert_memory_equal(tokenizer_token_bytes(byte_level, 7, &length), " ", 1);
    assert_int_equal(length, 1);
    assert_memory_equal(tokenizer_token_bytes(byte_level, 5, &length), "<|im_end|>", 10);
    assert_int_equal(length, 10);
    assert_memory_equal(tokenizer_token_bytes(byte_level, 8, &length), "\u0144a", 3);
    assert_int_equal(length, 3);
    assert_null(tokenizer_token_bytes(byte_level, 9, &length));
    assert_int_equal(length, 0);
    assert_null(tokenizer_token_bytes(byte_level, -1, &length));
    assert_memory_equal(tokenizer_token_bytes(sentencepiece, 8, &length), " ab", 3);
    assert_int_equal(length, 3);
    assert_memory_equal(tokenizer_token_bytes(sentencepiece, 3, &length), "z", 1);
    assert_int_equal(length, 1);
    assert_int_equal(tokenizer_vocabulary(byte_level), 9);
    assert_true(tokenizer_is_control(sentencepiece, 0));
    assert_true(tokenizer_is_control(sentencepiece, 1));
    assert_false(tokenizer_is_end(sentencepiece, 1));
    assert_false(tokenizer_is_control(sentencepiece, 3));
    assert_string_equal(tokenizer_kind(byte_level), "byte-level BPE (gpt-2)");
    assert_string_equal(tokenizer_kind(sentencepiece), "SentencePiece BPE");
    tokenizer_close(byte_level);
    tokenizer_close(sentencepiece);
}

static void test_sentencepiece_scores_decide(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_small(sentencepiece_vocabulary());
    assert_ids(tokenizer, "ab", 0, "8");
    assert_ids(tokenizer, "abb", 0, "4 5 9");                           // "bb" before "ab"
    assert_ids(tokenizer, "z", 0, "4 3");                               // a byte token
    assert_ids(tokenizer, "xyz", 0, "4 0 3");                           // x and y have none: one unknown token
    assert_ids(tokenizer, "a<s>a", TERN_TOKENIZE_SPECIAL, "4 5 1 4 5"); // each stretch gets its space
    tokenizer_close(tokenizer);
}

static void test_sentencepiece_spaces(void **state)
{
    (void)state;
    struct image image;
    struct tokenizer *tokenizer;
    struct small_vocabulary vocabulary = sentencepiece_vocabulary();
    put_vocabulary(&image, &vocabulary);
    put_bool(&image, "add_space_prefix", false);
    put_bool(&image, "remove_extra_whitespaces", true);
    assert_int_equal(open_image(&image, &tokenizer), TERN_OK);
    assert_ids(tokenizer, "ab", 0, "7");
    assert_ids(tokenizer, "  a   ab ", 0, "5 8");
    assert_ids(tokenizer, "  ", 0, "");
    tokenizer_close(tokenizer);
}

static void test_bos_and_ends(void **state)
{
    (void)state;
    struct image image;
    struct tokenizer *tokenizer;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    put_vocabulary(&image, &vocabulary);
    put_u32(&image, "bos_token_id", 4);
    put_u32(&image, "eos_token_id", 6);
    put_u32(&image, "eot_token_id", 7);
    put_u32(&image, "eom_token_id", 2);
    put_bool(&image, "add_bos_token", true);
    assert_int_equal(open_image(&image, &tokenizer), TERN_OK);
    assert_int_equal(tokenizer_bos(tokenizer), 4);
    assert_int_equal(tokenizer_eos(tokenizer), 6);
    assert_true(tokenizer_adds_bos(tokenizer));
    assert_ids(tokenizer, "a", TERN_TOKENIZE_BOS, "4 0");
    assert_ids(tokenizer, "a", 0, "0");
    static const bool ends[] = {false, false, true, false, false, true, true, true}; // 5 by its name
    for (tern_token id = -1; id < 9; id++) {
        assert_int_equal(tokenizer_is_end(tokenizer, id), id >= 0 && id < 8 && ends[id]);
    }
    assert_true(tokenizer_is_control(tokenizer, 5));
    assert_false(tokenizer_is_control(tokenizer, 0));
    assert_false(tokenizer_is_control(tokenizer, 99));
    tokenizer_close(tokenizer);
}

static void test_no_bos_where_there_is_none(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.pre = "llama-bpe"; // adds one, but the file names none
    struct tokenizer *tokenizer = open_small(vocabulary);
    assert_true(tokenizer_adds_bos(tokenizer));
    assert_int_equal(tokenizer_bos(tokenizer), -1);
    assert_ids(tokenizer, "a", TERN_TOKENIZE_BOS, "0");
    tokenizer_close(tokenizer);
}

// A word of a million letters: O(n log n) takes well under a second, O(n^2) hours.
static void test_long_words_take_linear_time(void **state)
{
    (void)state;
    enum { LENGTH = 1000000 };
    struct small_vocabulary kinds[] = {byte_level_vocabulary(), sentencepiece_vocabulary()};
    char *text = malloc(LENGTH);
    assert_non_null(text);
    for (size_t i = 0; i < LENGTH; i++) {
        text[i] = "ab"[i % 2];
    }
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        struct tokenizer *tokenizer = open_small(kinds[kind]);
        tern_token *ids;
        size_t count;
        clock_t start = clock();
        assert_int_equal(tokenizer_encode(tokenizer, text, LENGTH, 0, &ids, &count), TERN_OK);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
        assert_int_equal(count, LENGTH / 2);
        free(ids);
        tokenizer_close(tokenizer);
    }
    free(text);
}

// PCRE2's bound on backtracking steps, 10 million unless set, must grow with the text.
static void test_long_rows_of_spaces(void **state)
{
    (void)state;
    enum { LENGTH = 11000000 };
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.pre = "llama-bpe";
    vocabulary.n_tokens = vocabulary.n_types = 7; // none for a space, so that this is about words alone
    struct tokenizer *tokenizer = open_small(vocabulary);
    char *text = malloc(LENGTH);
    assert_non_null(text);
    memset(text, ' ', LENGTH);
    text[LENGTH - 1] = 'c';
    tern_token *ids;
    size_t count;
    assert_int_equal(tokenizer_encode(tokenizer, text, LENGTH, 0, &ids, &count), TERN_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 2);
    free(ids);
    free(text);
    tokenizer_close(tokenizer);
}

// 500,000 marks in no canonical order: utf8proc's own ordering would take minutes.
static void test_many_marks_take_linear_time(void **state)
{
    (void)state;
    enum { PAIRS = 250000 };
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.pre = "qwen2";
    struct tokenizer *tokenizer = open_small(vocabulary);
    char *text = malloc(4 * PAIRS);
    assert_non_null(text);
    for (size_t i = 0; i < PAIRS; i++) {
        memcpy(text + 4 * i, "\u0301\u0323", 4);
    }
    tern_token *ids;
    size_t count;
    clock_t start = clock();
    assert_int_equal(tokenizer_encode(tokenizer, text, 4 * PAIRS, 0, &ids, &count), TERN_OK);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    free(ids);
    free(text);
    tokenizer_close(tokenizer);
}

// ---- Broken vocabularies --------------------------------------------------------------------------------------------

static void test_unknown_kinds(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.pre = "tekken";
    assert_refused(vocabulary, TERN_UNSUPPORTED,
                   "test.gguf: tokenizer.ggml.pre is \"tekken\", expected one of: default, gpt-2, olmo, smollm, qwen2, "
                   "deepseek-r1-qwen, llama-bpe, llama-v3, llama3, falcon3, falcon_e");
    vocabulary.model = "bert";
    assert_refused(vocabulary, TERN_UNSUPPORTED,
                   "test.gguf: tokenizer.ggml.model is \"bert\", expected gpt2 (byte-level BPE) or llama "
                   "(SentencePiece BPE)");
    vocabulary.model = NULL;
    assert_refused(vocabulary, TERN_BAD_FILE, "test.gguf: tokenizer.ggml.model is missing: the file has no tokenizer");
}

static void test_missing_parts(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.n_merges = 0;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.merges is missing: a byte-level BPE vocabulary needs its merges");
    vocabulary.n_tokens = 0;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.tokens is missing: the file has no vocabulary");
    vocabulary = sentencepiece_vocabulary();
    vocabulary.n_scores = 0;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.scores is missing: a SentencePiece vocabulary needs its scores");
}

static void test_bad_merges(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.merges[1] = "ab x";
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.merges: merge 1, \"ab x\", names a token that the vocabulary lacks");
    vocabulary.merges[1] = "b c";
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.merges: merge 1, \"b c\", makes a token that the vocabulary lacks");
    static const char *const shapes[] = {"abc", "ab ", " ab", " ", ""};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        char message[128];
        vocabulary.merges[1] = shapes[i];
        snprintf(message, sizeof message,
                 "test.gguf: tokenizer.ggml.merges: merge 1, \"%s\", is not two tokens with a space between",
                 shapes[i]);
        assert_refused(vocabulary, TERN_BAD_FILE, message);
    }
}

static void test_counts_that_disagree(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.n_types = 7;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.token_type has 7 entries, expected one for each of the 8 tokens");
    vocabulary = sentencepiece_vocabulary();
    vocabulary.n_scores = 11;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.scores has 11 entries, expected one for each of the 10 tokens");
}

static void test_bad_tokens(void **state)
{
    (void)state;
    struct small_vocabulary vocabulary = byte_level_vocabulary();
    vocabulary.tokens[2] = "a";
    assert_refused(vocabulary, TERN_BAD_FILE, "test.gguf: tokenizer.ggml.tokens: tokens 0 and 2 are both \"a\"");
    vocabulary = byte_level_vocabulary();
    vocabulary.tokens[5] = vocabulary.tokens[6] = "ab"; // like token 3, which alone would be in order
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.tokens: special tokens 5 and 6 are both \"ab\"");
    vocabulary = byte_level_vocabulary();
    vocabulary.types[3] = 7;
    assert_refused(vocabulary, TERN_BAD_FILE,
                   "test.gguf: tokenizer.ggml.token_type: token 3 has type 7, expected 1 to 6");
    vocabulary = sentencepiece_vocabulary();
    vocabulary.tokens[3] = "<0x7G>";
    assert_refused(
        vocabulary, TERN_BAD_FILE,
        "test.gguf: tokenizer.ggml.tokens: byte token 3 is \"<0x7G>\", expected <0x00> to <0xFF>, each once");
    vocabulary = sentencepiece_vocabulary();
    memcpy(&vocabulary.scores[5], &(uint32_t){0x7FC00000}, 4);
    assert_refused(vocabulary, TERN_BAD_FILE, "test.gguf: tokenizer.ggml.scores: the score of token 5 is not a number");
}

static void test_long_names(void **state)
{
    (void)state;
    static char name[1100];
    memset(name, 'x', sizeof name - 1);
    struct small_vocabulary vocabulary = sentencepiece_vocabulary();
    vocabulary.tokens[9] = name;
    assert_refused(vocabulary, TERN_UNSUPPORTED,
                   "test.gguf: tokenizer.ggml.tokens: token 9 has 1099 bytes, expected at most 1024");
    name[256] = 0;
    vocabulary = byte_level_vocabulary();
    vocabulary.tokens[5] = name;
    assert_refused(vocabulary, TERN_UNSUPPORTED,
                   "test.gguf: tokenizer.ggml.tokens: special token 5 has a name of 256 bytes, expected at most 255");
}

static void test_ids_out_of_range(void **state)
{
    (void)state;
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id",
                                       "unknown_token_id"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct image image;
        struct tokenizer *tokenizer;
        char message[128];
        struct small_vocabulary vocabulary = byte_level_vocabulary();
        put_vocabulary(&image, &vocabulary);
        put_u32(&image, keys[i], 8);
        assert_int_equal(open_image(&image, &tokenizer), TERN_BAD_FILE);
        snprintf(message, sizeof message, "test.gguf: tokenizer.ggml.%s is 8, but the vocabulary has 8 tokens",
                 keys[i]);
        assert_string_equal(status_message(), message);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    struct image image;
    struct tokenizer *tokenizer;
    int32_t numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    begin_image(&image);
    put_string(&image, "model", "gpt2");
    put_numbers(&image, "tokens", GGUF_I32, numbers, 8);
    assert_int_equal(open_image(&image, &tokenizer), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "tokenizer.ggml.tokens"));
    begin_image(&image);
    put_u32(&image, "model", 1);
    assert_int_equal(open_image(&image, &tokenizer), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "tokenizer.ggml.model"));
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
        cmocka_unit_test_prestate(test_known_answers, "sentencepiece"),
        cmocka_unit_test_prestate(test_known_answers, "llama"),
        cmocka_unit_test(test_special_tokens_in_text),
        cmocka_unit_test(test_longest_special_token_wins),
        cmocka_unit_test(test_token_bytes),
        cmocka_unit_test(test_sentencepiece_scores_decide),
        cmocka_unit_test(test_sentencepiece_spaces),
        cmocka_unit_test(test_bos_and_ends),
        cmocka_unit_test(test_no_bos_where_there_is_none),
        cmocka_unit_test(test_long_words_take_linear_time),
        cmocka_unit_test(test_long_rows_of_spaces),
        cmocka_unit_test(test_many_marks_take_linear_time),
        cmocka_unit_test(test_unknown_kinds),
        cmocka_unit_test(test_missing_parts),
        cmocka_unit_test(test_bad_merges),
        cmocka_unit_test(test_counts_that_disagree),
        cmocka_unit_test(test_bad_tokens),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_ids_out_of_range),
        cmocka_unit_test(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
