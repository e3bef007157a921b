// Who may ask: keys, and web pages that a browser lets speak to this server.
#ifndef SERVE_ACCESS_H
#define SERVE_ACCESS_H

#include "serve/exchange.h"

enum { ACCESS_MAX_KEYS = 1024 };

struct access_keys {
    char **keys; // [count], owned
    size_t count;
};

// Errors: INVALID (an empty key, one that is not printable ASCII without spaces), LIMIT, NO_MEMORY.
tern_status access_add_key(struct access_keys *keys, const char *key);
// One key a line; empty lines and those that begin with # are skipped. Errors also: IO.
tern_status access_add_file(struct access_keys *keys, const char *path);
void access_free(struct access_keys *keys);

// Whether the request carries one of the keys: as "Authorization: Bearer KEY", "x-api-key: KEY", or the password of
// "Authorization: Basic ...", which is what browsers can send. Takes the same time for every wrong key of a length.
// Without keys everybody may. *client: a number for the key; left alone if there are none.
bool access_allows_key(const struct access_keys *keys, const struct exchange *exchange, uint64_t *client);

// A browser says which site's page is asking. Pages of other sites may not make this machine work, though they could
// not read the answer: only this server's own, which is the name in Host, and `cors` (an origin, or "*"; NULL: none).
bool access_allows_origin(const char *origin, const char *host, const char *cors);

// While only this machine can connect and there are no keys, the name in Host must be a local one or that of `cors`: a
// stranger's name can be made to lead here (DNS rebinding), and then his pages are own ones, and what they get comes
// without an origin. Browsers always send a host; NULL is fine.
bool access_allows_host(const char *host, const char *cors);

#endif
