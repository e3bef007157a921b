#include "serve/connection.h"

#include "engine/model.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// How long a client that left may go unnoticed while it waits for an answer, and while it has none to wait for.
enum { WATCH_MILLISECONDS = 50, IDLE_MILLISECONDS = 500 };

enum { TIDY_SECONDS = 10 }; // between two returns of memory

#ifndef POLLRDHUP
#define POLLRDHUP 0 // not on every system: there the end of the stream is seen by looking for its next byte
#endif

struct watched {
    struct exchange *exchange; // a reference
    int fd;
};

struct watch {
    struct watched *list; // [count] those that wait for an answer
    struct pollfd *polls; // [count]
    size_t count, capacity;
    double last_idle; // when the others were looked at too: seconds, model_clock()
    double last_tidy; // when memory was given back
    bool untidy;      // there were connections since
};

static bool reserve(struct watch *watch, size_t count)
{
    if (count <= watch->capacity) return true;
    struct watched *list = realloc(watch->list, count * sizeof *list);
    if (list != NULL) watch->list = list;
    struct pollfd *polls = realloc(watch->polls, count * sizeof *polls);
    if (polls != NULL) watch->polls = polls;
    if (list == NULL || polls == NULL) return false;
    watch->capacity = count;
    return true;
}

static bool is_suspended(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->mutex);
    bool suspended = exchange->suspended;
    pthread_mutex_unlock(&exchange->mutex);
    return suspended;
}

static bool is_at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// libmicrohttpd 0.9.75 waits for edges, and overlooks an end that came together with the last bytes before it: all that
// was sent is read, no request is complete, and the rest will not come.
static bool is_over(const struct connection *c, double now, bool look)
{
    return now > c->deadline || (look && is_at_end(c->fd));
}

// Ends connections on which no request will come any more, and lists those that wait for an answer. With http->mutex.
static void look_at_connections(struct http_server *http, struct watch *watch)
{
    double now = model_clock();
    bool idle_too = (now - watch->last_idle) * 1000 >= IDLE_MILLISECONDS;
    bool room = reserve(watch, (size_t)http->n_connections);
    watch->count = 0;
    if (idle_too) watch->last_idle = now;
    if (http->n_connections > 0) watch->untidy = true;
    for (struct connection *c = http->connections; c != NULL; c = c->next) {
        if (c->reading) {
            if (is_over(c, now, idle_too)) shutdown(c->fd, SHUT_RDWR); // libmicrohttpd sees that, and closes it
            continue;
        }
        if (c->exchange == NULL) continue;
        exchange_beat(c->exchange, now, http->options.heartbeat);
        if (!room || !is_suspended(c->exchange)) continue;
        watch->polls[watch->count] = (struct pollfd){.fd = c->fd, .events = POLLIN | POLLRDHUP};
        watch->list[watch->count++] = (struct watched){exchange_hold(c->exchange), c->fd};
    }
}

static bool is_hung_up(const struct pollfd *poll)
{
    if (poll->revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) return true;
    return (poll->revents & POLLIN) && is_at_end(poll->fd);
}

// A connection may have ended since it was listed, and its number be another's now: giving up an exchange that has no
// connection any more does nothing, so nobody else is hit.
static void look_at_sockets(struct watch *watch)
{
    int n_ready = watch->count > 0 ? poll(watch->polls, (nfds_t)watch->count, 0) : 0;
    for (size_t i = 0; i < watch->count; i++) {
        if (n_ready > 0 && is_hung_up(&watch->polls[i]) && is_suspended(watch->list[i].exchange))
            exchange_give_up(watch->list[i].exchange);
        exchange_release(watch->list[i].exchange);
    }
}

// glibc keeps the memory that requests freed, in an arena for every thread, so that each comes to hold the most that
// ever was in use at once there.
static void give_back_memory(struct watch *watch)
{
    double now = model_clock();
    if (!watch->untidy || now - watch->last_tidy < TIDY_SECONDS) return;
    watch->last_tidy = now;
    watch->untidy = false;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void wait_a_while(struct http_server *http, const struct watch *watch)
{
    struct timespec until;
    if (http->n_connections == 0 && !watch->untidy) {
        pthread_cond_wait(&http->changed, &http->mutex);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (http_server_requests(http) > 0 ? WATCH_MILLISECONDS : IDLE_MILLISECONDS) * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&http->changed, &http->mutex, &until);
}

static void *watch_connections(void *context)
{
    struct http_server *http = context;
    struct watch watch = {0};
    pthread_mutex_lock(&http->mutex);
    while (http->monitored) {
        look_at_connections(http, &watch);
        pthread_mutex_unlock(&http->mutex);
        look_at_sockets(&watch);
        give_back_memory(&watch);
        pthread_mutex_lock(&http->mutex);
        if (http->monitored) wait_a_while(http, &watch);
    }
    pthread_mutex_unlock(&http->mutex);
    free(watch.list);
    free(watch.polls);
    return NULL;
}

tern_status monitor_start(struct http_server *http)
{
    http->monitored = true;
    int error = pthread_create(&http->monitor, NULL, watch_connections, http);
    if (error == 0) return TERN_OK;
    http->monitored = false;
    return status_fail(TERN_IO, "a thread of the server cannot be started: %s", strerror(error));
}

void monitor_stop(struct http_server *http)
{
    pthread_mutex_lock(&http->mutex);
    bool running = http->monitored;
    http->monitored = false;
    pthread_cond_signal(&http->changed);
    pthread_mutex_unlock(&http->mutex);
    if (running) pthread_join(http->monitor, NULL);
}
