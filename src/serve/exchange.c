#include "serve/connection.h"
#include "serve/field.h"
#include "serve/json_memory.h"
#include "serve/server.h"

#include "engine/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- Life -----------------------------------------------------------------------------------------------------------

static enum MHD_Result copy_pair(struct header *list, size_t *count, size_t most, const char *name, const char *value)
{
    if (*count == most) return MHD_NO;
    struct header *pair = &list[(*count)++];
    pair->name = strdup(name);
    pair->value = strdup(value != NULL ? value : "");
    return pair->name != NULL && pair->value != NULL ? MHD_YES : MHD_NO;
}

static enum MHD_Result copy_value(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct exchange *e = context;
    if (kind == MHD_HEADER_KIND) return copy_pair(e->headers, &e->n_headers, EXCHANGE_MAX_HEADERS, name, value);
    return copy_pair(e->arguments, &e->n_arguments, EXCHANGE_MAX_ARGUMENTS, name, value);
}

// False if there was no memory for one of them.
static bool is_copied(const struct header *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].name == NULL || list[i].value == NULL) return false;
    return true;
}

static void free_pairs(struct header *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].value);
    }
}

static const char *find_value(const struct header *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(list[i].name, name) == 0) return list[i].value;
    return NULL;
}

// A client may name its request; what it says stands in log lines and headers, so it may hold nothing else.
static bool is_sane_id(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 64) return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) return false;
    return true;
}

static void choose_id(struct exchange *e)
{
    const char *given = exchange_header(e, "X-Request-Id");
    if (given != NULL && is_sane_id(given))
        snprintf(e->id, sizeof e->id, "%s", given);
    else
        server_make_id("req_", e->id, sizeof e->id);
}

struct exchange *exchange_open(struct http_server *http, struct MHD_Connection *connection, const char *method,
                               const char *path)
{
    struct exchange *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    *e = (struct exchange){.http = http, .connection = connection, .started = model_clock()};
    atomic_init(&e->references, 1);
    pthread_mutex_init(&e->mutex, NULL);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, copy_value, e);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, copy_value, e);
    e->method = strdup(method);
    e->path = strdup(path);
    if (e->method == NULL || e->path == NULL || !is_copied(e->headers, e->n_headers) ||
        !is_copied(e->arguments, e->n_arguments)) {
        exchange_release(e);
        return NULL;
    }
    choose_id(e);
    e->request = (struct exchange_request){
        .method = e->method, .path = e->path, .rest = "", .body = "", .id = e->id, .created = time(NULL)};
    return e;
}

struct exchange *exchange_hold(struct exchange *exchange)
{
    atomic_fetch_add(&exchange->references, 1);
    return exchange;
}

