#include "serve/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BUCKETS = 16, MAX_SERIES = 256 };

static const struct {
    const char *name, *help;
    double bounds[MAX_BUCKETS]; // ascending, ended by 0
} descriptions[METRIC_COUNT] = {
    [METRIC_REQUEST_SECONDS] = {"tern_request_seconds",
                                "from a request's first byte to its answer's last",
                                {0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}},
    [METRIC_QUEUE_SECONDS] = {"tern_queue_seconds",
                              "from a request to the first step that worked on it",
                              {0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}},
    [METRIC_FIRST_TOKEN_SECONDS] = {"tern_time_to_first_token_seconds",
                                    "from a request to its first token",
                                    {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}},
    [METRIC_TOKEN_SECONDS] = {"tern_time_per_token_seconds",
                              "between two tokens of an answer",
                              {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5}},
};

struct histogram {
    uint64_t counts[MAX_BUCKETS + 1]; // of values up to each bound, and beyond the last; not cumulative
    uint64_t count;
    double sum;
};

struct series {
    const char *path;
    int status;
    uint64_t count;
};

struct metrics {
    pthread_mutex_t mutex;
    struct histogram histograms[METRIC_COUNT];
    struct series series[MAX_SERIES];
    size_t n_series;
};

tern_status metrics_open(struct metrics **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return status_fail(TERN_NO_MEMORY, "no memory for metrics");
    pthread_mutex_init(&(*out)->mutex, NULL);
    return TERN_OK;
}

void metrics_close(struct metrics *metrics)
{
    if (metrics == NULL) return;
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics);
}

void metrics_observe(struct metrics *metrics, enum metric metric, double seconds)
{
    const double *bounds = descriptions[metric].bounds;
    int bucket = 0;
    while (bucket < MAX_BUCKETS && bounds[bucket] > 0 && seconds > bounds[bucket])
        bucket++;
    pthread_mutex_lock(&metrics->mutex);
    struct histogram *h = &metrics->histograms[metric];
    h->counts[bucket]++;
    h->count++;
    h->sum += seconds;
    pthread_mutex_unlock(&metrics->mutex);
}

static struct series *find_series(struct metrics *metrics, const char *path, int status)
{
    for (size_t i = 0; i < metrics->n_series; i++) {
        struct series *s = &metrics->series[i];
        if (s->status == status && strcmp(s->path, path) == 0) return s;
    }
    if (metrics->n_series == MAX_SERIES) return NULL;
    metrics->series[metrics->n_series] = (struct series){.path = path, .status = status};
    return &metrics->series[metrics->n_series++];
}

void metrics_count_request(struct metrics *metrics, const char *path, int status)
{
    pthread_mutex_lock(&metrics->mutex);
    struct series *series = find_series(metrics, path != NULL ? path : "other", status);
    if (series != NULL) series->count++;
    pthread_mutex_unlock(&metrics->mutex);
}

static tern_status write_histogram(const struct histogram *h, enum metric metric, struct buffer *out)
{
    const char *name = descriptions[metric].name;
    const double *bounds = descriptions[metric].bounds;
    uint64_t below = 0;
    TRY(buffer_append_format(out, "# HELP %s %s\n# TYPE %s histogram\n", name, descriptions[metric].help, name));
    for (int i = 0; i < MAX_BUCKETS && bounds[i] > 0; i++) {
        below += h->counts[i];
        TRY(buffer_append_format(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds[i], (unsigned long long)below));
    }
    return buffer_append_format(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
                                (unsigned long long)h->count, name, h->sum, name, (unsigned long long)h->count);
}

static tern_status write_requests(const struct metrics *metrics, struct buffer *out)
{
    TRY(buffer_append_string(out,
                             "# HELP tern_requests_total requests answered\n# TYPE tern_requests_total counter\n"));
    for (size_t i = 0; i < metrics->n_series; i++) {
        const struct series *s = &metrics->series[i];
        TRY(buffer_append_format(out, "tern_requests_total{path=\"%s\",status=\"%d\"} %llu\n", s->path, s->status,
                                 (unsigned long long)s->count));
    }
    return TERN_OK;
}

tern_status metrics_write(struct metrics *metrics, struct buffer *out)
{
    pthread_mutex_lock(&metrics->mutex);
    tern_status status = write_requests(metrics, out);
    for (int i = 0; i < METRIC_COUNT && status == TERN_OK; i++)
        status = write_histogram(&metrics->histograms[i], (enum metric)i, out);
    pthread_mutex_unlock(&metrics->mutex);
    return status;
}
