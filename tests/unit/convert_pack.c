// Whole files through pack_run(): round trips, refusals, and what is left after failures.
#include "convert/pack.h"

#include "../golden/convert/i2_s_golden.h"
#include "base/half.h"
#include "format/codec.h"
#include "format/gguf.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 96, COLUMNS = 512, WEIGHTS = ROWS * COLUMNS, PATH = 256 };

static char folder[PATH];
static uint64_t seed;

static uint32_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

static const char *in_folder(const char *name)
{
    static char paths[4][PATH * 2];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

// ---- Files ------------------------------------------------------------------------------------------------------

// A file with one matrix of `type`, whose bytes are given, and one vector.
static void write_model_of(const char *architecture, const char *matrix, const char *name, enum dtype type,
                           uint64_t rows, uint64_t columns, const void *data)
{
    static const float vector[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct metadata metadata = {0};
    struct buffer file = {0};
    struct gguf_writer_tensor tensors[2] = {
        {matrix, type, 2, {columns, rows, 1, 1}, 0},
        {"output_norm.weight", DTYPE_F32, 1, {8, 1, 1, 1}, sizeof vector},
    };
    tensors[0].bytes = rows * dtype_row_bytes(type, columns) + dtype_info(type)->tail_bytes;
    assert_int_equal(metadata_add_string(&metadata, "general.architecture", architecture, strlen(architecture)),
                     TERN_OK);
    assert_int_equal(metadata_add_u32(&metadata, "general.file_type", 1), TERN_OK);
    assert_int_equal(metadata_add_f32(&metadata, "llama.rope.freq_base", 1e4f), TERN_OK);
    assert_int_equal(metadata_begin_array(&metadata, "tokenizer.ggml.tokens", GGUF_STRING, 2), TERN_OK);
    assert_int_equal(metadata_element_string(&metadata, "a", 1), TERN_OK);
    assert_int_equal(metadata_element_string(&metadata, "b\0c", 3), TERN_OK);
    assert_int_equal(gguf_writer_header(&metadata, tensors, 2, &file), TERN_OK);
    assert_int_equal(buffer_append(&file, data, (size_t)tensors[0].bytes), TERN_OK);
    assert_int_equal(buffer_append(&file, (char[32]){0}, (size_t)gguf_writer_padding(tensors[0].bytes)), TERN_OK);
    assert_int_equal(buffer_append(&file, vector, sizeof vector), TERN_OK);
    FILE *stream = fopen(in_folder(name), "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(file.data, 1, file.length, stream), file.length);
    assert_int_equal(fclose(stream), 0);
    buffer_free(&file);
    metadata_free(&metadata);
}

static void write_model(const char *name, enum dtype type, uint64_t rows, uint64_t columns, const void *data)
{
    write_model_of("llama", "blk.0.ffn_up.weight", name, type, rows, columns, data);
}

// Halves: trits times a scale for each `group` weights of a row; zeros are left out where `binary`.
static void fill_halves(uint16_t *out, uint64_t group, bool binary)
{
    uint16_t scale = 0;
    for (uint64_t i = 0; i < WEIGHTS; i++) {
        if (i % group == 0) scale = (uint16_t)(0x1000 + next_random() % 0x6000);
        uint32_t trit = next_random() % (binary ? 2 : 3);
        out[i] = trit == 2 ? 0 : (uint16_t)(scale | trit << 15);
    }
}

static void write_halves(const char *name, uint64_t group, bool binary)
{
    uint16_t *halves = malloc(WEIGHTS * sizeof *halves);
    assert_non_null(halves);
    fill_halves(halves, group, binary);
    write_model(name, DTYPE_F16, ROWS, COLUMNS, halves);
    free(halves);
}

static struct pack_options options_for(int type)
{
    return (struct pack_options){.type = type,
                                 .embedding_type = PACK_DEFAULT,
                                 .head_type = PACK_DEFAULT,
                                 .odd_type = PACK_DEFAULT,
                                 .replace = true,
                                 .threads = 2};
}

static tern_status pack(const char *input, const char *output, const struct pack_options *options,
                        struct pack_report *report)
{
    return pack_run(in_folder(input), in_folder(output), options, report);
}

static void pack_lossless(const char *input, const char *output, int type)
{
    struct pack_report report;
    struct pack_options options = options_for(type);
    options.lossless = true;
    if (pack(input, output, &options, &report) != TERN_OK) fail_msg("%s", status_message());
    assert_int_equal(report.n_exact, report.n_matrices);
}

static void assert_same_files(const char *a, const char *b)
{
    struct mapped_file x, y;
    assert_int_equal(mapped_file_open(in_folder(a), &x), TERN_OK);
    assert_int_equal(mapped_file_open(in_folder(b), &y), TERN_OK);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    mapped_file_close(&x);
    mapped_file_close(&y);
}

static bool exists(const char *name)
{
    struct stat info;
    return lstat(in_folder(name), &info) == 0;
}

static enum dtype packed_type(const char *name)
{
    struct gguf_file *file;
    assert_int_equal(gguf_open(in_folder(name), &file), TERN_OK);
    enum dtype type = gguf_find_tensor(file, "blk.0.ffn_up.weight")->type;
    assert_int_equal(gguf_find_tensor(file, "output_norm.weight")->type, DTYPE_F32);
    struct gguf_array tokens;
    assert_int_equal(gguf_get_array(file, "tokenizer.ggml.tokens", GGUF_STRING, &tokens), TERN_OK);
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.strings[1].length, 3);
    gguf_close(file);
    return type;
}

static void assert_says(const char *words)
{
    if (strstr(status_message(), words) == NULL) fail_msg("\"%s\" does not say \"%s\"", status_message(), words);
}

// ---- Round trips ------------------------------------------------------------------------------------------------

// F16 to a packed type and back gives the bytes that were there.
static void check_round_trip(enum dtype type, uint64_t group, bool binary)
{
    write_halves("a.gguf", group, binary);
    pack_lossless("a.gguf", "packed.gguf", (int)type);
    pack_lossless("packed.gguf", "b.gguf", DTYPE_F16);
    pack_lossless("a.gguf", "c.gguf", DTYPE_F16); // the same keys
    assert_same_files("b.gguf", "c.gguf");
}

static void halves_come_back(void **state)
{
    (void)state;
    seed = 1;
    check_round_trip(DTYPE_Q2_0_G64, 64, false);
    check_round_trip(DTYPE_PQ2_0, 128, false);
    check_round_trip(DTYPE_PTQ1_0, 128, false);
    check_round_trip(DTYPE_TQ1_0, 256, false);
    check_round_trip(DTYPE_TQ2_0, 256, false);
    check_round_trip(DTYPE_I2_S, WEIGHTS, false);
    check_round_trip(DTYPE_Q1_0, 128, true);
}

// Every value of a packed file is its, whatever type it goes through on the way.
static void packed_types_turn_into_each_other(void **state)
{
    (void)state;
    seed = 2;
    static const enum dtype ways[] = {DTYPE_PTQ1_0, DTYPE_Q2_0_G64, DTYPE_PQ2_0, DTYPE_TQ1_0,
                                      DTYPE_TQ2_0,  DTYPE_I2_S,     DTYPE_BF16,  DTYPE_F32};
    uint16_t *halves = malloc(WEIGHTS * sizeof *halves);
    assert_non_null(halves);
    fill_halves(halves, WEIGHTS, false);
    for (uint64_t i = 0; i < WEIGHTS; i++) // a scale that BF16 holds too
        if (halves[i] != 0) halves[i] = (uint16_t)(0x3800 | (halves[i] & 0x8000));
    write_model("a.gguf", DTYPE_F16, ROWS, COLUMNS, halves);
    free(halves);
    pack_lossless("a.gguf", "first.gguf", DTYPE_PQ2_0);
    const char *at = "first.gguf";
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *next = i % 2 ? "odd.gguf" : "even.gguf";
        pack_lossless(at, next, (int)ways[i]);
        at = next;
    }
    pack_lossless(at, "last.gguf", DTYPE_PQ2_0);
    assert_same_files("first.gguf", "last.gguf");
}

// A group of zeros has a scale too, and a scale may be negative: trit for trit, both stay.
static void trits_are_copied_not_guessed(void **state)
{
    (void)state;
    seed = 3;
    uint8_t packed[COLUMNS / 128 * 34], codes[128];
    for (int block = 0; block < COLUMNS / 128; block++) {
        for (int i = 0; i < 128; i++)
            codes[i] = block == 1 ? 1 : (uint8_t)(next_random() % 3);
        codec_pack_trits(DTYPE_PQ2_0, codes, block == 2 ? 0xb800 : (uint16_t)(0x3800 + block), packed + block * 34);
    }
    write_model("a.gguf", DTYPE_PQ2_0, 1, COLUMNS, packed);
    pack_lossless("a.gguf", "first.gguf", PACK_KEEP);
    pack_lossless("a.gguf", "b.gguf", DTYPE_PTQ1_0);
    pack_lossless("b.gguf", "last.gguf", DTYPE_PQ2_0);
    struct gguf_file *file;
    assert_int_equal(gguf_open(in_folder("last.gguf"), &file), TERN_OK);
    assert_memory_equal(file->tensors[0].data, packed, sizeof packed);
    gguf_close(file);
}

// Groups of 64 cannot stand in groups of 128, but each pair that agrees can.
static void scales_that_differ_are_refused(void **state)
{
    (void)state;
    seed = 4;
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_PTQ1_0);
    write_halves("a.gguf", 64, false);
    pack_lossless("a.gguf", "g64.gguf", DTYPE_Q2_0_G64);
    assert_int_equal(pack("g64.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("tensor blk.0.ffn_up.weight: row 0, group 0 (columns 0 to 127) has two scales");
    assert_false(exists("out.gguf"));
    options.method_given = true;
    assert_int_equal(pack("g64.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(report.n_exact, 0);
}

static void code_three_needs_two_bits(void **state)
{
    (void)state;
    enum { BLOCKS = 40 };
    uint8_t packed[BLOCKS * 34], codes[128] = {1, 3};
    for (int i = 0; i < BLOCKS; i++)
        codec_pack_trits(DTYPE_PQ2_0, codes, 0x3c00, packed + i * 34);
    write_model("a.gguf", DTYPE_PQ2_0, BLOCKS, 128, packed);
    pack_lossless("a.gguf", "b.gguf", DTYPE_Q2_0_G64);
    pack_lossless("b.gguf", "c.gguf", DTYPE_F16);
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_PTQ1_0);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("holds twice its scale (code 3)");
}

// A file whose only matrix takes 32 bytes more or less with either block size would be read by nobody.
static void block_sizes_can_be_told_apart(void **state)
{
    (void)state;
    struct pack_report report;
    uint16_t halves[16 * 128] = {0x3c00};
    struct pack_options options = options_for(DTYPE_Q2_0_G64);
    write_model("a.gguf", DTYPE_F16, 1, 128, halves);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("give them PQ2_0");
    write_model("a.gguf", DTYPE_F16, 16, 128, halves);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(packed_type("out.gguf"), DTYPE_Q2_0_G64);
}

// ---- bitnet.cpp -------------------------------------------------------------------------------------------------

static void fill_trits(float weights[I2_S_ROWS * I2_S_COLUMNS])
{
    for (int i = 0; i < I2_S_ROWS * I2_S_COLUMNS; i++)
        weights[i] = (float)((i * i * 7 + i * 3 + i / 5) % 3 - 1) * I2_S_SCALE;
}

static void i2_s_has_the_bytes_of_bitnet_cpp(void **state)
{
    (void)state;
    static float weights[I2_S_ROWS * I2_S_COLUMNS];
    struct gguf_file *file;
    fill_trits(weights);
    write_model("a.gguf", DTYPE_F32, I2_S_ROWS, I2_S_COLUMNS, weights);
    pack_lossless("a.gguf", "b.gguf", DTYPE_I2_S);
    assert_int_equal(gguf_open(in_folder("b.gguf"), &file), TERN_OK);
    const struct tensor *t = gguf_find_tensor(file, "blk.0.ffn_up.weight");
    assert_int_equal(t->bytes, sizeof i2_s_of_x86 + 28);
    assert_memory_equal(t->data, i2_s_of_x86, sizeof i2_s_of_x86);
    gguf_close(file);
}

// And its files, packed on either machine, give the trits.
static void i2_s_of_bitnet_cpp_is_read(void **state)
{
    (void)state;
    static const struct {
        enum i2_s_order order;
        const uint8_t *bytes;
    } cases[] = {{I2_S_X86, i2_s_of_x86}, {I2_S_ARM, i2_s_of_arm}};
    static float weights[I2_S_ROWS * I2_S_COLUMNS];
    fill_trits(weights);
    write_model("a.gguf", DTYPE_F32, I2_S_ROWS, I2_S_COLUMNS, weights);
    pack_lossless("a.gguf", "wanted.gguf", DTYPE_F32); // with the keys that tern writes
    for (int i = 0; i < 2; i++) {
        uint8_t image[sizeof i2_s_of_x86 + 28] = {0};
        struct pack_report report;
        struct pack_options options = options_for(DTYPE_F32);
        memcpy(image, cases[i].bytes, sizeof i2_s_of_x86);
        write_model("b.gguf", DTYPE_I2_S, I2_S_ROWS, I2_S_COLUMNS, image);
        options.i2_s_order = cases[i].order;
        assert_int_equal(pack("b.gguf", "c.gguf", &options, &report), TERN_OK);
        assert_same_files("c.gguf", "wanted.gguf");
    }
}

// ---- Lossless ---------------------------------------------------------------------------------------------------

static void lossless_names_the_first_group(void **state)
{
    (void)state;
    seed = 5;
    uint16_t *halves = malloc(WEIGHTS * sizeof *halves);
    assert_non_null(halves);
    fill_halves(halves, 128, false);
    halves[70 * COLUMNS + 300] = 0x3c01; // 1.0009765625, in the second strip
    halves[80 * COLUMNS] = 0x3c01;
    write_model("a.gguf", DTYPE_F16, ROWS, COLUMNS, halves);
    free(halves);
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_PTQ1_0);
    options.lossless = true;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("tensor blk.0.ffn_up.weight: row 70, group 2 (columns 256 to 383) is not exact in PTQ1_0");
    options.lossless = false;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(report.matrices.groups, WEIGHTS / 128);
    assert_int_equal(report.matrices.exact_groups, WEIGHTS / 128 - 2);
}

static void numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    struct pack_report report;
    float row[128] = {0};
    row[5] = (float)(1e300 * 1e300);
    write_model("a.gguf", DTYPE_F32, 1, 128, row);
    struct pack_options options = options_for(DTYPE_Q8_0);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_BAD_FILE);
    assert_says("row 0, column 5 is inf, expected a number");
    row[5] = 1e9f;
    write_model("a.gguf", DTYPE_F32, 1, 128, row);
    static const int types[] = {DTYPE_F16, DTYPE_PTQ1_0, DTYPE_Q1_0, DTYPE_Q8_0};
    for (size_t i = 0; i < 4; i++) {
        options.type = types[i];
        row[6] = 5e8f;
        assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
        assert_says("is beyond the range of");
    }
}

