#include "format/gguf.h"

#include "format/gguf_header.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SPLIT_SUFFIX_BYTES = sizeof "-00001-of-00003.gguf" - 1 };

// One file of a model while it is being opened.
struct part {
    char *path; // owned; names the file in messages
    struct mapped_file image;
    struct gguf_header header;
};

// Where a tensor's data starts and how far it may reach.
struct placement {
    uint32_t part;
    uint64_t tensor; // index in gguf_file.tensors
    uint64_t offset; // from the part's data_start
    uint64_t span;   // bytes to the next tensor's start, or to the end of the part
    bool last;       // nothing follows in its part
};

struct loader {
    struct gguf_file *file; // handed out only when everything has been checked
    uint32_t n_parts;
    struct part *parts;           // [n_parts]
    struct placement *placements; // [file->n_tensors], by part and offset
};

// ---- Parts ------------------------------------------------------------------------------------------------------

static char *copy_string(const char *string, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy) return NULL;
    memcpy(copy, string, length);
    copy[length] = '\0';
    return copy;
}

// A new part at the end of the list, without its image; NULL, with its message set, if there is no memory.
static struct part *add_part(struct loader *l, const char *path)
{
    struct part *grown = realloc(l->parts, (l->n_parts + 1) * sizeof *grown);
    if (grown) l->parts = grown;
    char *name = grown ? copy_string(path, strlen(path)) : NULL;
    if (!name) {
        status_fail(TERN_NO_MEMORY, "%s: no memory for a list of files", path);
        return NULL;
    }
    l->parts[l->n_parts] = (struct part){.path = name};
    return &l->parts[l->n_parts++];
}

static tern_status read_part(struct part *part)
{
    tern_status status = gguf_header_read(part->image.data, part->image.size, &part->header);
    return status == TERN_OK ? TERN_OK : status_prefix(status, "%s: ", part->path);
}

static tern_status open_part(struct loader *l, const char *path)
{
    struct part *part = add_part(l, path);
    if (!part) return TERN_NO_MEMORY;
    TRY(mapped_file_open(path, &part->image));
    return read_part(part);
}

// A part's bookkeeping number; `fallback` where the key is absent.
static tern_status split_number(const struct part *part, const char *key, uint64_t fallback, uint64_t *out)
{
    const struct gguf_header *header = &part->header;
    const struct gguf_value *value = gguf_header_find(header->pairs_by_key, header->n_pairs, key);
    *out = fallback;
    if (!value || gguf_value_to_unsigned(value, UINT32_MAX, out)) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: key %s: expected an integer from 0 to %" PRIu32, part->path, key,
                       UINT32_MAX);
}

// Part `number` (from 1) of `count`, named like `path`, whose stem has `stem` bytes.
static void split_path(char *out, size_t size, const char *path, size_t stem, unsigned number, unsigned count)
{
    snprintf(out, size, "%.*s-%05u-of-%05u.gguf", (int)stem, path, number, count);
}

// Checks that `path` is the name of the first of `count` parts and finds the length of what stands before its number.
static tern_status check_split_name(const char *path, unsigned count, size_t *stem)
{
    enum { NUMBER_BYTES = sizeof "-00001" - 1 };
    char first[SPLIT_SUFFIX_BYTES + 1];
    size_t length = strlen(path);
    split_path(first, sizeof first, "", 0, 1, count);
    *stem = length < SPLIT_SUFFIX_BYTES ? 0 : length - SPLIT_SUFFIX_BYTES;
    if (length >= SPLIT_SUFFIX_BYTES && strcmp(path + *stem, first) == 0) return TERN_OK;
    bool other = length >= SPLIT_SUFFIX_BYTES && strcmp(path + *stem + NUMBER_BYTES, first + NUMBER_BYTES) == 0;
    return status_fail(TERN_BAD_FILE, "%s: one of %u parts of a split model, expected the first one, %.*s%s", path,
                       count, other ? (int)*stem : 4, other ? path : "NAME", first);
}

