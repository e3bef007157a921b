#include "convert/pack.h"

#include "base/cpu.h"
#include "convert/dense.h"
#include "convert/tensor_pack.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>

struct packing {
    const struct pack_options *options;
    struct source source;
    struct tensor_plan *plans; // [source.n_tensors]
    uint64_t weights;          // of all tensors
    uint64_t weights_done;     // of tensors that are finished
    struct pool *pool;
    struct output_file file;
    struct pack_report *report;
    const struct tensor *current;
};

// ---- Types ------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    int type;
    int file_type; // general.file_type as llama.cpp numbers it; -1: it has no number
} types[] = {
    {"F32", DTYPE_F32, 0},        {"F16", DTYPE_F16, 1},
    {"BF16", DTYPE_BF16, 32},     {"Q8_0", DTYPE_Q8_0, 7},
    {"Q4_0", DTYPE_Q4_0, 2},      {"Q1_0", DTYPE_Q1_0, 40},
    {"Q2_0", DTYPE_Q2_0_G64, 41}, {"Q2_0_G64", DTYPE_Q2_0_G64, 41},
    {"PQ2_0", DTYPE_PQ2_0, -1},   {"PTQ1_0", DTYPE_PTQ1_0, -1},
    {"TQ1_0", DTYPE_TQ1_0, 36},   {"TQ2_0", DTYPE_TQ2_0, 37},
    {"I2_S", DTYPE_I2_S, -1},     {"keep", PACK_KEEP, -1},
};

enum { N_TYPES = sizeof types / sizeof *types };

bool pack_parse_type(const char *name, int *out)
{
    for (int i = 0; i < N_TYPES; i++) {
        if (strcasecmp(name, types[i].name) != 0) continue;
        *out = types[i].type;
        return true;
    }
    return false;
}

const char *pack_type_names(void)
{
    return "F32, F16, BF16, Q8_0, Q4_0, Q1_0, Q2_0, PQ2_0, PTQ1_0, TQ1_0, TQ2_0, I2_S, keep";
}

// Every * is tried at its shortest first; only the last one can still grow, so the time is at most the product of the
// lengths.
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

// ---- Plan -------------------------------------------------------------------------------------------------------

static bool is_matrix(const struct tensor *t)
{
    return t->n_dims >= 2 && strstr(t->name, "_norm.") == NULL;
}

static int embedding_type(const struct packing *p)
{
    if (p->options->embedding_type != PACK_DEFAULT) return p->options->embedding_type;
    return p->source.trained_ternary ? DTYPE_F16 : p->options->type;
}

// By name: rules, then the roles. Vectors are for ggml's sake always floats.
static int wanted_type(const struct packing *p, const struct tensor *t)
{
    const struct pack_options *o = p->options;
    for (size_t i = 0; i < o->n_rules; i++)
        if (matches(o->rules[i].pattern, t->name)) return o->rules[i].type;
    if (!is_matrix(t)) return DTYPE_F32;
    if (strcmp(t->name, "token_embd.weight") == 0) return embedding_type(p);
    if (strcmp(t->name, "output.weight") == 0) return o->head_type != PACK_DEFAULT ? o->head_type : embedding_type(p);
    return o->type;
}

static tern_status choose_type(const struct packing *p, const struct tensor *t, enum dtype *out)
{
    int type = wanted_type(p, t);
    *out = type == PACK_KEEP ? t->type : (enum dtype)type;
    if (dtype_row_bytes(*out, t->dims[0]) != 0) return TERN_OK;
    if (p->options->odd_type != PACK_DEFAULT) {
        const struct dtype_info *refused = dtype_info(*out);
        *out = p->options->odd_type == PACK_KEEP ? t->type : (enum dtype)p->options->odd_type;
        if (dtype_row_bytes(*out, t->dims[0]) != 0) return TERN_OK;
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: rows of %" PRIu64 " weights are whole blocks neither of %s nor of %s", t->name,
                           t->dims[0], refused->name, dtype_info(*out)->name);
    }
    const struct dtype_info *info = dtype_info(*out);
    return status_fail(TERN_UNSUPPORTED,
                       "tensor %s: rows of %" PRIu64 " weights are not whole %s blocks of %" PRIu32
                       "; give such tensors another type (--odd-type F16), or choose one with smaller blocks",
                       t->name, t->dims[0], info->name, info->block_elements);
}

