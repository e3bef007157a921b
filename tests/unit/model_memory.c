// Plans of memory, and models that are too big for this machine.
#include "../support/gguf_image.h"

#include "model/kv_cache.h"
#include "model/memory_plan.h"
#include "model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

// 4 layers of 2 heads of 64 for keys and values: 4 * 2 * 128 * 2 = 2048 bytes a token in halves.
static const struct config config = {.n_layers = 4,
                                     .width = 256,
                                     .n_ffn = 512,
                                     .n_heads = 4,
                                     .n_kv_heads = 2,
                                     .head_size = 64,
                                     .n_vocabulary = 1000,
                                     .context = 65536};

static struct memory_plan plan_of(int32_t context, uint64_t available)
{
    return (struct memory_plan){.copied = 100 * MIB,
                                .mapped = 50 * MIB,
                                .cache = (uint64_t)context * 2048,
                                .working = 10 * MIB,
                                .context = context,
                                .memory = {.total = 640 * MIB, .available = available}};
}

static void plans_are_sums(void **state)
{
    (void)state;
    struct memory_plan plan = plan_of(16384, 200 * MIB); // 32 MiB of keys and values
    assert_int_equal(memory_plan_resident(&plan), 142 * MIB);
    assert_int_equal(memory_plan_total(&plan), 192 * MIB);
    assert_int_equal(memory_spare(&plan.memory), 190 * MIB); // 10 of 640 are the system's
    assert_true(memory_plan_fits(&plan));
    assert_int_equal(memory_plan_from_disk(&plan), 2 * MIB);

    plan = plan_of(16384, 152 * MIB);
    assert_true(memory_plan_fits(&plan)); // just so
    assert_int_equal(memory_plan_from_disk(&plan), 50 * MIB);
    plan.memory.available--;
    assert_false(memory_plan_fits(&plan));
    plan.memory.available = 5 * MIB;
    assert_int_equal(memory_spare(&plan.memory), 0);

    plan.memory = (struct machine_memory){0}; // not known
    assert_true(memory_plan_fits(&plan));
    assert_int_equal(memory_plan_from_disk(&plan), 0);
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_F16), 16384);
}

static void the_longest_context_is_found(void **state)
{
    (void)state;
    struct memory_plan plan = plan_of(65536, 136 * MIB); // 16 MiB for keys and values
    assert_false(memory_plan_fits(&plan));
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_F16), 8192);
    plan.memory.available--; // not quite the last block
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_F16), 8192 - 64);
    // 34 and 18 bytes where halves take 64: 256 blocks of 69,632 and 36,864 bytes, and what is left over.
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_Q8_0), (16 * MIB - 1) / 69632 * 64);
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_Q4_0), (16 * MIB - 1) / 36864 * 64);
    plan = plan_of(1000, 300 * MIB);
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_F16), 1000); // never more than was asked for
    plan = plan_of(1000, 110 * MIB);
    assert_int_equal(memory_plan_longest(&plan, &config, TERN_KV_F16), 0); // the weights alone
}

// ---- A model of 290 GB ---------------------------------------------------------------------------------------------

// The file is a header and a hole: nothing may be read from it but what it says of itself.
enum { PTQ1_0 = 143, F32 = 0, LAYERS = 4, WIDTH = 1 << 17, FFN = 1 << 19, VOCABULARY = 128 };

static uint64_t add_tensor(struct buffer *b, const char *name, uint32_t type, uint64_t columns, uint64_t rows,
                           uint64_t offset)
{
    image_tensor(b, name, type, columns, rows, offset);
    return offset + columns * rows / 128 * (type == PTQ1_0 ? 28 : 512);
}

static uint64_t add_layer(struct buffer *b, int layer, uint64_t offset)
{
    static const struct {
        const char *name;
        uint32_t type;
        uint64_t columns, rows;
    } tensors[] = {
        {"attn_norm", F32, WIDTH, 1},     {"attn_q", PTQ1_0, WIDTH, WIDTH},      {"attn_k", PTQ1_0, WIDTH, WIDTH},
        {"attn_v", PTQ1_0, WIDTH, WIDTH}, {"attn_output", PTQ1_0, WIDTH, WIDTH}, {"ffn_norm", F32, WIDTH, 1},
        {"ffn_gate", PTQ1_0, WIDTH, FFN}, {"ffn_up", PTQ1_0, WIDTH, FFN},        {"ffn_down", PTQ1_0, FFN, WIDTH},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, tensors[i].name);
        offset = add_tensor(b, name, tensors[i].type, tensors[i].columns, tensors[i].rows, offset);
    }
    return offset;
}

