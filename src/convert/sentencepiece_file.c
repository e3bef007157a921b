#include "convert/sentencepiece_file.h"

#include "base/half.h"
#include "format/bytes.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_PIECES = 1 << 22, MAX_VARINT_BITS = 64 };

// How a field's value is written (protocol buffers' encoding).
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

// Numbers of the fields that matter, in sentencepiece_model.proto.
enum {
    MODEL_PIECES = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    PIECE_TEXT = 1,
    PIECE_SCORE = 2,
    PIECE_TYPE = 3,
    TRAINER_MODEL_TYPE = 3,
    TRAINER_BOS = 41,
    TRAINER_EOS = 42,
    NORMALIZER_TABLE = 2,
    NORMALIZER_SPACE_PREFIX = 3,
    NORMALIZER_SQUEEZE = 4,
};

struct message {
    const uint8_t *at, *end;
};

struct field {
    uint64_t number;
    enum wire wire;
    uint64_t value;       // of a number, or its bits
    struct message bytes; // of WIRE_BYTES
};

// ---- Encoding ---------------------------------------------------------------------------------------------------

static bool take_varint(struct message *m, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < MAX_VARINT_BITS && m->at < m->end; shift += 7) {
        uint8_t byte = *m->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool take_bytes(struct message *m, uint64_t length, struct message *out)
{
    if (length > (uint64_t)(m->end - m->at)) return false;
    *out = (struct message){m->at, m->at + length};
    m->at += length;
    return true;
}

// The next field; false if the bytes are none.
static bool take_field(struct message *m, struct field *out)
{
    uint64_t key;
    if (!take_varint(m, &key)) return false;
    out->number = key >> 3;
    out->wire = (enum wire)(key & 7);
    switch (out->wire) {
    case WIRE_VARINT:
        return take_varint(m, &out->value);
    case WIRE_BYTES:
        return take_varint(m, &out->value) && take_bytes(m, out->value, &out->bytes);
    case WIRE_32:
        if (!take_bytes(m, 4, &out->bytes)) return false;
        out->value = bytes_load_u32(out->bytes.at);
        return true;
    case WIRE_64:
        return take_bytes(m, 8, &out->bytes);
    default: // groups, which nobody writes any more
        return false;
    }
}

// ---- Parts of the model -----------------------------------------------------------------------------------------

static bool is(const struct field *field, uint64_t number, enum wire wire)
{
    return field->number == number && field->wire == wire;
}

static bool read_piece(struct message m, struct sentencepiece_piece *out)
{
    struct field field;
    *out = (struct sentencepiece_piece){.text = "", .type = SENTENCEPIECE_NORMAL};
    while (m.at < m.end) {
        if (!take_field(&m, &field)) return false;
        if (is(&field, PIECE_TEXT, WIRE_BYTES)) {
            out->text = (const char *)field.bytes.at;
            out->length = (size_t)(field.bytes.end - field.bytes.at);
        } else if (is(&field, PIECE_SCORE, WIRE_32)) {
            out->score = half_from_bits32((uint32_t)field.value);
        } else if (is(&field, PIECE_TYPE, WIRE_VARINT)) {
            if (field.value < SENTENCEPIECE_NORMAL || field.value > SENTENCEPIECE_BYTE) return false;
            out->type = (enum sentencepiece_type)field.value;
        }
    }
    return isfinite(out->score);
}

// An id as a 32-bit number; negative ones, which mean none, are written with 64 bits.
static int32_t id_of(uint64_t value)
{
    return value < MAX_PIECES ? (int32_t)value : -1;
}

static bool read_trainer(struct message m, struct sentencepiece_file *out)
{
    struct field field;
    while (m.at < m.end) {
        if (!take_field(&m, &field)) return false;
        if (is(&field, TRAINER_MODEL_TYPE, WIRE_VARINT)) out->model_type = (uint32_t)(field.value & UINT32_MAX);
        if (is(&field, TRAINER_BOS, WIRE_VARINT)) out->bos = id_of(field.value);
        if (is(&field, TRAINER_EOS, WIRE_VARINT)) out->eos = id_of(field.value);
    }
    return true;
}

static bool read_normalizer(struct message m, struct sentencepiece_file *out)
{
    struct field field;
    while (m.at < m.end) {
        if (!take_field(&m, &field)) return false;
        if (is(&field, NORMALIZER_TABLE, WIRE_BYTES)) out->normalises = field.value > 0;
        if (is(&field, NORMALIZER_SPACE_PREFIX, WIRE_VARINT)) out->space_prefix = field.value != 0;
        if (is(&field, NORMALIZER_SQUEEZE, WIRE_VARINT)) out->squeeze_spaces = field.value != 0;
    }
    return true;
}

static tern_status add_piece(const char *path, struct message m, struct sentencepiece_file *out)
{
    if (out->count == MAX_PIECES) return status_fail(TERN_LIMIT, "%s: more than %d pieces", path, MAX_PIECES);
    if (out->count == out->capacity) {
        size_t capacity = out->capacity * 2 + 1024;
        struct sentencepiece_piece *grown = realloc(out->pieces, capacity * sizeof *grown);
        if (grown == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory for %zu pieces", path, capacity);
        out->pieces = grown;
        out->capacity = capacity;
    }
    if (!read_piece(m, &out->pieces[out->count]))
        return status_fail(TERN_BAD_FILE, "%s: piece %zu is not one of a SentencePiece model", path, out->count);
    out->count++;
    return TERN_OK;
}

static tern_status read_part(const char *path, const struct field *field, struct sentencepiece_file *out)
{
    if (field->wire != WIRE_BYTES) return TERN_OK;
    if (field->number == MODEL_PIECES) return add_piece(path, field->bytes, out);
    bool good = (field->number != MODEL_TRAINER || read_trainer(field->bytes, out)) &&
                (field->number != MODEL_NORMALIZER || read_normalizer(field->bytes, out));
    if (good) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: the %s's settings are damaged", path,
                       field->number == MODEL_TRAINER ? "trainer" : "normalizer");
}

tern_status sentencepiece_file_read(const char *path, const uint8_t *bytes, size_t size, struct sentencepiece_file *out)
{
    struct message m = {bytes, bytes + size};
    struct field field;
    // What the file leaves out has the format's defaults.
    *out = (struct sentencepiece_file){
        .model_type = SENTENCEPIECE_UNIGRAM, .bos = 1, .eos = 2, .space_prefix = true, .squeeze_spaces = true};
    while (m.at < m.end) {
        size_t at = (size_t)(m.at - bytes);
        if (!take_field(&m, &field))
            return status_fail(TERN_BAD_FILE, "%s: byte %zu begins no field: not a SentencePiece model", path, at);
        TRY(read_part(path, &field, out));
    }
    return out->count > 0 ? TERN_OK : status_fail(TERN_BAD_FILE, "%s: no pieces: not a SentencePiece model", path);
}

void sentencepiece_file_free(struct sentencepiece_file *file)
{
    free(file->pieces);
    *file = (struct sentencepiece_file){0};
}
