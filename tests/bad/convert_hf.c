// Hugging Face folders with something wrong: a sound one with one text replaced, and what must be said of it.
#define _GNU_SOURCE // memmem
#include "convert/hf_files.h"
#include "convert/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const files[] = {"config.json",       "tokenizer.json",  "tokenizer_config.json",
                                    "model.safetensors", "tokenizer.model", "added_tokens.json"};

enum { N_FILES = sizeof files / sizeof *files, PATH = 256 };

static char folder[PATH];

static void write_file(const char *name, const struct buffer *bytes)
{
    char *path = hf_path(folder, name);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes->data, 1, bytes->length, stream), bytes->length);
    assert_int_equal(fclose(stream), 0);
    free(path);
}

// `from` becomes `to`, once; it must be there. Texts of one length keep a safetensors header what it is.
static void replace(struct buffer *bytes, const char *from, const char *to)
{
    char *at = memmem(bytes->data, bytes->length, from, strlen(from));
    assert_non_null(at);
    struct buffer changed = {0};
    size_t before = (size_t)(at - bytes->data), after = before + strlen(from);
    assert_int_equal(buffer_append(&changed, bytes->data, before), TERN_OK);
    assert_int_equal(buffer_append_string(&changed, to), TERN_OK);
    assert_int_equal(buffer_append(&changed, bytes->data + after, bytes->length - after), TERN_OK);
    buffer_free(bytes);
    *bytes = changed;
}

static void remove_file(const char *name)
{
    char *path = hf_path(folder, name);
    unlink(path);
    free(path);
}

static void copy_model(const char *model, const char *changed, const char *from, const char *to)
{
    char source[PATH];
    snprintf(source, sizeof source, "golden/convert/%s", model);
    for (int i = 0; i < N_FILES; i++) {
        struct buffer bytes = {0};
        bool found;
        assert_int_equal(hf_read_text(source, files[i], &bytes, &found), TERN_OK);
        bool changes = changed != NULL && strcmp(files[i], changed) == 0;
        assert_true(found || !changes);
        if (changes) replace(&bytes, from, to);
        if (found)
            write_file(files[i], &bytes);
        else
            remove_file(files[i]);
        buffer_free(&bytes);
    }
}

static void check_refused(tern_status expected, const char *words)
{
    struct source source;
    tern_status status = source_open_hf(folder, NULL, &source);
    if (status == TERN_OK) source_close(&source);
    assert_int_equal(status, expected);
    if (strstr(status_message(), words) == NULL) fail_msg("\"%s\" does not say \"%s\"", status_message(), words);
}

static void check(const char *model, const char *file, const char *from, const char *to, tern_status expected,
                  const char *words)
{
    copy_model(model, file, from, to);
    check_refused(expected, words);
}

static void sound_folders_open(void **state)
{
    (void)state;
    struct source source;
    copy_model("bitnet", NULL, NULL, NULL);
    assert_int_equal(source_open_hf(folder, NULL, &source), TERN_OK);
    assert_true(source.trained_ternary);
    source_close(&source);
}

// Of the model in the folder: how many tensors are floats that are rounded whenever it runs.
static int count_rounded(void)
{
    struct source source;
    int n = 0;
    if (source_open_hf(folder, NULL, &source) != TERN_OK) fail_msg("%s", status_message());
    for (uint64_t i = 0; i < source.n_tensors; i++)
        n += source.tensors[i].rounded_in_use;
    source_close(&source);
    return n;
}

// The seven matrices of each of two layers, where the configuration says it.
static void floats_that_are_rounded_in_use(void **state)
{
    (void)state;
    static const char online[] = "{ \"quantization_config\": {\"quant_method\": \"bitnet\", \"linear_class\": "
                                 "\"autobitlinear\", \"quantization_mode\": \"online\"},";
    copy_model("bitnet-first", NULL, NULL, NULL);
    assert_int_equal(count_rounded(), 14);
    copy_model("qwen3", NULL, NULL, NULL);
    assert_int_equal(count_rounded(), 0);
    copy_model("qwen3", "config.json", "{", online);
    assert_int_equal(count_rounded(), 14);
    copy_model("bitnet", NULL, NULL, NULL); // packed
    assert_int_equal(count_rounded(), 0);
}

static void configurations(void **state)
{
    (void)state;
    static const char file[] = "config.json";
    check("qwen3", file, "Qwen3ForCausalLM", "GptOssForCausalLM", TERN_UNSUPPORTED,
          "architecture \"GptOssForCausalLM\" is not one that tern converts");
    check("qwen3", file, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", TERN_BAD_FILE,
          "num_hidden_layers is not a whole number from 1 to 1024");
    check("qwen3", file, "\"num_hidden_layers\"", "\"x\"", TERN_BAD_FILE, "num_hidden_layers is missing");
    check("qwen3", file, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", TERN_UNSUPPORTED,
          "hidden_act \"gelu\", qwen3 models have silu");
    check("qwen3", file, "\"default\"", "\"longrope\"", TERN_UNSUPPORTED, "RoPE scaling \"longrope\"");
    check("qwen3", file, "\"use_sliding_window\": false", "\"use_sliding_window\": true", TERN_UNSUPPORTED,
          "attention over a window is not supported");
    check("qwen3", file, "{", "", TERN_BAD_FILE, "config.json: line 2:");
    check("bitnet", file, "\"quant_method\": \"bitnet\"", "\"quant_method\": \"gptq\"", TERN_UNSUPPORTED,
          "another method than bitnet");
    check("qwen3", file, "\"vocab_size\": 320", "\"vocab_size\": 300", TERN_BAD_FILE, "has no id from 0 to 299");
}

