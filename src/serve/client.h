// Who is asking: the address by which clients take turns, share memory and stand in log lines. Behind proxies it is
// what they say in X-Forwarded-For, if they are trusted.
#ifndef SERVE_CLIENT_H
#define SERVE_CLIENT_H

#include "base/status.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

enum { CLIENT_MAX_PROXIES = 64 };

struct client_proxies {
    struct client_network {
        struct in6_addr address; // of IPv4 the mapped one, ::ffff:10.0.0.0
        int bits;                // that count, 0..128
    } networks[CLIENT_MAX_PROXIES];
    size_t count;
    bool local; // whoever connects to the Unix socket is one
};

// "10.0.0.9", "10.0.0.0/8", "fd00::/8", or "unix". Errors: INVALID, LIMIT.
tern_status client_add_proxy(struct client_proxies *proxies, const char *text);

struct client {
    uint64_t number;                // equal for equal addresses; of IPv6 for those of one /64, which one subscriber has
    char address[INET6_ADDRSTRLEN]; // "192.0.2.7", "2001:db8::7"; "unix": the Unix socket
};

// peer: the connection's other end; NULL or neither IPv4 nor IPv6: the Unix socket. forwarded: what the request's
// X-Forwarded-For lines say, in their order and with commas between them; NULL: nothing. Every proxy puts the address
// that it was asked from behind what it was told, so the client is the last address that is not a trusted proxy's; what
// stands before it anybody may have written.
void client_find(const struct client_proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                 struct client *out);

#endif
