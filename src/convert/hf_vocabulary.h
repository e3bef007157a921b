// What the readers of Hugging Face tokenizers share: the vocabulary on its way into GGUF's keys.
#ifndef CONVERT_HF_VOCABULARY_H
#define CONVERT_HF_VOCABULARY_H

#include "convert/gguf_writer.h"
#include "convert/sentencepiece_file.h"

#include <jansson.h>

struct hf_token {
    const char *text; // in the file that it is from; NULL: no token has this id
    size_t length;
    float score; // of SentencePiece
    enum sentencepiece_type type;
};

struct hf_vocabulary {
    const char *folder;
    char *path;       // of tokenizer.json
    json_t *root;     // tokenizer.json; NULL if there is none
    json_t *settings; // tokenizer_config.json; NULL if there is none
    bool sentencepiece;
    struct buffer model; // the bytes of tokenizer.model, if it is read
    json_t *added;       // added_tokens.json, beside it
    int32_t own_ids[2];  // what it calls the first and the last token of a text; -1: none
    uint32_t n_tokens;
    struct hf_token *tokens; // [n_tokens]
    struct metadata *metadata;
};

// True if `value` is this string.
bool hf_equals(const json_t *value, const char *text);

// Puts a token that FOLDER/`file` names under its id, which must be below n_tokens. Errors: BAD_FILE.
tern_status hf_set_token(struct hf_vocabulary *v, const char *file, const json_t *id, struct hf_token token);

// model.vocab of tokenizer.json, as NORMAL tokens. Errors: BAD_FILE.
tern_status hf_read_ordinary_tokens(struct hf_vocabulary *v);

// added_tokens of tokenizer.json, as CONTROL or USER_DEFINED tokens. Errors: BAD_FILE.
tern_status hf_read_added_tokens(struct hf_vocabulary *v);

// Models mark some control tokens as ordinary additions; these look like none.
bool hf_looks_special(const char *text, size_t length);

// tokenizer.ggml.tokens and token_type; missing tokens are [PADn].
tern_status hf_add_tokens(struct hf_vocabulary *v);

// True if the folder's tokenizer is SentencePiece's BPE: its tokenizer.json falls back to bytes, or there is only a
// tokenizer.model.
bool hf_is_sentencepiece(const struct hf_vocabulary *v);

// The vocabulary of such a tokenizer: tokenizer.model if there is one, else tokenizer.json, whose merges stand for the
// scores. Errors: IO, BAD_FILE, UNSUPPORTED (not BPE, a normalizer that GGUF has no name for), LIMIT, NO_MEMORY.
tern_status hf_read_sentencepiece(struct hf_vocabulary *v);

#endif
