// Byte-level BPE (GPT-2 and its kin): the merges of a file, and the encoding of one word.
#ifndef TEXT_BYTE_LEVEL_H
#define TEXT_BYTE_LEVEL_H

#include "text/merges.h"
#include "text/vocabulary.h"

// Reads tokenizer.ggml.merges ("left right", the first is the strongest). Errors: BAD_FILE (missing, or one that names
// what is no token), NO_MEMORY.
tern_status byte_level_read_merges(const struct gguf_file *file, const struct vocabulary *vocabulary,
                                   struct merge_table *out);

// Appends the tokens of one word. Bytes that have no token are left out, as Hugging Face does.
tern_status byte_level_encode(const struct vocabulary *vocabulary, const struct merge_table *merges, const char *bytes,
                              size_t length, struct merge_word *word, struct token_list *out);

#endif