// ---- Types by name ----------------------------------------------------------------------------------------------

static void rules_decide_in_order(void **state)
{
    (void)state;
    struct pack_report report;
    write_halves("a.gguf", 128, false);
    struct pack_options options = options_for(DTYPE_PTQ1_0);
    options.rules[0] = (struct pack_rule){"*attn*", DTYPE_F32};
    options.rules[1] = (struct pack_rule){"blk.?.ffn*weight", DTYPE_Q8_0};
    options.rules[2] = (struct pack_rule){"*up*", DTYPE_F16};
    options.n_rules = 3;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(packed_type("out.gguf"), DTYPE_Q8_0);
    options.rules[1].pattern = "blk.?.ffn"; // not all of the name
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(packed_type("out.gguf"), DTYPE_F16);
    options.rules[1].pattern = "blk.*weight*"; // a star may stand for nothing
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(packed_type("out.gguf"), DTYPE_Q8_0);
}

static void odd_rows_are_refused_or_get_their_type(void **state)
{
    (void)state;
    struct pack_report report;
    uint16_t halves[3 * 96] = {0x3c00};
    write_model("a.gguf", DTYPE_F16, 3, 96, halves);
    struct pack_options options = options_for(DTYPE_Q2_0_G64);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("rows of 96 weights are not whole Q2_0_G64 blocks of 64");
    options.odd_type = DTYPE_BF16;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(packed_type("out.gguf"), DTYPE_BF16);
    options.odd_type = DTYPE_TQ2_0;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("neither of Q2_0_G64 nor of TQ2_0");
}

