#include "serve/http_server.h"

#include "serve/access.h"
#include "serve/connection.h"
#include "serve/field.h"
#include "serve/json_memory.h"
#include "serve/listen.h"
#include "serve/server.h"

#include "engine/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTION_BYTES = 32768, // a request's line and headers, and what is on its way in and out
    SWALLOWED = 8,            // times the largest body: read and dropped, so that the client reads why it was refused
};

// ---- Connections ----------------------------------------------------------------------------------------------------

static void await_request(struct connection *c)
{
    c->reading = true;
    c->deadline = model_clock() + c->http->options.timeout;
}

static struct connection *connection_open(struct http_server *http, struct MHD_Connection *connection)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL; // nobody looks after it: no request is taken on it
    c->http = http;
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    await_request(c);
    pthread_mutex_lock(&http->mutex);
    c->next = http->connections;
    if (c->next != NULL) c->next->previous = c;
    http->connections = c;
    if (http->n_connections++ == 0) pthread_cond_signal(&http->changed);
    pthread_mutex_unlock(&http->mutex);
    return c;
}

static void connection_close(struct connection *c)
{
    struct http_server *http = c->http;
    pthread_mutex_lock(&http->mutex);
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        http->connections = c->next;
    if (c->next != NULL) c->next->previous = c->previous;
    http->n_connections--;
    pthread_mutex_unlock(&http->mutex);
    if (c->exchange != NULL) exchange_release(c->exchange);
    free(c);
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context = connection_open(context, connection);
    else if (*socket_context != NULL)
        connection_close(*socket_context);
}

static struct connection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void connection_set_exchange(struct MHD_Connection *connection, struct exchange *exchange)
{
    struct connection *c = connection_of(connection);
    struct exchange *before = c->exchange;
    pthread_mutex_lock(&c->http->mutex);
    c->exchange = exchange != NULL ? exchange_hold(exchange) : NULL;
    await_request(c); // the next one; or the rest of this one, which has its own time
    pthread_mutex_unlock(&c->http->mutex);
    if (before != NULL) exchange_release(before);
}

// What came fast gains no time to be slow in: the end is never further off than at the start.
static void connection_note_body(struct MHD_Connection *connection, size_t length, bool complete)
{
    struct connection *c = connection_of(connection);
    double last = model_clock() + c->http->options.timeout;
    pthread_mutex_lock(&c->http->mutex);
    c->deadline += (double)length / HTTP_MIN_BYTES_A_SECOND;
    if (c->deadline > last) c->deadline = last;
    if (complete) c->reading = false;
    pthread_mutex_unlock(&c->http->mutex);
}

// ---- What is refused ------------------------------------------------------------------------------------------------

static bool is_preflight(const struct exchange *e)
{
    return strcmp(e->method, "OPTIONS") == 0;
}

static bool check_host(const struct exchange *e, struct api_error *error)
{
    bool only_local = e->http->loopback && e->http->server->options.keys.count == 0;
    if (!only_local || e->route->open || access_allows_host(exchange_header(e, "Host"), e->http->options.cors))
        return true;
    return api_error_status(error, 403, "host_not_allowed",
                            "this name is not of this machine; start the server with keys, or with --cors and the "
                            "origin that has the name");
}

static bool check_origin(const struct exchange *e, struct api_error *error)
{
    const char *origin = exchange_header(e, "Origin");
    if (origin == NULL || access_allows_origin(origin, exchange_header(e, "Host"), e->http->options.cors)) return true;
    return api_error_status(error, 403, "origin_not_allowed",
                            "pages of this site may not use this server; start it with --cors and the site's origin");
}

static bool check_length(struct exchange *e, struct api_error *error)
{
    const char *given = exchange_header(e, "Content-Length");
    unsigned long long length = given != NULL ? strtoull(given, NULL, 10) : 0;
    uint64_t most = e->http->options.max_body;
    if (length <= most) return true;
    return api_error_status(error, 413, "body_too_large", "the body has %llu bytes, at most %llu are taken", length,
                            (unsigned long long)most);
}

