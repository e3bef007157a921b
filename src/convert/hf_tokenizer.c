#include "convert/hf_tokenizer.h"

#include "convert/hf_byte_level.h"
#include "convert/hf_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The special tokens that GGUF has keys for, with the names that both sides have for them.
enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, N_ROLES };

static const struct {
    const char *name; // "NAME_token", "NAME_token_id" of Hugging Face
    const char *key;
} roles[N_ROLES] = {
    [BOS] = {"bos", "tokenizer.ggml.bos_token_id"},     [EOS] = {"eos", "tokenizer.ggml.eos_token_id"},
    [UNK] = {"unk", "tokenizer.ggml.unknown_token_id"}, [SEP] = {"sep", "tokenizer.ggml.seperator_token_id"},
    [PAD] = {"pad", "tokenizer.ggml.padding_token_id"}, [CLS] = {"cls", "tokenizer.ggml.cls_token_id"},
    [MASK] = {"mask", "tokenizer.ggml.mask_token_id"},
};

// ---- Special tokens ---------------------------------------------------------------------------------------------

// The text of a role's token in tokenizer_config.json: "bos_token": "<s>" or {"content": "<s>"}; NULL if absent.
static const char *role_text(const struct hf_vocabulary *v, int role)
{
    char name[24];
    snprintf(name, sizeof name, "%s_token", roles[role].name);
    const json_t *value = json_object_get(v->settings, name);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return json_string_value(value);
}

// A token that is more than text, by its name; -1 if there is none.
static int64_t find_added(const struct hf_vocabulary *v, const char *text)
{
    size_t length = strlen(text);
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        const struct hf_token *token = &v->tokens[i];
        if (token->text != NULL && token->type != SENTENCEPIECE_NORMAL && token->length == length &&
            memcmp(token->text, text, length) == 0)
            return i;
    }
    return -1;
}

// An id in an object such as config.json; where it is a list, its first is the main one. -1 if absent or out of range.
static int64_t find_id(const struct hf_vocabulary *v, const json_t *object, int role)
{
    char name[24];
    snprintf(name, sizeof name, "%s_token_id", roles[role].name);
    const json_t *value = json_object_get(object, name);
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!json_is_integer(value) || json_integer_value(value) >= (json_int_t)v->n_tokens) return -1;
    return (int64_t)json_integer_value(value);
}

// tokenizer_config.json decides before config.json, that before generation_config.json, and tokenizer.model comes last.
static tern_status add_ids(struct hf_vocabulary *v, const json_t *config, const json_t *generation)
{
    for (int role = 0; role < N_ROLES; role++) {
        const char *text = role_text(v, role);
        int64_t id = text != NULL ? find_added(v, text) : -1;
        if (id < 0) id = find_id(v, config, role);
        if (id < 0) id = find_id(v, generation, role);
        if (id < 0 && role <= EOS) id = v->own_ids[role];
        if (id >= 0) TRY(metadata_add_u32(v->metadata, roles[role].key, (uint32_t)id));
    }
    return TERN_OK;
}

// The token that a template processor puts first (or last) on every text; NULL if none.
static const char *template_token(const json_t *processor, bool last)
{
    const json_t *single = json_object_get(processor, "single");
    size_t n = json_array_size(single);
    if (n < 2) return NULL;
    const json_t *piece = json_array_get(single, last ? n - 1 : 0);
    return json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
}

struct additions {
    bool known[2], add[2]; // [BOS], [EOS]
};

static void read_processor(const struct hf_vocabulary *v, const json_t *processor, struct additions *a)
{
    const json_t *type = json_object_get(processor, "type");
    for (int role = BOS; role <= EOS; role++) {
        if (hf_equals(type, "ByteLevel")) a->known[role] = true;
        const char *token = hf_equals(type, "TemplateProcessing") ? template_token(processor, role == EOS) : NULL;
        const char *own = role_text(v, role);
        // Readers of GGUF put a first token before SentencePiece's texts unless told otherwise.
        bool none = v->sentencepiece && hf_equals(type, "TemplateProcessing");
        if (token == NULL && !none) continue;
        a->known[role] = true;
        a->add[role] = own != NULL && token != NULL && strcmp(own, token) == 0;
    }
}