// The type that a matrix gets in a model of this architecture.
static enum dtype type_of_matrix(const char *architecture, const char *matrix, const struct pack_options *options)
{
    static const uint16_t halves[16 * 128];
    struct pack_report report;
    struct gguf_file *file;
    write_model_of(architecture, matrix, "a.gguf", DTYPE_F16, 16, 128, halves);
    assert_int_equal(pack("a.gguf", "out.gguf", options, &report), TERN_OK);
    assert_int_equal(gguf_open(in_folder("out.gguf"), &file), TERN_OK);
    enum dtype type = gguf_find_tensor(file, matrix)->type;
    gguf_close(file);
    return type;
}

static void embedding_and_head_have_their_types(void **state)
{
    (void)state;
    struct pack_options options = options_for(DTYPE_PQ2_0);
    assert_int_equal(type_of_matrix("llama", "token_embd.weight", &options), DTYPE_PQ2_0);
    assert_int_equal(type_of_matrix("bitnet-b1.58", "token_embd.weight", &options), DTYPE_F16);
    assert_int_equal(type_of_matrix("bitnet-b1.58", "blk.0.attn_q.weight", &options), DTYPE_PQ2_0);
    options.embedding_type = DTYPE_Q8_0;
    assert_int_equal(type_of_matrix("llama", "token_embd.weight", &options), DTYPE_Q8_0);
    assert_int_equal(type_of_matrix("llama", "output.weight", &options), DTYPE_Q8_0);
    options.head_type = PACK_KEEP;
    assert_int_equal(type_of_matrix("llama", "output.weight", &options), DTYPE_F16);
    struct pack_report report;
    write_halves("a.gguf", 128, false);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_INVALID);
    assert_says("the model has no head of its own");
}

