// What proxies say of who asks. The input's first line is an address or a network to trust, the rest X-Forwarded-For.
#include <stdlib.h>
#include <string.h>

#include "serve/client.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum { MOST = 4096 };
static const char made_up[] = "203.0.113.66";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

static bool is_address(const char *text)
{
    unsigned char address[16];
    return strcmp(text, "unix") == 0 || inet_pton(AF_INET, text, address) == 1 ||
           inet_pton(AF_INET6, text, address) == 1;
}

static struct client find(const struct client_proxies *proxies, const char *address, const char *forwarded)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct client client;
    const void *peer = &v4;
    if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
        must(inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
        peer = &v6;
    }
    client_find(proxies, peer, forwarded, &client);
    must(is_address(client.address));
    return client;
}

// What somebody writes before what proxies add is not believed in its stead, unless all that speak are trusted.
static void look_at(const struct client_proxies *proxies, const char *forwarded)
{
    char more[MOST + sizeof made_up + 2];
    strcpy(more, made_up);
    strcat(more, ",");
    strcat(more, forwarded);
    struct client told = find(proxies, "10.0.0.9", forwarded), lied = find(proxies, "10.0.0.9", more);
    bool is_trusted = strcmp(find(proxies, told.address, made_up).address, made_up) == 0;
    must(strcmp(lied.address, told.address) == 0 || (is_trusted && strcmp(lied.address, made_up) == 0));
    must(strcmp(lied.address, told.address) != 0 || lied.number == told.number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct client_proxies nobody;
    struct client_proxies proxies = {0};
    char text[MOST + 1];
    if (size > MOST) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t length = strcspn(text, "\n");
    const char *forwarded = text[length] == '\n' ? text + length + 1 : "";
    text[length] = '\0';
    must(strcmp(find(&nobody, "10.0.0.9", forwarded).address, "10.0.0.9") == 0);
    client_add_proxy(&proxies, text);
    look_at(&proxies, forwarded);
    must(client_add_proxy(&proxies, "10.0.0.9") == TERN_OK);
    look_at(&proxies, forwarded);
    return 0;
}
