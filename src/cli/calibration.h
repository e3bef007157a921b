// What a model's matrices are given to multiply: the second moments of each column's input over a text.
#ifndef CLI_CALIBRATION_H
#define CLI_CALIBRATION_H

#include <stdint.h>

struct calibration;

// Runs the model over the text in `text_path` ("-": standard input), in chunks of 512 tokens, 65536 tokens at most.
// EXIT_OK, or an exit code after a message on stderr. Install interrupts before. Free with calibration_free().
int calibration_run(const char *model_path, const char *text_path, int threads, struct calibration **out);
void calibration_free(struct calibration *calibration); // NULL is fine

// The mean squares of the columns' inputs, for struct pack_options. NULL for a matrix that is not known: then all of
// its columns count alike.
const float *calibration_find(void *calibration, const char *name, uint64_t columns);

#endif