// Two matrices of the older Q2_0, with blocks of 128.
static void write_older_q2_0(const char *name)
{
    static const uint8_t codes[ROWS * COLUMNS / 128 * 34];
    struct gguf_writer_tensor tensors[2] = {
        {"token_embd.weight", DTYPE_Q2_0_G128, 2, {COLUMNS, ROWS, 1, 1}, sizeof codes},
        {"blk.0.ffn_up.weight", DTYPE_Q2_0_G128, 2, {COLUMNS, ROWS, 1, 1}, sizeof codes},
    };
    struct metadata metadata = {0};
    struct buffer file = {0};
    assert_int_equal(metadata_add_string(&metadata, "general.architecture", "llama", strlen("llama")), TERN_OK);
    assert_int_equal(gguf_writer_header(&metadata, tensors, 2, &file), TERN_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(buffer_append(&file, codes, sizeof codes), TERN_OK);
        assert_int_equal(buffer_append(&file, (char[32]){0}, (size_t)gguf_writer_padding(sizeof codes)), TERN_OK);
    }
    FILE *stream = fopen(in_folder(name), "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(file.data, 1, file.length, stream), file.length);
    assert_int_equal(fclose(stream), 0);
    buffer_free(&file);
    metadata_free(&metadata);
}

// One number means both in a file: a reader can tell which only if all are alike.
static void two_layouts_of_q2_0_are_refused(void **state)
{
    (void)state;
    struct pack_report report;
    struct gguf_file *file;
    struct pack_options options = options_for(DTYPE_Q2_0_G64);
    write_older_q2_0("a.gguf");
    options.embedding_type = PACK_KEEP;
    assert_int_equal(pack("a.gguf", "mixed.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("tensor token_embd.weight would stay Q2_0 with blocks of 128");
    assert_false(exists("mixed.gguf"));
    options.embedding_type = DTYPE_PQ2_0;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(gguf_open(in_folder("out.gguf"), &file), TERN_OK);
    gguf_close(file);
}

static const float *all_alike(void *context, const char *name, uint64_t columns)
{
    (void)name;
    (void)columns;
    return context;
}

// Importance that rounding would not look at is refused.
static void trained_models_take_no_importance(void **state)
{
    (void)state;
    static const uint16_t halves[16 * 128];
    static float ones[128];
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_PQ2_0);
    for (int i = 0; i < 128; i++)
        ones[i] = 1;
    options.importance = all_alike;
    options.importance_context = ones;
    write_model_of("bitnet-b1.58", "blk.0.attn_q.weight", "a.gguf", DTYPE_F16, 16, 128, halves);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_INVALID);
    assert_says("--calibrate needs --method least-squares or block64");
    options.method_given = true;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
}

static void names_of_types_are_read(void **state)
{
    (void)state;
    int type = -1;
    assert_true(pack_parse_type("ptq1_0", &type));
    assert_int_equal(type, DTYPE_PTQ1_0);
    assert_true(pack_parse_type("Q2_0", &type));
    assert_int_equal(type, DTYPE_Q2_0_G64);
    assert_true(pack_parse_type("keep", &type));
    assert_int_equal(type, PACK_KEEP);
    assert_false(pack_parse_type("Q4_K", &type));
}

// ---- Methods ----------------------------------------------------------------------------------------------------

// What least squares leaves is never more than what the others leave, group by group; so in all.
static void least_squares_errs_least(void **state)
{
    (void)state;
    seed = 6;
    uint16_t *halves = malloc(WEIGHTS * sizeof *halves);
    assert_non_null(halves);
    for (uint64_t i = 0; i < WEIGHTS; i++)
        halves[i] = (uint16_t)(next_random() % 0x4000 | (next_random() & 1) << 15);
    write_model("a.gguf", DTYPE_F16, ROWS, COLUMNS, halves);
    free(halves);
    double errors[4];
    for (int method = TERNARISE_LEAST_SQUARES; method <= TERNARISE_BLOCK64; method++) {
        struct pack_report report;
        struct pack_options options = options_for(DTYPE_Q2_0_G64);
        options.method = (enum ternarise_method)method;
        options.method_given = true;
        assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
        assert_int_equal(report.matrices.merged_groups, 0); // a group of 64 lies in one tile
        errors[method] = report.matrices.error_squared;
    }
    for (int method = TERNARISE_ABSMEAN; method <= TERNARISE_BLOCK64; method++)
        assert_true(errors[method] > errors[TERNARISE_LEAST_SQUARES]);
}

// The first column of each pair counts ten times.
static const float *uneven_importance(void *context, const char *name, uint64_t columns)
{
    static float importance[COLUMNS];
    (void)context;
    (void)name;
    for (uint64_t i = 0; i < columns && i < COLUMNS; i++)
        importance[i] = i % 2 ? 1 : 10;
    return columns == COLUMNS ? importance : NULL;
}

// Sum over weights of importance times squared error of a packed file.
static double weighted_error(const float *weights, const char *packed)
{
    struct gguf_file *file;
    float row[COLUMNS];
    double sum = 0;
    assert_int_equal(gguf_open(in_folder(packed), &file), TERN_OK);
    for (uint64_t r = 0; r < ROWS; r++) {
        codec_unpack_row(gguf_find_tensor(file, "blk.0.ffn_up.weight"), r, row);
        for (uint64_t c = 0; c < COLUMNS; c++) {
            double error = (double)row[c] - (double)weights[r * COLUMNS + c];
            sum += (c % 2 ? 1 : 10) * error * error;
        }
    }
    gguf_close(file);
    return sum;
}

// For its trits, each group's scale is the best: what is left of the weights is orthogonal to the trits, but for the
// rounding of the scale to a half.
static void assert_best_scales(const float *weights, const char *packed, uint64_t group)
{
    struct gguf_file *file;
    float row[COLUMNS];
    assert_int_equal(gguf_open(in_folder(packed), &file), TERN_OK);
    for (uint64_t start = 0; start < WEIGHTS; start += group) {
        double left = 0, all = 0;
        codec_unpack_row(gguf_find_tensor(file, "blk.0.ffn_up.weight"), start / COLUMNS, row);
        for (uint64_t i = start; i < start + group; i++) {
            double value = (double)row[i % COLUMNS], h = i % 2 ? 1 : 10;
            left += h * ((value > 0) - (value < 0)) * ((double)weights[i] - value);
            all += h * (value < 0 ? -value : value);
        }
        assert_true((left < 0 ? -left : left) <= all * 0x1p-11);
    }
    gguf_close(file);
}

static void importance_weighs_errors(void **state)
{
    (void)state;
    seed = 9;
    static float weights[WEIGHTS];
    for (uint64_t i = 0; i < WEIGHTS; i++) // the important ones are smaller
        weights[i] = ((float)next_random() * 0x1p-31f - 0.5f) * (i % 2 ? 2.0f : 1.0f);
    write_model("a.gguf", DTYPE_F32, ROWS, COLUMNS, weights);
    static const struct {
        enum dtype type;
        enum ternarise_method method;
        uint64_t group; // with a scale that is the best for its trits
    } cases[] = {
        {DTYPE_Q2_0_G64, TERNARISE_LEAST_SQUARES, 64}, {DTYPE_TQ2_0, TERNARISE_LEAST_SQUARES, 256},
        {DTYPE_I2_S, TERNARISE_LEAST_SQUARES, 0},      {DTYPE_Q2_0_G64, TERNARISE_BLOCK64, 0},
        {DTYPE_PQ2_0, TERNARISE_BLOCK64, 128},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pack_report report;
        struct pack_options options = options_for((int)cases[i].type);
        options.method = cases[i].method;
        options.method_given = true;
        assert_int_equal(pack("a.gguf", "even.gguf", &options, &report), TERN_OK);
        options.importance = uneven_importance;
        assert_int_equal(pack("a.gguf", "uneven.gguf", &options, &report), TERN_OK);
        assert_true(weighted_error(weights, "uneven.gguf") < 0.98 * weighted_error(weights, "even.gguf"));
        if (cases[i].group > 0) assert_best_scales(weights, "uneven.gguf", cases[i].group);
    }
}

// 64 x 64 tiles with one scale each are exact in groups of 64; in groups of 128 they are merged and counted.
static void tiles_stay_whole_in_groups_of_64(void **state)
{
    (void)state;
    struct pack_report report;
    float *weights = malloc(WEIGHTS * sizeof *weights);
    assert_non_null(weights);
    for (uint64_t r = 0; r < ROWS; r++)
        for (uint64_t c = 0; c < COLUMNS; c++) // two magnitudes a row, so that no group is exact as it is
            weights[r * COLUMNS + c] = (float)(1 + c / 64) * (c % 2 ? -1.0f : 1.0f) * (c % 3 ? 1.0f : 1.25f);
    write_model("a.gguf", DTYPE_F32, ROWS, COLUMNS, weights);
    free(weights);
    struct pack_options options = options_for(DTYPE_Q2_0_G64);
    options.method = TERNARISE_BLOCK64;
    options.method_given = true;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    struct gguf_file *file;
    assert_int_equal(gguf_open(in_folder("out.gguf"), &file), TERN_OK);
    const struct tensor *t = gguf_find_tensor(file, "blk.0.ffn_up.weight");
    for (uint64_t r = 1; r < 64; r++) // all rows of a tile have the same scales
        for (uint64_t b = 0; b < COLUMNS / 64; b++)
            assert_memory_equal(t->data + r * t->row_bytes + b * 18, t->data + b * 18, 2);
    gguf_close(file);
    options.type = DTYPE_PQ2_0;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_OK);
    assert_int_equal(report.matrices.merged_groups, WEIGHTS / 128);
    options.type = DTYPE_I2_S;
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_UNSUPPORTED);
    assert_says("tiles of 64 x 64 have scales of their own");
}