// How many parts there are by the name of the first one; 1 for other names.
static unsigned split_count(const char *path, size_t *stem)
{
    enum { COUNT_AT = sizeof "-00001-of-" - 1 };
    size_t length = strlen(path);
    if (length < SPLIT_SUFFIX_BYTES) return 1;
    unsigned count = (unsigned)strtoul(path + length - SPLIT_SUFFIX_BYTES + COUNT_AT, NULL, 10);
    return count > 0 && check_split_name(path, count, stem) == TERN_OK ? count : 1;
}

static tern_status check_split_part(const struct part *part, uint64_t index, uint64_t count)
{
    uint64_t number, of;
    TRY(split_number(part, "split.no", UINT64_MAX, &number));
    TRY(split_number(part, "split.count", 0, &of));
    if (number == index && of == count) return TERN_OK;
    return status_fail(TERN_BAD_FILE,
                       "%s: keys split.no and split.count do not say that this is part %" PRIu64 " of %" PRIu64,
                       part->path, index + 1, count);
}

static tern_status open_other_parts(struct loader *l, const char *path, unsigned count)
{
    size_t stem, size = strlen(path) + 1;
    TRY(check_split_name(path, count, &stem));
    TRY(check_split_part(&l->parts[0], 0, count));
    char *other = malloc(size);
    if (!other) return status_fail(TERN_NO_MEMORY, "no memory for a file's name");
    tern_status status = TERN_OK;
    for (unsigned i = 1; i < count && status == TERN_OK; i++) {
        split_path(other, size, path, stem, i + 1, count);
        status = open_part(l, other);
        if (status == TERN_OK) status = check_split_part(&l->parts[i], i, count);
    }
    free(other);
    return status;
}

static tern_status open_parts(struct loader *l, const char *path)
{
    uint64_t count;
    TRY(open_part(l, path));
    TRY(split_number(&l->parts[0], "split.count", 1, &count));
    if (count <= 1) return TERN_OK;
    if (count > 99999) {
        return status_fail(TERN_BAD_FILE, "%s: key split.count is %" PRIu64 ", names have room for 99999", path, count);
    }
    return open_other_parts(l, path, (unsigned)count);
}

// ---- Tensors ----------------------------------------------------------------------------------------------------