// Models that were trained to be rounded are rounded in the way they were trained for.
static void choose_method(const struct packing *p, struct tensor_plan *plan)
{
    const struct pack_options *o = p->options;
    bool ternary = dtype_info(plan->type)->kind == DTYPE_TERNARY;
    plan->method = o->method;
    plan->tensor_wide = ternary && o->tensor_scale;
    plan->rounded = plan->source->rounded_in_use && dtype_info(plan->type)->kind == DTYPE_DENSE;
    if (!plan->rounded && (o->method_given || !p->source.trained_ternary)) return;
    plan->method = TERNARISE_ABSMEAN;
    plan->tensor_wide = plan->rounded || (ternary && !source_is_ternary(plan->source));
}

// Readers tell Q2_0 with 64 weights a block from the older one with 128 by the room that a tensor takes up to the next
// one (formats.md). One that is too small for a difference beyond the alignment tells nothing.
static bool tells_block_size(const struct tensor_plan *plan)
{
    const struct tensor *t = &plan->source->tensor;
    uint64_t other = t->rows * dtype_row_bytes(DTYPE_Q2_0_G128, t->dims[0]), bytes = tensor_pack_bytes(plan);
    return other + gguf_writer_padding(other) != bytes + gguf_writer_padding(bytes);
}

// Both have one number in a file, so that no file can hold both.
static tern_status check_block_sizes(const struct packing *p)
{
    uint64_t n = 0;
    bool told = false;
    const struct tensor *older = NULL;
    for (uint64_t i = 0; i < p->source.n_tensors; i++) {
        if (p->plans[i].type == DTYPE_Q2_0_G128) older = &p->source.tensors[i].tensor;
        if (p->plans[i].type != DTYPE_Q2_0_G64) continue;
        told = told || tells_block_size(&p->plans[i]);
        n++;
    }
    if (n > 0 && older != NULL)
        return status_fail(
            TERN_UNSUPPORTED,
            "tensor %s would stay Q2_0 with blocks of 128 beside others with blocks of 64, and no reader "
            "could tell them apart; give it PQ2_0, which has the same bytes",
            older->name);
    if (n == 0 || told) return TERN_OK;
    return status_fail(TERN_UNSUPPORTED,
                       "the matrices of type Q2_0 are so small that nobody could tell their blocks of "
                       "64 from blocks of 128; give them PQ2_0");
}

static tern_status check_importance(const struct packing *p)
{
    if (p->options->importance == NULL || p->options->method_given || !p->source.trained_ternary) return TERN_OK;
    return status_fail(TERN_INVALID,
                       "this model was trained to be ternary and is rounded as it was trained, which weighs "
                       "no errors: --calibrate needs --method least-squares or block64");
}

