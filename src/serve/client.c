#include "serve/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MAPPED_BITS = 96 }; // those before an IPv4 address within IPv6, ::ffff:0:0/96

static struct in6_addr map_v4(const struct in_addr *v4)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xFF, [11] = 0xFF}};
    memcpy(mapped.s6_addr + 12, v4, sizeof *v4);
    return mapped;
}

static bool parse_address(const char *text, struct in6_addr *out)
{
    struct in_addr v4;
    if (inet_pton(AF_INET6, text, out) == 1) return true;
    if (inet_pton(AF_INET, text, &v4) != 1) return false;
    *out = map_v4(&v4);
    return true;
}

// ---- Proxies --------------------------------------------------------------------------------------------------------

// "/8" behind an address of at most `most` bits.
static bool parse_bits(const char *text, int most, int *out)
{
    char *end;
    long bits = strtol(text, &end, 10);
    if (strchr("0123456789", text[0]) == NULL || end == text || *end != '\0' || bits > most) return false;
    *out = (int)bits;
    return true;
}

static bool parse_network(const char *text, struct client_network *out)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    if (length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!parse_address(address, &out->address)) return false;
    out->bits = 128;
    if (text[length] == '\0') return true;
    int before = strchr(address, ':') == NULL ? MAPPED_BITS : 0;
    if (!parse_bits(text + length + 1, 128 - before, &out->bits)) return false;
    out->bits += before;
    return true;
}

tern_status client_add_proxy(struct client_proxies *proxies, const char *text)
{
    if (strcmp(text, "unix") == 0) {
        proxies->local = true;
        return TERN_OK;
    }
    if (proxies->count == CLIENT_MAX_PROXIES)
        return status_fail(TERN_LIMIT, "more than %d proxies", CLIENT_MAX_PROXIES);
    if (!parse_network(text, &proxies->networks[proxies->count]))
        return status_fail(TERN_INVALID, "'%s' is no address (10.0.0.9), no network (10.0.0.0/8) and not 'unix'", text);
    proxies->count++;
    return TERN_OK;
}

static bool is_in(const struct in6_addr *address, const struct client_network *network)
{
    for (int bit = 0; bit < network->bits; bit += 8) {
        int left = network->bits - bit;
        unsigned mask = left >= 8 ? 0xFF : 0xFF00u >> left & 0xFF;
        if (((address->s6_addr[bit / 8] ^ network->address.s6_addr[bit / 8]) & mask) != 0) return false;
    }
    return true;
}

static bool is_proxy(const struct client_proxies *proxies, const struct in6_addr *address)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (is_in(address, &proxies->networks[i])) return true;
    return false;
}

// ---- Clients --------------------------------------------------------------------------------------------------------

// False: it is on this machine, at the Unix socket.
static bool address_of(const struct sockaddr *peer, struct in6_addr *out)
{
    if (peer != NULL && peer->sa_family == AF_INET6) {
        *out = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        return true;
    }
    if (peer == NULL || peer->sa_family != AF_INET) return false;
    *out = map_v4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr);
    return true;
}

// One of a list's addresses: " 192.0.2.7 ", and with a port as some proxies have it, "192.0.2.7:443",
// "[2001:db8::7]:443".
static bool parse_forwarded(const char *text, size_t length, struct in6_addr *out)
{
    char address[INET6_ADDRSTRLEN + sizeof "[]:65535"];
    while (length > 0 && strchr(" \t", text[0]) != NULL)
        text++, length--;
    while (length > 0 && strchr(" \t", text[length - 1]) != NULL)
        length--;
    if (length == 0 || length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (address[0] == '[') {
        address[strcspn(address, "]")] = '\0';
        return parse_address(address + 1, out);
    }
    char *colon = strchr(address, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL) *colon = '\0';
    return parse_address(address, out);
}

// The list's last address, which is taken off it: [*length] becomes what is before its comma.
static bool take_last(const char *list, size_t *length, struct in6_addr *out)
{
    size_t start = *length;
    while (start > 0 && list[start - 1] != ',')
        start--;
    bool found = parse_forwarded(list + start, *length - start, out);
    *length = start > 0 ? start - 1 : 0;
    return found;
}

static uint64_t hash_bytes(const unsigned char *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static void describe(const struct in6_addr *address, struct client *out)
{
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        out->number = hash_bytes(address->s6_addr, 16);
        inet_ntop(AF_INET, address->s6_addr + 12, out->address, sizeof out->address);
    } else {
        out->number = hash_bytes(address->s6_addr, 8);
        inet_ntop(AF_INET6, address, out->address, sizeof out->address);
    }
}

void client_find(const struct client_proxies *proxies, const struct sockaddr *peer, const char *forwarded,
                 struct client *out)
{
    struct in6_addr address, before;
    size_t length = forwarded != NULL ? strlen(forwarded) : 0;
    bool known = address_of(peer, &address);
    while (length > 0 && (known ? is_proxy(proxies, &address) : proxies->local)) {
        if (!take_last(forwarded, &length, &before))
            break; // an address that it does not tell ("unknown"): the proxy's own
        address = before;
        known = true;
    }
    *out = (struct client){.address = "unix"};
    if (known) describe(&address, out);
}
