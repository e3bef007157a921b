// tern pack: a model file from another one, in other types.
#ifndef CONVERT_PACK_H
#define CONVERT_PACK_H

#include "convert/strip.h"

// A tensor type, or one of two more answers.
enum { PACK_KEEP = DTYPE_COUNT, PACK_DEFAULT };

// Reads "PTQ1_0", "q2_0", "keep", ...; false if it is not a type that tern writes.
bool pack_parse_type(const char *name, int *out);

// "F32, F16, ..., keep"
const char *pack_type_names(void);

struct pack_rule {
    const char *pattern; // of tensor names: * is any text, ? any character
    int type;
};

enum { PACK_MAX_RULES = 64 };

struct pack_options {
    int type;           // of matrices
    int embedding_type; // PACK_DEFAULT: as `type`; F16 for models that were trained to be ternary in their layers alone
    int head_type;      // of output.weight; PACK_DEFAULT: as the embedding's
    int odd_type;       // of matrices whose rows are not whole blocks; PACK_DEFAULT: they are refused
    struct pack_rule rules[PACK_MAX_RULES]; // the first that fits decides, before all of the above
    size_t n_rules;
    bool method_given; // else least squares, or absmean over tensors for models that were trained with that
    enum ternarise_method method;
    bool tensor_scale; // one scale for a whole matrix
    bool lossless;
    bool replace;               // an existing output
    enum i2_s_order i2_s_order; // of a GGUF input
    const char *pretokenizer;   // of a Hugging Face model, where its files do not say it; NULL
    int threads;                // 0: one for each core
    // The importance of a matrix's columns for least squares, [columns]; NULL: all alike. May itself be NULL.
    const float *(*importance)(void *context, const char *name, uint64_t columns);
    void *importance_context;
    // Called after each batch of rows with the share that is done; false gives up. May be NULL.
    bool (*progress)(void *context, double fraction);
    // Called when a matrix is done; vectors are not reported. May be NULL.
    void (*on_tensor)(void *context, const struct tensor_plan *plan, const struct pack_tally *tally);
    void *context;
};

struct pack_report {
    struct pack_tally matrices;   // all of them together
    uint64_t n_matrices, n_exact; // exact: every weight is what it was
    uint64_t file_bytes;          // of the output
    uint64_t matrix_bytes;        // of the matrices in it
    char least_exact[64];         // name of the matrix with the largest relative error; "" if all are exact
    double least_exact_error;     // its root of error_squared / weight_squared
};

// Packs `input` (a GGUF file, a folder of a Hugging Face model, or a .safetensors file of one) to `output`.
// Nothing is left of the output if it fails. Errors: all of tern_status's.
tern_status pack_run(const char *input, const char *output, const struct pack_options *options,
                     struct pack_report *report);

#endif
