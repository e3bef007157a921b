// Broken GGUF files: each is refused with the file, the place and what was expected, and reads nothing out of bounds.
#include "../support/gguf_image.h"
#include "../support/gguf_touch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static volatile unsigned sink;

// Opens a copy of exactly `size` bytes, so that a sanitizer sees a read behind the end. What opens is read through.
static tern_status try_image(const void *image, size_t size)
{
    struct gguf_file *file = NULL;
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, image, size);
    tern_status status = gguf_open_memory(copy, size, "m.gguf", &file);
    if (status == TERN_OK) {
        sink += touch_file(file);
        gguf_close(file);
    } else {
        assert_null(file);
        assert_memory_equal(status_message(), "m.gguf: ", 8);
        assert_true(strlen(status_message()) > 8);
    }
    free(copy);
    return status;
}

// ---- Whole files cut and changed --------------------------------------------------------------------------------

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct buffer image = {0};
    image_sample(&image);
    assert_int_equal(try_image(image.data, image.length), TERN_OK);
    for (size_t size = 0; size < image.length; size++)
        assert_int_equal(try_image(image.data, size), TERN_BAD_FILE);
    buffer_free(&image);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

// Changes 1 to 3 bytes of the sample, 20,000 times. Both outcomes must be common: the bytes of numbers and data may
// change freely, those of lengths and types may not.
static void changed_bytes_open_or_are_refused(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    struct buffer image = {0};
    uint64_t seed = 42;
    int opened = 0;
    image_sample(&image);
    uint8_t *copy = malloc(image.length);
    assert_non_null(copy);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(copy, image.data, image.length);
        for (uint32_t n = 1 + next_random(&seed) % 3; n > 0; n--)
            copy[next_random(&seed) % image.length] ^= (uint8_t)(1 + next_random(&seed) % 255);
        opened += try_image(copy, image.length) == TERN_OK;
    }
    assert_in_range(opened, ROUNDS / 10, ROUNDS * 9 / 10);
    free(copy);
    buffer_free(&image);
}

// ---- Messages ---------------------------------------------------------------------------------------------------

static void no_magic(struct buffer *b)
{
    image_bytes(b, "PK\x03\x04 and so on", 14);
}

static void cut_magic(struct buffer *b)
{
    image_bytes(b, "GGU", 3);
}

static void big_endian(struct buffer *b)
{
    image_begin(b, 0x03000000, 0, 0);
}

static void old_version(struct buffer *b)
{
    image_begin(b, 1, 0, 0);
}

static void cut_version(struct buffer *b)
{
    image_bytes(b, "GGUF\3", 5);
}

static void many_tensors(struct buffer *b)
{
    image_begin(b, 3, UINT64_MAX, 0);
}

static void many_keys(struct buffer *b)
{
    image_begin(b, 3, 0, UINT64_C(1) << 60);
}

static void many_keys_that_fit(struct buffer *b)
{
    image_begin(b, 3, 0, 65537);
    image_fill(b, 65537 * 14, 0);
}

static void long_key(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_u64(b, UINT64_MAX - 7);
    image_fill(b, 16, 'k');
}

static void key_above_bound(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_u64(b, 256);
    image_fill(b, 300, 'k');
}

static void empty_key(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "", GGUF_U32, 1, 4);
    image_fill(b, 8, 0);
}

static void key_with_escape(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "k\033[31m", GGUF_U32, 1, 4);
}

static void repeated_key(struct buffer *b)
{
    image_begin(b, 3, 0, 3);
    image_key_number(b, "k", GGUF_U32, 1, 4);
    image_key_number(b, "j", GGUF_U32, 1, 4);
    image_key_number(b, "k", GGUF_U32, 1, 4);
}

static void unknown_value_type(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "k", 13, 1, 4);
}

static void cut_value(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "k", GGUF_U64, 1, 4);
}

