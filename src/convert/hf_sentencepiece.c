// SentencePiece's BPE, from tokenizer.model or from a tokenizer.json that was made of one.
#include "convert/hf_files.h"
#include "convert/hf_vocabulary.h"

#include "base/half.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_FILE "tokenizer.model"
#define BLANK      "\u2581" // stands for a blank in tokens

// As llama.cpp's converters have them, where SentencePiece itself has no score.
static const float ADDED_SCORE = -1000.0f, MISSING_SCORE = -10000.0f;

bool hf_is_sentencepiece(const struct hf_vocabulary *v)
{
    const json_t *model = json_object_get(v->root, "model");
    if (v->root == NULL) return true;
    return json_is_true(json_object_get(model, "byte_fallback")) &&
           !hf_equals(json_object_get(json_object_get(v->root, "decoder"), "type"), "ByteLevel");
}

static tern_status add_all(struct hf_vocabulary *v, bool space_prefix, bool squeeze_spaces)
{
    struct metadata *m = v->metadata;
    TRY(metadata_add_string(m, "tokenizer.ggml.model", "llama", strlen("llama")));
    TRY(metadata_add_string(m, "tokenizer.ggml.pre", "default", strlen("default")));
    TRY(hf_add_tokens(v));
    TRY(metadata_begin_array(m, "tokenizer.ggml.scores", GGUF_F32, v->n_tokens));
    for (uint32_t i = 0; i < v->n_tokens; i++)
        TRY(metadata_element_u32(m, half_to_bits32(v->tokens[i].text != NULL ? v->tokens[i].score : MISSING_SCORE)));
    const json_t *said = json_object_get(v->settings, "add_prefix_space");
    if (json_is_boolean(said)) space_prefix = json_is_true(said);
    TRY(metadata_add_bool(m, "tokenizer.ggml.add_space_prefix", space_prefix));
    return squeeze_spaces ? metadata_add_bool(m, "tokenizer.ggml.remove_extra_whitespaces", true) : TERN_OK;
}

// ---- tokenizer.model --------------------------------------------------------------------------------------------

// added_tokens.json of old folders: {"<pad>": 32000}.
static tern_status read_added_file(struct hf_vocabulary *v)
{
    const char *text;
    json_t *id;
    json_object_foreach(v->added, text, id)
    {
        struct hf_token token = {text, strlen(text), ADDED_SCORE, SENTENCEPIECE_USER_DEFINED};
        if (hf_looks_special(text, token.length)) token.type = SENTENCEPIECE_CONTROL;
        TRY(hf_set_token(v, "added_tokens.json", id, token));
    }
    return TERN_OK;
}

// added_tokens_decoder of tokenizer_config.json: {"32000": {"content": "<pad>", "special": true}}. Those of
// tokenizer.model stay what they are there.
static tern_status read_added_settings(struct hf_vocabulary *v)
{
    const char *id;
    json_t *added, *list = json_object_get(v->settings, "added_tokens_decoder");
    json_object_foreach(list, id, added)
    {
        const json_t *content = json_object_get(added, "content");
        char *end;
        unsigned long number = strtoul(id, &end, 10);
        if (!json_is_string(content) || end == id || *end != '\0' || number >= v->n_tokens)
            return status_fail(TERN_BAD_FILE,
                               "%s/tokenizer_config.json: added token \"%.20s\" has no content, or no id from 0 to %u",
                               v->folder, id, v->n_tokens - 1);
        if (v->tokens[number].text != NULL && v->tokens[number].type != SENTENCEPIECE_NORMAL) continue;
        struct hf_token token = {json_string_value(content), json_string_length(content), ADDED_SCORE,
                                 SENTENCEPIECE_USER_DEFINED};
        if (json_is_true(json_object_get(added, "special")) || hf_looks_special(token.text, token.length))
            token.type = SENTENCEPIECE_CONTROL;
        v->tokens[number] = token;
    }
    return TERN_OK;
}

