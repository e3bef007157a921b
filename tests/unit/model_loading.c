// What is said of models whose keys or tensors are missing, misshapen or beyond tern; and the decoder's own bounds.
#include "../support/gguf_image.h"

#include "model/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WIDTH = 64, FFN = 128, VOCABULARY = 40, HEADS = 2, HEAD_SIZE = 32 };

// How an image departs from a sound one-layer llama of F32 zeros. NULL and 0: it does not.
struct departure {
    const char *without; // key or tensor left out
    const char *key;     // "llama.KEY" that is `value` instead, or further
    uint32_t type;       // of key
    uint64_t value;
    const char *text;   // of a string key
    const char *tensor; // tensor that has `columns` x `rows` instead, or further
    uint64_t columns, rows;
};

struct tensor_shape {
    const char *name;
    uint64_t columns, rows;
};

static const struct tensor_shape TENSORS[] = {
    {"token_embd.weight", WIDTH, VOCABULARY},   {"output_norm.weight", WIDTH, 1},
    {"blk.0.attn_norm.weight", WIDTH, 1},       {"blk.0.attn_q.weight", WIDTH, WIDTH},
    {"blk.0.attn_k.weight", WIDTH, WIDTH},      {"blk.0.attn_v.weight", WIDTH, WIDTH},
    {"blk.0.attn_output.weight", WIDTH, WIDTH}, {"blk.0.ffn_norm.weight", WIDTH, 1},
    {"blk.0.ffn_gate.weight", WIDTH, FFN},      {"blk.0.ffn_up.weight", WIDTH, FFN},
    {"blk.0.ffn_down.weight", FFN, WIDTH},
};

static const struct {
    const char *key;
    uint32_t value;
} KEYS[] = {
    {"llama.block_count", 1},           {"llama.context_length", 256},         {"llama.embedding_length", WIDTH},
    {"llama.feed_forward_length", FFN}, {"llama.attention.head_count", HEADS},
};

enum { N_TENSORS = sizeof TENSORS / sizeof *TENSORS, N_KEYS = sizeof KEYS / sizeof *KEYS };