static void tokenizers(void **state)
{
    (void)state;
    static const char file[] = "tokenizer.json";
    check("qwen3", file, "\\\\p{N}| ?", "\\\\p{N}{1,2}| ?", TERN_UNSUPPORTED, "name it with --pre");
    check("qwen3", file, "\"NFC\"", "\"NFKC\"", TERN_UNSUPPORTED, "normalizer NFKC");
    check("llama-packed", file, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", TERN_UNSUPPORTED,
          "normalizer NFC");
    check("qwen3", file, "\"BPE\"", "\"Unigram\"", TERN_UNSUPPORTED,
          "a Unigram tokenizer that is neither byte-level BPE nor SentencePiece's BPE");
    check("bitnet", file, "\"ignore_merges\": true", "\"ignore_merges\": false", TERN_UNSUPPORTED,
          "name it with --pre");
}

static void sentencepiece_models(void **state)
{
    (void)state;
    static const char file[] = "tokenizer.model";
    check("bitnet-first", file, "\x18\x02\x20\xa4\x03", "\x18\x01\x20\xa4\x03", TERN_UNSUPPORTED,
          "tokenizer.model: a Unigram model, only SentencePiece's BPE is supported");
    check("bitnet-first", file, "\x0a\x08identity\x12", "\x12\x08identity\x0a", TERN_UNSUPPORTED,
          "replaces characters of the text by a table");
    check("bitnet-first", file, "<unk>", "<unk", TERN_BAD_FILE, "tokenizer.model: ");
    check("bitnet-first", "config.json", "424", "419", TERN_BAD_FILE,
          "tokenizer.model: 420 pieces, vocab_size of config.json is 419");
    check("bitnet-first", "added_tokens.json", "421", "424", TERN_BAD_FILE,
          "added_tokens.json: token \"<line>\" has no id from 0 to 423");
    check("bitnet-first", "tokenizer_config.json", "\"add_bos_token\": true",
          "\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}", TERN_BAD_FILE,
          "tokenizer_config.json: added token \"x\" has no content, or no id from 0 to 423");
    copy_model("bitnet-first", NULL, NULL, NULL);
    remove_file(file);
    check_refused(TERN_BAD_FILE, "tokenizer.json: there is no such file, nor a tokenizer.model");
}

static void tensors(void **state)
{
    (void)state;
    static const char file[] = "model.safetensors";
    check("qwen3", file, "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.upproj.weightx", TERN_BAD_FILE,
          "tensor model.layers.1.mlp.up_proj.weight is missing");
    check("qwen3", file, "\"shape\":[96,64]", "\"shape\":[64,96]", TERN_BAD_FILE, "config.json wants 96 x 64");
    check("qwen3", "config.json", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", TERN_OK, "");
    check("qwen3", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", TERN_UNSUPPORTED,
          "is not part of a qwen3 model as tern knows it");
    check("bitnet", "config.json", "\"intermediate_size\": 128", "\"intermediate_size\": 256", TERN_BAD_FILE,
          "is packed in another shape than config.json says");
}

static void missing_files(void **state)
{
    (void)state;
    static const char *const words[N_FILES] = {"config.json: there is no such file",
                                               "tokenizer.json: there is no such file",
                                               NULL,
                                               "model.safetensors: No such file",
                                               NULL,
                                               NULL};
    for (int i = 0; i < N_FILES; i++) {
        if (words[i] == NULL) continue;
        copy_model("qwen3", NULL, NULL, NULL);
        remove_file(files[i]);
        check_refused(i == 3 ? TERN_IO : TERN_BAD_FILE, words[i]);
    }
}

// The last byte of the packed matrices' data becomes four codes of 3.
static void packed_codes(void **state)
{
    (void)state;
    struct source source;
    copy_model("bitnet", NULL, NULL, NULL);
    assert_int_equal(source_open_hf(folder, NULL, &source), TERN_OK);
    size_t offset = 0;
    for (uint64_t i = 0; i < source.n_tensors; i++)
        if (source.tensors[i].packed_bitnet) offset = (size_t)(source.tensors[i].tensor.data - source.files[0].data);
    source_close(&source);
    char *path = hf_path(folder, "model.safetensors");
    FILE *stream = fopen(path, "r+b");
    free(path);
    assert_non_null(stream);
    assert_int_equal(fseek(stream, (long)offset + 5, SEEK_SET), 0);
    fputc(0xff, stream);
    assert_int_equal(fclose(stream), 0);
    check_refused(TERN_BAD_FILE, "holds a code 3, which is no trit");
}

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tern-hf-XXXXXX", base != NULL ? base : P_tmpdir);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    for (int i = 0; i < N_FILES; i++)
        remove_file(files[i]);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_folders_open),
        cmocka_unit_test(floats_that_are_rounded_in_use),
        cmocka_unit_test(configurations),
        cmocka_unit_test(tokenizers),
        cmocka_unit_test(tensors),
        cmocka_unit_test(sentencepiece_models),
        cmocka_unit_test(missing_files),
        cmocka_unit_test(packed_codes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
