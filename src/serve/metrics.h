// Counters and histograms for Prometheus (text exposition format 0.0.4). What the schedulers count is read from them.
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "base/buffer.h"

struct metrics;

enum metric {
    METRIC_REQUEST_SECONDS,     // from the request's first byte to the answer's last
    METRIC_QUEUE_SECONDS,       // until the first step that worked on it
    METRIC_FIRST_TOKEN_SECONDS, // from the whole request to its first token
    METRIC_TOKEN_SECONDS,       // between two tokens of an answer
    METRIC_COUNT
};

tern_status metrics_open(struct metrics **out); // Errors: NO_MEMORY
void metrics_close(struct metrics *metrics);    // NULL is fine

void metrics_observe(struct metrics *metrics, enum metric metric, double seconds); // any thread

// A request was answered. path: of its route, static; NULL: none.
void metrics_count_request(struct metrics *metrics, const char *path, int status);

tern_status metrics_write(struct metrics *metrics, struct buffer *out);

#endif
