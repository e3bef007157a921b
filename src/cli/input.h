// Whole texts from files and pipes.
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/buffer.h"

enum { INPUT_MAX_BYTES = 16 << 20 };

// Appends what `path` holds ("-": standard input). Errors: IO, LIMIT (more than INPUT_MAX_BYTES), NO_MEMORY.
tern_status input_read(const char *path, struct buffer *out);

#endif
