// Text to tokens and back, by the vocabulary in a GGUF file: byte-level BPE (tokenizer.ggml.model "gpt2", with the
// pre-tokenizers of pretokenize.c) and SentencePiece's BPE with scores ("llama").
// Known answers: Hugging Face tokenizers and Google's sentencepiece.
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "format/gguf.h"

struct tokenizer;

// Copies what it needs: the file may be closed after. Errors: BAD_FILE (what is missing or inconsistent),
// UNSUPPORTED (model or pre-tokenizer unknown: names it and lists the known ones). Close with tokenizer_close().
tern_status tokenizer_open(const struct gguf_file *file, struct tokenizer **out);
void tokenizer_close(struct tokenizer *tokenizer); // NULL is fine

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer); // number of ids

// flags: TERN_TOKENIZE_*. Any bytes are accepted: broken UTF-8 goes in as U+FFFD, as Hugging Face
// does with text decoded by errors="replace". *tokens is malloc'd (NULL if *count is 0). Takes time close to linear.
tern_status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                             tern_token **tokens, size_t *count);

// The bytes that a token stands for when text is put together: not NUL-terminated, maybe part of a character, maybe
// none. Control tokens give their own name ("<|im_end|>"). NULL for an id out of range. A SentencePiece text begins
// with the space that encoding puts there.
const char *tokenizer_token_bytes(const struct tokenizer *tokenizer, tern_token token, size_t *length);

bool tokenizer_is_control(const struct tokenizer *tokenizer, tern_token token); // not part of an answer's text
bool tokenizer_is_end(const struct tokenizer *tokenizer, tern_token token);     // eos, eot, eom and their like

tern_token tokenizer_bos(const struct tokenizer *tokenizer); // -1: none
tern_token tokenizer_eos(const struct tokenizer *tokenizer); // -1: none
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);
const char *tokenizer_kind(const struct tokenizer *tokenizer); // "byte-level BPE (qwen2)", "SentencePiece BPE"

#endif