// Everything that can be said before the body is there.
static bool check_request(struct exchange *e, struct api_error *error)
{
    const char *allowed = NULL;
    struct api_error lost;
    e->route = route_find(e->method, e->path, &e->request.rest, &allowed, &lost);
    bool open = is_preflight(e) || (e->route != NULL && e->route->open);
    if (!open && !access_allows_key(&e->http->server->options.keys, e, &e->request.client))
        return api_error_status(error, 401, "invalid_api_key",
                                "no valid API key was given; send it as \"Authorization: Bearer KEY\"");
    if (is_preflight(e)) return true;
    if (e->route == NULL) {
        *error = lost;
        if (allowed != NULL) snprintf(e->allowed, sizeof e->allowed, "%s", allowed);
        return false;
    }
    if (atomic_load(&e->http->refusing) && !e->route->open) {
        api_error_status(error, 503, "stopping", "the server is stopping");
        error->retry_after = 5;
        return false;
    }
    return check_host(e, error) && check_origin(e, error) && check_length(e, error);
}

// ---- Requests -------------------------------------------------------------------------------------------------------

// Lines of one name are a list, as if commas stood between them (RFC 9110, 5.3). Without memory for all of it there is
// none: its first part may be anybody's.
static enum MHD_Result join_forwarded(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct buffer *list = context;
    (void)kind;
    if (strcasecmp(name, "X-Forwarded-For") != 0) return MHD_YES;
    if (buffer_append_format(list, "%s%s", list->length > 0 ? "," : "", value) == TERN_OK) return MHD_YES;
    buffer_free(list);
    return MHD_NO;
}

static void find_client(struct exchange *e, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct client_proxies *proxies = &e->http->options.proxies;
    struct buffer forwarded = {0};
    struct client client;
    if (proxies->count > 0 || proxies->local)
        MHD_get_connection_values(connection, MHD_HEADER_KIND, join_forwarded, &forwarded);
    client_find(proxies, info != NULL ? info->client_addr : NULL, forwarded.data, &client);
    buffer_free(&forwarded);
    e->request.client = client.number;
    memcpy(e->address, client.address, sizeof e->address);
}

static bool may_swallow(const struct exchange *e)
{
    const char *given = exchange_header(e, "Content-Length");
    if (exchange_header(e, "Expect") != NULL) return false; // the client waits for a word before it sends the body
    uint64_t length = given != NULL ? strtoull(given, NULL, 10) : 0;
    return length <= SWALLOWED * e->http->options.max_body;
}

