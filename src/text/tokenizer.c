#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/nfc.h"
#include "text/pretokenize.h"
#include "text/sentencepiece.h"
#include "text/special.h"
#include "text/utf8.h"

enum { MAX_ENDS = 32 };

struct tokenizer {
    struct vocabulary vocabulary;
    struct merge_table merges;
    struct special_tokens specials;
    const struct pretokenizer_kind *pre; // byte-level only
    struct pretokenizer *pretokenizer;   // byte-level only
    bool space_prefix;                   // SentencePiece: a space goes before each stretch of text
    bool squeeze_spaces;                 // SentencePiece: a row of spaces counts as one
    bool words_apart;                    // SentencePiece: sentencepiece_words_apart()
    bool adds_bos;
    tern_token bos, eos, unknown; // -1: none
    tern_token ends[MAX_ENDS];    // [n_ends] tokens that end an answer
    int n_ends;
    char kind[64];
};

// ---- Opening ----------------------------------------------------------------------------------------------------

// Tokens that end an answer or a turn wherever they are special: llama.cpp's list, which serves the files whose
// metadata name only one of theirs.
static const char *const end_names[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
    "<eos>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<end_of_utterance>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
};

static void add_end(struct tokenizer *tokenizer, tern_token token)
{
    if (token < 0 || tokenizer_is_end(tokenizer, token) || tokenizer->n_ends == MAX_ENDS) return;
    tokenizer->ends[tokenizer->n_ends++] = token;
}

static bool is_end_name(const struct special_token *token)
{
    for (size_t i = 0; i < sizeof end_names / sizeof end_names[0]; i++) {
        if (strlen(end_names[i]) == token->length && memcmp(end_names[i], token->name, token->length) == 0) return true;
    }
    return false;
}

static tern_status read_ends(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    int32_t n_tokens = tokenizer->vocabulary.n_tokens;
    tern_token eot = -1, eom = -1;
    TRY(vocabulary_read_id(file, "tokenizer.ggml.eot_token_id", n_tokens, &eot));
    TRY(vocabulary_read_id(file, "tokenizer.ggml.eom_token_id", n_tokens, &eom));
    add_end(tokenizer, tokenizer->eos);
    add_end(tokenizer, eot);
    add_end(tokenizer, eom);
    for (uint32_t i = 0; i < tokenizer->specials.count; i++) {
        if (is_end_name(&tokenizer->specials.tokens[i])) add_end(tokenizer, tokenizer->specials.tokens[i].id);
    }
    return TERN_OK;
}

// The first token of that type, -1 if none.
static tern_token find_type(const struct vocabulary *vocabulary, enum token_type type)
{
    const uint8_t *found = memchr(vocabulary->types, (int)type, (size_t)vocabulary->n_tokens);
    return found ? (tern_token)(found - vocabulary->types) : -1;
}

static tern_status read_ids(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    int32_t n_tokens = tokenizer->vocabulary.n_tokens;
    tokenizer->bos = tokenizer->eos = -1;
    tokenizer->unknown = find_type(&tokenizer->vocabulary, TOKEN_UNKNOWN);
    TRY(vocabulary_read_id(file, "tokenizer.ggml.bos_token_id", n_tokens, &tokenizer->bos));
    TRY(vocabulary_read_id(file, "tokenizer.ggml.eos_token_id", n_tokens, &tokenizer->eos));
    TRY(vocabulary_read_id(file, "tokenizer.ggml.unknown_token_id", n_tokens, &tokenizer->unknown));
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &tokenizer->adds_bos));
    return read_ends(file, tokenizer);
}

static tern_status open_byte_level(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    struct gguf_string name = {.data = "default", .length = 7};
    TRY(gguf_get_string(file, "tokenizer.ggml.pre", &name));
    tokenizer->pre = pretokenizer_kind_find(name.data, name.length);
    if (!tokenizer->pre) {
        return status_fail(TERN_UNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\", expected one of: %s", file->path,
                           (int)(name.length < 64 ? name.length : 64), name.data, pretokenizer_kind_names());
    }
    tokenizer->adds_bos = tokenizer->pre->adds_bos;
    snprintf(tokenizer->kind, sizeof tokenizer->kind, "byte-level BPE (%s)", tokenizer->pre->name);
    TRY(pretokenizer_open(tokenizer->pre, &tokenizer->pretokenizer));
    TRY(vocabulary_read(file, VOCABULARY_BYTE_LEVEL, &tokenizer->vocabulary));
    return byte_level_read_merges(file, &tokenizer->vocabulary, &tokenizer->merges);
}

