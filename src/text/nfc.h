// Unicode's normal form C, in time linear in the text.
#ifndef TEXT_NFC_H
#define TEXT_NFC_H

#include "base/buffer.h"

// True if the well-formed text is certainly in NFC already (nothing at or above U+0300, which is most text).
bool nfc_is_trivial(const char *text, size_t length);

// Appends the NFC of well-formed text. Errors: NO_MEMORY, LIMIT (buffer's).
tern_status nfc_append(const char *text, size_t length, struct buffer *out);

#endif
