#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// ---- Addresses ------------------------------------------------------------------------------------------------------

static void set_flag(int fd, int level, int option)
{
    int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

static tern_status bind_address(const struct addrinfo *address, int *out)
{
    int fd = socket(address->ai_family, SOCK_STREAM, 0);
    if (fd < 0) return status_fail(TERN_IO, "%s", strerror(errno));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    // "::" shall not take the IPv4 port too: a name may have both addresses, and each gets its own socket.
    if (address->ai_family == AF_INET6) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        tern_status status = status_fail(TERN_IO, "%s", strerror(errno));
        close(fd);
        return status;
    }
    *out = fd;
    return TERN_OK;
}

static void set_port(struct addrinfo *address, int port)
{
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
}

static int get_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) return 0;
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

static bool is_loopback(const struct addrinfo *address)
{
    if (address->ai_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address->ai_addr)->sin6_addr) != 0;
    return ntohl(((const struct sockaddr_in *)(const void *)address->ai_addr)->sin_addr.s_addr) >> 24 == 127;
}

static tern_status bind_all(struct addrinfo *addresses, int *port, int *sockets, int most, int *count, bool *loopback)
{
    tern_status failure = TERN_OK;
    for (struct addrinfo *a = addresses; a != NULL && *count < most; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        set_port(a, *port);
        tern_status status = bind_address(a, &sockets[*count]);
        if (status != TERN_OK) {
            failure = status; // a name may have an address that this machine has not: one is enough
            continue;
        }
        if (!is_loopback(a)) *loopback = false;
        if (*port == 0) *port = get_port(sockets[*count]);
        (*count)++;
    }
    if (*count > 0) return TERN_OK;
    return failure != TERN_OK ? failure : status_fail(TERN_IO, "the name has no address");
}

tern_status listen_tcp(const char *host, int *port, int *sockets, int most, int *count, bool *loopback)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses;
    *count = 0;
    *loopback = true;
    int error = getaddrinfo(host, NULL, &hints, &addresses);
    if (error != 0) return status_fail(TERN_IO, "cannot listen on %s: %s", host, gai_strerror(error));
    tern_status status = bind_all(addresses, port, sockets, most, count, loopback);
    freeaddrinfo(addresses);
    if (status != TERN_OK) status_prefix(status, "cannot listen on %s, port %d: ", host, *port);
    return status;
}

// ---- Files ----------------------------------------------------------------------------------------------------------

// True if the path is a socket that nobody answers on: left by a server that was killed.
static bool is_dead_socket(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return false;
    bool dead = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return dead;
}

tern_status listen_unix(const char *path, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return status_fail(TERN_INVALID, "cannot listen on %s: longer than %zu bytes", path,
                           sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (is_dead_socket(&address)) unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return status_fail(TERN_IO, "cannot listen on %s: %s", path, strerror(errno));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    mode_t before = umask(0117);
    bool bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (!bound || listen(fd, LISTEN_BACKLOG) != 0) {
        tern_status status = status_fail(TERN_IO, "cannot listen on %s: %s", path, strerror(errno));
        close(fd);
        return status;
    }
    *out = fd;
    return TERN_OK;
}
