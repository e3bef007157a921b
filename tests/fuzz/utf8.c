// However bytes are cut into pieces, a stream gives the same text as all of them at once, and it is well-formed.
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

// The first byte of the input says how long the pieces are, in turn: its low half, then its high half.
static void push_pieces(struct utf8_stream *stream, const char *text, size_t length, unsigned cuts, struct buffer *out)
{
    for (size_t at = 0; at < length;) {
        size_t piece = cuts & 15;
        cuts = cuts >> 4 | (cuts & 15) << 4;
        if (piece == 0) piece = 1;
        if (piece > length - at) piece = length - at;
        must(utf8_stream_push(stream, text + at, piece, out) == TERN_OK);
        must(utf8_valid(out->data, out->length));
        at += piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) return 0; // every piece checks all the text so far
    const char *text = (const char *)data + 1;
    struct utf8_stream whole = {0}, cut = {0};
    struct buffer expected = {0}, found = {0};
    must(utf8_stream_push(&whole, text, size - 1, &expected) == TERN_OK);
    must(utf8_stream_finish(&whole, &expected) == TERN_OK);
    push_pieces(&cut, text, size - 1, data[0], &found);
    must(utf8_stream_finish(&cut, &found) == TERN_OK);
    must(found.length == expected.length && utf8_valid(found.data, found.length));
    must(found.length == 0 || memcmp(found.data, expected.data, found.length) == 0);
    must(!utf8_valid(text, size - 1) || found.length == size - 1);
    buffer_free(&expected);
    buffer_free(&found);
    return 0;
}
