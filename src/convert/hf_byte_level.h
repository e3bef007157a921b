// tokenizer.json of byte-level BPE.
#ifndef CONVERT_HF_BYTE_LEVEL_H
#define CONVERT_HF_BYTE_LEVEL_H

#include "convert/hf_vocabulary.h"

// Appends tokens, types and merges. `pretokenizer` names the pre-tokenizer where its structure is not a known one;
// NULL. Errors: BAD_FILE, UNSUPPORTED (not byte-level BPE, a pre-tokenizer that is not known), NO_MEMORY.
tern_status hf_read_byte_level(struct hf_vocabulary *v, const char *pretokenizer);

#endif
