// tokenizer.model: a SentencePiece model, as its protocol buffer (sentencepiece_model.proto) lays it out.
#ifndef CONVERT_SENTENCEPIECE_FILE_H
#define CONVERT_SENTENCEPIECE_FILE_H

#include "base/buffer.h"

// The numbers are those of the file, and of tokenizer.ggml.token_type too.
enum sentencepiece_type {
    SENTENCEPIECE_NORMAL = 1,
    SENTENCEPIECE_UNKNOWN = 2,
    SENTENCEPIECE_CONTROL = 3,
    SENTENCEPIECE_USER_DEFINED = 4,
    SENTENCEPIECE_UNUSED = 5,
    SENTENCEPIECE_BYTE = 6,
};

struct sentencepiece_piece {
    const char *text; // in the file's bytes, not terminated
    size_t length;
    float score;
    enum sentencepiece_type type;
};

enum { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE = 2 }; // others: words, characters

struct sentencepiece_file {
    struct sentencepiece_piece *pieces; // [count], owned
    size_t count, capacity;
    uint32_t model_type; // SENTENCEPIECE_UNIGRAM if the file does not say
    int32_t bos, eos;    // ids; -1: none
    bool space_prefix;   // a blank is put before every text
    bool squeeze_spaces; // rows of blanks become one
    bool normalises;     // characters are replaced by a table (NFKC and its like)
};

// `path` is for messages; the bytes must outlive *out. Errors: BAD_FILE, LIMIT, NO_MEMORY. Free with
// sentencepiece_file_free(), also after an error.
tern_status sentencepiece_file_read(const char *path, const uint8_t *bytes, size_t size,
                                    struct sentencepiece_file *out);
void sentencepiece_file_free(struct sentencepiece_file *file);

#endif
