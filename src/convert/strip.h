// Packing of a strip: up to 64 rows of one tensor, by one thread.
#ifndef CONVERT_STRIP_H
#define CONVERT_STRIP_H

#include "convert/source.h"
#include "convert/ternarise.h"

enum { STRIP_ROWS = 64, STRIP_TILE_COLUMNS = 64 }; // a strip is a row of the tiles of TERNARISE_BLOCK64

// What is to become of one tensor.
struct tensor_plan {
    const struct source_tensor *source;
    enum dtype type;
    enum ternarise_method method; // for groups that are not exact
    const float *importance;      // [columns] of the columns, for least squares; NULL: all alike
    bool method_given;            // by the user: then packed trits that do not fit the type may be rounded by it
    bool lossless;                // anything that is not exact is a fault
    bool tensor_wide;             // one fit for the whole tensor: always for I2_S
    bool rounded;                 // a type of floats takes trits times that fit's scale
    struct ternary_fit fit;       // the tensor's, if tensor_wide
};

enum fault_kind {
    FAULT_NONE,
    FAULT_NOT_FINITE, // a weight is infinite or not a number
    FAULT_TOO_LARGE,  // a weight or a scale is beyond a half's range
    FAULT_NOT_EXACT,  // lossless, and `found` becomes `becomes`
    FAULT_TWO_SCALES, // packed trits whose scales differ within one group of the output: found, becomes
    FAULT_SCALE,      // packed trits whose scale is no half: found
    FAULT_CODE,       // a packed code 3 (twice the scale), which the type does not have
};

// The first thing that is wrong.
struct fault {
    enum fault_kind kind;
    uint64_t row, column;
    float found, becomes;
};

// What packing did. Sums over strips are in the strips' order, so that they do not depend on the threads.
struct pack_tally {
    uint64_t weights;
    uint64_t groups, exact_groups; // as pack_group() cuts rows
    double error_squared;          // sum over weights of (output - input)^2
    double weight_squared;         // sum of input^2
    float largest_error;
    uint64_t merged_groups; // TERNARISE_BLOCK64: groups that lie in several tiles and so did not get a tile's scale
};

// Weights that are exact together or not: those of a block of the output's type, or of a row where a block is one.
uint64_t pack_group(const struct tensor_plan *plan);

void pack_tally_add(struct pack_tally *sum, const struct pack_tally *more);

struct strip_scratch; // one thread's memory

// Room for strips of this tensor. Errors: NO_MEMORY. Free with strip_scratch_free().
tern_status strip_scratch_new(const struct tensor_plan *plan, struct strip_scratch **out);
void strip_scratch_free(struct strip_scratch *scratch); // NULL is fine

// Packs rows [first, first + count), count <= STRIP_ROWS, to out[count * dtype_row_bytes()]. Stops at a fault.
void strip_pack(const struct tensor_plan *plan, struct strip_scratch *scratch, uint64_t first, uint64_t count,
                uint8_t *out, struct pack_tally *tally, struct fault *fault);

#endif
