#include "convert/hf_vocabulary.h"

#include <stdio.h>
#include <string.h>

bool hf_equals(const json_t *value, const char *text)
{
    const char *string = json_string_value(value);
    return string != NULL && strcmp(string, text) == 0;
}

static const char tokenizer_json[] = "tokenizer.json";

tern_status hf_set_token(struct hf_vocabulary *v, const char *file, const json_t *id, struct hf_token token)
{
    json_int_t number = json_integer_value(id);
    if (!json_is_integer(id) || number < 0 || number >= (json_int_t)v->n_tokens)
        return status_fail(TERN_BAD_FILE, "%s/%s: token \"%.60s\" has no id from 0 to %u (vocab_size of config.json)",
                           v->folder, file, token.text, v->n_tokens - 1);
    v->tokens[number] = token;
    return TERN_OK;
}

tern_status hf_read_ordinary_tokens(struct hf_vocabulary *v)
{
    json_t *vocabulary = json_object_get(json_object_get(v->root, "model"), "vocab"), *id;
    const char *text;
    if (!json_is_object(vocabulary)) return status_fail(TERN_BAD_FILE, "%s: model.vocab is not an object", v->path);
    json_object_foreach(vocabulary, text, id) TRY(hf_set_token(
        v, tokenizer_json, id, (struct hf_token){.text = text, .length = strlen(text), .type = SENTENCEPIECE_NORMAL}));
    return TERN_OK;
}

static bool surrounded(const char *text, size_t length, const char *before, const char *after)
{
    size_t b = strlen(before), a = strlen(after);
    return length >= a + b && memcmp(text, before, b) == 0 && memcmp(text + length - a, after, a) == 0;
}

bool hf_looks_special(const char *text, size_t length)
{
    return surrounded(text, length, "<|", "|>") || surrounded(text, length, "<\uFF5C", "\uFF5C>") ||
           surrounded(text, length, "<unused", ">") || strcmp(text, "<pad>") == 0 || strcmp(text, "<mask>") == 0;
}

tern_status hf_read_added_tokens(struct hf_vocabulary *v)
{
    const json_t *list = json_object_get(v->root, "added_tokens"), *added;
    size_t i;
    json_array_foreach(list, i, added)
    {
        const json_t *content = json_object_get(added, "content");
        if (!json_is_string(content))
            return status_fail(TERN_BAD_FILE, "%s: added token %zu has no content", v->path, i);
        struct hf_token token = {.text = json_string_value(content),
                                 .length = json_string_length(content),
                                 .type = SENTENCEPIECE_USER_DEFINED};
        if (json_is_true(json_object_get(added, "special")) || hf_looks_special(token.text, token.length))
            token.type = SENTENCEPIECE_CONTROL;
        TRY(hf_set_token(v, tokenizer_json, json_object_get(added, "id"), token));
    }
    return TERN_OK;
}

static tern_status add_token(struct metadata *metadata, const struct hf_token *token, uint32_t id)
{
    char filler[24];
    if (token->text != NULL) return metadata_element_string(metadata, token->text, token->length);
    int length = snprintf(filler, sizeof filler, "[PAD%u]", id);
    return metadata_element_string(metadata, filler, (size_t)length);
}

tern_status hf_add_tokens(struct hf_vocabulary *v)
{
    struct metadata *m = v->metadata;
    TRY(metadata_begin_array(m, "tokenizer.ggml.tokens", GGUF_STRING, v->n_tokens));
    for (uint32_t i = 0; i < v->n_tokens; i++)
        TRY(add_token(m, &v->tokens[i], i));
    TRY(metadata_begin_array(m, "tokenizer.ggml.token_type", GGUF_I32, v->n_tokens));
    for (uint32_t i = 0; i < v->n_tokens; i++)
        TRY(metadata_element_u32(m, v->tokens[i].text != NULL ? v->tokens[i].type : SENTENCEPIECE_UNUSED));
    return TERN_OK;
}
