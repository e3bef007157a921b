#include "../support/gguf_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct gguf_file *open_image(const struct buffer *image)
{
    struct gguf_file *file;
    if (gguf_open_memory((const uint8_t *)image->data, image->length, "m.gguf", &file) != TERN_OK)
        fail_msg("%s", status_message());
    return file;
}

static void assert_refused(const struct buffer *image, tern_status expected, const char *message)
{
    struct gguf_file *file = NULL;
    tern_status status = gguf_open_memory((const uint8_t *)image->data, image->length, "m.gguf", &file);
    assert_null(file);
    assert_string_equal(status_message(), message);
    assert_int_equal(status, expected);
}

static struct gguf_file *open_sample(struct buffer *image)
{
    image_sample(image);
    return open_image(image);
}

static void a_file_has_its_pairs_and_tensors(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    assert_string_equal(file->path, "m.gguf");
    assert_int_equal(file->version, 3);
    assert_int_equal(file->n_pairs, 16);
    assert_string_equal(file->pairs[1].key, "u8");
    assert_int_equal(file->n_tensors, 3);
    assert_string_equal(file->tensors[0].name, "floats");
    assert_int_equal(file->n_parts, 1);
    assert_int_equal(file->file_bytes, image.length);
    gguf_close(file);
    buffer_free(&image);
}

static void version_2_is_read_too(void **state)
{
    (void)state;
    struct buffer image = {0};
    image_sample(&image);
    image.data[4] = 2;
    struct gguf_file *file = open_image(&image);
    assert_int_equal(file->version, 2);
    assert_int_equal(file->n_tensors, 3);
    gguf_close(file);
    buffer_free(&image);
}

static void values_keep_type_and_sign(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    assert_int_equal(gguf_find(file, "u8")->type, GGUF_U8);
    assert_int_equal(gguf_find(file, "u8")->u, 250);
    assert_int_equal(gguf_find(file, "i8")->i, -5);
    assert_int_equal(gguf_find(file, "u16")->u, 65000);
    assert_int_equal(gguf_find(file, "i16")->i, -500);
    assert_int_equal(gguf_find(file, "u32")->u, 4000000000);
    assert_int_equal(gguf_find(file, "i32")->i, 70000);
    assert_true(gguf_find(file, "f32")->f == 1.5);
    assert_int_equal(gguf_find(file, "bool")->u, 1);
    assert_true(gguf_find(file, "u64")->u == UINT64_C(1) << 40);
    assert_int_equal(gguf_find(file, "i64")->i, 7);
    assert_true(gguf_find(file, "f64")->f == -0.5);
    assert_null(gguf_find(file, "u9"));
    gguf_close(file);
    buffer_free(&image);
}

static void arrays_know_their_elements(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    struct gguf_array words, numbers, nothing;
    assert_int_equal(gguf_get_array(file, "words", GGUF_STRING, &words), TERN_OK);
    assert_int_equal(words.count, 3);
    assert_true(gguf_string_equal(words.strings[0], "one"));
    assert_true(gguf_string_equal(words.strings[1], ""));
    assert_true(gguf_string_equal(words.strings[2], "three"));
    assert_false(gguf_string_equal(words.strings[2], "thre"));
    assert_false(gguf_string_equal(words.strings[2], "threE"));
    assert_false(gguf_string_equal(words.strings[2], "threes"));

    assert_int_equal(gguf_get_array(file, "numbers", GGUF_I32, &numbers), TERN_OK);
    assert_int_equal(numbers.count, 2);
    assert_memory_equal(numbers.data, "\x0b\0\0\0\x0c\0\0\0", 8);

    assert_int_equal(gguf_get_array(file, "nothing", GGUF_STRING, &nothing), TERN_OK);
    assert_int_equal(nothing.count, 0);
    gguf_close(file);
    buffer_free(&image);
}