static tern_status take_pieces(struct hf_vocabulary *v, const char *path, const struct sentencepiece_file *file)
{
    if (file->model_type != SENTENCEPIECE_BPE)
        return status_fail(TERN_UNSUPPORTED, "%s: a %s model, only SentencePiece's BPE is supported", path,
                           file->model_type == SENTENCEPIECE_UNIGRAM ? "Unigram" : "word or character");
    if (file->normalises)
        return status_fail(TERN_UNSUPPORTED,
                           "%s: replaces characters of the text by a table (as nmt_nfkc does), which GGUF cannot say",
                           path);
    if (file->count > v->n_tokens)
        return status_fail(TERN_BAD_FILE, "%s: %zu pieces, vocab_size of config.json is %u", path, file->count,
                           v->n_tokens);
    for (size_t i = 0; i < file->count; i++) {
        const struct sentencepiece_piece *piece = &file->pieces[i];
        v->tokens[i] = (struct hf_token){piece->text, piece->length, piece->score, piece->type};
    }
    v->own_ids[0] = file->bos < (int32_t)file->count ? file->bos : -1;
    v->own_ids[1] = file->eos < (int32_t)file->count ? file->eos : -1;
    return TERN_OK;
}

static tern_status read_pieces(struct hf_vocabulary *v, const char *path, struct sentencepiece_file *file)
{
    TRY(sentencepiece_file_read(path, (const uint8_t *)v->model.data, v->model.length, file));
    TRY(take_pieces(v, path, file));
    TRY(hf_read_json(v->folder, "added_tokens.json", &v->added));
    TRY(read_added_file(v));
    TRY(read_added_settings(v));
    return add_all(v, file->space_prefix, file->squeeze_spaces);
}

static tern_status read_model(struct hf_vocabulary *v)
{
    struct sentencepiece_file file = {0};
    char *path = hf_path(v->folder, MODEL_FILE);
    tern_status status =
        path != NULL ? read_pieces(v, path, &file) : status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    sentencepiece_file_free(&file);
    free(path);
    return status;
}

// ---- tokenizer.json ---------------------------------------------------------------------------------------------

static bool has_type(const json_t *object, const char *type)
{
    return hf_equals(json_object_get(object, "type"), type);
}

// {"type": "Replace", "pattern": {"String": " "}, "content": "_"}
static bool replaces_blanks(const json_t *step)
{
    return has_type(step, "Replace") && hf_equals(json_object_get(step, "content"), BLANK) &&
           hf_equals(json_object_get(json_object_get(step, "pattern"), "String"), " ");
}

// A normalizer that may put a blank first and replaces them all; nothing splits the text then.
static bool read_normalizer(const json_t *normalizer, bool *space_prefix)
{
    const json_t *steps = json_object_get(normalizer, "normalizers"), *first = json_array_get(steps, 0);
    if (steps == NULL) return replaces_blanks(normalizer);
    *space_prefix = has_type(first, "Prepend") && hf_equals(json_object_get(first, "prepend"), BLANK);
    size_t n = *space_prefix ? 2 : 1;
    return json_array_size(steps) == n && replaces_blanks(json_array_get(steps, n - 1));
}

// Before tokenizers 0.16, add_prefix_space stood for prepend_scheme.
static bool read_metaspace(const json_t *pre, bool *space_prefix)
{
    const json_t *scheme = json_object_get(pre, "prepend_scheme");
    *space_prefix =
        scheme != NULL ? !hf_equals(scheme, "never") : !json_is_false(json_object_get(pre, "add_prefix_space"));
    return has_type(pre, "Metaspace") && hf_equals(json_object_get(pre, "replacement"), BLANK) &&
           json_is_false(json_object_get(pre, "split"));
}

// How blanks become part of tokens; false if more is done to a text than that.
static bool read_blanks(const json_t *root, bool *space_prefix)
{
    const json_t *normalizer = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer");
    *space_prefix = false;
    if (!json_is_object(normalizer)) return read_metaspace(pre, space_prefix);
    return !json_is_object(pre) && read_normalizer(normalizer, space_prefix);
}

static bool is_one_character(const struct hf_token *token)
{
    for (size_t i = 1; i < token->length; i++)
        if (((unsigned char)token->text[i] & 0xc0) != 0x80) return false;
    return true;
}

static bool is_byte(const struct hf_token *token)
{
    return token->length == 6 && memcmp(token->text, "<0x", 3) == 0 && token->text[5] == '>';
}