static void threads_do_not_change_the_file(void **state)
{
    (void)state;
    seed = 7;
    struct pack_report report;
    uint16_t *halves = malloc(WEIGHTS * sizeof *halves);
    assert_non_null(halves);
    for (uint64_t i = 0; i < WEIGHTS; i++)
        halves[i] = (uint16_t)(next_random() % 0x4000);
    write_model("a.gguf", DTYPE_F16, ROWS, COLUMNS, halves);
    free(halves);
    struct pack_options options = options_for(DTYPE_I2_S);
    options.threads = 1;
    assert_int_equal(pack("a.gguf", "one.gguf", &options, &report), TERN_OK);
    options.threads = 3;
    assert_int_equal(pack("a.gguf", "three.gguf", &options, &report), TERN_OK);
    assert_same_files("one.gguf", "three.gguf");
}

// ---- Outputs ----------------------------------------------------------------------------------------------------

static void an_existing_file_stays(void **state)
{
    (void)state;
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_F16);
    write_halves("a.gguf", 128, false);
    write_halves("old.gguf", 64, false);
    pack_lossless("old.gguf", "copy.gguf", PACK_KEEP);
    pack_lossless("old.gguf", "copy2.gguf", PACK_KEEP);
    options.replace = false;
    assert_int_equal(pack("a.gguf", "copy.gguf", &options, &report), TERN_INVALID);
    assert_says("exists already");
    assert_same_files("copy.gguf", "copy2.gguf");
    assert_int_equal(pack("a.gguf", "no/such/folder.gguf", &options, &report), TERN_IO);
    mkdir(in_folder("sub"), 0700);
    assert_int_equal(pack("a.gguf", "sub", &options, &report), TERN_INVALID);
    assert_says("is a folder");
    rmdir(in_folder("sub"));
}

