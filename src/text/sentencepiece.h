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

// Appends the tokens of well-formed text in which spaces are spaces (not U+2581). A character without a token becomes
// its byte tokens, or `unknown` where one of those is missing (one for a row of such characters; -1: nothing).
tern_status sentencepiece_encode(const struct vocabulary *vocabulary, const struct merge_table *merges,
                                 tern_token unknown, const char *text, size_t length, struct merge_word *word,
                                 struct token_list *out);

#endif
