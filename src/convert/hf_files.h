// The JSON and text files of a Hugging Face model's folder.
#ifndef CONVERT_HF_FILES_H
#define CONVERT_HF_FILES_H

#include "base/buffer.h"

#include <jansson.h>

// Bounds: what such files have at most is a third of it (tokenizer.json of a vocabulary of 256 Ki tokens).
enum { HF_MAX_FILE_BYTES = 64 << 20 };

// FOLDER/NAME, to be freed; NULL without memory.
char *hf_path(const char *folder, const char *name);

// Appends the text of FOLDER/NAME. *found is false, with TERN_OK, if there is no such file.
// Errors: IO, LIMIT (larger than HF_MAX_FILE_BYTES), NO_MEMORY.
tern_status hf_read_text(const char *folder, const char *name, struct buffer *out, bool *found);

// The object in FOLDER/NAME; NULL, with TERN_OK, if there is no such file. To be given to json_decref().
// In a file with a whole number beyond 64 bits, all numbers are reals. Errors: as hf_read_text(), BAD_FILE (not a JSON
// object; with the line).
tern_status hf_read_json(const char *folder, const char *name, json_t **out);

#endif