static void tensors_lie_where_they_should(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    const struct tensor *floats = gguf_find_tensor(file, "floats"), *trits = gguf_find_tensor(file, "trits");
    const struct tensor *codes = gguf_find_tensor(file, "codes");
    assert_int_equal(floats->type, DTYPE_F32);
    assert_int_equal(floats->n_dims, 2);
    assert_int_equal(floats->dims[0], 8);
    assert_int_equal(floats->dims[2], 1);
    assert_int_equal(floats->rows, 2);
    assert_int_equal(floats->row_bytes, 32);
    assert_int_equal(floats->bytes, 64);
    assert_int_equal(floats->data[0], 1);
    assert_int_equal(trits->type, DTYPE_PTQ1_0);
    assert_int_equal(trits->bytes, 56);
    assert_int_equal(trits->data[0], 2);
    assert_int_equal(codes->data[0], 3);
    assert_ptr_equal(codes->data + codes->bytes, image.data + image.length);
    assert_null(gguf_find_tensor(file, "float"));
    gguf_close(file);
    buffer_free(&image);
}

static void tensors_may_lie_in_any_order(void **state)
{
    (void)state;
    struct buffer image = {0};
    image_begin(&image, 3, 2, 0);
    image_tensor(&image, "behind", 0, 4, 1, 32);
    image_tensor(&image, "before", 0, 4, 1, 0);
    image_align(&image, 32);
    image_fill(&image, 32, 1);
    image_fill(&image, 16, 2);
    struct gguf_file *file = open_image(&image);
    assert_string_equal(file->tensors[0].name, "behind");
    assert_int_equal(file->tensors[0].data[0], 2);
    assert_int_equal(file->tensors[1].data[0], 1);
    gguf_close(file);
    buffer_free(&image);
}

// Giving back whole pages of anonymous memory would clear them.
static void an_image_in_memory_is_not_released(void **state)
{
    (void)state;
    enum { FLOATS = 1 << 15, PAGES = 1 << 18 };
    struct buffer image = {0};
    image_begin(&image, 3, 1, 0);
    image_tensor(&image, "t", 0, FLOATS, 1, 0);
    image_align(&image, 32);
    image_fill(&image, FLOATS * 4, 7);
    uint8_t *pages = aligned_alloc(1 << 16, PAGES);
    struct gguf_file *file;
    assert_non_null(pages);
    memcpy(pages, image.data, image.length);
    assert_int_equal(gguf_open_memory(pages, image.length, "m.gguf", &file), TERN_OK);
    gguf_release_tensor(file, &file->tensors[0]);
    assert_int_equal(file->tensors[0].data[FLOATS * 2], 7);
    gguf_close(file);
    free(pages);
    buffer_free(&image);
}

static void integers_of_any_width_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
    } expected[] = {{"u8", 250}, {"u16", 65000}, {"u32", 4000000000}, {"i32", 70000}, {"i64", 7}, {"absent", 99}};
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint32_t value = 99;
        assert_int_equal(gguf_get_u32(file, expected[i].key, &value), TERN_OK);
        assert_int_equal(value, expected[i].value);
    }
    gguf_close(file);
    buffer_free(&image);
}

