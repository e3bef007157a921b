// One pass over a text with one model or two: each position's log probability, and how far B's predictions are from
// A's. A reference (A) may be a file of logits saved by an earlier run.
#ifndef EVAL_EVALUATE_H
#define EVAL_EVALUATE_H

#include "engine/model.h"
#include "eval/chunks.h"
#include "eval/saved_logits.h"

// Where predictions come from: exactly one of the two.
struct source {
    struct tern_model *model;
    const struct saved_logits *saved;
    tern_kv_type kv_type; // of a model's keys and values
};

// Figures of scored positions, in the order of the text, in nats. Those of B are NULL in a run with one model.
struct evaluation {
    int64_t n;          // positions evaluated so far
    int64_t capacity;   // chunks * chunks_scored()
    double *loss_a;     // -ln p_A(the token that came)
    double *loss_b;     // of B
    double *divergence; // KL(A || B)
    uint8_t *same_top;  // 1: both find the same token likeliest
};

struct evaluate_options {
    const struct chunks *chunks;
    struct source a, b;               // b: all NULL for a run with one model
    struct saved_logits_writer *save; // takes A's logits; NULL: nobody
    // Called by the calling thread after each batch; false gives CANCELLED. May be NULL.
    bool (*progress)(void *context, float fraction, const struct evaluation *so_far);
    void *context;
};

// Errors: NO_MEMORY, CANCELLED, INVALID (vocabularies of different sizes, a context beyond what a model was trained
// for), BAD_FILE (logits that are no numbers, a damaged file of logits), IO. Free with evaluation_free().
tern_status evaluate(const struct evaluate_options *options, struct evaluation *out);
void evaluation_free(struct evaluation *evaluation);

#endif
