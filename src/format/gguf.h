// GGUF files, versions 2 and 3, little-endian, whole or split, read through a memory map.
// Source: the GGUF specification in ggml's docs; type 42 is resolved as formats.md says.
//
// Everything read is checked against the file's size before it is used. After gguf_open has returned TERN_OK, every
// pointer in a struct gguf_file is inside a mapping and every tensor's bytes are there.
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include "base/mapped_file.h"
#include "format/tensor.h"

enum gguf_type { // as in the file
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

struct gguf_string {
    const char *data; // in the mapped file: not NUL-terminated, any bytes
    size_t length;
};

struct gguf_array {
    enum gguf_type type; // of the elements; nested arrays are refused
    uint64_t count;
    const uint8_t *data;         // in the mapped file, unaligned; for strings use `strings`
    struct gguf_string *strings; // [count] if type is GGUF_STRING, else NULL; owned by the file
};

struct gguf_value {
    enum gguf_type type;
    union {
        uint64_t u; // U8 .. U64, BOOL
        int64_t i;  // I8 .. I64
        double f;   // F32, F64
        struct gguf_string string;
        struct gguf_array array;
    };
};

struct gguf_pair {
    const char *key; // NUL-terminated, owned by the file; unique
    struct gguf_value value;
};

struct gguf_file {
    char *path; // as given (of the first part)
    uint32_t version;
    uint64_t n_pairs;
    struct gguf_pair *pairs; // of the first part
    uint64_t n_tensors;      // of all parts together
    struct tensor *tensors;  // in file order, names unique
    uint32_t n_parts;
    struct mapped_file *parts;             // [n_parts]
    bool in_memory;                        // the one part is the caller's image: neither unmapped nor released
    uint64_t file_bytes;                   // sum over parts
    const struct gguf_pair **pairs_by_key; // [n_pairs], sorted for gguf_find
    const struct tensor **tensors_by_name; // [n_tensors], sorted for gguf_find_tensor
    uint8_t **moved;                       // [n_moved] data of tensors that lie here and not in a part; NULL: none do
    size_t n_moved;
};

// Opens `path`. For NAME-00001-of-0000N.gguf the other parts are opened beside it; another part's name is refused with
// the name of the first. Errors: IO, BAD_FILE, UNSUPPORTED (version, big-endian, unknown tensor type), NO_MEMORY;
// messages name the file, the place and the expectation. Close with gguf_close().
tern_status gguf_open(const char *path, struct gguf_file **out);
void gguf_close(struct gguf_file *file); // NULL is fine

// What gguf_open() would map: bytes of the file, and of the other parts if it is named as the first of several. Opens
// none of them. 0: the file is not there; parts behind one that is missing do not count.
uint64_t gguf_bytes_on_disk(const char *path);

// Reads a file image already in memory ([size], stays the caller's and must outlive the file): for tests and fuzzing.
tern_status gguf_open_memory(const uint8_t *data, size_t size, const char *name, struct gguf_file **out);

const struct gguf_value *gguf_find(const struct gguf_file *file, const char *key);     // NULL if absent
const struct tensor *gguf_find_tensor(const struct gguf_file *file, const char *name); // NULL if absent

// Typed access. Absent: *out is left alone (put the default there before) and TERN_OK is returned. A wrong type or a
// value out of range is BAD_FILE, with file and key in the message. Integers of any width and sign are accepted where
// the value fits; u32 also accepts BOOL no.
tern_status gguf_get_u32(const struct gguf_file *file, const char *key, uint32_t *out);
tern_status gguf_get_f32(const struct gguf_file *file, const char *key, float *out);
tern_status gguf_get_bool(const struct gguf_file *file, const char *key, bool *out);
tern_status gguf_get_string(const struct gguf_file *file, const char *key, struct gguf_string *out);
// Array of `type` elements; the one wanted type is exact.
tern_status gguf_get_array(const struct gguf_file *file, const char *key, enum gguf_type type, struct gguf_array *out);

// True if `string` is exactly `literal`.
bool gguf_string_equal(struct gguf_string string, const char *literal);

// Gives a tensor's pages back to the system after its weights were copied elsewhere.
void gguf_release_tensor(const struct gguf_file *file, const struct tensor *tensor);

#endif
