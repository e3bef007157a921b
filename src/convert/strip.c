#include "convert/strip.h"

#include "base/half.h"
#include "convert/dense.h"
#include "format/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_WEIGHTS = STRIP_ROWS * STRIP_TILE_COLUMNS, I2_S_TAIL = 32 };

struct strip_scratch {
    float *values;             // [rows][columns] the strip as floats
    float *decoded;            // [columns] a packed row, read back
    uint8_t *codes;            // [columns] a packed source's trits
    float *scales;             // [columns / source_group()]
    uint8_t *packed;           // a row and I2_S's tail
    struct ternary_fit *tiles; // [ceil(columns / 64)]
    float tile[TILE_WEIGHTS];
    float tile_importance[TILE_WEIGHTS];
    uint64_t keys[2 * TILE_WEIGHTS]; // also of a block: CODEC_MAX_BLOCK is less
};

// One row on its way.
struct row {
    const struct tensor_plan *plan;
    struct strip_scratch *scratch;
    uint64_t index;
    const float *values; // [columns]
    struct pack_tally *tally;
    struct fault *fault;
};

uint64_t pack_group(const struct tensor_plan *plan)
{
    uint32_t block = dtype_info(plan->type)->block_elements;
    return block > 1 ? block : plan->source->tensor.dims[0];
}

void pack_tally_add(struct pack_tally *sum, const struct pack_tally *more)
{
    sum->weights += more->weights;
    sum->groups += more->groups;
    sum->exact_groups += more->exact_groups;
    sum->error_squared += more->error_squared;
    sum->weight_squared += more->weight_squared;
    sum->largest_error = fmaxf(sum->largest_error, more->largest_error);
    sum->merged_groups += more->merged_groups;
}

// ---- Memory -----------------------------------------------------------------------------------------------------

tern_status strip_scratch_new(const struct tensor_plan *plan, struct strip_scratch **out)
{
    const struct tensor *t = &plan->source->tensor;
    size_t columns = (size_t)t->dims[0], rows = t->rows < STRIP_ROWS ? (size_t)t->rows : STRIP_ROWS;
    struct strip_scratch *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->values = calloc(columns * rows, sizeof *s->values);
        s->decoded = calloc(columns, sizeof *s->decoded);
        s->codes = calloc(columns, 1);
        s->scales = calloc(columns, sizeof *s->scales);
        s->packed = calloc((size_t)dtype_row_bytes(plan->type, columns) + I2_S_TAIL, 1);
        s->tiles = calloc(columns / STRIP_TILE_COLUMNS + 1, sizeof *s->tiles);
    }
    *out = s;
    if (s != NULL && s->values && s->decoded && s->codes && s->scales && s->packed && s->tiles) return TERN_OK;
    strip_scratch_free(s);
    *out = NULL;
    return status_fail(TERN_NO_MEMORY, "tensor %s: no memory for %zu rows of %zu columns", t->name, rows, columns);
}

void strip_scratch_free(struct strip_scratch *scratch)
{
    if (scratch == NULL) return;
    free(scratch->values);
    free(scratch->decoded);
    free(scratch->codes);
    free(scratch->scales);
    free(scratch->packed);
    free(scratch->tiles);
    free(scratch);
}

// ---- Faults -----------------------------------------------------------------------------------------------------

static bool fail_row(struct row *row, enum fault_kind kind, uint64_t column, float found, float becomes)
{
    *row->fault = (struct fault){kind, row->index, column, found, becomes};
    return false;
}

static bool check_finite(struct row *row, uint64_t columns)
{
    for (uint64_t i = 0; i < columns; i++)
        if (!isfinite(row->values[i])) return fail_row(row, FAULT_NOT_FINITE, i, row->values[i], 0);
    return true;
}

// ---- Ternary blocks ---------------------------------------------------------------------------------------------

// A block of a packed source as it is, trit for trit. All its groups must have one scale, a half; those without a
// weight that is not 0 have no say.
static bool regroup_block(struct row *row, uint64_t column, uint64_t n, uint8_t *block)
{
    enum dtype type = row->plan->type;
    uint64_t group = source_group(row->plan->source);
    const uint8_t *codes = row->scratch->codes + column;
    const float *scales = row->scratch->scales;
    bool four_codes = type == DTYPE_Q2_0_G64 || type == DTYPE_PQ2_0, decided = false;
    float scale = scales[column / group];
    for (uint64_t i = 0; i < n; i++) {
        float own = scales[(column + i) / group];
        if (codes[i] == 3 && !four_codes) return fail_row(row, FAULT_CODE, column + i, 2 * own, 0);
        if (codes[i] == 1) continue;
        if (decided && own != scale) return fail_row(row, FAULT_TWO_SCALES, column + i, scale, own);
        scale = own;
        decided = true;
    }
    uint16_t half = half_from_float(scale);
    if (half_to_float(half) != scale) return fail_row(row, FAULT_SCALE, column, scale, half_to_float(half));
    codec_pack_trits(type, codes, half, block);
    return true;
}

