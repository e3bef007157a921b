// tokenizer.json, tokenizer.model and their companions: the vocabulary of a Hugging Face model as GGUF's keys.
#ifndef CONVERT_HF_TOKENIZER_H
#define CONVERT_HF_TOKENIZER_H

#include "convert/gguf_writer.h"

#include <jansson.h>

// Appends tokens, types, merges or scores, special ids and the chat template, named and typed as llama.cpp's converters
// do it. `config` is config.json's object; `vocabulary` its vocab_size: missing tokens are [PADn]. `pretokenizer` names
// the pre-tokenizer of byte-level BPE where its structure is not a known one; NULL. A folder with neither
// tokenizer.json nor tokenizer.model is refused. Errors: IO, BAD_FILE, UNSUPPORTED (neither byte-level BPE nor
// SentencePiece's, a pre-tokenizer that is not known), NO_MEMORY.
tern_status hf_tokenizer_read(const char *folder, const json_t *config, uint32_t vocabulary, const char *pretokenizer,
                              struct metadata *metadata);

#endif
