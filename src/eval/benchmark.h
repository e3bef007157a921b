// What `tern bench` measured: the models, the machine, and a list of cases with all their samples.
#ifndef EVAL_BENCHMARK_H
#define EVAL_BENCHMARK_H

#include "base/status.h"
#include "eval/samples.h"

enum { BENCHMARK_MAX_MODELS = 16, BENCHMARK_NAME_BYTES = 128 };

struct benchmark_model {
    char file[256]; // without its folders; " (dense tiles)" if tiles were chosen, " (2)" of a second one
    char name[BENCHMARK_NAME_BYTES]; // general.name
    char architecture[32], type[32]; // type: what most weights have in the file
    bool dense_tiles;                // that ternary weights lie in
    double file_bytes;
    double weight_bytes; // read to decode one token of one stream
    double load_seconds;
};

enum benchmark_test {
    BENCHMARK_STREAM,  // reading memory from end to end: the wall. Bytes a second
    BENCHMARK_PREFILL, // `tokens` tokens of a prompt at once. Tokens a second
    BENCHMARK_DECODE,  // `tokens` tokens one by one in each of `streams` sequences. Tokens a second, of all together
};

struct benchmark_case {
    enum benchmark_test test;
    int32_t model; // index; 0 for STREAM, which has none
    int32_t tokens;
    int32_t depth;   // tokens that each sequence held before
    int32_t streams; // sequences that are computed together
    int32_t threads;
    tern_kv_type kv_type;
    double bytes;          // of weights, keys and values read for each token; 0 for prefill and stream
    struct samples rates;  // a second
    struct samples shares; // decode: of the bandwidth measured in the same round, `bytes` for each token
    struct samples joules; // for each token; none where the machine has no meter
    struct samples busy;   // share of the time that the threads had a processor: less where others work here too
    bool was_left_out;     // `why_left_out` says why nothing was measured
    char why_left_out[256];
};

struct benchmark {
    char version[32], date[32];       // of tern; UTC, as ISO 8601 has it
    char cpu[BENCHMARK_NAME_BYTES];   // "model name" of /proc/cpuinfo
    char kernels[32];                 // the table that multiplied
    int32_t processors, cores, nodes; // that this process may use
    double memory;                    // bytes this process may use
    double peak_resident;             // bytes: models, keys and values and working space, all together; 0: not known
    char energy[160];                 // why it was not measured; "" if it was
    bool f32_activations;
    int32_t rounds; // asked for; a case may have fewer samples
    struct benchmark_model models[BENCHMARK_MAX_MODELS];
    int32_t n_models;
    struct benchmark_case *cases; // [n_cases], owned
    int32_t n_cases;
};

void benchmark_free(struct benchmark *benchmark);

const char *benchmark_test_name(enum benchmark_test test); // "stream", "prefill", "decode"
const char *benchmark_kv_name(tern_kv_type type);          // "f16", "q8_0", "q4_0"

// The median of `busy` over all cases: what the machine left to the run; 0 if it was not measured.
double benchmark_busy(const struct benchmark *benchmark);

// ---- JSON (benchmark_json.c) ----------------------------------------------------------------------------------------

// The benchmark as one JSON object, NUL-terminated; free it with free(). NULL: no memory.
char *benchmark_to_json(const struct benchmark *benchmark);

// Reads what benchmark_to_json() wrote. `name` is the text's own for messages. Errors: BAD_FILE (where and what was
// expected), NO_MEMORY. Free with benchmark_free(), after errors too.
tern_status benchmark_from_json(const char *name, const char *text, size_t length, struct benchmark *out);

// ---- Comparison (benchmark_compare.c) -------------------------------------------------------------------------------

struct benchmark_pair {
    const struct benchmark_case *a, *b; // borrowed
    struct interval ratio;              // of the medians, b over a
};

struct benchmark_comparison {
    struct benchmark_pair *pairs; // [n_pairs] in A's order, owned
    int32_t n_pairs;
    int32_t only_a, only_b; // cases with samples that the other has not
};

// Pairs the cases that measured the same: everything but the figures is equal. Models are the same if their files'
// names are, or if each benchmark has but one. Errors: NO_MEMORY. Free with benchmark_comparison_free().
tern_status benchmark_compare(const struct benchmark *a, const struct benchmark *b, struct benchmark_comparison *out);
void benchmark_comparison_free(struct benchmark_comparison *comparison);

#endif
