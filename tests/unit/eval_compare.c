// The same weights in every type that can hold them are equal; one that is not is found.
// Labels: threads
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/half.h"
#include "eval/compare.h"
#include "format/codec.h"

#include "../support/gguf_image.h"

enum { ROWS = 3, COLUMNS = 8448, GROUP = 256, THREADS = 2 }; // more than two pieces of a row

// Weights {-s, 0, +s} with a scale for each 256 of a row.
struct weights {
    uint8_t codes[ROWS][COLUMNS];
    uint16_t scales[ROWS][COLUMNS / GROUP];
};

static struct weights known_weights(bool one_scale)
{
    static struct weights w;
    uint32_t random = 7;
    for (unsigned r = 0; r < ROWS; r++)
        for (unsigned c = 0; c < COLUMNS; c++) {
            random = random * 1664525 + 1013904223;
            w.codes[r][c] = (uint8_t)((random >> 16) % 3);
            w.scales[r][c / GROUP] = half_from_float(one_scale ? 0.5f : 0.01f * (float)(1 + c / GROUP + 5 * r));
        }
    return w;
}

static void append_dense(struct buffer *out, enum dtype type, float value)
{
    if (type == DTYPE_F16)
        image_number(out, half_from_float(value), 2);
    else
        image_number(out, half_to_bits32(value), 4);
}

static void append_row(struct buffer *out, enum dtype type, const uint8_t *codes, const uint16_t *scales)
{
    const struct dtype_info *info = dtype_info(type);
    uint8_t block[128];
    for (unsigned c = 0; c < COLUMNS; c += info->block_elements) {
        uint16_t scale = scales[c / GROUP];
        if (info->kind == DTYPE_DENSE) {
            append_dense(out, type, half_to_float(scale) * (float)(codes[c] - 1));
            continue;
        }
        codec_pack_trits(type, codes + c, scale, block);
        image_bytes(out, block, info->block_bytes);
    }
}

static struct gguf_file *open_image(const struct buffer *image, const char *name)
{
    struct gguf_file *file;
    if (gguf_open_memory((const uint8_t *)image->data, image->length, name, &file) != TERN_OK)
        fail_msg("%s", status_message());
    return file;
}

// A file with one matrix "w".
static struct gguf_file *make_file(struct buffer *image, enum dtype type, const struct weights *w)
{
    image_begin(image, 3, 1, 0);
    image_tensor(image, "w", dtype_info(type)->gguf_id, COLUMNS, ROWS, 0);
    image_align(image, 32);
    for (unsigned r = 0; r < ROWS; r++)
        append_row(image, type, w->codes[r], w->scales[r]);
    if (type == DTYPE_I2_S) image_number(image, half_to_bits32(half_to_float(w->scales[0][0])), 4);
    if (type == DTYPE_I2_S) image_fill(image, 28, 0);
    return open_image(image, dtype_info(type)->name);
}

static struct comparison compare(const struct gguf_file *a, const struct gguf_file *b)
{
    struct comparison c;
    assert_int_equal(compare_weights(a, b, THREADS, NULL, NULL, &c), TERN_OK);
    return c;
}

// ---- Equal --------------------------------------------------------------------------------------------------------

static const enum dtype TYPES[] = {DTYPE_PQ2_0, DTYPE_PTQ1_0, DTYPE_Q2_0_G64, DTYPE_TQ1_0,
                                   DTYPE_TQ2_0, DTYPE_F16,    DTYPE_F32,      DTYPE_I2_S};

enum { N_TYPES = sizeof TYPES / sizeof *TYPES };

static void compare_types(enum dtype type_a, enum dtype type_b, const struct weights *a, const struct weights *b,
                          void (*check)(const struct comparison *c))
{
    struct buffer image_a = {0}, image_b = {0};
    struct gguf_file *file_a = make_file(&image_a, type_a, a), *file_b = make_file(&image_b, type_b, b);
    struct comparison c = compare(file_a, file_b);
    check(&c);
    comparison_free(&c);
    gguf_close(file_a);
    gguf_close(file_b);
    buffer_free(&image_a);
    buffer_free(&image_b);
}

static void check_equal(const struct comparison *c)
{
    const struct compared_tensor *t = &c->tensors[0];
    if (!comparison_is_equal(c))
        fail_msg("%s and %s: row %d column %d: %g and %g", dtype_info(t->a->type)->name, dtype_info(t->b->type)->name,
                 (int)t->row, (int)t->column, (double)t->value_a, (double)t->value_b);
    assert_int_equal(c->weights, ROWS * COLUMNS);
    assert_int_equal(c->counts[COMPARE_EQUAL], 1);
}

static void every_pair_of_types_is_equal(void **state)
{
    (void)state;
    struct weights w = known_weights(true);
    for (int i = 0; i < N_TYPES; i++)
        for (int j = 0; j < N_TYPES; j++)
            compare_types(TYPES[i], TYPES[j], &w, &w, check_equal);
}

