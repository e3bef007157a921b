// SHA-256 (FIPS 180-4) of bytes that come piece by piece; libcrypto computes it.
#ifndef HUB_SHA256_H
#define HUB_SHA256_H

#include "base/status.h"

enum { SHA256_HEX_BYTES = 65 }; // 64 lower-case digits and the terminator

struct sha256; // opaque

tern_status sha256_open(struct sha256 **out); // Errors: NO_MEMORY. Close with sha256_close().
void sha256_close(struct sha256 *hash);       // NULL is fine

void sha256_begin(struct sha256 *hash); // forgets all that was added
void sha256_add(struct sha256 *hash, const void *data, size_t length);
void sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_BYTES]); // then sha256_begin() again

// True if `text` begins with exactly 64 hexadecimal digits; copies them, lower-case, to hex, which is "" otherwise.
bool sha256_parse(const char *text, char hex[SHA256_HEX_BYTES]);

#endif