// Moves the tensors of all parts into the file and notes where each starts.
static tern_status gather_tensors(struct loader *l)
{
    struct gguf_file *file = l->file;
    uint64_t total = 0, announced;
    for (uint32_t p = 0; p < l->n_parts; p++)
        total += l->parts[p].header.n_tensors;
    TRY(split_number(&l->parts[0], "split.tensors.count", total, &announced));
    if (announced != total) {
        return status_fail(TERN_BAD_FILE,
                           "%s: key split.tensors.count is %" PRIu64 ", the parts have %" PRIu64 " tensors", file->path,
                           announced, total);
    }
    size_t room = (size_t)(total ? total : 1);
    file->tensors = calloc(room, sizeof *file->tensors);
    l->placements = calloc(room, sizeof *l->placements);
    if (!file->tensors || !l->placements)
        return status_fail(TERN_NO_MEMORY, "%s: no memory for %" PRIu64 " tensors", file->path, total);
    for (uint32_t p = 0; p < l->n_parts; p++) {
        struct gguf_header *header = &l->parts[p].header;
        for (uint64_t i = 0; i < header->n_tensors; i++, file->n_tensors++) {
            uint64_t at = file->n_tensors;
            file->tensors[at] = header->tensors[i];
            l->placements[at] = (struct placement){.part = p, .tensor = at, .offset = header->offsets[i]};
        }
        header->n_tensors = 0; // their names belong to the file now
    }
    return TERN_OK;
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static tern_status sort_tensors(struct gguf_file *file)
{
    uint64_t n = file->n_tensors;
    file->tensors_by_name = calloc((size_t)(n ? n : 1), sizeof *file->tensors_by_name);
    if (!file->tensors_by_name)
        return status_fail(TERN_NO_MEMORY, "%s: no memory for %" PRIu64 " tensors", file->path, n);
    for (uint64_t i = 0; i < n; i++)
        file->tensors_by_name[i] = &file->tensors[i];
    qsort(file->tensors_by_name, (size_t)n, sizeof *file->tensors_by_name, compare_names);
    for (uint64_t i = 1; i < n; i++) {
        const struct tensor **pair = &file->tensors_by_name[i - 1];
        if (compare_names(&pair[0], &pair[1]) == 0)
            return status_fail(TERN_BAD_FILE, "%s: tensor %s: appears twice", file->path, pair[0]->name);
    }
    return TERN_OK;
}

static struct tensor *placed_tensor(const struct loader *l, const struct placement *place)
{
    return &l->file->tensors[place->tensor];
}

static uint64_t data_bytes(const struct part *part)
{
    return part->image.size > part->header.data_start ? part->image.size - part->header.data_start : 0;
}

static int compare_placements(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static tern_status check_offset(const struct loader *l, const struct placement *place)
{
    const struct part *part = &l->parts[place->part];
    const char *name = placed_tensor(l, place)->name;
    if (place->offset % part->header.alignment != 0) {
        return status_fail(TERN_BAD_FILE, "%s: tensor %s: offset %" PRIu64 " is not a multiple of %" PRIu64, part->path,
                           name, place->offset, part->header.alignment);
    }
    if (place->offset > data_bytes(part)) {
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %s: offset %" PRIu64 " is behind the file's %" PRIu64 " bytes of tensor data",
                           part->path, name, place->offset, data_bytes(part));
    }
    return TERN_OK;
}

// Sets rows, row_bytes and bytes from type and dims; false if a row is not a whole number of blocks or a size
// overflows.
static bool measure_tensor(struct tensor *tensor)
{
    tensor->rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3]; // take_dims knows that it does not overflow
    tensor->row_bytes = dtype_row_bytes(tensor->type, tensor->dims[0]);
    return tensor->row_bytes != 0 && !__builtin_mul_overflow(tensor->rows, tensor->row_bytes, &tensor->bytes) &&
           !__builtin_add_overflow(tensor->bytes, (uint64_t)dtype_info(tensor->type)->tail_bytes, &tensor->bytes);
}

// Type 42 counts as blocks of 64 weights here, which take more bytes than those of 128.
static tern_status check_size(const struct loader *l, const struct placement *place)
{
    const char *path = l->parts[place->part].path;
    struct tensor *tensor = placed_tensor(l, place);
    const struct dtype_info *type = dtype_info(tensor->type);
    if (measure_tensor(tensor)) return TERN_OK;
    if (tensor->dims[0] % type->block_elements == 0)
        return status_fail(TERN_BAD_FILE, "%s: tensor %s: has 2^64 bytes or more", path, tensor->name);
    return status_fail(TERN_BAD_FILE, "%s: tensor %s: rows of %" PRIu64 " elements are not whole %s blocks of %" PRIu32,
                       path, tensor->name, tensor->dims[0], type->name, type->block_elements);
}

static tern_status find_spans(struct loader *l)
{
    uint64_t n = l->file->n_tensors;
    qsort(l->placements, (size_t)n, sizeof *l->placements, compare_placements);
    for (uint64_t i = 0; i < n; i++) {
        struct placement *place = &l->placements[i];
        TRY(check_offset(l, place));
        TRY(check_size(l, place));
        place->last = i + 1 == n || place[1].part != place->part;
        uint64_t end = place->last ? data_bytes(&l->parts[place->part]) : place[1].offset;
        place->span = end - place->offset;
    }
    return TERN_OK;
}

// ---- Type 42 ----------------------------------------------------------------------------------------------------