// Sends the answer, or sleeps until there is one.
static enum MHD_Result send_or_sleep(struct exchange *e)
{
    struct MHD_Response *response = NULL;
    enum MHD_Result result = MHD_NO;
    pthread_mutex_lock(&e->mutex);
    struct MHD_Connection *connection = e->connection;
    bool lost = e->gone || atomic_load(&e->http->closing);
    if (!lost && e->phase > EXCHANGE_WAITING) {
        response = exchange_make_response(e);
    } else if (!lost) {
        e->suspended = true;
        MHD_suspend_connection(connection);
        result = MHD_YES;
    }
    unsigned status = (unsigned)e->status;
    pthread_mutex_unlock(&e->mutex);
    if (response == NULL) return result;
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_error(struct exchange *e, const struct api_error *error)
{
    exchange_fail(e, error);
    return send_or_sleep(e);
}

static enum MHD_Result begin_request(struct http_server *http, struct MHD_Connection *connection, const char *path,
                                     const char *method, void **context)
{
    struct exchange *e = connection_of(connection) != NULL ? exchange_open(http, connection, method, path) : NULL;
    if (e == NULL) return MHD_NO;
    *context = e;
    atomic_fetch_add(&http->n_requests, 1);
    connection_set_exchange(connection, e);
    find_client(e, connection);
    if (check_request(e, &e->early) || may_swallow(e)) return MHD_YES;
    return answer_error(e, &e->early);
}

static void append_body(struct exchange *e, const char *data, size_t length)
{
    struct http_server *http = e->http;
    if (e->early.status != 0) return;
    if (e->body.length + length > http->options.max_body) {
        api_error_status(&e->early, 413, "body_too_large", "the body has more than %llu bytes",
                         (unsigned long long)http->options.max_body);
    } else if (!exchange_charge(e, length) || buffer_append(&e->body, data, length) != TERN_OK) {
        exchange_fail_charge(&e->early);
    }
    if (e->early.status != 0) exchange_drop_body(e);
}

static enum MHD_Result take_body(struct exchange *e, struct MHD_Connection *connection, const char *data,
                                 size_t *length)
{
    connection_note_body(connection, *length, false);
    append_body(e, data, *length);
    e->n_received += *length;
    *length = 0;
    // Chunked bodies do not say how long they are.
    return e->n_received <= SWALLOWED * e->http->options.max_body ? MHD_YES : MHD_NO;
}

static void handle_request(struct work *work)
{
    struct exchange *e = (struct exchange *)((char *)work - offsetof(struct exchange, work));
    json_memory_begin();
    e->route->handle(e->http->server, e);
    exchange_release(e);
}

static enum MHD_Result answer_preflight(struct exchange *e)
{
    struct buffer nothing = {0};
    snprintf(e->allowed, sizeof e->allowed, "GET, HEAD, POST, OPTIONS");
    exchange_answer(e, 204, "", &nothing);
    return send_or_sleep(e);
}

static enum MHD_Result run_handler(struct exchange *e)
{
    exchange_hold(e);
    e->work.run = handle_request;
    if (e->route->fast)
        handle_request(&e->work);
    else
        workers_submit(e->http->server->workers, &e->work); // the answer may be there before the connection sleeps
    return send_or_sleep(e);
}

// The request is complete: its handler's turn.
static enum MHD_Result start_request(struct exchange *e, struct MHD_Connection *connection)
{
    connection_note_body(connection, 0, true);
    e->complete = true;
    if (e->early.status != 0) return answer_error(e, &e->early);
    if (is_preflight(e)) return answer_preflight(e);
    if (e->body.length > 0) {
        e->request.body = e->body.data;
        e->request.body_length = e->body.length;
    }
    e->phase = EXCHANGE_WAITING;
    return run_handler(e);
}

static enum MHD_Result handle_access(void *context, struct MHD_Connection *connection, const char *path,
                                     const char *method, const char *version, const char *data, size_t *length,
                                     void **request)
{
    (void)version;
    struct exchange *e = *request;
    if (e == NULL) return begin_request(context, connection, path, method, request);
    if (*length > 0) return take_body(e, connection, data, length);
    if (!e->complete) return start_request(e, connection);
    return send_or_sleep(e); // libmicrohttpd asks again because the connection was resumed
}

static void finish_request(void *context, struct MHD_Connection *connection, void **request,
                           enum MHD_RequestTerminationCode code)
{
    struct http_server *http = context;
    struct exchange *e = *request;
    if (e == NULL) return;
    *request = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) exchange_give_up(e);
    pthread_mutex_lock(&e->mutex);
    e->connection = NULL;
    e->suspended = false;
    pthread_mutex_unlock(&e->mutex);
    connection_set_exchange(connection, NULL);
    server_note_request(http->server, e);
    atomic_fetch_sub(&http->n_requests, 1);
    exchange_release(e);
}

// ---- Opening --------------------------------------------------------------------------------------------------------

static void log_library(void *context, const char *format, va_list arguments)
{
    server_log_details(((struct http_server *)context)->server, format, arguments);
}

// `connections`: the most that may be open on this socket.
static tern_status start_daemon(struct http_server *http, int fd, int connections)
{
    const struct http_server_options *o = &http->options;
    unsigned flags = MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (o->certificate != NULL ? MHD_USE_TLS : 0u);
    flags |= MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES ? MHD_USE_EPOLL_INTERNAL_THREAD
                                                                    : MHD_USE_POLL_INTERNAL_THREAD;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, o->timeout, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)finish_request, http},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)note_connection, http},
        {o->certificate != NULL ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)o->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key},
        {MHD_OPTION_END, 0, NULL},
    };
    // The logger comes first: it is to hear what the other options have to say.
    struct MHD_Daemon *daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle_access, http, MHD_OPTION_EXTERNAL_LOGGER,
                                                 log_library, http, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (daemon == NULL && o->certificate != NULL)
        return status_fail(TERN_INVALID, "the server cannot be started: certificate and key are no PEM texts that "
                                         "belong together");
    if (daemon == NULL) return status_fail(TERN_IO, "the server cannot be started: %s", strerror(errno));
    http->daemons[http->n_daemons++] = daemon;
    return TERN_OK;
}

