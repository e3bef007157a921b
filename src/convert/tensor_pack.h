// Packing of one tensor on all cores, written as it comes.
#ifndef CONVERT_TENSOR_PACK_H
#define CONVERT_TENSOR_PACK_H

#include "base/parallel.h"
#include "convert/output_file.h"
#include "convert/strip.h"

struct tensor_sink {
    struct output_file *file;
    // Called between batches with the rows done so far; false gives up with TERN_CANCELLED. May be NULL.
    bool (*progress)(void *context, uint64_t rows);
    void *context;
};

// Bytes that the tensor will take, its tail counted.
uint64_t tensor_pack_bytes(const struct tensor_plan *plan);

// Finds the fit of the whole tensor if the plan wants one, packs all rows and writes them. A tensor that already has
// the type is copied. Messages name the tensor, row and columns. Errors: BAD_FILE (numbers that are not finite),
// UNSUPPORTED (not lossless, or the type cannot hold it), IO, NO_MEMORY, CANCELLED.
tern_status tensor_pack(struct tensor_plan *plan, const struct source *source, struct pool *pool,
                        const struct tensor_sink *sink, struct pack_tally *tally);

#endif
