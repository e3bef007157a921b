// What the server says of itself: /health, /v1/models, /props, /slots, /metrics.
#include "serve/answer.h"
#include "serve/route.h"
#include "serve/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- Health ---------------------------------------------------------------------------------------------------------

void health_handle(struct server *server, struct exchange *exchange)
{
    struct api_error error;
    if (models_are_ready(server->models)) {
        exchange_answer_json(exchange, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    api_error_status(&error, 503, "loading", "the model is being loaded");
    error.retry_after = 1;
    exchange_fail(exchange, &error);
}

// ---- Models ---------------------------------------------------------------------------------------------------------

static const char *state_name(enum models_state state)
{
    static const char *const names[] = {"unloaded", "loading", "loaded", "failed"};
    return names[state];
}

static json_t *model_object(struct server *server, size_t index)
{
    const struct models_source *source = models_source(server->models, index);
    json_t *object = json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", source->name, "object", "model", "created",
                               (json_int_t)models_created(server->models, index), "owned_by", "tern", "status",
                               state_name(models_state(server->models, index)));
    struct served_model *model = models_peek(server->models, index);
    if (model == NULL) return object;
    json_object_set_new(object, "meta",
                        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i}", "name", tern_model_name(model->model),
                                  "architecture", tern_model_architecture(model->model), "n_vocab",
                                  (int)tern_model_vocabulary(model->model), "n_ctx", (int)model->context, "n_ctx_train",
                                  (int)tern_model_context(model->model), "n_embd", (int)model->width));
    models_release(server->models, model);
    return object;
}