static void scales_of_each_group_are_compared(void **state)
{
    (void)state;
    struct weights w = known_weights(false);
    for (int i = 0; i < N_TYPES - 1; i++) // I2_S has one scale only
        compare_types(TYPES[i], DTYPE_PTQ1_0, &w, &w, check_equal);
}

static void signs_may_stand_in_scales(void **state)
{
    (void)state;
    struct weights w = known_weights(false), turned = w;
    for (unsigned c = 0; c < GROUP; c++)
        turned.codes[1][c] = (uint8_t)(2 - w.codes[1][c]);
    turned.scales[1][0] |= 0x8000;
    compare_types(DTYPE_PQ2_0, DTYPE_PTQ1_0, &w, &turned, check_equal);
    compare_types(DTYPE_PQ2_0, DTYPE_F32, &turned, &w, check_equal); // -0 is 0
}

static void no_number_equals_no_number(void **state)
{
    (void)state;
    struct weights w = known_weights(false);
    struct weights other = w;
    w.scales[0][0] = 0x7e00;
    other.scales[0][0] = 0x7e01; // another that is none
    compare_types(DTYPE_PQ2_0, DTYPE_PTQ1_0, &w, &w, check_equal);
    compare_types(DTYPE_PQ2_0, DTYPE_F16, &w, &other, check_equal);
}

// ---- Different ----------------------------------------------------------------------------------------------------

static const unsigned ROW = 1, COLUMN = 4100, LATER = 8000;

static void check_found(const struct comparison *c)
{
    const struct compared_tensor *t = comparison_first(c);
    assert_non_null(t);
    assert_string_equal(compared_name(t), "w");
    assert_int_equal(t->state, COMPARE_DIFFERENT);
    assert_int_equal(t->row, ROW);
    assert_int_equal(t->column, COLUMN);
    assert_int_equal(t->different, 2);
    assert_int_equal(c->different, 2);
    float scale = half_to_float(half_from_float(0.01f * (float)(1 + COLUMN / GROUP + 5 * ROW)));
    assert_true(t->value_a == -scale && t->value_b == scale);
    float later = half_to_float(half_from_float(0.01f * (float)(1 + LATER / GROUP + 5 * ROW)));
    assert_true(t->largest == 2 * (double)later);
}

static void the_first_difference_is_named(void **state)
{
    (void)state;
    struct weights a = known_weights(false), b = a;
    a.codes[ROW][COLUMN] = a.codes[ROW][LATER] = 0;
    b.codes[ROW][COLUMN] = b.codes[ROW][LATER] = 2;
    for (int i = 0; i < N_TYPES - 1; i++)
        for (int j = 0; j < N_TYPES - 1; j++)
            compare_types(TYPES[i], TYPES[j], &a, &b, check_found);
}

static void check_all_of_a_group(const struct comparison *c)
{
    const struct compared_tensor *t = comparison_first(c);
    assert_non_null(t);
    assert_int_equal(t->row, 2);
    assert_int_equal(t->column / GROUP, 3);
    assert_true(t->different > GROUP / 2 && t->different <= GROUP);
}

static void another_scale_is_found(void **state)
{
    (void)state;
    struct weights a = known_weights(false), b = a;
    b.scales[2][3] ^= 1;
    compare_types(DTYPE_PQ2_0, DTYPE_PQ2_0, &a, &b, check_all_of_a_group);
    compare_types(DTYPE_PQ2_0, DTYPE_TQ2_0, &a, &b, check_all_of_a_group);
}

static void check_everywhere(const struct comparison *c)
{
    assert_true(c->different > ROWS * COLUMNS / 2);
}

static void another_tensor_scale_is_found(void **state)
{
    (void)state;
    struct weights a = known_weights(true), b = a;
    b.scales[0][0] ^= 1;
    compare_types(DTYPE_I2_S, DTYPE_I2_S, &a, &b, check_everywhere);
}

static void check_no_number(const struct comparison *c)
{
    const struct compared_tensor *t = comparison_first(c);
    assert_non_null(t);
    assert_int_equal(t->different, GROUP);
    assert_true(isnan(t->largest));
}

static void no_number_is_the_largest_difference(void **state)
{
    (void)state;
    struct weights a = known_weights(false), b = a;
    b.scales[0][0] = 0x7e00;
    compare_types(DTYPE_PQ2_0, DTYPE_TQ1_0, &a, &b, check_no_number);
}

// All numbers that 16 bits can be, beside the same in 32 bits.
static void every_half_is_its_float(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F16, DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        struct buffer image = {0}, wide = {0};
        image_begin(&image, 3, 1, 0);
        image_tensor(&image, "w", dtype_info(types[i])->gguf_id, 256, 256, 0);
        image_align(&image, 32);
        image_begin(&wide, 3, 1, 0);
        image_tensor(&wide, "w", 0, 256, 256, 0);
        image_align(&wide, 32);
        for (uint32_t h = 0; h < 65536; h++) {
            image_number(&image, h, 2);
            float value = types[i] == DTYPE_F16 ? half_to_float((uint16_t)h) : bfloat16_to_float((uint16_t)h);
            image_number(&wide, half_to_bits32(value), 4);
        }
        struct gguf_file *a = open_image(&image, "16 bits"), *b = open_image(&wide, "32 bits");
        struct comparison c = compare(a, b);
        assert_true(comparison_is_equal(&c));
        comparison_free(&c);
        gguf_close(a);
        gguf_close(b);
        buffer_free(&image);
        buffer_free(&wide);
    }
}