static void strange_bool(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "k", GGUF_BOOL, 2, 1);
}

static void long_string(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "k", GGUF_STRING, 1000000, 8);
    image_fill(b, 10, 's');
}

static void long_array(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_array(b, "k", GGUF_U64, UINT64_C(1) << 61); // times 8 is 2^64
    image_fill(b, 80, 0);
}

static void long_string_array(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_array(b, "k", GGUF_STRING, 11);
    image_fill(b, 80, 0);
}

static void string_array_with_long_string(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_array(b, "k", GGUF_STRING, 2);
    image_string(b, "fine");
    image_u64(b, 5);
    image_bytes(b, "four", 4);
}

static void nested_array(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_array(b, "k", GGUF_ARRAY, 1);
    image_fill(b, 80, 0);
}

static void build_alignment(struct buffer *b, uint32_t alignment)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "general.alignment", GGUF_U32, alignment, 4);
}

static void alignment_of_48(struct buffer *b)
{
    build_alignment(b, 48);
}

static void alignment_of_0(struct buffer *b)
{
    build_alignment(b, 0);
}

static void alignment_of_a_gigabyte(struct buffer *b)
{
    build_alignment(b, 1 << 30);
}

// A file with one tensor whose description the caller appends, and then `data` bytes.
static void build_tensor(struct buffer *b, uint32_t type_id, uint64_t columns, uint64_t rows, uint64_t offset,
                         size_t data)
{
    image_begin(b, 3, 1, 0);
    image_tensor(b, "t", type_id, columns, rows, offset);
    image_align(b, 32);
    image_fill(b, data, 0);
}

static void no_dimensions(struct buffer *b)
{
    image_begin(b, 3, 1, 0);
    image_string(b, "t");
    image_fill(b, 64, 0);
}

static void five_dimensions(struct buffer *b)
{
    image_begin(b, 3, 1, 0);
    image_string(b, "t");
    image_u32(b, 5);
    image_fill(b, 64, 1);
}

static void dimension_of_zero(struct buffer *b)
{
    build_tensor(b, 0, 4, 0, 0, 16);
}

static void endless_dimensions(struct buffer *b)
{
    build_tensor(b, 0, UINT64_C(1) << 33, UINT64_C(1) << 31, 0, 16);
}

static void bytes_above_64_bits(struct buffer *b)
{
    build_tensor(b, 0, UINT64_C(1) << 32, UINT64_C(1) << 31, 0, 16);
}

static void half_a_block(struct buffer *b)
{
    build_tensor(b, 34, 128, 1, 0, 64);
}

static void unknown_tensor_type(struct buffer *b)
{
    build_tensor(b, 99, 32, 1, 0, 64);
}

static void unaligned_offset(struct buffer *b)
{
    build_tensor(b, 0, 4, 1, 16, 64);
}

static void far_offset(struct buffer *b)
{
    build_tensor(b, 0, 4, 1, UINT64_MAX - 31, 64);
}

static void short_data(struct buffer *b)
{
    build_tensor(b, 143, 128, 3, 0, 83);
}

static void i2_s_without_tail(struct buffer *b)
{
    build_tensor(b, 36, 128, 2, 0, 64);
}

static void no_data_at_all(struct buffer *b)
{
    image_begin(b, 3, 1, 0);
    image_tensor(b, "t", 0, 4, 1, 0);
}

static void overlapping_tensors(struct buffer *b)
{
    image_begin(b, 3, 3, 0);
    image_tensor(b, "first", 0, 4, 1, 64);
    image_tensor(b, "second", 0, 12, 1, 0); // 48 bytes
    image_tensor(b, "third", 0, 4, 1, 32);
    image_align(b, 32);
    image_fill(b, 96, 0);
}

static void overlapping_out_of_order(struct buffer *b)
{
    image_begin(b, 3, 2, 0);
    image_tensor(b, "behind", 0, 4, 1, 32);
    image_tensor(b, "before", 0, 12, 1, 0);
    image_align(b, 32);
    image_fill(b, 64, 0);
}

