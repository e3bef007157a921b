// Which of the pre-tokenizers that GGUF has names for a tokenizer.json describes.
#ifndef CONVERT_HF_PRETOKENIZER_H
#define CONVERT_HF_PRETOKENIZER_H

#include "base/status.h"

#include <jansson.h>

// The value of tokenizer.ggml.pre, by the structure of normalizer, pre_tokenizer and model; static.
// Errors: UNSUPPORTED, with what was found.
tern_status hf_pretokenizer_find(const char *path, const json_t *tokenizer, const char **out);

#endif
