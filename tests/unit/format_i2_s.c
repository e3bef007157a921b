// The orders of I2_S: known bytes, and whole files.
#include "format/i2_s.h"

#include "../support/gguf_image.h"
#include "format/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

// quantize_i2_s of bitnet.cpp: element j of a block of `block` goes into byte j mod (block / 4) of it, by
// code << (6 - 2 * (j / (block / 4))).
static void pack_as_bitnet(const uint8_t *codes, int block, uint8_t *out)
{
    int run = block / 4;
    memset(out, 0, 32);
    for (int i = 0; i < 128; i++) {
        int j = i % block;
        out[i / block * run + j % run] |= (uint8_t)(codes[i] << (6 - 2 * (j / run)));
    }
}

static void make_codes(unsigned seed, uint8_t *codes)
{
    for (int i = 0; i < 128; i++)
        codes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16) % 3;
}

static void every_order_becomes_that_of_x86(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 100; seed++) {
        uint8_t codes[128], other[32], x86[32], found[32];
        make_codes(seed, codes);
        pack_as_bitnet(codes, 64, other);
        pack_as_bitnet(codes, 128, x86);
        i2_s_reorder_block(I2_S_ARM, other, found);
        assert_memory_equal(found, x86, sizeof x86);
        for (int i = 0; i < 32; i++)
            other[i] = (uint8_t)(codes[4 * i] | codes[4 * i + 1] << 2 | codes[4 * i + 2] << 4 | codes[4 * i + 3] << 6);
        i2_s_reorder_block(I2_S_SEQUENTIAL, other, found);
        assert_memory_equal(found, x86, sizeof x86);
        i2_s_reorder_block(I2_S_X86, x86, found);
        assert_memory_equal(found, x86, sizeof x86);
    }
}

// A file with one I2_S tensor of two rows, packed on ARM, and one F32 tensor beside it.
static void image_arm(struct buffer *image, const uint8_t *codes)
{
    uint8_t packed[32];
    image_begin(image, 3, 2, 0);
    image_tensor(image, "trits", 36, 128, 2, 0);
    image_tensor(image, "floats", 0, 8, 1, 96);
    image_align(image, 32);
    for (int row = 0; row < 2; row++) {
        pack_as_bitnet(codes + 128 * row, 64, packed);
        image_bytes(image, packed, sizeof packed);
    }
    image_u32(image, 0x3f000000); // scale 0.5
    image_fill(image, 28, 0);
    image_fill(image, 32, 1);
}

static void a_file_of_arm_has_its_weights_after(void **state)
{
    (void)state;
    uint8_t codes[256];
    make_codes(1, codes);
    make_codes(2, codes + 128);
    struct buffer image = {0};
    image_arm(&image, codes);
    struct gguf_file *file;
    if (gguf_open_memory((const uint8_t *)image.data, image.length, "m.gguf", &file) != TERN_OK)
        fail_msg("%s", status_message());
    const struct tensor *floats = gguf_find_tensor(file, "floats");
    const uint8_t *before = floats->data;

    for (int time = 0; time < 2; time++) { // the second time changes nothing
        assert_int_equal(i2_s_reorder(file, I2_S_ARM), TERN_OK);
        for (int row = 0; row < 2; row++) {
            float values[128];
            codec_unpack_row(gguf_find_tensor(file, "trits"), (uint64_t)row, values);
            for (int i = 0; i < 128; i++)
                assert_true(values[i] == 0.5F * (float)(codes[128 * row + i] - 1));
        }
    }
    assert_ptr_equal(floats->data, before);
    gguf_release_tensor(file, gguf_find_tensor(file, "trits"));
    gguf_close(file);
    buffer_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_becomes_that_of_x86),
        cmocka_unit_test(a_file_of_arm_has_its_weights_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
