// SentencePiece's BPE: what merges into what follows from the tokens and their scores.
#ifndef TEXT_SENTENCEPIECE_H
#define TEXT_SENTENCEPIECE_H

#include "text/merges.h"
#include "text/vocabulary.h"

// Reads tokenizer.ggml.scores and lists the pairs of tokens that are a token together, the highest score first.
// Errors: BAD_FILE (scores missing, not one a token, NaN), UNSUPPORTED (a token of more than 1024 bytes, or far more
// pairs than tokens), NO_MEMORY.
tern_status sentencepiece_read_merges(const struct gguf_file *file, const struct vocabulary *vocabulary,
                                      struct merge_table *out);

// What encoding needs to know.
struct sentencepiece {
    const struct vocabulary *vocabulary;
    const struct merge_table *merges;
    tern_token unknown; // stands for a row of characters that have neither a token nor byte tokens; -1: nothing does
    bool words_apart;   // sentencepiece_words_apart()
};

// True if no merge goes across the border between a word and the spaces after it, so that each word with the spaces
// before it can be encoded alone, which is faster than all the text at once and gives the same.
bool sentencepiece_words_apart(const struct vocabulary *vocabulary);

// Appends the tokens of well-formed text in which spaces are spaces (not U+2581). A character without a token becomes
// its byte tokens.
tern_status sentencepiece_encode(const struct sentencepiece *model, const char *text, size_t length,
                                 struct merge_word *word, struct token_list *out);

#endif