// Of the columns from `column` on.
static const float *importance_from(const struct tensor_plan *plan, uint64_t column)
{
    return plan->importance != NULL ? plan->importance + column : NULL;
}

// Trits by the tiles that the block lies in. If it lies in one, so is its scale; otherwise the scale is the best for
// these trits.
static float tile_codes(const struct row *row, uint64_t column, uint64_t n, uint8_t *codes)
{
    const struct ternary_fit *tiles = row->scratch->tiles;
    const float *w = row->values + column;
    for (uint64_t i = 0; i < n; i += STRIP_TILE_COLUMNS)
        ternarise_codes(w + i, STRIP_TILE_COLUMNS, tiles[(column + i) / STRIP_TILE_COLUMNS].threshold, codes + i);
    if (n <= STRIP_TILE_COLUMNS) return tiles[column / STRIP_TILE_COLUMNS].scale;
    row->tally->merged_groups++;
    return ternarise_scale_codes(w, importance_from(row->plan, column), codes, (size_t)n);
}

// Trits and scale of a block of n weights.
static float fit_block(const struct row *row, uint64_t column, uint64_t n, uint8_t *codes)
{
    const struct tensor_plan *plan = row->plan;
    const float *w = row->values + column;
    float magnitude;
    struct ternary_fit fit = plan->fit;
    if (!plan->tensor_wide) {
        if (ternarise_exact(w, (size_t)n, &magnitude))
            fit = (struct ternary_fit){.threshold = 0, .scale = magnitude};
        else if (plan->method == TERNARISE_BLOCK64)
            return tile_codes(row, column, n, codes);
        else
            fit = ternarise_fit(plan->method, w, importance_from(plan, column), (size_t)n, row->scratch->keys);
    }
    ternarise_codes(w, (size_t)n, fit.threshold, codes);
    return fit.scale;
}

// With --method, packed trits that do not fit are rounded like any weights.
static bool pack_ternary_block(struct row *row, uint64_t column, uint64_t n, uint8_t *block)
{
    const struct tensor_plan *plan = row->plan;
    if (source_is_ternary(plan->source) && plan->type != DTYPE_I2_S && !plan->tensor_wide) {
        if (regroup_block(row, column, n, block)) return true;
        if (!plan->method_given || plan->lossless) return false;
        row->fault->kind = FAULT_NONE;
    }
    uint8_t codes[CODEC_MAX_BLOCK];
    float scale = fit_block(row, column, n, codes);
    if (plan->type != DTYPE_I2_S && !(scale <= TERNARISE_MAX_SCALE))
        return fail_row(row, FAULT_TOO_LARGE, column, scale, 0);
    codec_pack_trits(plan->type, codes, half_from_float(scale), block);
    return true;
}

// ---- Binary blocks ----------------------------------------------------------------------------------------------

static bool pack_binary_block(struct row *row, uint64_t column, uint64_t n, uint8_t *block)
{
    const float *w = row->values + column;
    uint8_t bits[CODEC_MAX_BLOCK];
    float scale;
    if (!binarise_exact(w, (size_t)n, &scale)) scale = binarise_scale(w, (size_t)n);
    if (!(scale <= TERNARISE_MAX_SCALE)) return fail_row(row, FAULT_TOO_LARGE, column, scale, 0);
    binarise_bits(w, (size_t)n, bits);
    codec_pack_bits(row->plan->type, bits, half_from_float(scale), block);
    return true;
}

// ---- Rows -------------------------------------------------------------------------------------------------------

static bool pack_blocks(struct row *row, uint64_t columns, uint8_t *out)
{
    const struct dtype_info *info = dtype_info(row->plan->type);
    for (uint64_t i = 0; i < columns; i += info->block_elements, out += info->block_bytes) {
        bool packed = info->kind == DTYPE_BINARY ? pack_binary_block(row, i, info->block_elements, out)
                                                 : pack_ternary_block(row, i, info->block_elements, out);
        if (!packed) return false;
    }
    return true;
}

// Reads the packed row back by the codec that reads files: what is measured is what a reader will see.
static void decode_row(const struct row *row, uint64_t columns, uint64_t row_bytes)
{
    struct tensor view = {.type = row->plan->type,
                          .dims = {columns, 1, 1, 1},
                          .rows = 1,
                          .row_bytes = row_bytes,
                          .data = row->scratch->packed};
    if (view.type == DTYPE_I2_S) dense_store_f32(row->scratch->packed + row_bytes, row->plan->fit.scale);
    codec_unpack_row(&view, 0, row->scratch->decoded);
}

