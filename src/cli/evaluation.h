// What `tern perplexity` and `tern verify` share: a text, its chunks, a run over them with its progress line.
#ifndef CLI_EVALUATION_H
#define CLI_EVALUATION_H

#include "base/buffer.h"
#include "eval/summary.h"

#include <jansson.h>

// Longest chunk and most chunks that the command line takes.
enum { EVALUATION_MAX_CONTEXT = 1 << 20, EVALUATION_MAX_CHUNKS = 1 << 24 };

// The chunks of a text that came from `path` ("-": standard input) by a model's tokenizer. Errors: as chunks_make(),
// with the text's name.
tern_status evaluation_cut_text(const char *path, const struct buffer *text, const struct tern_model *model,
                                int context, int most, struct chunks *out);

// Where A's logits go; a path that is NULL: nowhere.
struct evaluation_save {
    const char *path;
    bool f32_activations; // how A multiplies, for the file's header
};

// Runs with a progress line. EXIT_OK, or an exit code after a message on stderr. Install interrupts before.
int evaluation_run(struct evaluate_options *options, struct evaluation_save save, struct evaluation *out);

// "12.3456 +/- 0.0123"
void evaluation_print_estimate(const char *label, struct estimate estimate, int digits);

json_t *evaluation_estimate_to_json(struct estimate estimate); // {"mean": m, "error": e}

// The line about how much of a text counts.
void evaluation_print_chunks(const struct chunks *chunks, int64_t n);

// Prints an object, frees it; EXIT_OK, or EXIT_FAILED if it is NULL.
int evaluation_print_json(json_t *object);

#endif