static bool give_up(void *context, double fraction)
{
    (void)context;
    return fraction < 0.5;
}

static void giving_up_leaves_nothing(void **state)
{
    (void)state;
    struct pack_report report;
    struct pack_options options = options_for(DTYPE_F32);
    options.progress = give_up;
    write_halves("a.gguf", 128, false);
    assert_int_equal(pack("a.gguf", "out.gguf", &options, &report), TERN_CANCELLED);
    assert_false(exists("out.gguf"));
    assert_false(exists("out.gguf.part"));
}

// A file that may not grow is what a full disk is: the write fails.
static void a_full_disk_is_said(void **state)
{
    (void)state;
    write_halves("a.gguf", 128, false);
    write_halves("out.gguf", 64, false);
    pid_t child = fork();
    if (child == 0) {
        struct pack_report report;
        struct pack_options options = options_for(DTYPE_F32);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, 10000});
        bool refused = pack("a.gguf", "out.gguf", &options, &report) == TERN_IO &&
                       strstr(status_message(), "out.gguf: cannot write: File too large") != NULL;
        _exit(refused ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_int_equal(packed_type("out.gguf"), DTYPE_F16);
    assert_false(exists("out.gguf.part"));
}

// Files of the test's folder.
static int count_files(void)
{
    DIR *stream = opendir(folder);
    int n = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(stream);
    return n;
}

