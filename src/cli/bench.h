// What `tern bench` was asked for, its measuring and its output.
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/commands.h"
#include "eval/benchmark.h"

enum { BENCH_MAX_LIST = 16 };

struct bench_list {
    int count;
    int values[BENCH_MAX_LIST];
};

struct bench_plan {
    const char *models[BENCHMARK_MAX_MODELS]; // files, or names that model_name.h understands
    tern_tiles tiles[BENCHMARK_MAX_MODELS];   // of each
    bool tiles_chosen;                        // by an option
    int n_models;
    struct bench_list prompts, decodes, depths, streams, kv_types, threads;
    int rounds;
    bool f32_activations;
};

// Loads the models and measures every combination, round by round. EXIT_OK; EXIT_INTERRUPTED: Ctrl-C, *out has what was
// measured so far; or another exit code after a message on stderr. Free *out with benchmark_free() in any case.
int bench_measure(const struct bench_plan *plan, struct benchmark *out);

// A table for people; every case that was measured as a line of CSV.
void bench_print_table(const struct benchmark *benchmark);
void bench_print_csv(const struct benchmark *benchmark, FILE *stream);

struct bench_file {
    const char *path;
    struct benchmark benchmark;
};

void bench_print_comparison(const struct bench_file *a, const struct bench_file *b,
                            const struct benchmark_comparison *comparison);

#endif