static bool is(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static void put_departed_key(struct buffer *b, const struct departure *d)
{
    if (d->type == GGUF_STRING)
        image_key_string(b, d->key, d->text);
    else
        image_key_number(b, d->key, d->type, d->value, 4);
}

static void put_keys(struct buffer *b, const struct departure *d)
{
    if (!is(d->key, "general.architecture")) image_key_string(b, "general.architecture", "llama");
    for (int i = 0; i < N_KEYS; i++)
        if (!is(d->without, KEYS[i].key) && !is(d->key, KEYS[i].key))
            image_key_number(b, KEYS[i].key, GGUF_U32, KEYS[i].value, 4);
    if (d->key != NULL) put_departed_key(b, d);
}

static int count_keys(const struct departure *d)
{
    int n = 1 + N_KEYS + (d->key != NULL) - is(d->key, "general.architecture");
    for (int i = 0; i < N_KEYS; i++)
        n -= is(d->without, KEYS[i].key) || is(d->key, KEYS[i].key);
    return n;
}

// The tensors that the image has: TENSORS, less one, or with one changed or added. Returns their number.
static int list_tensors(const struct departure *d, struct tensor_shape *out)
{
    int n = 0;
    bool changed = false;
    for (int i = 0; i < N_TENSORS; i++) {
        if (is(d->without, TENSORS[i].name)) continue;
        out[n] = TENSORS[i];
        if (is(d->tensor, TENSORS[i].name)) {
            out[n] = (struct tensor_shape){d->tensor, d->columns, d->rows};
            changed = true;
        }
        n++;
    }
    if (d->tensor != NULL && !changed) out[n++] = (struct tensor_shape){d->tensor, d->columns, d->rows};
    return n;
}

static void image_model(struct buffer *b, const struct departure *d)
{
    struct tensor_shape tensors[N_TENSORS + 1];
    int n = list_tensors(d, tensors);
    image_begin(b, 3, (uint64_t)n, (uint64_t)count_keys(d));
    put_keys(b, d);
    uint64_t offset = 0;
    for (int i = 0; i < n; i++) {
        image_tensor(b, tensors[i].name, 0, tensors[i].columns, tensors[i].rows, offset);
        offset += (tensors[i].columns * tensors[i].rows * 4 + 31) / 32 * 32;
    }
    image_align(b, 32);
    image_fill(b, offset, 0);
}

struct loaded {
    struct buffer image;
    struct gguf_file *file;
    struct config config;
    struct device *device;
    struct weights *weights;
};

static tern_status load(const struct departure *d, struct loaded *l)
{
    *l = (struct loaded){0};
    image_model(&l->image, d);
    TRY(gguf_open_memory((const uint8_t *)l->image.data, l->image.length, "m.gguf", &l->file));
    TRY(config_read(l->file, &l->config));
    TRY(device_open(&(struct device_options){.threads = 1}, &l->device));
    return weights_load(l->file, &l->config, l->device, NULL, NULL, &l->weights);
}

static void unload(struct loaded *l)
{
    weights_free(l->weights);
    device_close(l->device);
    gguf_close(l->file);
    buffer_free(&l->image);
}

static void a_sound_model_loads(void **state)
{
    (void)state;
    struct loaded l;
    if (load(&(struct departure){0}, &l) != TERN_OK) fail_msg("%s", status_message());
    assert_string_equal(l.config.architecture, "llama");
    assert_int_equal(l.config.n_vocabulary, VOCABULARY);
    assert_int_equal(l.config.head_size, HEAD_SIZE);
    assert_int_equal(l.config.n_kv_heads, HEADS);
    assert_true(l.config.tied_head && l.config.rope_interleaved && !l.config.qk_norm);
    assert_ptr_equal(l.weights->head, l.weights->embedding);
    uint64_t copied, kept;
    assert_int_equal(weights_measure(l.file, &l.config, (struct device_measure){.dense_tiles = false}, &copied, &kept),
                     TERN_OK);
    assert_int_equal(copied, 3 * 4 * WIDTH); // the norms; F32 matrices run where they lie
    assert_int_equal(kept, 4 * (WIDTH * VOCABULARY + 4 * WIDTH * WIDTH + 3 * FFN * WIDTH));
    unload(&l);
}

static void departures_are_refused(void **state)
{
    (void)state;
    const struct {
        struct departure departure;
        const char *message;
    } cases[] = {
        {{.key = "general.architecture", .type = GGUF_STRING, .text = "mamba"},
         "m.gguf: architecture \"mamba\" is not one that tern runs: qwen3, llama, bitnet, bitnet-b1.58, bitnet-25"},
        {{.key = "general.architecture", .type = GGUF_U32, .value = 7}, NULL},
        {{.without = "llama.block_count"}, "m.gguf: key llama.block_count is missing, the architecture needs it"},
        {{.key = "llama.block_count", .type = GGUF_U32, .value = 0},
         "m.gguf: key llama.block_count is 0, expected 1 to 1024"},
        {{.key = "llama.block_count", .type = GGUF_U32, .value = 0xffffffff},
         "m.gguf: key llama.block_count is 4294967295, expected 1 to 1024"},
        {{.key = "llama.block_count", .type = GGUF_U32, .value = 2},
         "m.gguf: tensor blk.1.attn_norm.weight is missing, architecture llama needs it"},
        {{.key = "llama.attention.head_count", .type = GGUF_U32, .value = 64},
         "m.gguf: heads of 1 elements (width 64, 64 heads), expected an even number to 256"},
        {{.key = "llama.attention.head_count_kv", .type = GGUF_U32, .value = 3},
         "m.gguf: 2 heads cannot be shared among 3 key/value heads"},
        {{.key = "llama.attention.value_length", .type = GGUF_U32, .value = 16},
         "m.gguf: values of 16 elements a head beside keys of 32"},
        {{.key = "llama.rope.dimension_count", .type = GGUF_U32, .value = 34},
         "m.gguf: rotation of 34 elements in heads of 32"},
        {{.key = "llama.rope.freq_base", .type = GGUF_F32, .value = 0x7fc00000}, NULL},
        {{.key = "llama.rope.freq_base", .type = GGUF_F32, .value = 0}, NULL},
        {{.key = "llama.rope.scaling.type", .type = GGUF_STRING, .text = "longrope"},
         "m.gguf: RoPE scaling \"longrope\" is not one that tern knows: none, linear, yarn"},
        {{.without = "token_embd.weight"}, "m.gguf: tensor token_embd.weight is missing"},
        {{.without = "blk.0.ffn_down.weight"},
         "m.gguf: tensor blk.0.ffn_down.weight is missing, architecture llama needs it"},
        {{.tensor = "blk.0.attn_k.weight", .columns = WIDTH, .rows = 32},
         "m.gguf: tensor blk.0.attn_k.weight is 32 x 64, expected 64 x 64 (rows x columns)"},
        {{.tensor = "blk.0.ffn_norm.weight", .columns = WIDTH, .rows = 2},
         "m.gguf: tensor blk.0.ffn_norm.weight is 2 x 64, expected 1 x 64 (rows x columns)"},
        {{.tensor = "blk.0.attn_q.bias", .columns = WIDTH, .rows = 1},
         "m.gguf: tensor blk.0.attn_q.bias is not part of a llama model as tern knows it"},
        {{.tensor = "blk.0.attn_q.scale", .columns = 2, .rows = 1},
         "m.gguf: tensor blk.0.attn_q.scale is 1 x 2, expected 1 x 1 (rows x columns)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loaded l;
        tern_status status = load(&cases[i].departure, &l);
        if (status == TERN_OK) fail_msg("case %zu was accepted", i);
        if (cases[i].message != NULL) assert_string_equal(status_message(), cases[i].message);
        assert_non_null(strstr(status_message(), "m.gguf: "));
        assert_null(l.weights);
        unload(&l);
    }
}

static bool give_up(void *context, float fraction)
{
    *(float *)context = fraction;
    return fraction < 0.5F;
}

static void loading_can_be_cancelled(void **state)
{
    (void)state;
    struct loaded l;
    assert_int_equal(load(&(struct departure){0}, &l), TERN_OK);
    struct weights *again;
    float reached = 0;
    assert_int_equal(weights_load(l.file, &l.config, l.device, give_up, &reached, &again), TERN_CANCELLED);
    assert_true(reached >= 0.5F && reached < 1);
    assert_null(again);
    unload(&l);
}

static void the_decoder_keeps_to_its_bounds(void **state)
{
    (void)state;
    struct loaded l;
    struct decoder *decoder;
    struct kv_cache *cache;
    assert_int_equal(load(&(struct departure){0}, &l), TERN_OK);
    assert_int_equal(decoder_open(&l.config, l.weights, &decoder), TERN_OK);
    assert_int_equal(kv_cache_open(&l.config, TERN_KV_F16, 100, &cache), TERN_OK);
    float logits[VOCABULARY];

    struct decoder_row row = {.cache = cache, .logits = logits};
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_INVALID); // nothing is reserved yet
    assert_int_equal(kv_cache_reserve(cache, 65), TERN_OK);
    assert_int_equal(cache->n_blocks, 2);
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_OK);
    row.position = 128;
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_INVALID);
    assert_string_equal(status_message(), "position 128, the cache has room for 128");
    row = (struct decoder_row){.token = VOCABULARY, .cache = cache, .logits = logits};
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_INVALID);
    assert_string_equal(status_message(), "token 40, expected 0 to 39");
    row.token = -1;
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_INVALID);
    assert_int_equal(decoder_forward(decoder, &row, 0), TERN_INVALID);
    assert_int_equal(kv_cache_reserve(cache, 101), TERN_LIMIT);
    assert_string_equal(status_message(), "101 tokens do not fit in the context of 100");

    kv_cache_truncate(cache, 64);
    assert_int_equal(cache->n_blocks, 1);
    // Keys and values of 64 positions in halves, for one layer: 100 tokens take two blocks.
    assert_int_equal(kv_cache_bytes(&l.config, TERN_KV_F16, 100), 2 * 2 * 2 * 64 * HEADS * HEAD_SIZE);
    // In eight bits, a half for each 32 elements beside them: HEAD_SIZE is 32.
    assert_int_equal(kv_cache_bytes(&l.config, TERN_KV_Q8_0, 100), 2 * 2 * 64 * HEADS * (HEAD_SIZE + 2));
    assert_int_equal(kv_cache_bytes(&l.config, TERN_KV_Q4_0, 100), 2 * 2 * 64 * HEADS * (HEAD_SIZE / 2 + 2));
    kv_cache_close(cache);
    decoder_close(decoder);
    unload(&l);
}

