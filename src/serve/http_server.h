// The HTTP side of the server: sockets, connections, their bounds. libmicrohttpd reads and writes on one thread for
// each socket that is listened on; requests are handled by worker threads while their connections are suspended.
#ifndef SERVE_HTTP_SERVER_H
#define SERVE_HTTP_SERVER_H

#include "base/status.h"
#include "serve/client.h"

#include <stdint.h>

struct server;
struct http_server;

enum {
    HTTP_MAX_LISTENERS = 8,          // addresses that a host name may have
    HTTP_MIN_BYTES_A_SECOND = 16384, // bodies that are slower for longer than `timeout` are cut off
};

struct http_server_options {
    const char *host;        // name or address to listen on
    int port;                // 0: any free one
    const char *unix_path;   // listen on this socket instead; NULL: no
    const char *certificate; // PEM text; NULL: no TLS
    const char *key;         // PEM text
    uint64_t max_body;       // bytes of a request's body
    int max_connections;     // of all addresses, which have equal parts; more wait in the kernel's queue
    int timeout;             // seconds: for a request's header, for a client to take what was sent, between requests
    int heartbeat;           // seconds that a stream may be silent
    const char *cors;        // origin that web pages of other sites may have, "*": any; NULL: none
    struct client_proxies proxies; // whose word about clients is taken
};

// Listens and answers from here on. Errors: INVALID (options, certificate), IO (the address is taken, ...), NO_MEMORY.
tern_status http_server_open(struct server *server, const struct http_server_options *options,
                             struct http_server **out);

int http_server_port(const struct http_server *http); // that of the first socket; 0: it has none

// Nobody can connect any more; requests on connections that are there are answered with 503.
void http_server_refuse(struct http_server *http);

int http_server_requests(struct http_server *http);    // in progress: read completely, not answered completely
int http_server_connections(struct http_server *http); // open

// Breaks off what is in progress and closes all connections. NULL is fine.
void http_server_stop(struct http_server *http);

// Once nobody has an exchange any more. NULL is fine.
void http_server_close(struct http_server *http);

#endif
