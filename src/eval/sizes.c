#include "eval/sizes.h"

#include "model/kv_cache.h"
#include "model/memory_plan.h"

const double sizes_ternary_bound = 1.5849625007211562 + 16.0 / 128;

// Bytes of a matrix; 0 if its rows are not whole blocks of the type.
static uint64_t matrix_bytes(const struct tensor *t, enum dtype type)
{
    uint64_t row = dtype_row_bytes(type, t->dims[0]);
    return row > 0 ? t->rows * row + dtype_info(type)->tail_bytes : 0;
}

// Loose tiles have 17 bytes for 64 weights, one more with a scale for each 64, dense ones 14, those of bits 9.
static uint64_t tile_bytes(const struct tensor *t, enum dtype type, bool dense)
{
    const uint64_t blocks = t->rows * t->dims[0] / 64;
    if (dtype_info(type)->kind == DTYPE_BINARY) return blocks * 9;
    if (type == DTYPE_Q2_0_G64) return blocks * 18;
    return blocks * (dense && t->dims[0] % 128 == 0 ? 14 : 17);
}

static void add_matrix(struct size_estimate *sum, const struct tensor *t, enum dtype type, bool dense)
{
    uint64_t weights = t->rows * t->dims[0], bytes = matrix_bytes(t, type);
    if (bytes == 0) {
        sum->odd_matrices++;
        bytes = weights * sizeof(uint16_t);
        type = DTYPE_F16;
    } else {
        sum->matrix_weights += weights;
        sum->matrix_bytes += bytes;
    }
    const bool mapped = dtype_info(type)->kind == DTYPE_DENSE;
    sum->tensor_bytes += bytes;
    sum->run_bytes += mapped ? bytes : tile_bytes(t, type, dense);
    if (mapped) sum->mapped_bytes += bytes;
}

static void add_vector(struct size_estimate *sum, const struct tensor *t)
{
    sum->tensor_bytes += t->dims[0] * sizeof(float);
    sum->run_bytes += t->dims[0] * sizeof(float);
}

struct size_estimate sizes_of_type(const struct tensor *tensors, uint64_t n_tensors, enum dtype type, bool dense_tiles)
{
    struct size_estimate sum = {0};
    for (uint64_t i = 0; i < n_tensors; i++) {
        if (tensors[i].n_dims > 1)
            add_matrix(&sum, &tensors[i], type, dense_tiles);
        else
            add_vector(&sum, &tensors[i]);
    }
    return sum;
}

struct size_estimate sizes_as_is(const struct tensor *tensors, uint64_t n_tensors, bool dense_tiles)
{
    struct size_estimate sum = {0};
    for (uint64_t i = 0; i < n_tensors; i++) {
        const struct tensor *t = &tensors[i];
        if (t->n_dims > 1) {
            add_matrix(&sum, t, t->type, dense_tiles);
        } else {
            sum.tensor_bytes += t->bytes;
            sum.run_bytes += t->bytes;
        }
    }
    return sum;
}

double sizes_bits_per_weight(const struct size_estimate *estimate)
{
    if (estimate->matrix_weights == 0) return 0;
    return (double)estimate->matrix_bytes * 8 / (double)estimate->matrix_weights;
}

uint64_t sizes_memory(const struct size_estimate *estimate, const struct config *config, tern_kv_type kv_type,
                      int32_t context)
{
    return estimate->run_bytes + kv_cache_bytes(config, kv_type, context) + memory_working_bytes(config);
}