// Two layouts share the id: blocks of 64 weights in 18 bytes and of 128 in 34. A layout fits a tensor if its bytes,
// rounded up to the alignment, end exactly where the next tensor starts; a part's last tensor may also go unpadded.
static bool layout_fits(const struct loader *l, const struct placement *place, enum dtype type, uint64_t *needs)
{
    struct tensor tensor = *placed_tensor(l, place);
    uint64_t alignment = l->parts[place->part].header.alignment, padded;
    tensor.type = type;
    *needs = 0;
    if (!measure_tensor(&tensor)) return false;
    *needs = tensor.bytes;
    if (tensor.bytes == place->span) return true; // off the alignment only where nothing follows
    if (__builtin_add_overflow(tensor.bytes, alignment - 1, &padded)) return false;
    return (padded & ~(alignment - 1)) == place->span;
}

struct layout {
    enum dtype type;
    const struct placement *misfit; // the first tensor that it does not fit; NULL: fits all so far
    uint64_t needs;                 // bytes of the tensor looked at last; 0: its rows are not whole blocks
};

static tern_status fail_neither_here(const struct loader *l, const struct placement *place, uint64_t needs_64,
                                     uint64_t needs_128)
{
    const char *path = l->parts[place->part].path;
    const struct tensor *tensor = placed_tensor(l, place);
    if (needs_128 == 0) {
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %s: type 42 with 64-weight blocks needs %" PRIu64
                           " bytes, the file leaves %" PRIu64 "; rows of %" PRIu64
                           " elements are not whole 128-weight blocks",
                           path, tensor->name, needs_64, place->span, tensor->dims[0]);
    }
    return status_fail(TERN_BAD_FILE,
                       "%s: tensor %s: type 42 needs %" PRIu64 " bytes with 64-weight blocks or %" PRIu64
                       " with 128-weight blocks, the file leaves %" PRIu64,
                       path, tensor->name, needs_64, needs_128, place->span);
}

// `late` does not fit the tensor at `place`, `early` did not fit one before.
static tern_status fail_neither_everywhere(const struct loader *l, const struct placement *place,
                                           const struct layout *late, const struct layout *early)
{
    const char *path = l->parts[place->part].path, *before = placed_tensor(l, early->misfit)->name;
    const struct tensor *tensor = placed_tensor(l, place);
    unsigned late_block = dtype_info(late->type)->block_elements, early_block = dtype_info(early->type)->block_elements;
    if (late->needs == 0) {
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %s: type 42 with rows of %" PRIu64
                           " elements, not whole %u-weight blocks; %u-weight blocks do not fit tensor %s",
                           path, tensor->name, tensor->dims[0], late_block, early_block, before);
    }
    return status_fail(TERN_BAD_FILE,
                       "%s: tensor %s: type 42 with %u-weight blocks needs %" PRIu64 " bytes, the file leaves %" PRIu64
                       "; %u-weight blocks do not fit tensor %s",
                       path, tensor->name, late_block, late->needs, place->span, early_block, before);
}

static tern_status fail_neither_fits(const struct loader *l, const struct placement *place,
                                     const struct layout layouts[2])
{
    if (layouts[0].misfit == layouts[1].misfit) return fail_neither_here(l, place, layouts[0].needs, layouts[1].needs);
    int late = layouts[0].misfit == place ? 0 : 1;
    return fail_neither_everywhere(l, place, &layouts[late], &layouts[1 - late]);
}

static tern_status fail_both_fit(const struct loader *l, const struct placement *first, uint64_t count)
{
    return status_fail(TERN_BAD_FILE,
                       "%s: tensor %s: type 42 fits with 64-weight blocks and with 128-weight blocks, here and in "
                       "all %" PRIu64 " tensors of that type; expected a file that only one of them fits",
                       l->parts[first->part].path, placed_tensor(l, first)->name, count);
}

