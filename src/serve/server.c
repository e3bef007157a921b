#include "serve/server.h"

#include "serve/connection.h"
#include "serve/json_memory.h"
#include "serve/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { WORKERS = 4 };

static tern_status start(struct server *server)
{
    TRY(metrics_open(&server->metrics));
    TRY(workers_open(WORKERS, &server->workers));
    TRY(workers_open(1, &server->writer));
    TRY(models_open(&server->options.models, &server->options.log, server->workers, &server->models));
    TRY(http_server_open(server, &server->options.http, &server->http));
    models_load_first(server->models); // not before it is clear that anybody can ask for it
    return TERN_OK;
}

tern_status server_open(const struct server_options *options, struct server **out)
{
    *out = NULL;
    json_memory_watch();
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the server");
    server->options = *options;
    tern_status status = start(server);
    if (status == TERN_OK)
        *out = server;
    else
        server_close(server);
    return status;
}

void server_finish(struct server *server, volatile const int *hurry)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    double end = model_clock() + server->options.grace;
    http_server_refuse(server->http);
    while (http_server_requests(server->http) > 0 && model_clock() < end && !*hurry)
        nanosleep(&moment, NULL);
}

void server_close(struct server *server)
{
    if (server == NULL) return;
    // In this order: whoever is answered is told that it is over, gives back its model, and is done.
    http_server_stop(server->http);
    models_stop(server->models);
    workers_close(server->workers);
    workers_close(server->writer);
    models_close(server->models);
    http_server_close(server->http);
    metrics_close(server->metrics);
    free(server);
}

// ---- Random names ---------------------------------------------------------------------------------------------------

uint64_t server_random(void)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value) return value;
    struct timespec now; // a system without it: names need to be different, not secret
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec << 20;
}

void server_make_id(const char *prefix, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t length = (size_t)snprintf(out, size, "%s", prefix), end = length + 24;
    uint64_t random = 0;
    if (end >= size) end = size - 1;
    for (size_t i = length; i < end; i++) {
        if ((i - length) % 8 == 0) random = server_random();
        out[i] = digits[random % 62];
        random /= 62;
    }
    out[end] = '\0';
}

// ---- What happened --------------------------------------------------------------------------------------------------

static void log_request(const struct server *server, const struct exchange *e, int status, double seconds)
{
    const struct exchange_facts *facts = &e->facts;
    json_t *line = json_pack("{s:s, s:s, s:o, s:o, s:i, s:f, s:I}", "id", e->id, "client", e->address, "method",
                             json_text(e->method, strlen(e->method)), "path", json_text(e->path, strlen(e->path)),
                             "status", status, "seconds", seconds, "bytes", (json_int_t)e->n_bytes);
    if (line != NULL && facts->model[0] != '\0') {
        json_object_set_new(line, "model", json_string(facts->model));
        json_object_set_new(line, "prompt_tokens", json_integer(facts->prompt_tokens));
        json_object_set_new(line, "cached_tokens", json_integer(facts->cached_tokens));
        json_object_set_new(line, "generated_tokens", json_integer(facts->generated_tokens));
        json_object_set_new(line, "queue_seconds", json_real(facts->queue_seconds));
        json_object_set_new(line, "first_token_seconds", json_real(facts->first_token_seconds));
    }
    log_facts(&server->options.log, "request", line);
}

void server_note_request(struct server *server, struct exchange *e)
{
    enum { CLIENT_CLOSED = 499 }; // nginx's number for a client that went away before it was answered
    double seconds = model_clock() - e->started;
    pthread_mutex_lock(&e->mutex);
    int status = e->gone || e->status == 0 ? CLIENT_CLOSED : e->status;
    metrics_count_request(server->metrics, e->route != NULL ? e->route->path : NULL, status);
    metrics_observe(server->metrics, METRIC_REQUEST_SECONDS, seconds);
    if (e->facts.model[0] != '\0') metrics_observe(server->metrics, METRIC_QUEUE_SECONDS, e->facts.queue_seconds);
    bool is_chatter = e->route != NULL && e->route->quiet && status < 400;
    if (!is_chatter || server->options.log.verbose) log_request(server, e, status, seconds);
    pthread_mutex_unlock(&e->mutex);
}

void server_log_details(struct server *server, const char *format, va_list arguments)
{
    log_detail_list(&server->options.log, format, arguments);
}