static void caches_of_one_type_share_a_pass(void **state)
{
    (void)state;
    struct loaded l;
    struct decoder *decoder;
    struct kv_cache *halves, *bytes, *none;
    assert_int_equal(load(&(struct departure){0}, &l), TERN_OK);
    assert_int_equal(decoder_open(&l.config, l.weights, &decoder), TERN_OK);
    assert_int_equal(kv_cache_open(&l.config, TERN_KV_F16, 100, &halves), TERN_OK);
    assert_int_equal(kv_cache_open(&l.config, TERN_KV_Q8_0, 100, &bytes), TERN_OK);
    assert_int_equal(kv_cache_reserve(halves, 1), TERN_OK);
    assert_int_equal(kv_cache_reserve(bytes, 1), TERN_OK);
    struct decoder_row rows[2] = {{.cache = bytes}, {.cache = halves}};
    assert_int_equal(decoder_forward(decoder, rows, 1), TERN_OK);
    assert_int_equal(decoder_forward(decoder, rows, 2), TERN_INVALID);
    assert_string_equal(status_message(), "rows whose caches have types 1 and 0, expected one type");
    assert_int_equal(kv_cache_open(&l.config, (tern_kv_type)3, 100, &none), TERN_INVALID);
    assert_string_equal(status_message(), "keys and values of type 3, expected 0 to 2");
    assert_null(none);
    kv_cache_close(halves);
    kv_cache_close(bytes);
    decoder_close(decoder);
    unload(&l);
}

