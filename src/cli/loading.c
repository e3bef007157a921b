#include "cli/loading.h"

#include "cli/interrupt.h"
#include "cli/terminal.h"

static bool show_progress(void *context, float fraction)
{
    progress_show(context, fraction);
    return !interrupt_seen();
}

int loading_open_model(const char *path, int threads, bool f32_activations, tern_model **out)
{
    struct progress progress;
    progress_begin(&progress, "loading");
    tern_model_options options = {
        .threads = threads,
        .f32_activations = f32_activations,
        .progress = show_progress,
        .progress_context = &progress,
    };
    tern_status status = tern_model_open(path, &options, out);
    progress_end(&progress);
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    if (status != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    return EXIT_OK;
}
