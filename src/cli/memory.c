#include "cli/memory.h"

#include "cli/loading.h"
#include "cli/terminal.h"

#include "device/device.h"
#include "model/kv_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST_CONTEXT = 256 }; // that is worth proposing

static double gib(uint64_t bytes)
{
    return (double)bytes / 0x1p30;
}

static void append(char out[MEMORY_HELP_BYTES], const char *format, int32_t context)
{
    size_t length = strlen(out);
    snprintf(out + length, MEMORY_HELP_BYTES - length, format, length > 0 ? ", " : "What would help: ", (int)context);
}

const char *memory_help(const struct memory_plan *plan, const struct config *config, char out[MEMORY_HELP_BYTES])
{
    static const struct {
        tern_kv_type type;
        const char *format;
    } steps[] = {
        {TERN_KV_F16, "%s--context %d"},
        {TERN_KV_Q8_0, "%s--kv-type q8_0 (context up to %d)"},
        {TERN_KV_Q4_0, "%s--kv-type q4_0 (up to %d)"},
    };
    out[0] = '\0';
    for (int i = (int)plan->kv_type; i <= TERN_KV_Q4_0; i++) {
        int32_t longest = memory_plan_longest(plan, config, steps[i].type);
        if (longest >= SHORTEST_CONTEXT)
            append(out, i == (int)plan->kv_type ? "%s--context %d" : steps[i].format, longest);
    }
    if (out[0] == '\0')
        snprintf(out, MEMORY_HELP_BYTES,
                 "The weights alone are too much: a smaller model or type would help ('tern size' "
                 "says what each takes)");
    return out;
}

static int refuse(const char *name, const struct memory_plan *plan, const struct config *config)
{
    char help[MEMORY_HELP_BYTES];
    return terminal_error(
        EXIT_FAILED,
        "%s needs %.2f GiB of memory with a context of %d tokens (weights %.2f, keys and values %.2f, "
        "working space %.2f); this machine can spare %.2f. %s",
        name, gib(memory_plan_resident(plan)), (int)plan->context, gib(plan->copied), gib(plan->cache),
        gib(plan->working), gib(memory_spare(&plan->memory)), memory_help(plan, config, help));
}

// Takes what fits if no length was asked for.
static void shorten(struct memory_plan *plan, const struct config *config)
{
    int32_t longest = memory_plan_longest(plan, config, plan->kv_type);
    if (longest < SHORTEST_CONTEXT || longest >= plan->context) return;
    plan->context = longest;
    plan->cache = kv_cache_bytes(config, plan->kv_type, longest);
    fprintf(stderr, "tern: memory for a context of %d tokens; the model was trained for %d\n", (int)longest,
            (int)config->context);
}

// `rough`: the plan is a bound.
static void tell(const char *name, const struct memory_plan *plan, bool rough, bool quiet)
{
    uint64_t from_disk = memory_plan_from_disk(plan);
    if (from_disk > 0)
        fprintf(stderr, "tern: %s runs from disk: %.2f of its %.2f GiB of weights find no room in memory\n", name,
                gib(from_disk), gib(plan->copied + plan->mapped));
    else if (!quiet && terminal_is(stderr))
        fprintf(stderr, "%s%s%.2f GiB of memory needed, this machine can spare %.2f%s\n",
                terminal_style(stderr, STYLE_DIM), rough ? "up to " : "", gib(memory_plan_total(plan)),
                gib(memory_spare(&plan->memory)), terminal_style(stderr, STYLE_PLAIN));
}

// Tiles are dense where that costs no time, or if loose ones do not even leave room for the shortest context.
static void choose_tiles(const char *name, const struct gguf_file *file, const struct config *config,
                         const struct machine_memory *memory, struct memory_choice *choice)
{
    const struct device_options device = {.kernels = getenv("TERN_CPU"), .f32_activations = choice->f32_activations};
    if (choice->tiles != TERN_TILES_AUTO) return;
    choice->tiles = TERN_TILES_DENSE;
    if (device_prefers_dense(&device)) return;
    int32_t least = choice->context;
    if (least == 0) least = config->context < SHORTEST_CONTEXT ? config->context : SHORTEST_CONTEXT;
    struct memory_plan_options options = {.kv_type = choice->kv_type, .context = least, .memory = *memory};
    if (memory_plan_needs_dense(file, config, options))
        fprintf(stderr, "tern: %s takes dense tiles (1.75 bits for a ternary weight): others find no room in memory\n",
                name);
    else
        choice->tiles = TERN_TILES_LOOSE;
}

static int check(const char *name, const struct gguf_file *file, bool quiet, struct memory_choice *choice)
{
    struct config config;
    struct machine_memory memory = machine_memory("");
    if (memory.total == 0 || config_read(file, &config) != TERN_OK || choice->context > config.context) return EXIT_OK;
    int32_t length = choice->context > 0 ? choice->context : config.context;
    struct memory_plan plan = memory_plan_bound(file, &config, choice->kv_type, length, &memory);
    bool rough = memory_plan_fits(&plan);
    choose_tiles(name, file, &config, &memory, choice);
    if (!rough) {
        struct memory_plan_options options = {.kv_type = choice->kv_type,
                                              .context = length,
                                              .weights.dense_tiles = choice->tiles == TERN_TILES_DENSE,
                                              .memory = memory};
        if (memory_plan_make(file, &config, &options, &plan) != TERN_OK) return EXIT_OK;
        if (choice->context == 0) shorten(&plan, &config);
        if (!memory_plan_fits(&plan)) return refuse(name, &plan, &config);
    }
    choice->context = plan.context;
    tell(name, &plan, rough, quiet);
    return EXIT_OK;
}

int memory_prepare(const char *name, bool quiet, struct memory_choice *choice)
{
    struct gguf_file *file;
    int code = loading_open_file(name, &file);
    if (code != EXIT_OK) return code;
    code = check(name, file, quiet, choice);
    gguf_close(file);
    return code;
}