// Slabs are put in, and stay with whoever brought them.
static void caches_can_borrow_their_blocks(void **state)
{
    (void)state;
    struct loaded l;
    struct decoder *decoder;
    struct kv_cache *own, *other, *borrowing;
    float expected[VOCABULARY], logits[VOCABULARY];
    assert_int_equal(load(&(struct departure){0}, &l), TERN_OK);
    assert_int_equal(decoder_open(&l.config, l.weights, &decoder), TERN_OK);
    assert_int_equal(kv_cache_open(&l.config, TERN_KV_F16, 200, &own), TERN_OK);
    assert_int_equal(kv_cache_open(&l.config, TERN_KV_F16, 200, &other), TERN_OK);
    assert_int_equal(kv_cache_open_borrowing(&l.config, TERN_KV_F16, 200, &borrowing), TERN_OK);
    assert_int_equal(kv_cache_slab_bytes(&l.config, TERN_KV_F16), kv_cache_bytes(&l.config, TERN_KV_F16, 64));
    assert_int_equal(kv_cache_reserve(own, 65), TERN_OK);
    assert_int_equal(kv_cache_reserve(other, 1), TERN_OK);

    kv_cache_put(borrowing, 0, other->blocks[0]);
    kv_cache_put(borrowing, 1, own->blocks[1]);
    kv_cache_put(borrowing, 0, own->blocks[0]); // in place of the other
    assert_int_equal(borrowing->n_blocks, 2);
    struct decoder_row row = {.token = 3, .position = 64, .cache = own, .logits = expected};
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_OK);
    row.cache = borrowing;
    row.logits = logits;
    assert_int_equal(decoder_forward(decoder, &row, 1), TERN_OK);
    assert_memory_equal(logits, expected, sizeof logits);

    kv_cache_truncate(borrowing, 1);
    assert_int_equal(borrowing->n_blocks, 1);
    kv_cache_close(borrowing);
    assert_int_equal(decoder_forward(decoder, &(struct decoder_row){.cache = own, .logits = logits}, 1), TERN_OK);
    kv_cache_close(own);
    kv_cache_close(other);
    decoder_close(decoder);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_model_loads),
        cmocka_unit_test(departures_are_refused),
        cmocka_unit_test(loading_can_be_cancelled),
        cmocka_unit_test(the_decoder_keeps_to_its_bounds),
        cmocka_unit_test(caches_of_one_type_share_a_pass),
        cmocka_unit_test(caches_can_borrow_their_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