// Returns the bytes of the tensors.
static uint64_t image_giant(struct buffer *b)
{
    image_begin(b, 3, LAYERS * 9 + 2, 6);
    image_key_string(b, "general.architecture", "llama");
    image_key_number(b, "llama.block_count", GGUF_U32, LAYERS, 4);
    image_key_number(b, "llama.context_length", GGUF_U32, 256, 4);
    image_key_number(b, "llama.embedding_length", GGUF_U32, WIDTH, 4);
    image_key_number(b, "llama.feed_forward_length", GGUF_U32, FFN, 4);
    image_key_number(b, "llama.attention.head_count", GGUF_U32, WIDTH / 128, 4);
    uint64_t offset = add_tensor(b, "token_embd.weight", PTQ1_0, WIDTH, VOCABULARY, 0);
    offset = add_tensor(b, "output_norm.weight", F32, WIDTH, 1, offset);
    for (int i = 0; i < LAYERS; i++)
        offset = add_layer(b, i, offset);
    image_align(b, 32);
    return offset;
}

static void write_giant(char *path)
{
    struct buffer header = {0};
    uint64_t bytes = image_giant(&header);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, header.data, header.length), (long long)header.length);
    if (ftruncate(fd, (off_t)(header.length + bytes)) != 0) skip(); // a file system without large holes
    close(fd);
    buffer_free(&header);
}

// 1.75 bits in place of 2.125, for all but the norms; needed where there is room for these alone.
static void assert_dense_is_smaller(const struct gguf_file *file, const struct config *giant, uint64_t loose)
{
    const uint64_t norms = (2 * LAYERS + 1) * (uint64_t)WIDTH * sizeof(float), matrices = loose - norms;
    uint64_t dense, kept;
    assert_int_equal(weights_measure(file, giant, (struct device_measure){.dense_tiles = true}, &dense, &kept),
                     TERN_OK);
    assert_int_equal(dense - norms, matrices / 34 * 28);

    struct memory_plan_options options = {.kv_type = TERN_KV_F16, .context = 64};
    uint64_t others = memory_working_bytes(giant) + kv_cache_bytes(giant, TERN_KV_F16, 64);
    options.memory = (struct machine_memory){.total = 64, .available = dense + others};
    assert_false(memory_plan_needs_dense(file, giant, options)); // a byte too few, left to the system
    options.memory.available++;
    assert_true(memory_plan_needs_dense(file, giant, options));
    options.memory.available = loose + others;
    assert_true(memory_plan_needs_dense(file, giant, options));
    options.memory.available++;
    assert_false(memory_plan_needs_dense(file, giant, options));
}

static void a_giant_is_refused_before_it_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/tern-giant-XXXXXX";
    struct gguf_file *file;
    struct config giant;
    struct device *device;
    struct weights *weights;
    write_giant(path);
    tern_status opened = gguf_open(path, &file);
    unlink(path);
    if (opened == TERN_IO && strstr(status_message(), "cannot map") != NULL) skip(); // a small address space
    if (opened != TERN_OK) fail_msg("%s", status_message());
    assert_int_equal(config_read(file, &giant), TERN_OK);
    uint64_t copied, kept;
    assert_int_equal(weights_measure(file, &giant, (struct device_measure){.dense_tiles = false}, &copied, &kept),
                     TERN_OK);
    assert_true(copied > 250ULL << 30 && kept == 0);
    assert_dense_is_smaller(file, &giant, copied);
    struct machine_memory memory = machine_memory("");
    if (memory.total == 0 || memory.available > copied) skip(); // not too big here
    assert_int_equal(device_open(&(struct device_options){.threads = 1}, &device), TERN_OK);
    assert_int_equal(weights_load(file, &giant, device, NULL, NULL, &weights), TERN_NO_MEMORY);
    assert_null(weights);
    assert_non_null(strstr(status_message(), path));
    assert_non_null(strstr(status_message(), ": weights and working space: "));
    assert_non_null(strstr(status_message(), " GiB of memory wanted, "));
    device_close(device);
    gguf_close(file);
}

// 64 tokens of 1,024 layers of 1,024 heads of 256 are 64 GiB in halves; room is asked for 16 times as much.
static void a_giant_cache_does_not_grow(void **state)
{
    (void)state;
    struct config wide = {.n_layers = 1024, .n_kv_heads = 1024, .head_size = 256};
    struct machine_memory memory = machine_memory("");
    struct kv_cache *cache;
    if (memory.total == 0 || memory.available > 1ULL << 40) skip(); // not too big here
    assert_int_equal(kv_cache_open(&wide, TERN_KV_F16, 1024, &cache), TERN_OK);
    assert_int_equal(kv_cache_reserve(cache, 1), TERN_NO_MEMORY);
    assert_non_null(strstr(status_message(), "the next keys and values: 1024.00 GiB of memory wanted, "));
    kv_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_sums),
        cmocka_unit_test(the_longest_context_is_found),
        cmocka_unit_test(a_giant_is_refused_before_it_is_read),
        cmocka_unit_test(a_giant_cache_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
