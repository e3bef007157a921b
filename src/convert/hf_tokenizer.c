#include "convert/hf_tokenizer.h"

#include "convert/hf_files.h"
#include "convert/hf_pretokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token_type { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 }; // as in tokenizer.ggml.token_type

struct token {
    const char *text; // in the JSON; NULL: no token has this id
    size_t length;
    enum token_type type;
};

struct tokenizer {
    const char *folder;
    char *path; // of tokenizer.json
    json_t *root;
    json_t *settings;     // tokenizer_config.json; NULL if there is none
    const json_t *config; // config.json
    uint32_t n_tokens;
    struct token *tokens; // [n_tokens]
    struct metadata *metadata;
};

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

static bool equals(const json_t *value, const char *text)
{
    const char *string = json_string_value(value);
    return string != NULL && strcmp(string, text) == 0;
}

// ---- Tokens -----------------------------------------------------------------------------------------------------

static tern_status set_token(struct tokenizer *t, const json_t *id, struct token token)
{
    json_int_t number = json_integer_value(id);
    if (!json_is_integer(id) || number < 0 || number >= (json_int_t)t->n_tokens)
        return status_fail(TERN_BAD_FILE, "%s: token \"%.60s\" has no id from 0 to %u (vocab_size of config.json)",
                           t->path, token.text, t->n_tokens - 1);
    t->tokens[number] = token;
    return TERN_OK;
}

static tern_status read_ordinary_tokens(struct tokenizer *t)
{
    json_t *vocabulary = json_object_get(json_object_get(t->root, "model"), "vocab"), *id;
    const char *text;
    if (!json_is_object(vocabulary)) return status_fail(TERN_BAD_FILE, "%s: model.vocab is not an object", t->path);
    json_object_foreach(vocabulary, text, id) TRY(set_token(t, id, (struct token){text, strlen(text), NORMAL}));
    return TERN_OK;
}

static bool surrounded(const char *text, size_t length, const char *before, const char *after)
{
    size_t b = strlen(before), a = strlen(after);
    return length >= a + b && memcmp(text, before, b) == 0 && memcmp(text + length - a, after, a) == 0;
}

// Models mark some control tokens as ordinary additions; these look like none.
static bool looks_special(const char *text, size_t length)
{
    return surrounded(text, length, "<|", "|>") || surrounded(text, length, "<\uFF5C", "\uFF5C>") ||
           surrounded(text, length, "<unused", ">") || strcmp(text, "<pad>") == 0 || strcmp(text, "<mask>") == 0;
}

static tern_status read_added_tokens(struct tokenizer *t)
{
    const json_t *list = json_object_get(t->root, "added_tokens"), *added;
    size_t i;
    json_array_foreach(list, i, added)
    {
        const json_t *content = json_object_get(added, "content");
        if (!json_is_string(content))
            return status_fail(TERN_BAD_FILE, "%s: added token %zu has no content", t->path, i);
        struct token token = {json_string_value(content), json_string_length(content), USER_DEFINED};
        if (json_is_true(json_object_get(added, "special")) || looks_special(token.text, token.length))
            token.type = CONTROL;
        TRY(set_token(t, json_object_get(added, "id"), token));
    }
    return TERN_OK;
}

static tern_status add_token(struct metadata *metadata, const struct token *token, uint32_t id)
{
    char filler[24];
    if (token->text != NULL) return metadata_element_string(metadata, token->text, token->length);
    int length = snprintf(filler, sizeof filler, "[PAD%u]", id);
    return metadata_element_string(metadata, filler, (size_t)length);
}

static tern_status add_tokens(struct tokenizer *t)
{
    struct metadata *m = t->metadata;
    TRY(metadata_begin_array(m, "tokenizer.ggml.tokens", GGUF_STRING, t->n_tokens));
    for (uint32_t i = 0; i < t->n_tokens; i++)
        TRY(add_token(m, &t->tokens[i], i));
    TRY(metadata_begin_array(m, "tokenizer.ggml.token_type", GGUF_I32, t->n_tokens));
    for (uint32_t i = 0; i < t->n_tokens; i++)
        TRY(metadata_element_u32(m, t->tokens[i].text != NULL ? t->tokens[i].type : UNUSED));
    return TERN_OK;
}

// ---- Merges -----------------------------------------------------------------------------------------------------