// The token that a merge makes: halves "a b" (neither holds a blank) or ["a", "b"]. NULL if it is none.
static const json_t *find_merged(const json_t *vocabulary, const json_t *merge, struct buffer *text)
{
    text->length = 0;
    if (json_is_string(merge)) {
        const char *blank = strchr(json_string_value(merge), ' ');
        if (blank == NULL ||
            buffer_append(text, json_string_value(merge), (size_t)(blank - json_string_value(merge))) ||
            buffer_append_string(text, blank + 1))
            return NULL;
    } else {
        const char *left = json_string_value(json_array_get(merge, 0));
        const char *right = json_string_value(json_array_get(merge, 1));
        if (left == NULL || right == NULL || buffer_append_string(text, left) || buffer_append_string(text, right))
            return NULL;
    }
    return json_object_get(vocabulary, text->data);
}

// SentencePiece merges the pair whose result has the highest score, tokenizer.json the one whose merge comes first: a
// token's score is its first merge's place. Without a merge it is not made of others and takes no part.
static tern_status score_merges(struct hf_vocabulary *v, const json_t *model)
{
    const json_t *merges = json_object_get(model, "merges"), *merge, *vocabulary = json_object_get(model, "vocab");
    struct buffer text = {0};
    size_t i;
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        struct hf_token *token = &v->tokens[id];
        if (token->text == NULL) continue;
        if (is_byte(token))
            token->type = SENTENCEPIECE_BYTE;
        else if (!is_one_character(token))
            token->type = SENTENCEPIECE_UNUSED;
        token->score = -(float)json_array_size(merges);
    }
    json_array_foreach(merges, i, merge)
    {
        const json_t *id = find_merged(vocabulary, merge, &text);
        if (id == NULL) {
            buffer_free(&text);
            return status_fail(TERN_BAD_FILE, "%s: merge %zu does not make a token", v->path, i);
        }
        struct hf_token *token = &v->tokens[json_integer_value(id)];
        if (token->type == SENTENCEPIECE_UNUSED) token->score = -(float)i;
        if (token->type == SENTENCEPIECE_UNUSED) token->type = SENTENCEPIECE_NORMAL;
    }
    buffer_free(&text);
    return TERN_OK;
}

// The text of the token for what the vocabulary does not have.
static void mark_unknown(struct hf_vocabulary *v)
{
    const char *name = json_string_value(json_object_get(json_object_get(v->root, "model"), "unk_token"));
    for (uint32_t i = 0; name != NULL && i < v->n_tokens; i++)
        if (v->tokens[i].text != NULL && strcmp(v->tokens[i].text, name) == 0)
            v->tokens[i].type = SENTENCEPIECE_UNKNOWN;
}

static tern_status read_json(struct hf_vocabulary *v)
{
    const json_t *model = json_object_get(v->root, "model");
    bool space_prefix;
    if (!hf_equals(json_object_get(model, "type"), "BPE") || json_is_true(json_object_get(model, "ignore_merges")))
        return status_fail(TERN_UNSUPPORTED, "%s: falls back to bytes, but is not SentencePiece's BPE", v->path);
    if (!read_blanks(v->root, &space_prefix))
        return status_fail(TERN_UNSUPPORTED,
                           "%s: the normalizer or the pre-tokenizer does more than SentencePiece's, which GGUF "
                           "cannot say",
                           v->path);
    if (!json_is_array(json_object_get(model, "merges")))
        return status_fail(TERN_BAD_FILE, "%s: model.merges is not an array", v->path);
    TRY(hf_read_ordinary_tokens(v));
    TRY(score_merges(v, model));
    TRY(hf_read_added_tokens(v));
    mark_unknown(v);
    return add_all(v, space_prefix, false);
}

tern_status hf_read_sentencepiece(struct hf_vocabulary *v)
{
    bool found;
    TRY(hf_read_text(v->folder, MODEL_FILE, &v->model, &found));
    if (found) return read_model(v);
    if (v->root != NULL) return read_json(v);
    return status_fail(TERN_BAD_FILE,
                       "%s: there is no such file, nor a " MODEL_FILE ", and the model needs its vocabulary", v->path);
}
