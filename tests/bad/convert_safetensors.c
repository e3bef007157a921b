// Broken safetensors files: each is refused with the file, the tensor and what is wrong.
#include "convert/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// An image of its own size, so that a sanitizer sees a read behind its end.
static tern_status open_image(uint64_t length, const char *header, size_t data_bytes)
{
    size_t written = strlen(header), size = 8 + written + data_bytes;
    uint8_t *image = calloc(1, size);
    struct safetensors file;
    assert_non_null(image);
    for (unsigned i = 0; i < 8; i++)
        image[i] = (uint8_t)(length >> 8 * i);
    memcpy(image + 8, header, written);
    tern_status status = safetensors_open_memory(image, size, "m.safetensors", &file);
    if (status == TERN_OK) safetensors_close(&file);
    free(image);
    return status;
}

static void check_refused(const char *header, size_t data_bytes, const char *words)
{
    assert_int_equal(open_image(strlen(header), header, data_bytes), TERN_BAD_FILE);
    assert_memory_equal(status_message(), "m.safetensors: ", 15);
    if (strstr(status_message(), words) == NULL) fail_msg("\"%s\" does not say \"%s\"", status_message(), words);
}

#define TENSOR(dtype, shape, offsets)                                                                                  \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void sound_headers_open(void **state)
{
    (void)state;
    const char *header = TENSOR("F32", "[2,2]", "[0,16]");
    assert_int_equal(open_image(strlen(header), header, 16), TERN_OK);
    header = "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[2,5]},"
             "\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]}}   ";
    assert_int_equal(open_image(strlen(header), header, 5), TERN_OK);
}

static void lengths_beyond_the_file(void **state)
{
    (void)state;
    struct safetensors file;
    assert_int_equal(safetensors_open_memory((const uint8_t *)"1234", 4, "m.safetensors", &file), TERN_BAD_FILE);
    assert_int_equal(open_image(3, "{}", 0), TERN_BAD_FILE);
    assert_int_equal(open_image(UINT64_MAX, "{}", 0), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "a header of 18446744073709551615 bytes, the file has 10"));
    size_t size = SAFETENSORS_MAX_HEADER + 1;
    char *spaces = malloc(size + 1);
    assert_non_null(spaces);
    memset(spaces, ' ', size);
    spaces[size] = '\0';
    assert_int_equal(open_image(size, spaces, 0), TERN_BAD_FILE);
    assert_non_null(strstr(status_message(), "expected 16777216 at most"));
    free(spaces);
}

static void headers_that_are_no_object(void **state)
{
    (void)state;
    check_refused("", 0, "not JSON");
    check_refused("{\"a\":", 0, "not JSON");
    check_refused("[]", 0, "not a JSON object");
    check_refused("{\"a\":1}", 0, "tensor a: is not described by an object");
    check_refused("{\"a\":{},\"a\":{}}", 0, "duplicate object key");
}

static void deep_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 1 << 20 };
    char *deep = malloc(DEPTH + 1);
    assert_non_null(deep);
    memset(deep, '[', DEPTH);
    deep[DEPTH] = '\0';
    check_refused(deep, 0, "maximum parsing depth");
    free(deep);
}

static void tensors_that_make_no_sense(void **state)
{
    (void)state;
    check_refused("{\"a\":{}}", 0, "tensor a: has no dtype");
    check_refused(TENSOR("F33", "[1]", "[0,4]"), 4, "dtype \"F33\" is not one of the format");
    check_refused(TENSOR("F32", "2", "[0,4]"), 4, "has no shape");
    check_refused(TENSOR("F32", "[1,1,1,1,1]", "[0,4]"), 4, "more than four dimensions");
    check_refused(TENSOR("F32", "[-1]", "[0,4]"), 4, "not a whole number");
    check_refused(TENSOR("F32", "[1.0]", "[0,4]"), 4, "not a whole number");
    check_refused(TENSOR("F32", "[1]", "[0]"), 4, "data_offsets are not two");
    check_refused(TENSOR("F32", "[1]", "[0,-4]"), 4, "data_offsets are not two");
    check_refused(TENSOR("F32", "[9223372036854775807,3]", "[0,4]"), 4, "beyond 2^64");
    check_refused(TENSOR("F32", "[9223372036854775807]", "[0,4]"), 4, "are not its 4 bytes");
    check_refused(TENSOR("F32", "[99999999999999999999]", "[0,4]"), 4, "too big integer");
    check_refused(TENSOR("F32", "[2]", "[0,4]"), 4, "2 elements of 32 bits are not its 4 bytes");
}

static void data_out_of_place(void **state)
{
    (void)state;
    check_refused(TENSOR("F32", "[1]", "[0,4]"), 3, "bytes 0 to 4, the file has 3 bytes of data");
    check_refused(TENSOR("F32", "[1]", "[8,4]"), 16, "bytes 8 to 4");
    check_refused(TENSOR("F32", "[1]", "[4,8]"), 8, "tensor a: there is a hole before its data");
    check_refused(TENSOR("F32", "[1]", "[0,4]"), 8, "4 bytes behind the last tensor");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                  6, "tensor b: overlaps another tensor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_headers_open),         cmocka_unit_test(lengths_beyond_the_file),
        cmocka_unit_test(headers_that_are_no_object), cmocka_unit_test(deep_nesting),
        cmocka_unit_test(tensors_that_make_no_sense), cmocka_unit_test(data_out_of_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
