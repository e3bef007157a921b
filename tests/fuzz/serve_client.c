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

static struct client find(const struct client_proxies *proxies, const char *forwarded)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    struct client client;
    must(inet_pton(AF_INET, "10.0.0.9", &peer.sin_addr) == 1);
    client_find(proxies, (const struct sockaddr *)(const void *)&peer, forwarded, &client);
    must(is_address(client.address));
    return client;
}

// What somebody writes before what proxies add is never believed in its stead.
static void look_at(const struct client_proxies *proxies, const char *forwarded)
{
    char more[MOST + sizeof made_up + 2];
    struct client told = find(proxies, forwarded), lied;
    strcpy(more, made_up);
    strcat(more, ",");
    strcat(more, forwarded);
    lied = find(proxies, more);
    must(strcmp(lied.address, told.address) == 0 || strcmp(lied.address, made_up) == 0);
    must(strcmp(lied.address, told.address) != 0 || lied.number == told.number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_proxies proxies = {0};
    char text[MOST + 1];
    if (size > MOST) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t length = strcspn(text, "\n");
    const char *forwarded = text[length] == '\n' ? text + length + 1 : "";
    text[length] = '\0';
    client_add_proxy(&proxies, text);
    look_at(&proxies, forwarded);
    must(client_add_proxy(&proxies, "10.0.0.9") == TERN_OK);
    look_at(&proxies, forwarded);
    return 0;
}
