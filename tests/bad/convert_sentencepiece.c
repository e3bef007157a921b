// Broken tokenizer.model files: each is refused with the file and what is wrong.
#include "convert/sentencepiece_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Field 1 of a model, and of a piece, as bytes of a length: tag 0x0a. A score is field 5-bit 0x15 with four bytes, a
// type field 0x18.
#define PIECE_A                                                                                                        \
    "\x0a\x03\x0a\x01"                                                                                                 \
    "a"
#define PIECE_SCORE                                                                                                    \
    "\x0a\x08\x0a\x01"                                                                                                 \
    "b\x15\x00\x00\x80\xbf" // -1

static struct sentencepiece_file file;

// Bytes of their own size, so that a sanitizer sees a read behind their end.
static tern_status read_bytes(const char *bytes, size_t size)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    sentencepiece_file_free(&file);
    return sentencepiece_file_read("t.model", copy, size, &file);
}

#define READ(text) read_bytes(text, sizeof(text) - 1)

#define CHECK_REFUSED(text, words)                                                                                     \
    do {                                                                                                               \
        assert_int_equal(READ(text), TERN_BAD_FILE);                                                                   \
        if (strstr(status_message(), "t.model: " words) == NULL) fail_msg("\"%s\"", status_message());                 \
    } while (0)

static void sound_models_are_read(void **state)
{
    (void)state;
    assert_int_equal(READ(PIECE_A PIECE_SCORE), TERN_OK);
    assert_int_equal(file.count, 2);
    assert_int_equal(file.pieces[1].length, 1);
    assert_memory_equal(file.pieces[1].text, "b", 1);
    assert_true(file.pieces[1].score == -1);
    assert_int_equal(file.pieces[1].type, SENTENCEPIECE_NORMAL);
    // The format's own defaults.
    assert_int_equal(file.model_type, SENTENCEPIECE_UNIGRAM);
    assert_int_equal(file.bos, 1);
    assert_true(file.space_prefix && file.squeeze_spaces && !file.normalises);
    // A trainer (BPE, no first token), a normalizer (no blank first), and a field that nobody knows.
    assert_int_equal(READ(PIECE_A "\x12\x0e\x18\x02\xc8\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                  "\x1a\x04\x18\x00\x20\x00"
                                  "\xfa\x01\x01x"),
                     TERN_OK);
    assert_int_equal(file.model_type, SENTENCEPIECE_BPE);
    assert_int_equal(file.bos, -1);
    assert_int_equal(file.eos, 2);
    assert_false(file.space_prefix || file.squeeze_spaces);
}

static void damage_is_named(void **state)
{
    (void)state;
    CHECK_REFUSED("", "no pieces");
    CHECK_REFUSED("\x12\x02\x18\x02", "no pieces");
    CHECK_REFUSED(PIECE_A "\x0a\x04\x0a\x01x", "byte 5 begins no field"); // ends too early
    CHECK_REFUSED(PIECE_A "\x0b", "byte 5 begins no field");              // a group
    CHECK_REFUSED(PIECE_A "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                  "byte 5 begins no field");                                                         // a long number
    CHECK_REFUSED(PIECE_A "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "byte 5 begins no field"); // 2^64 - 1 bytes
    CHECK_REFUSED(PIECE_A "\x0a\x02\x18\x07", "piece 1 is not one");                                 // a type
    CHECK_REFUSED(PIECE_A "\x0a\x05\x15\x00\x00\xc0\x7f", "piece 1 is not one"); // a score that is no number
    CHECK_REFUSED(PIECE_A "\x0a\x02\x0a\x05", "piece 1 is not one");             // longer than its piece
    CHECK_REFUSED(PIECE_A "\x12\x02\x18\x80", "the trainer's settings are damaged");
    CHECK_REFUSED(PIECE_A "\x1a\x02\x18\x80", "the normalizer's settings are damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_models_are_read),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