// Finds the only layout that fits every tensor of type 42; refuses to guess.
static tern_status decide_type_42(const struct loader *l, uint64_t *count, enum dtype *out)
{
    struct layout layouts[2] = {{.type = DTYPE_Q2_0_G64}, {.type = DTYPE_Q2_0_G128}};
    const struct placement *first = NULL;
    *count = 0;
    for (uint64_t i = 0; i < l->file->n_tensors; i++) {
        const struct placement *place = &l->placements[i];
        if (placed_tensor(l, place)->type != DTYPE_Q2_0_G64) continue;
        if (!first) first = place;
        ++*count;
        for (int k = 0; k < 2; k++) {
            bool fits = layout_fits(l, place, layouts[k].type, &layouts[k].needs);
            if (!fits && !layouts[k].misfit) layouts[k].misfit = place;
        }
        if (layouts[0].misfit && layouts[1].misfit) return fail_neither_fits(l, place, layouts);
    }
    if (*count > 0 && !layouts[0].misfit && !layouts[1].misfit) return fail_both_fit(l, first, *count);
    *out = layouts[0].misfit ? DTYPE_Q2_0_G128 : DTYPE_Q2_0_G64;
    return TERN_OK;
}

static tern_status resolve_type_42(struct loader *l)
{
    enum dtype type = DTYPE_Q2_0_G64;
    uint64_t count;
    TRY(decide_type_42(l, &count, &type));
    for (uint64_t i = 0; count > 0 && i < l->file->n_tensors; i++) {
        struct tensor *tensor = &l->file->tensors[i];
        if (tensor->type != DTYPE_Q2_0_G64) continue;
        tensor->type = type;
        measure_tensor(tensor); // decide_type_42 knows that it can be
    }
    return TERN_OK;
}

// ---- Placing ----------------------------------------------------------------------------------------------------

static tern_status place_tensor(struct loader *l, const struct placement *place)
{
    const struct part *part = &l->parts[place->part];
    struct tensor *tensor = placed_tensor(l, place);
    if (tensor->bytes > place->span && place->last) {
        return status_fail(TERN_BAD_FILE,
                           "%s: tensor %s: needs %" PRIu64 " bytes at offset %" PRIu64 ", the file leaves %" PRIu64,
                           part->path, tensor->name, tensor->bytes, place->offset, place->span);
    }
    if (tensor->bytes > place->span) {
        return status_fail(
            TERN_BAD_FILE,
            "%s: tensor %s: needs %" PRIu64 " bytes at offset %" PRIu64 ", tensor %s starts after %" PRIu64, part->path,
            tensor->name, tensor->bytes, place->offset, placed_tensor(l, place + 1)->name, place->span);
    }
    tensor->data = part->image.data + part->header.data_start + place->offset;
    return TERN_OK;
}

static tern_status place_tensors(struct loader *l)
{
    for (uint64_t i = 0; i < l->file->n_tensors; i++)
        TRY(place_tensor(l, &l->placements[i]));
    return TERN_OK;
}

// ---- Opening and closing ----------------------------------------------------------------------------------------

// The file takes over the first part's pairs and every part's image.
static tern_status adopt_parts(struct loader *l)
{
    struct gguf_file *file = l->file;
    struct gguf_header *header = &l->parts[0].header;
    file->parts = calloc(l->n_parts, sizeof *file->parts);
    if (!file->parts) return status_fail(TERN_NO_MEMORY, "%s: no memory for %" PRIu32 " parts", file->path, l->n_parts);
    file->version = header->version;
    file->n_pairs = header->n_pairs;
    file->pairs = header->pairs;
    file->pairs_by_key = header->pairs_by_key;
    header->n_pairs = 0;
    header->pairs = NULL;
    header->pairs_by_key = NULL;
    file->n_parts = l->n_parts;
    for (uint32_t i = 0; i < l->n_parts; i++) {
        file->parts[i] = l->parts[i].image;
        file->file_bytes += l->parts[i].image.size;
        l->parts[i].image = (struct mapped_file){0};
    }
    return TERN_OK;
}

static tern_status load_tensors(struct loader *l)
{
    TRY(gather_tensors(l));
    TRY(sort_tensors(l->file));
    TRY(find_spans(l));
    TRY(resolve_type_42(l));
    return place_tensors(l);
}

