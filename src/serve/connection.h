// What http_server.c, exchange.c and monitor.c know of each other. Order of locks: http->mutex before exchange->mutex.
#ifndef SERVE_CONNECTION_H
#define SERVE_CONNECTION_H

#include "serve/exchange.h"
#include "serve/http_server.h"
#include "serve/route.h"
#include "serve/workers.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    EXCHANGE_MAX_HEADERS = 64,
    EXCHANGE_MAX_EXTRA = 12,
    EXCHANGE_MAX_ARGUMENTS = 16,
    EXCHANGE_MAX_UNREAD = 64 << 20, // bytes of a stream that its client has not taken: more, and it is given up
    HTTP_CLIENT_BITS = 10,          // of a client's number, by which its share of the memory is counted
};

struct header {
    char *name, *value; // owned
};

enum exchange_phase {
    EXCHANGE_READING, // the request
    EXCHANGE_WAITING, // for an answer
    EXCHANGE_READY,   // answer complete, not sent
    EXCHANGE_STREAMING,
    EXCHANGE_ENDED, // stream complete, not sent
};

struct exchange {
    struct http_server *http;
    const struct route *route; // NULL: none fits
    atomic_int references;
    struct work work; // the handler's turn

    // Owned copies behind `request`; written by the thread that reads the request, constant after.
    struct exchange_request request;
    char *method, *path;
    char id[72];
    char address[INET6_ADDRSTRLEN]; // the client's, as struct client has it
    struct header headers[EXCHANGE_MAX_HEADERS];
    size_t n_headers;
    struct header arguments[EXCHANGE_MAX_ARGUMENTS]; // of the query
    size_t n_arguments;
    struct buffer body;
    uint64_t charge;        // bytes of http->charged: of the body, then of the JSON that was made of it
    uint64_t n_received;    // of the body, kept or not
    struct api_error early; // found before the request was read: the answer, once it is
    bool complete;          // it was read
    double started;         // seconds, model_clock()

    pthread_mutex_t mutex;             // of all below
    struct MHD_Connection *connection; // NULL once it is finished
    enum exchange_phase phase;
    bool suspended; // the connection sleeps until there is something to send
    bool gone;      // the client is
    void (*on_gone)(void *context);
    void *gone_context;
    int status;
    char type[64]; // Content-Type
    char allowed[32];
    int retry_after;
    struct {
        const char *name, *value; // static
    } extra[EXCHANGE_MAX_EXTRA];
    size_t n_extra;
    struct buffer out; // what is to be sent
    size_t n_sent;     // of out
    uint64_t n_bytes;  // sent in all
    double last_write; // to a stream: seconds, model_clock()
    struct exchange_facts facts;
};

// An open connection, as the monitor sees it.
struct connection {
    struct http_server *http;
    struct connection *previous, *next;
    struct exchange *exchange; // the present one; a reference; NULL between requests
    int fd;
    bool reading;    // a request is awaited or comes in: it must be there by the deadline
    double deadline; // seconds, model_clock()
};

struct http_server {
    struct server *server;
    struct http_server_options options;
    struct MHD_Daemon *daemons[HTTP_MAX_LISTENERS];
    MHD_socket sockets[HTTP_MAX_LISTENERS]; // of the daemons, once they no longer listen
    int n_daemons;
    int port;
    char *unix_path; // to be removed at the end
    bool loopback;   // all sockets are this machine's own

    atomic_bool refusing, closing;
    bool stopped;
    atomic_int n_requests;
    uint64_t memory;       // most bytes of requests in progress
    atomic_ullong charged; // of these, in use; and by whom: clients whose numbers are alike share
    atomic_ullong charged_to[1 << HTTP_CLIENT_BITS];

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct connection *connections;
    int n_connections;
    pthread_t monitor;
    bool monitored;
};

// ---- exchange.c -----------------------------------------------------------------------------------------------------

struct exchange *exchange_open(struct http_server *http, struct MHD_Connection *connection, const char *method,
                               const char *path);
// The client is gone, or has to go.
void exchange_give_up(struct exchange *exchange);
// Counts memory for the request. False: there is none now, for this client: it may have as much as it leaves, so that
// there is always some for others. (Dynamic thresholds: Choudhury, Hahne 1998.)
bool exchange_charge(struct exchange *exchange, uint64_t bytes);
// Frees the body, and takes back what was counted.
void exchange_drop_body(struct exchange *exchange);
// 503; returns false.
bool exchange_fail_charge(struct api_error *error);
// A comment in a stream that was silent for so many seconds, so that nobody in between thinks the connection is dead.
void exchange_beat(struct exchange *exchange, double now, double seconds);
// The answer as libmicrohttpd wants it; NULL without memory. With exchange->mutex; it must be queued without: its own
// mutex is taken before that one when a stream is read.
struct MHD_Response *exchange_make_response(struct exchange *exchange);

// ---- monitor.c ------------------------------------------------------------------------------------------------------

// A thread that looks after connections: ends those whose request does not come in time, notices when a client leaves
// that waits for its answer (libmicrohttpd does not watch suspended connections).
tern_status monitor_start(struct http_server *http);
void monitor_stop(struct http_server *http); // closes nothing

#endif