static tern_status start_listening(struct http_server *http)
{
    int sockets[HTTP_MAX_LISTENERS], count = 1;
    http->port = http->options.port;
    http->loopback = true;
    if (http->options.unix_path != NULL) {
        TRY(listen_unix(http->options.unix_path, &sockets[0]));
        http->port = 0;
        if ((http->unix_path = strdup(http->options.unix_path)) == NULL) count = 0;
    } else {
        TRY(listen_tcp(http->options.host, &http->port, sockets, HTTP_MAX_LISTENERS, &count, &http->loopback));
    }
    tern_status status = count > 0 ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for the server");
    for (int i = 0; i < count; i++) {
        int connections = (http->options.max_connections + i) / count; // an equal part for each, of all together
        if (status == TERN_OK) status = start_daemon(http, sockets[i], connections > 0 ? connections : 1);
        if (status != TERN_OK) close(sockets[i]);
    }
    return status;
}

tern_status http_server_open(struct server *server, const struct http_server_options *options, struct http_server **out)
{
    struct http_server *http = calloc(1, sizeof *http);
    *out = NULL;
    if (http == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the server");
    *http = (struct http_server){.server = server, .options = *options};
    http->memory = 2 * (options->max_body + field_most_memory((size_t)options->max_body)); // half is one client's
    pthread_mutex_init(&http->mutex, NULL);
    pthread_cond_init(&http->changed, NULL);
    *out = http;
    tern_status status = monitor_start(http);
    if (status == TERN_OK) status = start_listening(http);
    if (status != TERN_OK) {
        http_server_close(http);
        *out = NULL;
    }
    return status;
}

// ---- Facts and the end ----------------------------------------------------------------------------------------------

int http_server_port(const struct http_server *http)
{
    return http->port;
}

int http_server_requests(struct http_server *http)
{
    return atomic_load(&http->n_requests);
}

int http_server_connections(struct http_server *http)
{
    pthread_mutex_lock(&http->mutex);
    int n = http->n_connections;
    pthread_mutex_unlock(&http->mutex);
    return n;
}

void http_server_refuse(struct http_server *http)
{
    if (atomic_exchange(&http->refusing, true)) return;
    for (int i = 0; i < http->n_daemons; i++) {
        http->sockets[i] = MHD_quiesce_daemon(http->daemons[i]);
        // Closed when the library's thread, which may be about to look at it, has ended.
        if (http->sockets[i] != MHD_INVALID_SOCKET) shutdown(http->sockets[i], SHUT_RDWR);
    }
    if (http->unix_path != NULL) unlink(http->unix_path);
}

// libmicrohttpd must not be stopped while connections are suspended.
static void give_up_all(struct http_server *http)
{
    pthread_mutex_lock(&http->mutex);
    for (struct connection *c = http->connections; c != NULL; c = c->next)
        if (c->exchange != NULL) exchange_give_up(c->exchange);
    pthread_mutex_unlock(&http->mutex);
}

void http_server_stop(struct http_server *http)
{
    if (http == NULL || http->stopped) return;
    http->stopped = true;
    http_server_refuse(http);
    atomic_store(&http->closing, true);
    give_up_all(http);
    monitor_stop(http);
    for (int i = 0; i < http->n_daemons; i++) {
        MHD_stop_daemon(http->daemons[i]);
        if (http->sockets[i] != MHD_INVALID_SOCKET) close(http->sockets[i]);
    }
}

void http_server_close(struct http_server *http)
{
    if (http == NULL) return;
    http_server_stop(http);
    free(http->unix_path);
    pthread_cond_destroy(&http->changed);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}