// Compares a group with what was meant; false at a fault.
static bool measure_group(struct row *row, uint64_t column, uint64_t n)
{
    const float *in = row->values + column, *out = row->scratch->decoded + column;
    bool exact = true;
    for (uint64_t i = 0; i < n; i++) {
        float error = out[i] - in[i];
        if (error == 0) continue;
        if (!isfinite(out[i])) return fail_row(row, FAULT_TOO_LARGE, column + i, in[i], out[i]);
        if (row->plan->lossless) return fail_row(row, FAULT_NOT_EXACT, column + i, in[i], out[i]);
        exact = false;
        row->tally->error_squared += (double)error * (double)error;
        row->tally->largest_error = fmaxf(row->tally->largest_error, fabsf(error));
    }
    row->tally->groups++;
    row->tally->exact_groups += exact;
    return true;
}

static bool measure_row(struct row *row, uint64_t columns)
{
    uint64_t n = pack_group(row->plan);
    for (uint64_t i = 0; i < columns; i++)
        row->tally->weight_squared += (double)row->values[i] * (double)row->values[i];
    row->tally->weights += columns;
    for (uint64_t i = 0; i < columns; i += n)
        if (!measure_group(row, i, n)) return false;
    return true;
}

// Floats, or what they are rounded to when the model runs.
static void pack_dense_row(const struct row *row, uint64_t columns)
{
    const struct tensor_plan *plan = row->plan;
    struct strip_scratch *s = row->scratch;
    const float *values = row->values;
    if (plan->rounded) {
        ternarise_codes(values, (size_t)columns, plan->fit.threshold, s->codes);
        for (uint64_t i = 0; i < columns; i++)
            s->decoded[i] = (float)(s->codes[i] - 1) * plan->fit.scale;
        values = s->decoded;
    }
    dense_pack_row(plan->type, values, columns, s->packed);
}

static bool pack_row(struct row *row, uint64_t columns, uint64_t row_bytes, uint8_t *out)
{
    const struct tensor_plan *plan = row->plan;
    uint8_t *packed = row->scratch->packed;
    if (source_is_ternary(plan->source))
        source_read_trits(plan->source, row->index, row->scratch->codes, row->scratch->scales);
    if (!check_finite(row, columns)) return false;
    if (dtype_info(plan->type)->kind == DTYPE_DENSE)
        pack_dense_row(row, columns);
    else if (!pack_blocks(row, columns, packed))
        return false;
    decode_row(row, columns, row_bytes);
    if (!measure_row(row, columns)) return false;
    memcpy(out, packed, (size_t)row_bytes);
    return true;
}

// ---- Strips -----------------------------------------------------------------------------------------------------

static void fit_tile(const struct tensor_plan *plan, struct strip_scratch *s, uint64_t column, uint64_t rows)
{
    uint64_t columns = plan->source->tensor.dims[0];
    uint64_t width = columns - column < STRIP_TILE_COLUMNS ? columns - column : STRIP_TILE_COLUMNS;
    const float *importance = importance_from(plan, column);
    for (uint64_t r = 0; r < rows; r++) {
        memcpy(s->tile + r * width, s->values + r * columns + column, (size_t)width * sizeof *s->tile);
        if (importance != NULL) memcpy(s->tile_importance + r * width, importance, (size_t)width * sizeof *importance);
    }
    s->tiles[column / STRIP_TILE_COLUMNS] =
        ternarise_fit(TERNARISE_LEAST_SQUARES, s->tile, importance != NULL ? s->tile_importance : NULL,
                      (size_t)(rows * width), s->keys);
}

void strip_pack(const struct tensor_plan *plan, struct strip_scratch *scratch, uint64_t first, uint64_t count,
                uint8_t *out, struct pack_tally *tally, struct fault *fault)
{
    uint64_t columns = plan->source->tensor.dims[0], row_bytes = dtype_row_bytes(plan->type, columns);
    for (uint64_t r = 0; r < count; r++)
        source_read_row(plan->source, first + r, scratch->values + r * columns);
    if (plan->method == TERNARISE_BLOCK64)
        for (uint64_t column = 0; column < columns; column += STRIP_TILE_COLUMNS)
            fit_tile(plan, scratch, column, count);
    for (uint64_t r = 0; r < count; r++) {
        struct row row = {plan, scratch, first + r, scratch->values + r * columns, tally, fault};
        if (!pack_row(&row, columns, row_bytes, out + r * row_bytes)) return;
    }
}