// Two million weights are several tasks.
static void the_first_of_many_tasks_is_named(void **state)
{
    (void)state;
    enum { LONG_ROWS = 2048, LONG_COLUMNS = 1024, FIRST = 100, LAST = 2000 };
    struct buffer image_a = {0}, image_b = {0};
    image_begin(&image_a, 3, 1, 0);
    image_tensor(&image_a, "w", dtype_info(DTYPE_F16)->gguf_id, LONG_COLUMNS, LONG_ROWS, 0);
    image_align(&image_a, 32);
    size_t start = image_a.length;
    image_fill(&image_a, 2 * LONG_ROWS * LONG_COLUMNS, 0);
    image_bytes(&image_b, image_a.data, image_a.length);
    image_b.data[start + 2 * (FIRST * LONG_COLUMNS + 5)] = 1;
    image_b.data[start + 2 * (LAST * LONG_COLUMNS + 7) + 1] = 0x3c;
    struct gguf_file *a = open_image(&image_a, "a"), *b = open_image(&image_b, "b");
    struct comparison c = compare(a, b);
    const struct compared_tensor *t = &c.tensors[0];
    assert_true(t->row == FIRST && t->column == 5 && t->different == 2 && t->largest == 1);
    assert_true(t->value_a == 0 && t->value_b == 0x1p-24f);
    comparison_free(&c);
    gguf_close(a);
    gguf_close(b);
    buffer_free(&image_a);
    buffer_free(&image_b);
}

// ---- Lists of tensors ---------------------------------------------------------------------------------------------

struct entry {
    const char *name;
    uint64_t columns, rows;
};

static struct gguf_file *make_list(struct buffer *image, const struct entry *entries, unsigned n)
{
    image_begin(image, 3, n, 0);
    for (unsigned i = 0; i < n; i++)
        image_tensor(image, entries[i].name, 0, entries[i].columns, entries[i].rows, 64 * i);
    image_align(image, 32);
    image_fill(image, 64 * n, 1);
    return open_image(image, "list");
}

static void tensors_are_paired_by_name(void **state)
{
    (void)state;
    static const struct entry a[] = {{"one", 4, 2}, {"two", 8, 2}, {"three", 4, 4}},
                              b[] = {{"four", 2, 2}, {"three", 8, 2}, {"one", 4, 2}};
    struct buffer image_a = {0}, image_b = {0};
    struct gguf_file *file_a = make_list(&image_a, a, 3), *file_b = make_list(&image_b, b, 3);
    struct comparison c = compare(file_a, file_b);
    assert_int_equal(c.n_tensors, 4);
    static const enum compare_state expected[] = {COMPARE_EQUAL, COMPARE_ONLY_A, COMPARE_MISSHAPEN, COMPARE_ONLY_B};
    for (int i = 0; i < 4; i++)
        assert_int_equal(c.tensors[i].state, expected[i]);
    assert_string_equal(compared_name(comparison_first(&c)), "two");
    assert_string_equal(compared_name(&c.tensors[3]), "four");
    comparison_free(&c);
    gguf_close(file_a);
    gguf_close(file_b);
    buffer_free(&image_a);
    buffer_free(&image_b);
}

static bool refuse(void *context, float fraction)
{
    *(float *)context = fraction;
    return false;
}

static void it_can_be_cancelled(void **state)
{
    (void)state;
    struct weights w = known_weights(false);
    struct buffer image = {0};
    struct gguf_file *file = make_file(&image, DTYPE_PQ2_0, &w);
    struct comparison c;
    float fraction = 0;
    assert_int_equal(compare_weights(file, file, 1, refuse, &fraction, &c), TERN_CANCELLED);
    assert_true(fraction > 0 && fraction <= 1);
    gguf_close(file);
    buffer_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_types_is_equal),  cmocka_unit_test(scales_of_each_group_are_compared),
        cmocka_unit_test(signs_may_stand_in_scales),     cmocka_unit_test(no_number_equals_no_number),
        cmocka_unit_test(every_half_is_its_float),       cmocka_unit_test(the_first_of_many_tasks_is_named),
        cmocka_unit_test(the_first_difference_is_named), cmocka_unit_test(another_scale_is_found),
        cmocka_unit_test(another_tensor_scale_is_found), cmocka_unit_test(no_number_is_the_largest_difference),
        cmocka_unit_test(tensors_are_paired_by_name),    cmocka_unit_test(it_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
