// Whose request it is: through proxies that are trusted, and through others.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/client.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static struct client_proxies proxies_of(const char *const *texts)
{
    struct client_proxies proxies = {0};
    for (; *texts != NULL; texts++)
        assert_int_equal(client_add_proxy(&proxies, *texts), TERN_OK);
    return proxies;
}

#define PROXIES(...) proxies_of((const char *const[]){__VA_ARGS__, NULL})

// peer: an address, NULL for the Unix socket
static struct client find(const struct client_proxies *proxies, const char *peer, const char *forwarded)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct client client;
    const void *address = NULL;
    if (peer != NULL && inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        address = &v4;
    else if (peer != NULL && inet_pton(AF_INET6, peer, &v6.sin6_addr) == 1)
        address = &v6;
    client_find(proxies, address, forwarded, &client);
    return client;
}

static void assert_found(const struct client_proxies *proxies, const char *peer, const char *forwarded,
                         const char *expected)
{
    assert_string_equal(find(proxies, peer, forwarded).address, expected);
}

static void nobody_is_believed_unless_told(void **state)
{
    (void)state;
    struct client_proxies none = {0};
    assert_found(&none, "192.0.2.1", NULL, "192.0.2.1");
    assert_found(&none, "192.0.2.1", "198.51.100.7", "192.0.2.1");
    assert_found(&none, "2001:db8::1", "198.51.100.7", "2001:db8::1");
    assert_found(&none, NULL, "198.51.100.7", "unix");
}

static void a_proxy_says_who_asks(void **state)
{
    (void)state;
    struct client_proxies one = PROXIES("10.0.0.9");
    assert_found(&one, "10.0.0.9", "198.51.100.7", "198.51.100.7");
    assert_found(&one, "10.0.0.9", "\t198.51.100.7 ", "198.51.100.7");
    assert_found(&one, "10.0.0.9", "198.51.100.7:4711", "198.51.100.7");
    assert_found(&one, "10.0.0.9", "2001:db8::7", "2001:db8::7");
    assert_found(&one, "10.0.0.9", "[2001:db8::7]:4711", "2001:db8::7");
    assert_found(&one, "::ffff:10.0.0.9", "198.51.100.7", "198.51.100.7"); // a socket for both sorts of addresses
    assert_found(&one, "10.0.0.8", "198.51.100.7", "10.0.0.8");
    assert_found(&one, NULL, "198.51.100.7", "unix");
}

static void what_a_client_wrote_before_counts_for_nothing(void **state)
{
    (void)state;
    struct client_proxies two = PROXIES("10.0.0.9", "10.0.1.9");
    assert_found(&two, "10.0.0.9", "203.0.113.66, 198.51.100.7", "198.51.100.7");
    assert_found(&two, "10.0.0.9", "203.0.113.66, 198.51.100.7, 10.0.1.9", "198.51.100.7");
    assert_found(&two, "10.0.0.9", "10.0.1.9, 10.0.1.9", "10.0.1.9"); // nobody but proxies
}

static void what_is_no_address_is_the_proxys_own(void **state)
{
    (void)state;
    struct client_proxies one = PROXIES("10.0.0.9");
    const char *texts[] = {"",
                           ",",
                           " ",
                           "unknown",
                           "198.51.100.7,",
                           "198.51.100",
                           "1.2.3.4:5:6",
                           "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_found(&one, "10.0.0.9", texts[i], "10.0.0.9");
}

static void networks_and_the_unix_socket(void **state)
{
    (void)state;
    struct client_proxies some = PROXIES("10.0.0.0/8", "192.0.2.64/27", "fd00::/9", "unix");
    assert_found(&some, "10.255.0.1", "198.51.100.7", "198.51.100.7");
    assert_found(&some, "11.0.0.1", "198.51.100.7", "11.0.0.1");
    assert_found(&some, "192.0.2.95", "198.51.100.7", "198.51.100.7");
    assert_found(&some, "192.0.2.96", "198.51.100.7", "192.0.2.96");
    assert_found(&some, "fd7f::1", "198.51.100.7", "198.51.100.7");
    assert_found(&some, "fd80::1", "198.51.100.7", "fd80::1");
    assert_found(&some, NULL, "198.51.100.7", "198.51.100.7");
    assert_found(&some, NULL, "198.51.100.7, 10.1.1.1", "198.51.100.7");
    assert_found(&some, NULL, NULL, "unix");
    struct client_proxies all = PROXIES("0.0.0.0/0");
    assert_found(&all, "203.0.113.1", "198.51.100.7", "198.51.100.7");
    assert_found(&all, "2001:db8::1", "198.51.100.7", "2001:db8::1");
}

static void nonsense_is_no_proxy(void **state)
{
    (void)state;
    const char *texts[] = {"",
                           "10.0.0",
                           "10.0.0.0/33",
                           "10.0.0.0/",
                           "10.0.0.0/-1",
                           "10.0.0.0/8x",
                           "fd00::/129",
                           "localhost",
                           "10.0.0.0/ 8",
                           "/8",
                           "unix:",
                           "10.0.0.0/8/8",
                           "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct client_proxies proxies = {0};
        assert_int_equal(client_add_proxy(&proxies, texts[i]), TERN_INVALID);
        assert_int_equal(proxies.count, 0);
    }
    struct client_proxies full = {.count = CLIENT_MAX_PROXIES};
    assert_int_equal(client_add_proxy(&full, "10.0.0.9"), TERN_LIMIT);
}

// One subscriber has a /64 of IPv6, and may take as many addresses of it as he likes.
static void numbers_are_of_addresses_and_subscribers(void **state)
{
    (void)state;
    struct client_proxies none = {0};
    assert_true(find(&none, "192.0.2.1", NULL).number == find(&none, "::ffff:192.0.2.1", NULL).number);
    assert_true(find(&none, "192.0.2.1", NULL).number != find(&none, "192.0.2.2", NULL).number);
    assert_true(find(&none, "2001:db8::1", NULL).number == find(&none, "2001:db8::ffff:1", NULL).number);
    assert_true(find(&none, "2001:db8::1", NULL).number != find(&none, "2001:db8:0:1::1", NULL).number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_believed_unless_told),
        cmocka_unit_test(a_proxy_says_who_asks),
        cmocka_unit_test(what_a_client_wrote_before_counts_for_nothing),
        cmocka_unit_test(what_is_no_address_is_the_proxys_own),
        cmocka_unit_test(networks_and_the_unix_socket),
        cmocka_unit_test(nonsense_is_no_proxy),
        cmocka_unit_test(numbers_are_of_addresses_and_subscribers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