static void floats_booleans_and_strings_are_taken(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    float number = 0;
    bool flag = false;
    struct gguf_string name = {"default", 7};
    assert_int_equal(gguf_get_string(file, "absent", &name), TERN_OK);
    assert_true(gguf_string_equal(name, "default"));
    assert_int_equal(gguf_get_string(file, "general.architecture", &name), TERN_OK);
    assert_true(gguf_string_equal(name, "sample"));
    assert_int_equal(gguf_get_f32(file, "f32", &number), TERN_OK);
    assert_true(number == 1.5F);
    assert_int_equal(gguf_get_f32(file, "f64", &number), TERN_OK);
    assert_true(number == -0.5F);
    assert_int_equal(gguf_get_bool(file, "bool", &flag), TERN_OK);
    assert_true(flag);
    gguf_close(file);
    buffer_free(&image);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    struct buffer image = {0};
    struct gguf_file *file = open_sample(&image);
    uint32_t u;
    float f;
    bool flag;
    struct gguf_string string;
    struct gguf_array array;
    assert_int_equal(gguf_get_u32(file, "bool", &u), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key bool: is of type BOOL, expected an integer");
    assert_int_equal(gguf_get_u32(file, "i8", &u), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key i8: is -5, expected 0 to 4294967295");
    assert_int_equal(gguf_get_u32(file, "u64", &u), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key u64: is 1099511627776, expected 0 to 4294967295");
    assert_int_equal(gguf_get_f32(file, "u8", &f), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key u8: is of type U8, expected F32");
    assert_int_equal(gguf_get_bool(file, "u8", &flag), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key u8: is of type U8, expected BOOL");
    assert_int_equal(gguf_get_string(file, "words", &string), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key words: is of type ARRAY, expected STRING");
    assert_int_equal(gguf_get_array(file, "f32", GGUF_F32, &array), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key f32: is of type F32, expected ARRAY");
    assert_int_equal(gguf_get_array(file, "numbers", GGUF_STRING, &array), TERN_BAD_FILE);
    assert_string_equal(status_message(), "m.gguf: key numbers: is an array of I32, expected an array of STRING");
    gguf_close(file);
    buffer_free(&image);
}

static void floats_must_be_finite(void **state)
{
    (void)state;
    static const uint64_t bits[] = {0x7ff8000000000000, 0xfff0000000000000, 0x7fe0000000000000};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        struct buffer image = {0};
        float f = 3;
        image_begin(&image, 3, 0, 1);
        image_key_number(&image, "f", GGUF_F64, bits[i], 8);
        struct gguf_file *file = open_image(&image);
        assert_int_equal(gguf_get_f32(file, "f", &f), TERN_BAD_FILE);
        assert_non_null(strstr(status_message(), "m.gguf: key f: is "));
        assert_non_null(strstr(status_message(), ", expected a finite number within a float's range"));
        assert_true(f == 3);
        gguf_close(file);
        buffer_free(&image);
    }
}

// ---- Type 42 ----------------------------------------------------------------------------------------------------

// Tensors of type 42 with the given columns, each `spans` bytes behind the one before; the last one's span ends the
// file.
static void build_type_42(struct buffer *image, size_t n, const uint64_t *columns, const uint64_t *spans)
{
    uint64_t offset = 0;
    image_begin(image, 3, n, 0);
    for (size_t i = 0; i < n; i++) {
        char name[2] = {(char)('a' + i), 0};
        image_tensor(image, name, 42, columns[i], 1, offset);
        offset += spans[i];
    }
    image_align(image, 32);
    image_fill(image, offset, 0);
}

static void assert_layout(size_t n, const uint64_t *columns, const uint64_t *spans, enum dtype expected)
{
    struct buffer image = {0};
    build_type_42(&image, n, columns, spans);
    struct gguf_file *file = open_image(&image);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(file->tensors[i].type, expected);
    gguf_close(file);
    buffer_free(&image);
}

static void assert_no_layout(size_t n, const uint64_t *columns, const uint64_t *spans, const char *message)
{
    struct buffer image = {0};
    build_type_42(&image, n, columns, spans);
    assert_refused(&image, TERN_BAD_FILE, message);
    buffer_free(&image);
}

static void type_42_is_told_by_the_spans(void **state)
{
    (void)state;
    // 4096 weights: 64 blocks of 18 bytes or 32 of 34, both multiples of 32.
    assert_layout(2, (uint64_t[]){4096, 4096}, (uint64_t[]){1152, 1152}, DTYPE_Q2_0_G64);
    assert_layout(2, (uint64_t[]){4096, 4096}, (uint64_t[]){1088, 1088}, DTYPE_Q2_0_G128);
    // The first says nothing (36 and 34 bytes both take 64), the second decides.
    assert_layout(2, (uint64_t[]){128, 4096}, (uint64_t[]){64, 1088}, DTYPE_Q2_0_G128);
    // A row of 64 or 192 weights has no blocks of 128.
    assert_layout(1, (uint64_t[]){192}, (uint64_t[]){64}, DTYPE_Q2_0_G64);
}

static void the_last_tensor_may_go_unpadded(void **state)
{
    (void)state;
    assert_layout(1, (uint64_t[]){128}, (uint64_t[]){34}, DTYPE_Q2_0_G128);
    assert_layout(1, (uint64_t[]){128}, (uint64_t[]){36}, DTYPE_Q2_0_G64);
    assert_layout(1, (uint64_t[]){512}, (uint64_t[]){144}, DTYPE_Q2_0_G64);
}

static void type_42_is_never_guessed(void **state)
{
    (void)state;
    assert_no_layout(
        1, (uint64_t[]){128}, (uint64_t[]){64},
        "m.gguf: tensor a: type 42 fits with 64-weight blocks and with 128-weight blocks, here and in all 1 "
        "tensors of that type; expected a file that only one of them fits");
    assert_no_layout(2, (uint64_t[]){128, 4096}, (uint64_t[]){64, 1120},
                     "m.gguf: tensor b: type 42 needs 1152 bytes with 64-weight blocks or 1088 with 128-weight blocks, "
                     "the file leaves 1120");
    assert_no_layout(2, (uint64_t[]){4096, 4096}, (uint64_t[]){1152, 1088},
                     "m.gguf: tensor b: type 42 with 64-weight blocks needs 1152 bytes, the file leaves 1088; "
                     "128-weight blocks do not fit tensor a");
    assert_no_layout(2, (uint64_t[]){4096, 4096}, (uint64_t[]){1088, 1152},
                     "m.gguf: tensor b: type 42 with 128-weight blocks needs 1088 bytes, the file leaves 1152; "
                     "64-weight blocks do not fit tensor a");
    assert_no_layout(1, (uint64_t[]){192}, (uint64_t[]){60},
                     "m.gguf: tensor a: type 42 with 64-weight blocks needs 54 bytes, the file leaves 60; "
                     "rows of 192 elements are not whole 128-weight blocks");
    assert_no_layout(2, (uint64_t[]){4096, 192}, (uint64_t[]){1088, 54},
                     "m.gguf: tensor b: type 42 with rows of 192 elements, not whole 128-weight blocks; "
                     "64-weight blocks do not fit tensor a");
}

// ---- Split files ------------------------------------------------------------------------------------------------

static char folder[] = P_tmpdir "/tern-gguf-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void part_path(char out[256], int part, int count)
{
    snprintf(out, 256, "%s/m-%05d-of-%05d.gguf", folder, part, count);
}

// Part `part` (from 1) that says it is number `no` (from 0) of `count`, with a tensor of four floats.
static void write_part(int part, int no, int count, const char *tensor)
{
    struct buffer image = {0};
    char path[256];
    image_begin(&image, 3, 1, 2);
    image_key_number(&image, "split.no", GGUF_U16, (uint64_t)no, 2);
    image_key_number(&image, "split.count", GGUF_U16, (uint64_t)count, 2);
    image_tensor(&image, tensor, 0, 4, 1, 0);
    image_align(&image, 32);
    image_fill(&image, 16, (uint8_t)part);
    part_path(path, part, 2);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(image.data, 1, image.length, out), image.length);
    fclose(out);
    buffer_free(&image);
}

static void remove_parts(void)
{
    for (int part = 1; part <= 2; part++) {
        char path[256];
        part_path(path, part, 2);
        unlink(path);
    }
}

static void split_files_are_one(void **state)
{
    (void)state;
    char path[256];
    struct gguf_file *file;
    write_part(1, 0, 2, "first");
    write_part(2, 1, 2, "second");
    part_path(path, 1, 2);
    assert_int_equal(gguf_open(path, &file), TERN_OK);
    assert_int_equal(file->n_parts, 2);
    assert_int_equal(file->n_tensors, 2);
    assert_int_equal(gguf_find_tensor(file, "first")->data[0], 1);
    assert_int_equal(gguf_find_tensor(file, "second")->data[0], 2);
    assert_int_equal(file->file_bytes, file->parts[0].size + file->parts[1].size);
    assert_int_equal(gguf_bytes_on_disk(path), file->file_bytes);
    gguf_release_tensor(file, gguf_find_tensor(file, "second"));
    assert_int_equal(gguf_find_tensor(file, "second")->data[0], 2);
    gguf_close(file);
    remove_parts();
}

static void size_is_told_before_opening(void **state)
{
    (void)state;
    char path[256], renamed[256];
    write_part(1, 0, 2, "first");
    part_path(path, 1, 2);
    uint64_t one = gguf_bytes_on_disk(path);
    assert_true(one > 16 && one < 4096);
    write_part(2, 1, 2, "second");
    uint64_t two = gguf_bytes_on_disk(path);
    assert_true(two > one);
    part_path(path, 2, 2);
    assert_int_equal(gguf_bytes_on_disk(path), two - one);
    part_path(path, 1, 2);
    static const char *const names[] = {"m-00001-of-00000.gguf", "m-00001-of-99999.gguf", "m-00001-of-+0002.gguf", "m"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(renamed, sizeof renamed, "%s/%s", folder, names[i]);
        assert_int_equal(rename(path, renamed), 0);
        assert_int_equal(gguf_bytes_on_disk(renamed), one);
        assert_int_equal(rename(renamed, path), 0);
    }
    remove_parts();
    assert_int_equal(gguf_bytes_on_disk(path), 0);
}

// Every @ of `message` stands for the folder.
static void assert_path_refused(int part, tern_status expected, const char *message)
{
    char path[256];
    struct buffer full = {0};
    struct gguf_file *file = NULL;
    for (const char *c = message; *c; c++)
        assert_int_equal(*c == '@' ? buffer_append_string(&full, folder) : buffer_append(&full, c, 1), TERN_OK);
    part_path(path, part, 2);
    assert_int_equal(gguf_open(path, &file), expected);
    assert_null(file);
    assert_string_equal(status_message(), full.data);
    buffer_free(&full);
    remove_parts();
}

static void a_missing_part_is_named(void **state)
{
    (void)state;
    write_part(1, 0, 2, "first");
    assert_path_refused(1, TERN_IO, "@/m-00002-of-00002.gguf: No such file or directory");
}

static void only_the_first_part_is_opened(void **state)
{
    (void)state;
    write_part(2, 1, 2, "second");
    assert_path_refused(2, TERN_BAD_FILE,
                        "@/m-00002-of-00002.gguf: one of 2 parts of a split model, expected the first one, "
                        "@/m-00001-of-00002.gguf");
}

static void a_renamed_part_is_refused(void **state)
{
    (void)state;
    struct gguf_file *file = NULL;
    char path[256], renamed[256], message[1024];
    write_part(1, 0, 2, "first");
    part_path(path, 1, 2);
    snprintf(renamed, sizeof renamed, "%s/short.gguf", folder);
    assert_int_equal(rename(path, renamed), 0);
    snprintf(message, sizeof message, "%s: one of 2 parts of a split model, expected the first one, NAME%s", renamed,
             "-00001-of-00002.gguf");
    assert_int_equal(gguf_open(renamed, &file), TERN_BAD_FILE);
    assert_string_equal(status_message(), message);
    unlink(renamed);
}

static void parts_must_be_numbered_as_named(void **state)
{
    (void)state;
    write_part(1, 0, 2, "first");
    write_part(2, 0, 2, "second");
    assert_path_refused(1, TERN_BAD_FILE,
                        "@/m-00002-of-00002.gguf: keys split.no and split.count do not say that this is part 2 of 2");
}

static void tensor_names_are_unique_over_all_parts(void **state)
{
    (void)state;
    write_part(1, 0, 2, "same");
    write_part(2, 1, 2, "same");
    assert_path_refused(1, TERN_BAD_FILE, "@/m-00001-of-00002.gguf: tensor same: appears twice");
}

static void a_split_image_has_no_other_parts(void **state)
{
    (void)state;
    struct buffer image = {0};
    image_begin(&image, 3, 0, 1);
    image_key_number(&image, "split.count", GGUF_U16, 2, 2);
    assert_refused(&image, TERN_BAD_FILE, "m.gguf: key split.count is 2, expected a whole file");
    buffer_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_its_pairs_and_tensors),
        cmocka_unit_test(version_2_is_read_too),
        cmocka_unit_test(values_keep_type_and_sign),
        cmocka_unit_test(arrays_know_their_elements),
        cmocka_unit_test(tensors_lie_where_they_should),
        cmocka_unit_test(tensors_may_lie_in_any_order),
        cmocka_unit_test(an_image_in_memory_is_not_released),
        cmocka_unit_test(integers_of_any_width_are_taken),
        cmocka_unit_test(floats_booleans_and_strings_are_taken),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(floats_must_be_finite),
        cmocka_unit_test(type_42_is_told_by_the_spans),
        cmocka_unit_test(the_last_tensor_may_go_unpadded),
        cmocka_unit_test(type_42_is_never_guessed),
        cmocka_unit_test(split_files_are_one),
        cmocka_unit_test(size_is_told_before_opening),
        cmocka_unit_test(a_missing_part_is_named),
        cmocka_unit_test(only_the_first_part_is_opened),
        cmocka_unit_test(a_renamed_part_is_refused),
        cmocka_unit_test(parts_must_be_numbered_as_named),
        cmocka_unit_test(tensor_names_are_unique_over_all_parts),
        cmocka_unit_test(a_split_image_has_no_other_parts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