static void tensors_in_one_place(struct buffer *b)
{
    image_begin(b, 3, 2, 0);
    image_tensor(b, "a", 0, 4, 1, 0);
    image_tensor(b, "b", 0, 4, 1, 0);
    image_align(b, 32);
    image_fill(b, 32, 0);
}

static void repeated_tensor(struct buffer *b)
{
    image_begin(b, 3, 2, 0);
    image_tensor(b, "t", 0, 4, 1, 0);
    image_tensor(b, "t", 0, 4, 1, 32);
    image_align(b, 32);
    image_fill(b, 64, 0);
}

static void type_42_that_both_fit(struct buffer *b)
{
    build_tensor(b, 42, 128, 1, 0, 64);
}

static void type_42_that_neither_fits(struct buffer *b)
{
    build_tensor(b, 42, 1024, 4, 0, 1100);
}

static void type_42_without_blocks(struct buffer *b)
{
    build_tensor(b, 42, 100, 1, 0, 64);
}

static void negative_split(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "split.count", GGUF_I32, UINT32_MAX, 4);
}

static void other_number_of_tensors(struct buffer *b)
{
    image_begin(b, 3, 0, 1);
    image_key_number(b, "split.tensors.count", GGUF_I32, 7, 4);
}

static const struct {
    void (*build)(struct buffer *);
    tern_status status;
    const char *message; // behind "m.gguf: "
} cases[] = {
    {no_magic, TERN_BAD_FILE, "not a GGUF file: it starts with bytes 50 4b 03 04, expected \"GGUF\""},
    {cut_magic, TERN_BAD_FILE, "byte 0: magic needs 4 bytes, the file has 3 left"},
    {big_endian, TERN_UNSUPPORTED, "byte 4: a big-endian GGUF file, expected little-endian"},
    {old_version, TERN_UNSUPPORTED, "byte 4: GGUF version 1, expected 2 or 3"},
    {cut_version, TERN_BAD_FILE, "byte 4: version needs 4 bytes, the file has 1 left"},
    {many_tensors, TERN_BAD_FILE,
     "byte 8: number of tensors is 18446744073709551615, the rest of the file holds at most 0"},
    {many_keys, TERN_BAD_FILE, "byte 16: number of keys is 1152921504606846976, the rest of the file holds at most 0"},
    {many_keys_that_fit, TERN_BAD_FILE, "byte 16: number of keys is 65537, at most 65536 are read"},
    {long_key, TERN_BAD_FILE, "byte 32: key needs 18446744073709551608 bytes, the file has 16 left"},
    {key_above_bound, TERN_BAD_FILE, "byte 24: key has 256 bytes, expected 1 to 255"},
    {empty_key, TERN_BAD_FILE, "byte 24: key has 0 bytes, expected 1 to 255"},
    {key_with_escape, TERN_BAD_FILE, "byte 33: key has a control byte 0x1b"},
    {repeated_key, TERN_BAD_FILE, "key k: appears twice"},
    {unknown_value_type, TERN_BAD_FILE, "key k: byte 33: value type is 13, expected 0 to 12"},
    {cut_value, TERN_BAD_FILE, "key k: byte 37: U64 needs 8 bytes, the file has 4 left"},
    {strange_bool, TERN_BAD_FILE, "key k: byte 37: BOOL is 2, expected 0 or 1"},
    {long_string, TERN_BAD_FILE, "key k: byte 45: string needs 1000000 bytes, the file has 10 left"},
    {long_array, TERN_BAD_FILE,
     "key k: byte 41: array length is 2305843009213693952, the rest of the file holds at most 10"},
    {long_string_array, TERN_BAD_FILE, "key k: byte 41: array length is 11, the rest of the file holds at most 10"},
    {string_array_with_long_string, TERN_BAD_FILE, "key k: byte 69: array element needs 5 bytes, the file has 4 left"},
    {nested_array, TERN_BAD_FILE, "key k: byte 37: array of arrays, expected scalars or strings"},
    {alignment_of_48, TERN_BAD_FILE, "key general.alignment: expected a power of two up to 1048576"},
    {alignment_of_0, TERN_BAD_FILE, "key general.alignment: expected a power of two up to 1048576"},
    {alignment_of_a_gigabyte, TERN_BAD_FILE, "key general.alignment: expected a power of two up to 1048576"},
    {no_dimensions, TERN_BAD_FILE, "tensor t: byte 33: 0 dimensions, expected 1 to 4"},
    {five_dimensions, TERN_BAD_FILE, "tensor t: byte 33: 5 dimensions, expected 1 to 4"},
    {dimension_of_zero, TERN_BAD_FILE, "tensor t: byte 45: dimension 1 is 0"},
    {endless_dimensions, TERN_BAD_FILE, "tensor t: byte 45: the product of the dimensions is above 2^64"},
    {bytes_above_64_bits, TERN_BAD_FILE, "tensor t: has 2^64 bytes or more"},
    {half_a_block, TERN_BAD_FILE, "tensor t: rows of 128 elements are not whole TQ1_0 blocks of 256"},
    {unknown_tensor_type, TERN_UNSUPPORTED, "tensor t: byte 53: unknown tensor type 99"},
    {unaligned_offset, TERN_BAD_FILE, "tensor t: offset 16 is not a multiple of 32"},
    {far_offset, TERN_BAD_FILE, "tensor t: offset 18446744073709551584 is behind the file's 64 bytes of tensor data"},
    {short_data, TERN_BAD_FILE, "tensor t: needs 84 bytes at offset 0, the file leaves 83"},
    {i2_s_without_tail, TERN_BAD_FILE, "tensor t: needs 96 bytes at offset 0, the file leaves 64"},
    {no_data_at_all, TERN_BAD_FILE, "tensor t: needs 16 bytes at offset 0, the file leaves 0"},
    {overlapping_tensors, TERN_BAD_FILE, "tensor second: needs 48 bytes at offset 0, tensor third starts after 32"},
    {overlapping_out_of_order, TERN_BAD_FILE,
     "tensor before: needs 48 bytes at offset 0, tensor behind starts after 32"},
    {tensors_in_one_place, TERN_BAD_FILE, "tensor a: needs 16 bytes at offset 0, tensor b starts after 0"},
    {repeated_tensor, TERN_BAD_FILE, "tensor t: appears twice"},
    {type_42_that_both_fit, TERN_BAD_FILE,
     "tensor t: type 42 fits with 64-weight blocks and with 128-weight blocks, here and in all 1 tensors of that type; "
     "expected a file that only one of them fits"},
    {type_42_that_neither_fits, TERN_BAD_FILE,
     "tensor t: type 42 needs 1152 bytes with 64-weight blocks or 1088 with 128-weight blocks, the file leaves 1100"},
    {type_42_without_blocks, TERN_BAD_FILE, "tensor t: rows of 100 elements are not whole Q2_0_G64 blocks of 64"},
    {negative_split, TERN_BAD_FILE, "key split.count: expected an integer from 0 to 4294967295"},
    {other_number_of_tensors, TERN_BAD_FILE, "key split.tensors.count is 7, the parts have 0 tensors"},
};

static void every_fault_has_its_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer image = {0};
        cases[i].build(&image);
        tern_status status = try_image(image.data, image.length);
        if (status == TERN_OK) fail_msg("opened, expected: %s", cases[i].message);
        assert_string_equal(status_message() + strlen("m.gguf: "), cases[i].message);
        assert_int_equal(status, cases[i].status);
        buffer_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(changed_bytes_open_or_are_refused),
        cmocka_unit_test(every_fault_has_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