// A half of a merge; blanks, which separate the halves in GGUF, are spelled as byte-level tokens spell them.
static tern_status append_half(const json_t *half, struct buffer *out)
{
    const char *text = json_string_value(half);
    for (size_t i = 0; i < json_string_length(half); i++) {
        if (text[i] == ' ')
            TRY(buffer_append_string(out, "\u0120"));
        else
            TRY(buffer_append(out, text + i, 1));
    }
    return TERN_OK;
}

// "a b", or ["a", "b"] since tokenizers 0.20.
static tern_status add_merge(struct tokenizer *t, const json_t *merge, size_t index)
{
    if (json_is_string(merge))
        return metadata_element_string(t->metadata, json_string_value(merge), json_string_length(merge));
    if (json_array_size(merge) != 2 || !json_is_string(json_array_get(merge, 0)) ||
        !json_is_string(json_array_get(merge, 1)))
        return status_fail(TERN_BAD_FILE, "%s: merge %zu is not two strings", t->path, index);
    struct buffer joined = {0};
    tern_status status = append_half(json_array_get(merge, 0), &joined);
    if (status == TERN_OK) status = buffer_append_string(&joined, " ");
    if (status == TERN_OK) status = append_half(json_array_get(merge, 1), &joined);
    if (status == TERN_OK) status = metadata_element_string(t->metadata, joined.data, joined.length);
    buffer_free(&joined);
    return status;
}

static tern_status add_merges(struct tokenizer *t)
{
    const json_t *merges = json_object_get(json_object_get(t->root, "model"), "merges"), *merge;
    size_t i;
    if (!json_is_array(merges)) return status_fail(TERN_BAD_FILE, "%s: model.merges is not an array", t->path);
    TRY(metadata_begin_array(t->metadata, "tokenizer.ggml.merges", GGUF_STRING, json_array_size(merges)));
    json_array_foreach(merges, i, merge) TRY(add_merge(t, merge, i));
    return TERN_OK;
}

// ---- Special tokens ---------------------------------------------------------------------------------------------

// The text of a role's token in tokenizer_config.json: "bos_token": "<s>" or {"content": "<s>"}; NULL if absent.
static const char *role_text(const struct tokenizer *t, int role)
{
    char name[24];
    snprintf(name, sizeof name, "%s_token", roles[role].name);
    const json_t *value = json_object_get(t->settings, name);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return json_string_value(value);
}

static int64_t find_added(const struct tokenizer *t, const char *text)
{
    const json_t *added;
    size_t i;
    json_array_foreach(json_object_get(t->root, "added_tokens"), i,
                       added) if (equals(json_object_get(added, "content"),
                                         text)) return (int64_t)json_integer_value(json_object_get(added, "id"));
    return -1;
}

// An id in an object such as config.json; where it is a list, its first is the main one. -1 if absent or out of range.
static int64_t find_id(const struct tokenizer *t, const json_t *object, int role)
{
    char name[24];
    snprintf(name, sizeof name, "%s_token_id", roles[role].name);
    const json_t *value = json_object_get(object, name);
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!json_is_integer(value) || json_integer_value(value) >= (json_int_t)t->n_tokens) return -1;
    return (int64_t)json_integer_value(value);
}

