// A number that tells model files apart: for answers that say what made them, and for what is kept on disk.
#ifndef ENGINE_FINGERPRINT_H
#define ENGINE_FINGERPRINT_H

#include "format/gguf.h"

// Of the header (hyperparameters, vocabulary, names, shapes) and some pages of every tensor, whole tensors if they are
// small: as far as a look at some of the file can tell. `seed` goes into it; the file's name and time do not.
uint64_t fingerprint_file(uint64_t seed, const struct gguf_file *file);

#endif