static tern_status open_sentencepiece(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    tokenizer->adds_bos = true;
    tokenizer->space_prefix = true;
    snprintf(tokenizer->kind, sizeof tokenizer->kind, "SentencePiece BPE");
    TRY(gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", &tokenizer->space_prefix));
    TRY(gguf_get_bool(file, "tokenizer.ggml.remove_extra_whitespaces", &tokenizer->squeeze_spaces));
    TRY(vocabulary_read(file, VOCABULARY_SENTENCEPIECE, &tokenizer->vocabulary));
    tokenizer->words_apart = sentencepiece_words_apart(&tokenizer->vocabulary);
    return sentencepiece_read_merges(file, &tokenizer->vocabulary, &tokenizer->merges);
}

static tern_status open_model(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    static const char model_key[] = "tokenizer.ggml.model";
    struct gguf_string model = {.data = "", .length = 0};
    if (!gguf_find(file, model_key)) {
        return status_fail(TERN_BAD_FILE, "%s: %s is missing: the file has no tokenizer", file->path, model_key);
    }
    TRY(gguf_get_string(file, model_key, &model));
    if (gguf_string_equal(model, "gpt2")) return open_byte_level(file, tokenizer);
    if (gguf_string_equal(model, "llama")) return open_sentencepiece(file, tokenizer);
    return status_fail(TERN_UNSUPPORTED,
                       "%s: %s is \"%.*s\", expected gpt2 (byte-level BPE) or llama (SentencePiece BPE)", file->path,
                       model_key, (int)(model.length < 64 ? model.length : 64), model.data);
}

static tern_status open_all(const struct gguf_file *file, struct tokenizer *tokenizer)
{
    TRY(open_model(file, tokenizer));
    tern_status status = special_tokens_open(&tokenizer->vocabulary, &tokenizer->specials);
    if (status != TERN_OK) return status_prefix(status, "%s: tokenizer.ggml.tokens: ", file->path);
    return read_ids(file, tokenizer);
}

tern_status tokenizer_open(const struct gguf_file *file, struct tokenizer **out)
{
    *out = NULL;
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) return status_fail(TERN_NO_MEMORY, "no memory for a tokenizer");
    tern_status status = open_all(file, tokenizer);
    if (status == TERN_OK)
        *out = tokenizer;
    else
        tokenizer_close(tokenizer);
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer) return;
    special_tokens_close(&tokenizer->specials);
    pretokenizer_close(tokenizer->pretokenizer);
    merge_table_free(&tokenizer->merges);
    vocabulary_free(&tokenizer->vocabulary);
    free(tokenizer);
}

// ---- Encoding ---------------------------------------------------------------------------------------------------

// One call of tokenizer_encode().
struct encoder {
    const struct tokenizer *tokenizer;
    struct merge_word word;
    struct buffer normal; // the stretch of text at hand, normalised
    struct token_list tokens;
};

static tern_status encode_word(void *context, const char *bytes, size_t length)
{
    struct encoder *encoder = context;
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    if (encoder->tokenizer->pre->whole_words) {
        tern_token whole = vocabulary_find(vocabulary, bytes, length);
        if (whole >= 0 && vocabulary->types[whole] == TOKEN_NORMAL)
            return token_list_append(&encoder->tokens, &whole, 1);
    }
    return byte_level_encode(vocabulary, &encoder->tokenizer->merges, bytes, length, &encoder->word, &encoder->tokens);
}

static tern_status encode_byte_level(struct encoder *encoder, const char *text, size_t length)
{
    if (encoder->tokenizer->pre->nfc && !nfc_is_trivial(text, length)) {
        encoder->normal.length = 0;
        TRY(nfc_append(text, length, &encoder->normal));
        text = encoder->normal.data;
        length = encoder->normal.length;
    }
    return pretokenizer_split(encoder->tokenizer->pretokenizer, text, length, encode_word, encoder);
}

