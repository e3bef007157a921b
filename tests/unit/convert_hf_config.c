// What is made of a Hugging Face model's config.json.
#include "convert/hf_config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// The value of an F32 key as it lies in the metadata: its name, the number of its type, four bytes. NAN: not there.
static float find_f32(const struct metadata *metadata, const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i + length + 8 <= metadata->bytes.length; i++) {
        float value;
        if (memcmp(metadata->bytes.data + i, name, length) != 0) continue;
        memcpy(&value, metadata->bytes.data + i + length + 4, sizeof value);
        return value;
    }
    return NAN;
}

// The factor that YaRN's magnitude is written with, for a rope_scaling by 4 with these fields too.
static float yarn_factor(const char *fields)
{
    static const char model[] =
        "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": \"silu\","
        " \"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"
        " \"num_key_value_heads\": 2, \"vocab_size\": 100, \"max_position_embeddings\": 512, \"rope_scaling\":"
        " {\"rope_type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 128%s}}";
    char text[1024];
    struct hf_config config;
    struct metadata metadata = {0};
    snprintf(text, sizeof text, model, fields);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    if (hf_config_read("config.json", root, &config, &metadata) != TERN_OK) fail_msg("%s", status_message());
    float value = find_f32(&metadata, "llama.rope.scaling.yarn_attn_factor");
    json_decref(root);
    metadata_free(&metadata);
    return value;
}

// Expected: attention_factor of transformers' _compute_yarn_parameters, over the 1 + 0.1 ln 4 that readers of a GGUF
// file multiply by themselves.
static void yarn_magnitude_is_that_of_transformers(void **state)
{
    (void)state;
    const double readers = 1.1386294361119891;
    assert_true(isnan(yarn_factor("")));
    assert_true(isnan(yarn_factor(", \"attention_factor\": null")));
    assert_true(isnan(yarn_factor(", \"mscale\": 1.0, \"mscale_all_dim\": 0")));
    assert_true(fabs(yarn_factor(", \"attention_factor\": 1.0") * readers - 1.0) < 1e-6);
    assert_true(fabs(yarn_factor(", \"attention_factor\": 1.5, \"mscale\": 2, \"mscale_all_dim\": 1") * readers - 1.5) <
                1e-6);
    assert_true(fabs(yarn_factor(", \"mscale\": 1.0, \"mscale_all_dim\": 0.5") * readers - 1.0648216253695715) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(yarn_magnitude_is_that_of_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
