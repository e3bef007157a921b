// What `tern verify` was asked for; shared by its two ways, weights and predictions.
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/commands.h"

enum verify_side { VERIFY_A, VERIFY_B, VERIFY_BOTH };

struct verify_options {
    const char *a, *b;       // files; B is A again where one model is compared with itself
    const char *text, *save; // NULL: not given
    int context;             // 0: not given
    int chunks, threads, json;
    int f32_activations;   // an enum verify_side; -1: neither
    int kv_type;           // of B; -1: not given
    float most_divergence; // -1: no limit
    float least_same_top;  // percent; -1: no limit
};

int verify_weights(const struct verify_options *options);
int verify_predictions(const struct verify_options *options);

#endif