// Twenty times, at any moment: the old file is whole, or the new one is; beside them is at most the one name that the
// next run takes over.
static void killed_at_any_moment(void **state)
{
    (void)state;
    seed = 8;
    write_halves("a.gguf", 128, false);
    pack_lossless("a.gguf", "out.gguf", DTYPE_F32);
    int before = count_files();
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            struct pack_report report;
            for (;;) {
                struct pack_options options = options_for(round % 2 ? DTYPE_F32 : DTYPE_PTQ1_0);
                pack("a.gguf", "out.gguf", &options, &report);
            }
        }
        usleep(next_random() % 20000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        enum dtype type = packed_type("out.gguf");
        assert_true(type == DTYPE_F32 || type == DTYPE_PTQ1_0);
        pack_lossless("out.gguf", "check.gguf", DTYPE_F16);
        pack_lossless("a.gguf", "whole.gguf", DTYPE_F16);
        assert_same_files("check.gguf", "whole.gguf");
        unlink(in_folder("check.gguf"));
        unlink(in_folder("whole.gguf"));
        assert_true(count_files() <= before + exists("out.gguf.part"));
    }
    unlink(in_folder("out.gguf.part"));
}

// ---- The folder -------------------------------------------------------------------------------------------------

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tern-pack-XXXXXX", base != NULL ? base : P_tmpdir);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int empty_folder(void **state)
{
    (void)state;
    DIR *stream = opendir(folder);
    if (stream == NULL) return -1;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (entry->d_name[0] != '.') unlink(in_folder(entry->d_name));
    return closedir(stream);
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, empty_folder)
    const struct CMUnitTest tests[] = {
        TEST(halves_come_back),
        TEST(packed_types_turn_into_each_other),
        TEST(trits_are_copied_not_guessed),
        TEST(scales_that_differ_are_refused),
        TEST(code_three_needs_two_bits),
        TEST(block_sizes_can_be_told_apart),
        TEST(i2_s_has_the_bytes_of_bitnet_cpp),
        TEST(i2_s_of_bitnet_cpp_is_read),
        TEST(lossless_names_the_first_group),
        TEST(numbers_that_are_none_are_refused),
        TEST(rules_decide_in_order),
        TEST(odd_rows_are_refused_or_get_their_type),
        TEST(embedding_and_head_have_their_types),
        TEST(two_layouts_of_q2_0_are_refused),
        TEST(trained_models_take_no_importance),
        TEST(names_of_types_are_read),
        TEST(least_squares_errs_least),
        TEST(importance_weighs_errors),
        TEST(tiles_stay_whole_in_groups_of_64),
        TEST(threads_do_not_change_the_file),
        TEST(an_existing_file_stays),
        TEST(giving_up_leaves_nothing),
        TEST(a_full_disk_is_said),
        TEST(killed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