// The text as SentencePiece sees it: U+2581 is a space like any other, except that none is dropped for following
// another.
static tern_status normalise_spaces(const struct tokenizer *tokenizer, const char *text, size_t length,
                                    struct buffer *out)
{
    bool squeeze = tokenizer->squeeze_spaces, follows_space = true;
    out->length = 0;
    TRY(buffer_reserve(out, length + 1));
    if (tokenizer->space_prefix) TRY(buffer_append(out, " ", 1));
    for (size_t i = 0; i < length;) {
        bool space = text[i] == ' ', mark = length - i >= 3 && memcmp(text + i, "\xE2\x96\x81", 3) == 0;
        bool dropped = squeeze && space && follows_space;
        if (!dropped) TRY(buffer_append(out, mark ? " " : text + i, 1));
        follows_space = space;
        i += mark ? 3 : 1;
    }
    while (squeeze && out->length > 0 && out->data[out->length - 1] == ' ') {
        out->length--;
    }
    return TERN_OK;
}

static tern_status encode_sentencepiece(struct encoder *encoder, const char *text, size_t length)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    struct sentencepiece model = {.vocabulary = &tokenizer->vocabulary,
                                  .merges = &tokenizer->merges,
                                  .unknown = tokenizer->unknown,
                                  .words_apart = tokenizer->words_apart};
    TRY(normalise_spaces(tokenizer, text, length, &encoder->normal));
    return sentencepiece_encode(&model, encoder->normal.data, encoder->normal.length, &encoder->word, &encoder->tokens);
}

// A stretch of text between special tokens.
static tern_status encode_stretch(struct encoder *encoder, const char *text, size_t length)
{
    if (length == 0) return TERN_OK;
    if (encoder->tokenizer->pre) return encode_byte_level(encoder, text, length);
    return encode_sentencepiece(encoder, text, length);
}

static tern_status encode_valid(struct encoder *encoder, const char *text, size_t length, unsigned flags)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    if ((flags & TERN_TOKENIZE_BOS) && tokenizer->adds_bos && tokenizer->bos >= 0) {
        TRY(token_list_append(&encoder->tokens, &tokenizer->bos, 1));
    }
    bool with_control = (flags & TERN_TOKENIZE_SPECIAL) != 0;
    for (size_t at = 0; at < length;) {
        size_t start = length;
        const struct special_token *special =
            special_tokens_find(&tokenizer->specials, with_control, text, length, at, &start);
        TRY(encode_stretch(encoder, text + at, start - at));
        if (!special) break;
        TRY(token_list_append(&encoder->tokens, &special->id, 1));
        at = start + special->length;
    }
    return TERN_OK;
}

static tern_status encode_any(struct encoder *encoder, const char *text, size_t length, unsigned flags)
{
    if (utf8_valid(text, length)) return encode_valid(encoder, text, length, flags);
    struct buffer repaired = {0};
    struct utf8_stream stream = {0};
    tern_status status = utf8_stream_push(&stream, text, length, &repaired);
    if (status == TERN_OK) status = utf8_stream_finish(&stream, &repaired);
    if (status == TERN_OK) status = encode_valid(encoder, repaired.data, repaired.length, flags);
    buffer_free(&repaired);
    return status;
}

tern_status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                             tern_token **tokens, size_t *count)
{
    struct encoder encoder = {.tokenizer = tokenizer};
    tern_status status = encode_any(&encoder, text, length, flags);
    merge_word_free(&encoder.word);
    buffer_free(&encoder.normal);
    if (status != TERN_OK) {
        free(encoder.tokens.ids);
        encoder.tokens = (struct token_list){0};
    }
    *tokens = encoder.tokens.ids;
    *count = encoder.tokens.count;
    return status;
}

// ---- Questions --------------------------------------------------------------------------------------------------

static bool in_range(const struct tokenizer *tokenizer, tern_token token)
{
    return token >= 0 && token < tokenizer->vocabulary.n_tokens;
}

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.n_tokens;
}

const char *tokenizer_token_bytes(const struct tokenizer *tokenizer, tern_token token, size_t *length)
{
    *length = 0;
    return in_range(tokenizer, token) ? vocabulary_bytes(&tokenizer->vocabulary, token, length) : NULL;
}

bool tokenizer_is_control(const struct tokenizer *tokenizer, tern_token token)
{
    if (!in_range(tokenizer, token)) return false;
    enum token_type type = tokenizer->vocabulary.types[token];
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || tokenizer_is_end(tokenizer, token);
}

bool tokenizer_is_end(const struct tokenizer *tokenizer, tern_token token)
{
    for (int i = 0; i < tokenizer->n_ends; i++) {
        if (tokenizer->ends[i] == token) return true;
    }
    return false;
}

tern_token tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

tern_token tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

const char *tokenizer_kind(const struct tokenizer *tokenizer)
{
    return tokenizer->kind;
}