void models_list_handle(struct server *server, struct exchange *exchange)
{
    json_t *data = json_array();
    for (size_t i = 0; i < models_count(server->models); i++)
        json_array_append_new(data, model_object(server, i));
    exchange_answer_json(exchange, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

void models_one_handle(struct server *server, struct exchange *exchange)
{
    const char *name = exchange_request(exchange)->rest;
    struct api_error error;
    for (size_t i = 0; i < models_count(server->models); i++)
        if (strcmp(models_source(server->models, i)->name, name) == 0) {
            exchange_answer_json(exchange, 200, model_object(server, i));
            return;
        }
    api_error_status(&error, 404, "model_not_found", "the model '%.100s' does not exist here", name);
    exchange_fail(exchange, &error);
}

// ---- Properties and places ------------------------------------------------------------------------------------------

static json_t *sampling_object(const tern_sampling *s)
{
    return json_pack("{s:f, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "temperature", (double)s->temperature, "top_k",
                     s->top_k, "top_p", (double)s->top_p, "min_p", (double)s->min_p, "typical_p", (double)s->typical_p,
                     "repetition_penalty", (double)s->repetition_penalty, "presence_penalty",
                     (double)s->presence_penalty, "frequency_penalty", (double)s->frequency_penalty);
}

// How a model writes: what a client needs to know to offer thinking and tools.
static json_t *abilities(const struct served_model *model)
{
    return json_pack("{s:b, s:b, s:b}", "chat", (int)tern_model_has_chat_template(model->model), "thinking",
                     model->style.think_close != NULL, "tools", (int)model->style.shows_tools);
}

static void add_model_facts(json_t *object, const struct served_model *model)
{
    json_object_set_new(object, "system_fingerprint", json_string(model->fingerprint));
    json_object_set_new(object, "abilities", abilities(model));
    json_object_set_new(object, "kernels", json_string(tern_model_kernels(model->model)));
    json_object_set_new(object, "threads", json_integer(tern_model_threads(model->model)));
}

// default_generation_settings are those of the model that ?model= names, or of the first that is loaded.
void props_handle(struct server *server, struct exchange *exchange)
{
    const char *wanted = exchange_argument(exchange, "model");
    json_t *models = json_array(), *settings = sampling_object(&server->options.sampling);
    bool found = false;
    for (size_t i = 0; i < models_count(server->models); i++) {
        json_t *object = model_object(server, i);
        struct served_model *model = models_peek(server->models, i);
        json_array_append_new(models, object);
        if (model == NULL) continue;
        add_model_facts(object, model);
        if (!found && (wanted == NULL || strcmp(wanted, model->name) == 0)) {
            json_object_set_new(settings, "n_ctx", json_integer(model->context));
            found = true;
        }
        models_release(server->models, model);
    }
    exchange_answer_json(exchange, 200,
                         json_pack("{s:s, s:s, s:o, s:i, s:o}", "server", "tern", "version", tern_version(),
                                   "default_generation_settings", settings, "total_slots",
                                   (int)server->options.models.scheduler.parallel, "models", models));
}

static void append_slots(json_t *list, const char *name, const struct scheduler_stats *stats)
{
    for (int32_t i = 0; i < stats->parallel && i < SCHEDULER_MAX_SLOTS; i++) {
        const struct scheduler_slot *slot = &stats->slots[i];
        json_array_append_new(list, json_pack("{s:i, s:s, s:b, s:I, s:i, s:i, s:i, s:i}", "id", (int)i, "model", name,
                                              "is_processing", slot->id != 0, "id_task", (json_int_t)slot->id, "n_ctx",
                                              (int)stats->context, "n_prompt_tokens", (int)slot->n_prompt, "n_computed",
                                              (int)slot->n_computed, "n_decoded", (int)slot->n_generated));
    }
}

void slots_handle(struct server *server, struct exchange *exchange)
{
    struct scheduler_stats *stats = malloc(sizeof *stats);
    if (stats == NULL) {
        exchange_fail_memory(exchange);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < models_count(server->models); i++) {
        struct served_model *model = models_peek(server->models, i);
        if (model == NULL) continue;
        scheduler_get_stats(model->scheduler, stats);
        append_slots(list, model->name, stats);
        models_release(server->models, model);
    }
    free(stats);
    exchange_answer_json(exchange, 200, list);
}

// ---- Metrics --------------------------------------------------------------------------------------------------------

// One figure of a model's scheduler.
static const struct figure {
    const char *name, *type, *help;
    enum { INT32, UINT64, DOUBLE } kind;
    size_t offset;
} figures[] = {
#define FIGURE(name, type, help, kind, field)                                                                          \
    {                                                                                                                  \
        name, type, help, kind, offsetof(struct scheduler_stats, field)                                                \
    }
    FIGURE("tern_requests_active", "gauge", "answers in progress", INT32, active),
    FIGURE("tern_requests_waiting", "gauge", "requests in the queue", INT32, waiting),
    FIGURE("tern_requests_taken_total", "counter", "requests that the scheduler took", UINT64, requests),
    FIGURE("tern_requests_rejected_total", "counter", "requests refused because the queue was full", UINT64, rejected),
    FIGURE("tern_requests_cancelled_total", "counter", "requests whose client left", UINT64, cancelled),
    FIGURE("tern_prompt_tokens_total", "counter", "tokens of prompts", UINT64, prompt_tokens),
    FIGURE("tern_cached_tokens_total", "counter", "of those, not computed again", UINT64, cached_tokens),
    FIGURE("tern_generated_tokens_total", "counter", "tokens of answers", UINT64, generated_tokens),
    FIGURE("tern_steps_total", "counter", "passes over the weights", UINT64, steps),
    FIGURE("tern_step_seconds_total", "counter", "time in them", DOUBLE, step_seconds),
    FIGURE("tern_kv_bytes", "gauge", "keys and values in memory", UINT64, kv_bytes_used),
    FIGURE("tern_kv_bytes_limit", "gauge", "most of them", UINT64, kv_bytes_limit),
    FIGURE("tern_kv_bytes_remembered", "gauge", "of those, of no request in progress", UINT64, kv_bytes_remembered),
    FIGURE("tern_disk_cache_bytes", "gauge", "prefixes kept on disk", UINT64, disk_bytes),
    FIGURE("tern_disk_cache_hits_total", "counter", "blocks read from disk", UINT64, disk_hits),
    FIGURE("tern_disk_cache_writes_total", "counter", "blocks written to disk", UINT64, disk_writes),
    FIGURE("tern_disk_cache_errors_total", "counter", "blocks that could not be read or written", UINT64, disk_errors),
#undef FIGURE
};

enum { N_FIGURES = sizeof figures / sizeof *figures };

// A model's name as the value of a label: backslash, quote and newline are escaped.
static tern_status append_label(struct buffer *out, const char *name)
{
    for (; *name != '\0'; name++) {
        if (*name == '\n') {
            TRY(buffer_append_string(out, "\\n"));
            continue;
        }
        if (*name == '"' || *name == '\\') TRY(buffer_append_string(out, "\\"));
        TRY(buffer_append(out, name, 1));
    }
    return TERN_OK;
}

static tern_status append_value(struct buffer *out, const struct figure *figure, const struct scheduler_stats *stats)
{
    const char *at = (const char *)stats + figure->offset;
    if (figure->kind == INT32) return buffer_append_format(out, "%d\n", (int)*(const int32_t *)(const void *)at);
    if (figure->kind == DOUBLE) return buffer_append_format(out, "%.6f\n", *(const double *)(const void *)at);
    return buffer_append_format(out, "%llu\n", (unsigned long long)*(const uint64_t *)(const void *)at);
}

struct model_stats {
    const char *name;
    struct scheduler_stats stats;
};

static size_t gather_stats(struct server *server, struct model_stats *list)
{
    size_t count = 0;
    for (size_t i = 0; i < models_count(server->models); i++) {
        struct served_model *model = models_peek(server->models, i);
        if (model == NULL) continue;
        list[count].name = models_source(server->models, i)->name;
        scheduler_get_stats(model->scheduler, &list[count++].stats);
        models_release(server->models, model);
    }
    return count;
}

static tern_status write_figures(struct server *server, struct buffer *out)
{
    struct model_stats *list = calloc(models_count(server->models), sizeof *list);
    if (list == NULL) return status_fail(TERN_NO_MEMORY, "no memory for metrics");
    size_t count = gather_stats(server, list);
    tern_status status = TERN_OK;
    for (int f = 0; f < N_FIGURES && status == TERN_OK; f++) {
        status = buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", figures[f].name, figures[f].help,
                                      figures[f].name, figures[f].type);
        for (size_t i = 0; i < count && status == TERN_OK; i++) {
            status = buffer_append_format(out, "%s{model=\"", figures[f].name);
            if (status == TERN_OK) status = append_label(out, list[i].name);
            if (status == TERN_OK) status = buffer_append_string(out, "\"} ");
            if (status == TERN_OK) status = append_value(out, &figures[f], &list[i].stats);
        }
    }
    free(list);
    return status;
}

// Memory that is really there, from Linux's /proc; nothing elsewhere.
static tern_status write_memory(struct buffer *out)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return TERN_OK;
    bool read = fscanf(file, "%*d %lld", &pages) == 1;
    fclose(file);
    if (!read) return TERN_OK;
    return buffer_append_format(out,
                                "# HELP process_resident_memory_bytes memory in use\n"
                                "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lld\n",
                                pages * sysconf(_SC_PAGESIZE));
}

static tern_status write_server(struct server *server, struct buffer *out)
{
    return buffer_append_format(out,
                                "# HELP tern_connections open connections\n# TYPE tern_connections gauge\n"
                                "tern_connections %d\n# HELP tern_info the version\n# TYPE tern_info gauge\n"
                                "tern_info{version=\"%s\"} 1\n",
                                http_server_connections(server->http), tern_version());
}

void metrics_handle(struct server *server, struct exchange *exchange)
{
    struct buffer out = {0};
    struct api_error error;
    tern_status status = metrics_write(server->metrics, &out);
    if (status == TERN_OK) status = write_figures(server, &out);
    if (status == TERN_OK) status = write_server(server, &out);
    if (status == TERN_OK) status = write_memory(&out);
    if (status == TERN_OK) {
        exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
        return;
    }
    buffer_free(&out);
    api_error_from_status(&error, status, NULL);
    exchange_fail(exchange, &error);
}