// tokenizer_config.json decides before config.json, and that before generation_config.json.
static tern_status add_ids(struct tokenizer *t, const json_t *generation)
{
    for (int role = 0; role < N_ROLES; role++) {
        const char *text = role_text(t, role);
        int64_t id = text != NULL ? find_added(t, text) : -1;
        if (id < 0) id = find_id(t, t->config, role);
        if (id < 0) id = find_id(t, generation, role);
        if (id >= 0) TRY(metadata_add_u32(t->metadata, roles[role].key, (uint32_t)id));
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

static void read_processor(const struct tokenizer *t, const json_t *processor, struct additions *a)
{
    const json_t *type = json_object_get(processor, "type");
    for (int role = BOS; role <= EOS; role++) {
        if (equals(type, "ByteLevel")) a->known[role] = true;
        const char *token = equals(type, "TemplateProcessing") ? template_token(processor, role == EOS) : NULL;
        const char *own = role_text(t, role);
        if (token == NULL) continue;
        a->known[role] = true;
        a->add[role] = own != NULL && strcmp(own, token) == 0;
    }
}

// Whether texts get a first and a last token: as tokenizer.json does it, else as tokenizer_config.json says.
static tern_status add_additions(struct tokenizer *t)
{
    static const char *const names[] = {"add_bos_token", "add_eos_token"};
    static const char *const keys[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"};
    const json_t *post = json_object_get(t->root, "post_processor"), *step;
    const json_t *steps = json_object_get(post, "processors");
    struct additions a = {0};
    size_t i;
    if (steps == NULL) read_processor(t, post, &a);
    json_array_foreach(steps, i, step) read_processor(t, step, &a);
    for (int role = BOS; role <= EOS; role++) {
        const json_t *said = json_object_get(t->settings, names[role]);
        if (!a.known[role] && json_is_boolean(said)) {
            a.known[role] = true;
            a.add[role] = json_is_true(said);
        }
        if (a.known[role]) TRY(metadata_add_bool(t->metadata, keys[role], a.add[role]));
    }
    return TERN_OK;
}

// ---- Chat template ----------------------------------------------------------------------------------------------

// A list holds several under names; "default" is the one.
static const json_t *named_template(const json_t *list)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(list, i, entry) if (equals(json_object_get(entry, "name"), "default")) return json_object_get(
        entry, "template");
    return NULL;
}

static tern_status add_template(struct tokenizer *t)
{
    static const char key[] = "tokenizer.chat_template";
    const json_t *template = json_object_get(t->settings, "chat_template");
    if (json_is_array(template)) template = named_template(template);
    if (json_is_string(template))
        return metadata_add_string(t->metadata, key, json_string_value(template), json_string_length(template));
    struct buffer text = {0};
    bool found;
    tern_status status = hf_read_text(t->folder, "chat_template.jinja", &text, &found);
    if (status == TERN_OK && found) status = metadata_add_string(t->metadata, key, text.data, text.length);
    buffer_free(&text);
    return status;
}

// ---- All of it --------------------------------------------------------------------------------------------------

static tern_status check_kind(const struct tokenizer *t)
{
    const json_t *model = json_object_get(t->root, "model");
    const json_t *type = json_object_get(model, "type"), *decoder = json_object_get(t->root, "decoder");
    bool bpe = type == NULL || equals(type, "BPE"); // old files leave it out
    bool byte_level = equals(json_object_get(decoder, "type"), "ByteLevel");
    if (bpe && byte_level && !json_is_true(json_object_get(model, "byte_fallback"))) return TERN_OK;
    return status_fail(TERN_UNSUPPORTED,
                       "%s: a %.40s tokenizer that is not byte-level BPE; convert such a model's "
                       "tokenizer with llama.cpp and pack its GGUF file",
                       t->path, json_is_string(type) ? json_string_value(type) : "BPE");
}

static tern_status read_vocabulary(struct tokenizer *t, const char *pretokenizer)
{
    TRY(check_kind(t));
    if (pretokenizer == NULL) TRY(hf_pretokenizer_find(t->path, t->root, &pretokenizer));
    t->tokens = calloc(t->n_tokens, sizeof *t->tokens);
    if (t->tokens == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for %u tokens", t->path, t->n_tokens);
    TRY(read_ordinary_tokens(t));
    TRY(read_added_tokens(t));
    TRY(metadata_add_string(t->metadata, "tokenizer.ggml.model", "gpt2", strlen("gpt2")));
    TRY(metadata_add_string(t->metadata, "tokenizer.ggml.pre", pretokenizer, strlen(pretokenizer)));
    TRY(add_tokens(t));
    return add_merges(t);
}

static tern_status read_special(struct tokenizer *t)
{
    json_t *generation;
    TRY(hf_read_json(t->folder, "tokenizer_config.json", &t->settings));
    TRY(hf_read_json(t->folder, "generation_config.json", &generation));
    tern_status status = add_ids(t, generation);
    json_decref(generation);
    if (status == TERN_OK) status = add_additions(t);
    return status == TERN_OK ? add_template(t) : status;
}

tern_status hf_tokenizer_read(const char *folder, const json_t *config, uint32_t vocabulary, const char *pretokenizer,
                              struct metadata *metadata)
{
    struct tokenizer t = {.folder = folder, .config = config, .n_tokens = vocabulary, .metadata = metadata};
    t.path = hf_path(folder, "tokenizer.json");
    tern_status status = t.path != NULL ? hf_read_json(folder, "tokenizer.json", &t.root)
                                        : status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    if (status == TERN_OK && t.root == NULL)
        status = status_fail(TERN_BAD_FILE, "%s: there is no such file, and the model needs its vocabulary", t.path);
    if (status == TERN_OK) status = read_vocabulary(&t, pretokenizer);
    if (status == TERN_OK) status = read_special(&t);
    free(t.tokens);
    free(t.path);
    json_decref(t.root);
    json_decref(t.settings);
    return status;
}