void exchange_release(struct exchange *e)
{
    if (atomic_fetch_sub(&e->references, 1) > 1) return;
    exchange_drop_body(e);
    free_pairs(e->headers, e->n_headers);
    free_pairs(e->arguments, e->n_arguments);
    free(e->method);
    free(e->path);
    buffer_free(&e->out);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

// ---- Memory ---------------------------------------------------------------------------------------------------------

static atomic_ullong *charged_to(const struct exchange *e)
{
    return &e->http->charged_to[e->request.client * 0x9e3779b97f4a7c15u >> (64 - HTTP_CLIENT_BITS)];
}

bool exchange_charge(struct exchange *e, uint64_t bytes)
{
    uint64_t own = atomic_fetch_add(charged_to(e), bytes) + bytes;
    uint64_t all = atomic_fetch_add(&e->http->charged, bytes) + bytes;
    e->charge += bytes;
    return own + all <= e->http->memory;
}

bool exchange_fail_charge(struct api_error *error)
{
    api_error_status(error, 503, "busy", "the server has no memory for this request now");
    error->retry_after = 1;
    return false;
}

void exchange_drop_body(struct exchange *e)
{
    atomic_fetch_sub(charged_to(e), e->charge);
    atomic_fetch_sub(&e->http->charged, e->charge);
    e->charge = 0;
    e->request.body = "";
    e->request.body_length = 0;
    buffer_free(&e->body);
}

bool exchange_take_json(struct exchange *e, json_t **root, struct api_error *error)
{
    const struct exchange_request *came = &e->request;
    bool fine = field_open_body(came->body, came->body_length, root, error);
    size_t bytes = fine ? field_body_memory(came->body, came->body_length) : 0;
    exchange_drop_body(e);
    if (!fine || exchange_charge(e, bytes)) return fine;
    json_decref(*root);
    *root = NULL;
    exchange_drop_body(e);
    return exchange_fail_charge(error);
}

// ---- The request ----------------------------------------------------------------------------------------------------

const struct exchange_request *exchange_request(const struct exchange *exchange)
{
    return &exchange->request;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return find_value(exchange->headers, exchange->n_headers, name);
}

const char *exchange_argument(const struct exchange *exchange, const char *name)
{
    return find_value(exchange->arguments, exchange->n_arguments, name);
}

void exchange_set_facts(struct exchange *exchange, const struct exchange_facts *facts)
{
    pthread_mutex_lock(&exchange->mutex);
    exchange->facts = *facts;
    pthread_mutex_unlock(&exchange->mutex);
}

// ---- Waking and leaving ---------------------------------------------------------------------------------------------

// libmicrohttpd's turn again, if the connection was suspended. With the mutex.
static void resume(struct exchange *e)
{
    if (!e->suspended) return;
    e->suspended = false;
    MHD_resume_connection(e->connection);
}

// With the mutex. The callback is called with it too: once exchange_on_gone() has taken it back, it does not come.
static void leave(struct exchange *e)
{
    if (e->connection == NULL || e->gone) return;
    e->gone = true;
    if (e->on_gone != NULL) e->on_gone(e->gone_context);
    resume(e);
}

void exchange_give_up(struct exchange *e)
{
    pthread_mutex_lock(&e->mutex);
    leave(e);
    pthread_mutex_unlock(&e->mutex);
}

void exchange_on_gone(struct exchange *e, void (*gone)(void *context), void *context)
{
    pthread_mutex_lock(&e->mutex);
    e->on_gone = gone;
    e->gone_context = context;
    if (gone != NULL && (e->gone || e->connection == NULL)) gone(context);
    pthread_mutex_unlock(&e->mutex);
}

// ---- Answers --------------------------------------------------------------------------------------------------------

static bool begin_answer(struct exchange *e, enum exchange_phase phase, int status, const char *type)
{
    if (e->gone || e->phase > EXCHANGE_WAITING) return false;
    e->phase = phase;
    e->status = status;
    snprintf(e->type, sizeof e->type, "%s", type);
    return true;
}

void exchange_answer(struct exchange *e, int status, const char *type, struct buffer *body)
{
    pthread_mutex_lock(&e->mutex);
    if (begin_answer(e, EXCHANGE_READY, status, type)) {
        e->out = *body;
        *body = (struct buffer){0};
        resume(e);
    }
    pthread_mutex_unlock(&e->mutex);
    buffer_free(body);
}

static json_t *error_body(const struct exchange *e, const struct api_error *error)
{
    json_memory_begin(); // what it is not made of may have been lost
    if (e->route == NULL || e->route->write_error == NULL) return api_error_json(error);
    return e->route->write_error(error, e->id);
}

// The error that there is no memory; if there is none for that either, as one text for OpenAI's clients and
// Anthropic's.
static void dump_no_memory(const struct exchange *e, struct buffer *out)
{
    static const char plain[] = "{\"type\":\"error\",\"error\":{\"message\":\"the server has no memory for an answer\","
                                "\"type\":\"server_error\",\"param\":null,\"code\":\"no_memory\"}}";
    struct api_error error;
    api_error_from_status(&error, TERN_NO_MEMORY, NULL);
    json_t *body = error_body(e, &error);
    buffer_free(out);
    if (!json_memory_write(body, out)) {
        buffer_free(out);
        (void)buffer_append_string(out, plain);
    }
    json_decref(body);
}

void exchange_answer_json(struct exchange *e, int status, json_t *body)
{
    struct buffer text = {0};
    if (!json_memory_write(body, &text)) {
        status = 503;
        dump_no_memory(e, &text);
    }
    json_decref(body);
    exchange_answer(e, status, "application/json", &text);
}

void exchange_fail(struct exchange *e, const struct api_error *error)
{
    pthread_mutex_lock(&e->mutex);
    bool streaming = e->phase == EXCHANGE_STREAMING;
    e->retry_after = error->retry_after;
    pthread_mutex_unlock(&e->mutex);
    if (streaming) {
        exchange_write_event(e, "error", error_body(e, error));
        exchange_end(e);
    } else {
        exchange_answer_json(e, error->status, error_body(e, error));
    }
}

void exchange_fail_memory(struct exchange *e)
{
    struct api_error error;
    api_error_from_status(&error, TERN_NO_MEMORY, NULL);
    exchange_fail(e, &error);
}

void exchange_begin_stream(struct exchange *e)
{
    pthread_mutex_lock(&e->mutex);
    e->last_write = model_clock();
    if (begin_answer(e, EXCHANGE_STREAMING, 200, "text/event-stream")) resume(e);
    pthread_mutex_unlock(&e->mutex);
}

// With the mutex.
static void append_stream(struct exchange *e, const char *bytes, size_t length)
{
    if (e->phase != EXCHANGE_STREAMING || e->gone) return;
    e->last_write = model_clock();
    bool full = e->out.length - e->n_sent > EXCHANGE_MAX_UNREAD;
    if (full || buffer_append(&e->out, bytes, length) != TERN_OK)
        leave(e); // a stream that lost a part would be worse than none
    else
        resume(e);
}

void exchange_write(struct exchange *e, const char *bytes, size_t length)
{
    pthread_mutex_lock(&e->mutex);
    append_stream(e, bytes, length);
    pthread_mutex_unlock(&e->mutex);
}

void exchange_beat(struct exchange *e, double now, double seconds)
{
    static const char comment[] = ":\n\n";
    pthread_mutex_lock(&e->mutex);
    if (e->suspended && now - e->last_write > seconds) append_stream(e, comment, sizeof comment - 1);
    pthread_mutex_unlock(&e->mutex);
}

void exchange_write_event(struct exchange *e, const char *name, json_t *data)
{
    struct buffer text = {0};
    bool fine = name == NULL || buffer_append_format(&text, "event: %s\n", name) == TERN_OK;
    fine = fine && buffer_append_string(&text, "data: ") == TERN_OK && json_memory_write(data, &text) &&
           buffer_append_string(&text, "\n\n") == TERN_OK;
    json_decref(data);
    if (fine)
        exchange_write(e, text.data, text.length);
    else
        exchange_give_up(e);
    buffer_free(&text);
}

void exchange_end(struct exchange *e)
{
    pthread_mutex_lock(&e->mutex);
    if (e->phase == EXCHANGE_STREAMING) {
        e->phase = EXCHANGE_ENDED;
        resume(e);
    }
    pthread_mutex_unlock(&e->mutex);
}

void exchange_add_header(struct exchange *e, const char *name, const char *value)
{
    pthread_mutex_lock(&e->mutex);
    if (e->n_extra < EXCHANGE_MAX_EXTRA) {
        e->extra[e->n_extra].name = name;
        e->extra[e->n_extra++].value = value;
    }
    pthread_mutex_unlock(&e->mutex);
}

// ---- Sending --------------------------------------------------------------------------------------------------------

// What was sent need not be kept: the buffer stays as long as what the client has not taken.
static void drop_sent(struct exchange *e)
{
    if (e->n_sent < e->out.length && e->n_sent < 1 << 16) return;
    memmove(e->out.data, e->out.data + e->n_sent, e->out.length - e->n_sent);
    e->out.length -= e->n_sent;
    e->n_sent = 0;
}

static ssize_t take_stream(struct exchange *e, char *out, size_t most)
{
    size_t left = e->out.length - e->n_sent;
    if (e->gone) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left > 0) {
        size_t n = left < most ? left : most;
        memcpy(out, e->out.data + e->n_sent, n);
        e->n_sent += n;
        e->n_bytes += n;
        drop_sent(e);
        return (ssize_t)n;
    }
    if (e->phase == EXCHANGE_ENDED) return MHD_CONTENT_READER_END_OF_STREAM;
    if (atomic_load(&e->http->closing)) return MHD_CONTENT_READER_END_WITH_ERROR;
    e->suspended = true;
    MHD_suspend_connection(e->connection);
    return 0;
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t most)
{
    (void)position;
    struct exchange *e = context;
    pthread_mutex_lock(&e->mutex);
    ssize_t n = take_stream(e, out, most);
    pthread_mutex_unlock(&e->mutex);
    return n;
}

