// A model to convert, whatever files it comes in: key-value pairs and tensors under the names of GGUF.
#ifndef CONVERT_SOURCE_H
#define CONVERT_SOURCE_H

#include "convert/gguf_writer.h"
#include "format/i2_s.h"

struct source_tensor {
    struct tensor tensor; // name as in the output; type and bytes as in the input, dims as in the output
    // Rows that the input has in another order: within each head of 2 * rotated_half rows, output row 2 i + j is the
    // input's row j * rotated_half + i (llama.cpp rotates neighbours, Hugging Face halves). 0: the same order.
    uint64_t rotated_half;
    // BitNetForCausalLM's packing: bytes [rows / 4][columns], rows r, r + rows / 4, ... in the bit pairs from the low
    // ones up, as trits + 1. The tensor's type is then I2_S, its trits times packed_scale.
    bool packed_bitnet;
    float packed_scale;
    // Of a model that rounds what are floats to trits by absmean, with one scale a tensor, whenever it runs.
    bool rounded_in_use;
};

struct source {
    char *path;
    struct metadata metadata; // without general.file_type and general.quantization_version
    uint64_t n_tensors;
    struct source_tensor *tensors;   // [n_tensors]
    bool trained_ternary;            // the model was trained to be rounded by absmean with one scale a tensor (BitNet)
    const struct mapped_file *files; // [n_files], where the tensors lie
    uint32_t n_files;
    void *owner; // what all this lies in
    void (*close_owner)(void *owner);
};

// Opens a GGUF file, whose I2_S tensors are packed in `i2_s_order`. Errors: as gguf_open(), UNSUPPORTED.
tern_status source_open_gguf(const char *path, enum i2_s_order i2_s_order, struct source *out);

// Opens a Hugging Face model: its folder, or its one .safetensors file beside config.json and tokenizer.json. Names,
// keys and the order of rows become those of llama.cpp's converters. `pretokenizer`: as hf_tokenizer_read(). Errors:
// IO, BAD_FILE, UNSUPPORTED, LIMIT, NO_MEMORY.
tern_status source_open_hf(const char *path, const char *pretokenizer, struct source *out);

bool source_is_hf(const char *path); // a folder, or named .safetensors

void source_close(struct source *source); // fine on an all-zero one

// True if the tensor's weights are codes times scales: source_read_trits() then works.
bool source_is_ternary(const struct source_tensor *tensor);

// Elements that share a scale: a block's, or a whole row where the scale is the tensor's.
uint64_t source_group(const struct source_tensor *tensor);

// Row `row` of the output's order as floats: out[dims[0]].
void source_read_row(const struct source_tensor *tensor, uint64_t row, float *out);

// Row `row`: codes[dims[0]] in 0..3 with weight = (code - 1) * scale, scales[dims[0] / source_group()].
void source_read_trits(const struct source_tensor *tensor, uint64_t row, uint8_t *codes, float *scales);

// Gives the pages of rows [first, first + count) back to the system.
void source_release_rows(const struct source *source, const struct source_tensor *tensor, uint64_t first,
                         uint64_t count);

#endif
