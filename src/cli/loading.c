#include "cli/loading.h"

#include "cli/interrupt.h"
#include "cli/model_name.h"
#include "cli/terminal.h"

#include <stdlib.h>

static bool show_progress(void *context, float fraction)
{
    progress_show(context, fraction);
    return !interrupt_seen();
}

static int open_path(const char *path, tern_model_options options, tern_model **out)
{
    struct progress progress;
    progress_begin(&progress, "loading");
    options.progress = show_progress;
    options.progress_context = &progress;
    tern_status status = tern_model_open(path, &options, out);
    progress_end(&progress);
    if (status == TERN_CANCELLED) return EXIT_INTERRUPTED;
    if (status != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    return EXIT_OK;
}

int loading_open_model(const char *name, tern_model_options options, tern_model **out)
{
    char *path;
    int code = model_name_find(name, &path);
    if (code != EXIT_OK) return code;
    code = open_path(path, options, out);
    free(path);
    return code;
}

int loading_open_file(const char *name, struct gguf_file **out)
{
    char *path;
    interrupt_install(INTERRUPT_ONCE); // of a download
    int code = model_name_find(name, &path);
    if (code != EXIT_OK) return code;
    if (gguf_open(path, out) != TERN_OK) code = terminal_error(EXIT_FAILED, "%s", tern_last_error());
    free(path);
    return code;
}