static void release_stream(void *context)
{
    exchange_release(context);
}

static struct MHD_Response *make_response(struct exchange *e)
{
    if (e->phase == EXCHANGE_STREAMING || e->phase == EXCHANGE_ENDED) {
        struct MHD_Response *stream =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, exchange_hold(e), release_stream);
        if (stream == NULL) exchange_release(e);
        return stream;
    }
    e->n_bytes = e->out.length;
    if (e->out.length == 0) return MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response = MHD_create_response_from_buffer(e->out.length, e->out.data, MHD_RESPMEM_MUST_FREE);
    if (response != NULL) e->out = (struct buffer){0};
    return response;
}

static void add_cors(struct exchange *e, struct MHD_Response *response)
{
    const char *cors = e->http->options.cors;
    if (cors == NULL) return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", cors);
    MHD_add_response_header(response, "Vary", "Origin");
    if (strcmp(e->method, "OPTIONS") != 0) {
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "X-Request-Id, Request-Id, Retry-After");
        return;
    }
    const char *wanted = exchange_header(e, "Access-Control-Request-Headers");
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST");
    if (wanted != NULL) MHD_add_response_header(response, "Access-Control-Allow-Headers", wanted);
    MHD_add_response_header(response, "Access-Control-Max-Age", "3600");
}