static void free_loader(struct loader *l)
{
    for (uint32_t i = 0; i < l->n_parts; i++) {
        if (!l->file->in_memory && l->parts[i].image.data) mapped_file_close(&l->parts[i].image);
        gguf_header_free(&l->parts[i].header);
        free(l->parts[i].path);
    }
    free(l->parts);
    free(l->placements);
}

static tern_status read_image(struct loader *l, const struct mapped_file *image)
{
    uint64_t count;
    struct part *part = add_part(l, l->file->path);
    if (!part) return TERN_NO_MEMORY;
    part->image = *image;
    TRY(read_part(part));
    TRY(split_number(part, "split.count", 1, &count));
    if (count <= 1) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: key split.count is %" PRIu64 ", expected a whole file", part->path, count);
}

static tern_status load_file(struct loader *l, const char *path, const struct mapped_file *image)
{
    l->file->path = copy_string(path, strlen(path));
    if (!l->file->path) return status_fail(TERN_NO_MEMORY, "%s: no memory to open it", path);
    TRY(image ? read_image(l, image) : open_parts(l, path));
    TRY(load_tensors(l));
    return adopt_parts(l);
}

// Opens `path`, or `image` under that name.
static tern_status open_file(const char *path, const struct mapped_file *image, struct gguf_file **out)
{
    struct loader l = {.file = calloc(1, sizeof *l.file)};
    if (!l.file) return status_fail(TERN_NO_MEMORY, "%s: no memory to open it", path);
    l.file->in_memory = image != NULL;
    tern_status status = load_file(&l, path, image);
    free_loader(&l);
    if (status == TERN_OK)
        *out = l.file;
    else
        gguf_close(l.file);
    return status;
}

tern_status gguf_open(const char *path, struct gguf_file **out)
{
    return open_file(path, NULL, out);
}

tern_status gguf_open_memory(const uint8_t *data, size_t size, const char *name, struct gguf_file **out)
{
    return open_file(name, &(struct mapped_file){.data = data, .size = size}, out);
}

void gguf_close(struct gguf_file *file)
{
    if (!file) return;
    struct gguf_header owned = {
        .n_pairs = file->n_pairs,
        .pairs = file->pairs,
        .pairs_by_key = file->pairs_by_key,
        .n_tensors = file->n_tensors,
        .tensors = file->tensors,
    };
    gguf_header_free(&owned);
    for (uint32_t i = 0; i < file->n_parts && !file->in_memory; i++)
        mapped_file_close(&file->parts[i]);
    for (size_t i = 0; i < file->n_moved; i++)
        free(file->moved[i]);
    free(file->moved);
    free(file->tensors_by_name);
    free(file->parts);
    free(file->path);
    free(file);
}

static uint64_t bytes_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

uint64_t gguf_bytes_on_disk(const char *path)
{
    size_t stem = 0, size = strlen(path) + 1;
    unsigned count = split_count(path, &stem);
    uint64_t bytes = bytes_of(path), more = bytes;
    char *other = count > 1 ? malloc(size) : NULL;
    for (unsigned i = 1; i < count && other != NULL && more > 0; i++) {
        split_path(other, size, path, stem, i + 1, count);
        more = bytes_of(other);
        bytes += more;
    }
    free(other);
    return bytes;
}

void gguf_release_tensor(const struct gguf_file *file, const struct tensor *tensor)
{
    if (file->in_memory) return;
    for (uint32_t i = 0; i < file->n_parts; i++) {
        const struct mapped_file *part = &file->parts[i];
        uintptr_t offset = (uintptr_t)tensor->data - (uintptr_t)part->data; // wraps around for data before the part
        if (offset >= part->size) continue;
        mapped_file_release(part, offset, (size_t)tensor->bytes);
        return;
    }
}

const struct tensor *gguf_find_tensor(const struct gguf_file *file, const char *name)
{
    struct tensor wanted = {.name = name};
    const struct tensor *probe = &wanted;
    const struct tensor *const *found =
        bsearch(&probe, file->tensors_by_name, (size_t)file->n_tensors, sizeof *file->tensors_by_name, compare_names);
    return found ? *found : NULL;
}
