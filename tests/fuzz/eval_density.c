// Lists of scores, CSV or JSON: any text is read or refused with a message, and what is read can be drawn.
#include "eval/frontier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_models(const struct scored_models *models)
{
    struct buffer svg = {0};
    for (size_t i = 0; i < models->count; i++) {
        const struct scored_model *m = &models->items[i];
        if (!(m->score >= 0 && m->score < 100 && m->gigabytes > 0 && isfinite(density_of(m)))) abort();
        density_on_frontier(models, i);
    }
    if (models->count > 0 && frontier_draw(models, &svg) != TERN_OK) abort();
    buffer_free(&svg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scored_models models = {0};
    if (density_read("scores", (const char *)data, size, &models) == TERN_OK)
        check_models(&models);
    else if (strncmp(status_message(), "scores: ", 8) != 0)
        abort();
    scored_models_free(&models);
    return 0;
}