// The value NULL: no such header. False without memory.
static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

static const char *challenge(const struct exchange *e)
{
    if (e->status != 401) return NULL;
    return e->route != NULL && e->route->page ? "Basic realm=\"tern\", charset=\"UTF-8\"" : "Bearer realm=\"tern\"";
}

static bool add_headers(struct exchange *e, struct MHD_Response *response)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", e->retry_after);
    bool fine = add_header(response, "X-Request-Id", e->id) &&
                (e->route == NULL || e->route->id_header == NULL || add_header(response, e->route->id_header, e->id)) &&
                add_header(response, "X-Content-Type-Options", "nosniff") &&
                add_header(response, "Content-Type", e->type[0] != '\0' ? e->type : NULL) &&
                add_header(response, "Allow", e->allowed[0] != '\0' ? e->allowed : NULL) &&
                add_header(response, "Cache-Control", e->n_extra == 0 ? "no-store" : NULL) &&
                add_header(response, "X-Accel-Buffering", e->phase != EXCHANGE_READY ? "no" : NULL) &&
                add_header(response, "Retry-After", e->retry_after > 0 ? seconds : NULL) &&
                add_header(response, "WWW-Authenticate", challenge(e)) &&
                add_header(response, "Connection", atomic_load(&e->http->refusing) ? "close" : NULL);
    for (size_t i = 0; i < e->n_extra; i++)
        fine = fine && add_header(response, e->extra[i].name, e->extra[i].value);
    add_cors(e, response); // it has the client's words in it; a browser that misses it refuses the answer
    return fine;
}

// An answer without all of its headers would be taken for something else, or kept where it must not be: then there is
// none, and the connection ends.
struct MHD_Response *exchange_make_response(struct exchange *e)
{
    struct MHD_Response *response = make_response(e);
    if (response == NULL || add_headers(e, response)) return response;
    MHD_destroy_response(response);
    return NULL;
}
