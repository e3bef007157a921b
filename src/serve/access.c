#include "serve/access.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- Keys -----------------------------------------------------------------------------------------------------------

tern_status access_add_key(struct access_keys *keys, const char *key)
{
    if (key[0] == '\0') return status_fail(TERN_INVALID, "an API key is empty");
    for (const char *c = key; *c != '\0'; c++)
        if (!isgraph((unsigned char)*c))
            return status_fail(TERN_INVALID, "an API key holds a character that is no printable ASCII");
    if (keys->count == ACCESS_MAX_KEYS)
        return status_fail(TERN_LIMIT, "more than %d API keys were given", ACCESS_MAX_KEYS);
    char **grown = realloc(keys->keys, (keys->count + 1) * sizeof *grown);
    if (grown == NULL) return status_fail(TERN_NO_MEMORY, "no memory for API keys");
    keys->keys = grown;
    if ((grown[keys->count] = strdup(key)) == NULL) return status_fail(TERN_NO_MEMORY, "no memory for API keys");
    keys->count++;
    return TERN_OK;
}

static tern_status read_keys(struct access_keys *keys, FILE *file)
{
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strchr(line, '\n') == NULL && strlen(line) == sizeof line - 1)
            return status_fail(TERN_INVALID, "a line is longer than %zu bytes", sizeof line - 2);
        char *start = line + strspn(line, " \t"), *end = strchr(start, '\0');
        while (end > start && isspace((unsigned char)end[-1]))
            *--end = '\0';
        if (*start != '\0' && *start != '#') TRY(access_add_key(keys, start));
    }
    return ferror(file) ? status_fail(TERN_IO, "cannot be read: %s", strerror(errno)) : TERN_OK;
}

tern_status access_add_file(struct access_keys *keys, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    size_t before = keys->count;
    tern_status status = read_keys(keys, file);
    if (status != TERN_OK) status_prefix(status, "%s: ", path);
    fclose(file);
    if (status == TERN_OK && keys->count == before) return status_fail(TERN_INVALID, "%s: holds no API key", path);
    return status;
}

void access_free(struct access_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free(keys->keys[i]);
    free(keys->keys);
    *keys = (struct access_keys){0};
}

// Looks at every byte of `key` however early a difference shows.
static bool is_equal(const char *key, const char *given, size_t length)
{
    size_t n = strlen(key);
    volatile size_t difference = n ^ length;
    for (size_t i = 0; i < n; i++)
        difference |= (size_t)((unsigned char)key[i] ^ (unsigned char)given[i < length ? i : length]);
    return difference == 0;
}

// The key's number, or -1. `given` is [length] and a NUL.
static int find_key(const struct access_keys *keys, const char *given, size_t length)
{
    int found = -1;
    for (size_t i = 0; i < keys->count; i++)
        if (is_equal(keys->keys[i], given, length)) found = (int)i;
    return found;
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

// Decodes base64 up to what is none, at most `size` - 1 bytes, and ends them with a NUL.
static size_t decode_base64(const char *text, char *out, size_t size)
{
    unsigned bits = 0;
    int n_bits = 0, value;
    size_t length = 0;
    for (; (value = base64_value(*text)) >= 0 && length + 1 < size; text++) {
        bits = bits << 6 | (unsigned)value;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out[length++] = (char)(bits >> n_bits & 0xFF);
    }
    out[length] = '\0';
    return length;
}

static int find_basic(const struct access_keys *keys, const char *text)
{
    char decoded[1200];
    size_t length = decode_base64(text, decoded, sizeof decoded);
    const char *colon = memchr(decoded, ':', length);
    if (colon == NULL) return -1;
    return find_key(keys, colon + 1, (size_t)(decoded + length - (colon + 1)));
}

static int find_authorization(const struct access_keys *keys, const char *header)
{
    static const char bearer[] = "Bearer ", basic[] = "Basic ";
    if (strncasecmp(header, basic, sizeof basic - 1) == 0) return find_basic(keys, header + sizeof basic - 1);
    if (strncasecmp(header, bearer, sizeof bearer - 1) != 0) return -1;
    const char *key = header + sizeof bearer - 1;
    return find_key(keys, key, strlen(key));
}

bool access_allows_key(const struct access_keys *keys, const struct exchange *exchange, uint64_t *client)
{
    if (keys->count == 0) return true;
    const char *authorization = exchange_header(exchange, "Authorization");
    const char *plain = exchange_header(exchange, "x-api-key");
    int found = authorization != NULL ? find_authorization(keys, authorization) : -1;
    if (found < 0 && plain != NULL) found = find_key(keys, plain, strlen(plain));
    if (found >= 0) *client = (uint64_t)found;
    return found >= 0;
}

// ---- Origins --------------------------------------------------------------------------------------------------------

// The name of "name:port" or "[address]:port".
static size_t name_length(const char *host)
{
    if (host[0] == '[') {
        const char *end = strchr(host, ']');
        return end != NULL ? (size_t)(end + 1 - host) : strlen(host);
    }
    return strcspn(host, ":");
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t n = strlen(end);
    return length >= n && strncasecmp(text + length - n, end, n) == 0;
}

// A name that nobody else can give: an address, or one that resolvers do not ask others for.
static bool is_local_name(const char *host)
{
    size_t length = name_length(host);
    if (host[0] == '[' || strspn(host, "0123456789.") == length) return true;
    return memchr(host, '.', length) == NULL || ends_with(host, length, ".localhost");
}

static bool is_at(const char *origin, const char *host)
{
    const char *behind = strstr(origin, "://");
    return behind != NULL && strcasecmp(behind + 3, host) == 0;
}

bool access_allows_origin(const char *origin, const char *host, const char *cors)
{
    if (cors != NULL && (strcmp(cors, "*") == 0 || strcasecmp(cors, origin) == 0)) return true;
    return host != NULL && is_at(origin, host);
}

bool access_allows_host(const char *host, const char *cors)
{
    if (host == NULL || (cors != NULL && (strcmp(cors, "*") == 0 || is_at(cors, host)))) return true;
    return is_local_name(host);
}
