// tern report: intelligence density, scores for each gigabyte, as a table and as a picture of the frontier.
#include "cli/commands.h"
#include "cli/evaluation.h"
#include "cli/input.h"

#include "eval/frontier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct report_options {
    const char *svg;
    int json, alone;
};

#define AT(field) offsetof(struct report_options, field)

static const struct option options_report[] = {
    {OPTION_TEXT, "--svg", "FILE", AT(svg), .help = "draw score against size"},
    {OPTION_SET, "--alone", NULL, AT(alone), 1, .help = "leave out the published models that tern brings along"},
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {.help = NULL},
};

const struct command command_report = {
    .name = "report",
    .usage = "[SCORES] [options]",
    .summary = "compute scores for each gigabyte, draw the frontier",
    .options = options_report,
    .max_arguments = 1,
    .details =
        "SCORES is CSV with a line of column names, or a JSON array of objects; - is standard input. Columns or\n"
        "keys: model; score in percent, or in JSON scores, an object whose mean counts; the size as gb, bytes or\n"
        "file, a path whose size is taken; group if wanted. Density is -ln(1 - score/100) / GB.\n"
        "\n"
        "examples:\n"
        "  tern report\n"
        "  tern report scores.csv --svg frontier.svg\n"
        "  echo '[{\"model\": \"mine\", \"file\": \"mine.gguf\", \"score\": 61.5}]' | tern report -",
};

// ---- Output --------------------------------------------------------------------------------------------------------

static int compare_densities(const void *a, const void *b)
{
    double x = density_of(a), y = density_of(b);
    return (x < y) - (x > y);
}

static void print_text(const struct scored_models *models)
{
    puts("density  published        GB    score  frontier  model");
    for (size_t i = 0; i < models->count; i++) {
        const struct scored_model *m = &models->items[i];
        char published[16] = "";
        if (m->published > 0) snprintf(published, sizeof published, "%.3f", m->published);
        printf("%7.3f  %9s  %8.3f  %7.2f  %8s  ", density_of(m), published, m->gigabytes, m->score,
               density_on_frontier(models, i) ? "yes" : "");
        terminal_write(stdout, m->name, strlen(m->name));
        putchar('\n');
    }
}

static int print_json(const struct scored_models *models)
{
    json_t *list = json_array();
    for (size_t i = 0; i < models->count; i++) {
        const struct scored_model *m = &models->items[i];
        json_t *object =
            json_pack("{s:s, s:s, s:f, s:f, s:f, s:b}", "model", m->name, "group", m->group, "gb", m->gigabytes,
                      "score", m->score, "density", density_of(m), "frontier", (int)density_on_frontier(models, i));
        if (object != NULL && m->published > 0) json_object_set_new(object, "published", json_real(m->published));
        json_array_append_new(list, object);
    }
    return evaluation_print_json(json_pack("{s:o}", "models", list));
}

static int write_svg(const char *path, const struct scored_models *models)
{
    struct buffer svg = {0};
    if (frontier_draw(models, &svg) != TERN_OK) {
        buffer_free(&svg);
        return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    }
    FILE *file = fopen(path, "w");
    bool done = file != NULL && fwrite(svg.data, 1, svg.length, file) == svg.length;
    if (file != NULL && fclose(file) != 0) done = false;
    buffer_free(&svg);
    return done ? EXIT_OK : terminal_error(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

// ---- Command -------------------------------------------------------------------------------------------------------

static tern_status read_scores(const char *path, struct scored_models *models)
{
    struct buffer text = {0};
    tern_status status = input_read(path, &text);
    if (status == TERN_OK)
        status = density_read(strcmp(path, "-") == 0 ? "standard input" : path, text.data, text.length, models);
    buffer_free(&text);
    return status;
}

static int report(const struct report_options *o, const char *path)
{
    struct scored_models models = {0};
    tern_status status = o->alone ? TERN_OK : density_read_published(&models);
    if (status == TERN_OK && path != NULL) status = read_scores(path, &models);
    int code = status == TERN_OK ? EXIT_OK : terminal_error(EXIT_FAILED, "%s", tern_last_error());
    if (code == EXIT_OK && o->svg != NULL) code = write_svg(o->svg, &models);
    if (code == EXIT_OK) {
        qsort(models.items, models.count, sizeof *models.items, compare_densities);
        if (o->json)
            code = print_json(&models);
        else
            print_text(&models);
    }
    scored_models_free(&models);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

int report_main(int argc, char **argv)
{
    struct report_options o = {0};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_report, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_report, stdout);
        return terminal_finish_output();
    }
    if (words.count == 0 && o.alone)
        return options_error(&command_report, "--alone leaves out the published models: give SCORES");
    return report(&o, words.count > 0 ? words.words[0] : NULL);
}