// Whether texts get a first and a last token: as tokenizer.json does it, else as tokenizer_config.json says. For
// SentencePiece the latter comes first, as in transformers.
static tern_status add_additions(struct hf_vocabulary *v)
{
    static const char *const names[] = {"add_bos_token", "add_eos_token"};
    static const char *const keys[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"};
    const json_t *post = json_object_get(v->root, "post_processor"), *step;
    const json_t *steps = json_object_get(post, "processors");
    struct additions a = {0};
    size_t i;
    if (steps == NULL) read_processor(v, post, &a);
    json_array_foreach(steps, i, step) read_processor(v, step, &a);
    for (int role = BOS; role <= EOS; role++) {
        const json_t *said = json_object_get(v->settings, names[role]);
        if ((!a.known[role] || v->sentencepiece) && json_is_boolean(said)) {
            a.known[role] = true;
            a.add[role] = json_is_true(said);
        }
        if (a.known[role]) TRY(metadata_add_bool(v->metadata, keys[role], a.add[role]));
    }
    return TERN_OK;
}

// ---- Chat template ----------------------------------------------------------------------------------------------

// A list holds several under names; "default" is the one.
static const json_t *named_template(const json_t *list)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(list, i, entry) if (hf_equals(json_object_get(entry, "name"), "default")) return json_object_get(
        entry, "template");
    return NULL;
}

static tern_status add_template(struct hf_vocabulary *v)
{
    static const char key[] = "tokenizer.chat_template";
    const json_t *template = json_object_get(v->settings, "chat_template");
    if (json_is_array(template)) template = named_template(template);
    if (json_is_string(template))
        return metadata_add_string(v->metadata, key, json_string_value(template), json_string_length(template));
    struct buffer text = {0};
    bool found;
    tern_status status = hf_read_text(v->folder, "chat_template.jinja", &text, &found);
    if (status == TERN_OK && found) status = metadata_add_string(v->metadata, key, text.data, text.length);
    buffer_free(&text);
    return status;
}

// ---- All of it --------------------------------------------------------------------------------------------------

static tern_status read_vocabulary(struct hf_vocabulary *v, const char *pretokenizer)
{
    v->tokens = calloc(v->n_tokens, sizeof *v->tokens);
    if (v->tokens == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for %u tokens", v->path, v->n_tokens);
    v->sentencepiece = hf_is_sentencepiece(v);
    return v->sentencepiece ? hf_read_sentencepiece(v) : hf_read_byte_level(v, pretokenizer);
}

static tern_status read_special(struct hf_vocabulary *v, const json_t *config)
{
    json_t *generation;
    TRY(hf_read_json(v->folder, "generation_config.json", &generation));
    tern_status status = add_ids(v, config, generation);
    json_decref(generation);
    if (status == TERN_OK) status = add_additions(v);
    return status == TERN_OK ? add_template(v) : status;
}

tern_status hf_tokenizer_read(const char *folder, const json_t *config, uint32_t vocabulary, const char *pretokenizer,
                              struct metadata *metadata)
{
    struct hf_vocabulary v = {.folder = folder, .n_tokens = vocabulary, .metadata = metadata, .own_ids = {-1, -1}};
    v.path = hf_path(folder, "tokenizer.json");
    tern_status status = v.path != NULL ? hf_read_json(folder, "tokenizer.json", &v.root)
                                        : status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    if (status == TERN_OK) status = hf_read_json(folder, "tokenizer_config.json", &v.settings);
    if (status == TERN_OK) status = read_vocabulary(&v, pretokenizer);
    if (status == TERN_OK) status = read_special(&v, config);
    buffer_free(&v.model);
    free(v.tokens);
    free(v.path);
    json_decref(v.root);
    json_decref(v.settings);
    json_decref(v.added);
    return status;
}
