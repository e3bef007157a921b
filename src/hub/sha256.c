#include "hub/sha256.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

// The functions of libcrypto below return 0 only for a missing context or algorithm; sha256_open() has tried both.

tern_status sha256_open(struct sha256 **out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    *out = (struct sha256 *)context;
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1) return TERN_OK;
    EVP_MD_CTX_free(context);
    *out = NULL;
    return status_fail(TERN_NO_MEMORY, "SHA-256: libcrypto could not be set up");
}

void sha256_close(struct sha256 *hash)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
}

void sha256_begin(struct sha256 *hash)
{
    EVP_DigestInit_ex((EVP_MD_CTX *)hash, EVP_sha256(), NULL);
}

void sha256_add(struct sha256 *hash, const void *data, size_t length)
{
    EVP_DigestUpdate((EVP_MD_CTX *)hash, data, length);
}

void sha256_finish(struct sha256 *hash, char hex[SHA256_HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex((EVP_MD_CTX *)hash, digest, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

bool sha256_parse(const char *text, char hex[SHA256_HEX_BYTES])
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    hex[0] = '\0';
    if (digits != SHA256_HEX_BYTES - 1) return false;
    for (size_t i = 0; i < digits; i++)
        hex[i] = (char)tolower((unsigned char)text[i]);
    hex[digits] = '\0';
    return true;
}
