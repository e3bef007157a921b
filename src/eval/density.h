// Intelligence density: what benchmark scores a model has for each gigabyte, -ln(1 - score/100) / GB (PrismML's model
// cards). Lists of models with scores and sizes, read from CSV or JSON.
#ifndef EVAL_DENSITY_H
#define EVAL_DENSITY_H

#include "base/status.h"

struct scored_model {
    char *name;       // owned, valid UTF-8
    char *group;      // owned: "ternary", "16 bits", ...; "" if none was given
    double gigabytes; // 10^9 bytes, above 0
    double score;     // percent, 0 to below 100
    double published; // density as published; 0 if none was
};

struct scored_models {
    struct scored_model *items; // [count], owned
    size_t count, capacity;
};

double density_of(const struct scored_model *model);

// Appends the models of a text. CSV (RFC 4180): a line of column names, then a model a line. JSON: an array of objects.
// Columns or keys: `model`; `score`, or in JSON `scores`, an object of numbers whose mean counts; the size as `gb`,
// `bytes` or `file`, a path whose size is taken; `group` and `density` if wanted. Others are passed over. `name` is
// the text's own for messages. Errors: BAD_FILE (line or number of the model, what was expected), IO (`file`),
// NO_MEMORY. What was appended before an error stays; free with scored_models_free().
tern_status density_read(const char *name, const char *text, size_t length, struct scored_models *models);
void scored_models_free(struct scored_models *models);

// The published models that tern brings along: share/published.csv.
tern_status density_read_published(struct scored_models *models);

// No other model is as small and scores as high.
bool density_on_frontier(const struct scored_models *models, size_t index);

#endif