static tern_status plan_tensors(struct packing *p)
{
    const struct pack_options *o = p->options;
    bool head = false;
    TRY(check_importance(p));
    p->plans = calloc((size_t)(p->source.n_tensors + 1), sizeof *p->plans);
    if (p->plans == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the list of tensors");
    for (uint64_t i = 0; i < p->source.n_tensors; i++) {
        struct tensor_plan *plan = &p->plans[i];
        const struct tensor *t = &p->source.tensors[i].tensor;
        *plan = (struct tensor_plan){
            .source = &p->source.tensors[i], .method_given = o->method_given, .lossless = o->lossless};
        TRY(choose_type(p, t, &plan->type));
        choose_method(p, plan);
        if (o->importance != NULL) plan->importance = o->importance(o->importance_context, t->name, t->dims[0]);
        p->weights += t->rows * t->dims[0];
        head = head || strcmp(t->name, "output.weight") == 0;
    }
    if (!head && o->head_type != PACK_DEFAULT)
        return status_fail(TERN_INVALID, "the model has no head of its own (its embedding is used twice): "
                                         "--embedding-type decides for both");
    return check_block_sizes(p);
}

// ---- Header -----------------------------------------------------------------------------------------------------

static tern_status add_type_keys(struct packing *p)
{
    for (int i = 0; i < N_TYPES; i++) {
        if (types[i].type != p->options->type || types[i].file_type < 0) continue;
        TRY(metadata_add_u32(&p->source.metadata, "general.file_type", (uint32_t)types[i].file_type));
        break;
    }
    return metadata_add_u32(&p->source.metadata, "general.quantization_version", 2); // ggml's, of all these layouts
}

static tern_status build_header(struct packing *p, struct buffer *header, uint64_t *data_bytes)
{
    struct gguf_writer_tensor *list = calloc((size_t)(p->source.n_tensors + 1), sizeof *list);
    if (list == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the list of tensors");
    *data_bytes = 0;
    for (uint64_t i = 0; i < p->source.n_tensors; i++) {
        const struct tensor *t = &p->source.tensors[i].tensor;
        list[i] = (struct gguf_writer_tensor){.name = t->name, .type = p->plans[i].type, .n_dims = t->n_dims};
        memcpy(list[i].dims, t->dims, sizeof t->dims);
        list[i].bytes = tensor_pack_bytes(&p->plans[i]);
        *data_bytes += list[i].bytes + gguf_writer_padding(list[i].bytes);
    }
    tern_status status = add_type_keys(p);
    if (status == TERN_OK) status = gguf_writer_header(&p->source.metadata, list, p->source.n_tensors, header);
    free(list);
    return status;
}

// Better said now than after an hour.
static tern_status check_space(const struct output_file *file, uint64_t bytes)
{
    struct statvfs info;
    if (fstatvfs(file->fd, &info) != 0) return TERN_OK;
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (free_bytes >= bytes) return TERN_OK;
    return status_fail(TERN_IO, "%s: needs %.1f MiB, the disk has %.1f MiB left", file->path, (double)bytes / 0x1p20,
                       (double)free_bytes / 0x1p20);
}

static tern_status write_header(struct packing *p)
{
    struct buffer header = {0};
    uint64_t data_bytes;
    tern_status status = build_header(p, &header, &data_bytes);
    p->report->file_bytes = header.length + data_bytes;
    if (status == TERN_OK) status = check_space(&p->file, p->report->file_bytes);
    if (status == TERN_OK) status = output_file_write(&p->file, header.data, header.length);
    buffer_free(&header);
    return status;
}

// ---- Tensors ----------------------------------------------------------------------------------------------------

static bool show_progress(void *context, uint64_t rows)
{
    const struct packing *p = context;
    if (p->options->progress == NULL) return true;
    uint64_t done = p->weights_done + rows * p->current->dims[0];
    return p->options->progress(p->options->context, (double)done / (double)p->weights);
}

static void report_matrix(struct packing *p, const struct tensor_plan *plan, const struct pack_tally *tally)
{
    struct pack_report *report = p->report;
    bool exact = tally->exact_groups == tally->groups;
    double error = tally->weight_squared > 0 ? sqrt(tally->error_squared / tally->weight_squared) : 0;
    pack_tally_add(&report->matrices, tally);
    report->n_matrices++;
    report->n_exact += exact;
    report->matrix_bytes += tensor_pack_bytes(plan);
    if (!exact && error > report->least_exact_error) {
        report->least_exact_error = error;
        snprintf(report->least_exact, sizeof report->least_exact, "%s", plan->source->tensor.name);
    }
    if (p->options->on_tensor != NULL) p->options->on_tensor(p->options->context, plan, tally);
}

static tern_status write_tensor(struct packing *p, struct tensor_plan *plan)
{
    static const uint8_t zeros[GGUF_WRITER_ALIGNMENT];
    const struct tensor *t = p->current = &plan->source->tensor;
    struct tensor_sink sink = {.file = &p->file, .progress = show_progress, .context = p};
    struct pack_tally tally;
    TRY(tensor_pack(plan, &p->source, p->pool, &sink, &tally));
    TRY(output_file_write(&p->file, zeros, (size_t)gguf_writer_padding(tensor_pack_bytes(plan))));
    p->weights_done += t->rows * t->dims[0];
    if (is_matrix(t)) report_matrix(p, plan, &tally);
    return TERN_OK;
}

static tern_status write_file(struct packing *p)
{
    TRY(write_header(p));
    for (uint64_t i = 0; i < p->source.n_tensors; i++)
        TRY(write_tensor(p, &p->plans[i]));
    return output_file_commit(&p->file);
}

// ---- All of it --------------------------------------------------------------------------------------------------

static tern_status run(struct packing *p, const char *output)
{
    TRY(plan_tensors(p));
    TRY(pool_open(p->options->threads > 0 ? p->options->threads : cpu_cores(), &p->pool));
    TRY(output_file_open(output, p->options->replace, 0666, &p->file));
    return write_file(p);
}

tern_status pack_run(const char *input, const char *output, const struct pack_options *options,
                     struct pack_report *report)
{
    struct packing p = {.options = options, .file = {.fd = -1}, .report = report};
    *report = (struct pack_report){0};
    if (source_is_hf(input))
        TRY(source_open_hf(input, options->pretokenizer, &p.source));
    else
        TRY(source_open_gguf(input, options->i2_s_order, &p.source));
    tern_status status = run(&p, output);
    output_file_close(&p.file);
    if (p.pool != NULL) pool_close(p.pool);
    free(p.plans);
    source_close(&p.source);
    return status;
}
