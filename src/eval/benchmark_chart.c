#include "eval/benchmark_chart.h"

#include "eval/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The picture in its own units. A panel is a title, a legend of a line for each series, and the plot.
enum { WIDTH = 960, LEFT = 80, RIGHT = 40, TITLE = 44, LEGEND_LINE = 18, PLOT = 280, BELOW = 60 };

struct point {
    double x; // tokens in the context
    struct interval rate;
};

struct panel {
    const struct benchmark *benchmark;
    enum benchmark_test test;
    struct buffer *svg;
    const struct benchmark_case **series; // [n_series] the first case of each, borrowed
    int32_t n_series;
    struct point *points; // [n_cases] of the series being drawn
    double top;           // of the plot
    double most_x, most_y, step_x, step_y;
};

static bool is_drawn(const struct panel *panel, const struct benchmark_case *c)
{
    return c->test == panel->test && c->rates.count > 0;
}

// Points that a line joins: they differ in tokens and depth only.
static bool same_series(const struct benchmark_case *a, const struct benchmark_case *b)
{
    return a->model == b->model && a->streams == b->streams && a->threads == b->threads && a->kv_type == b->kv_type;
}

static struct point point_of(const struct benchmark_case *c)
{
    return (struct point){c->depth + c->tokens / 2.0, samples_interval(&c->rates)};
}

// ---- What is drawn ------------------------------------------------------------------------------------------------

static void find_series(struct panel *panel)
{
    panel->n_series = 0;
    for (int32_t i = 0; i < panel->benchmark->n_cases; i++) {
        const struct benchmark_case *c = &panel->benchmark->cases[i];
        int32_t k = 0;
        while (k < panel->n_series && !same_series(panel->series[k], c))
            k++;
        if (is_drawn(panel, c) && k == panel->n_series) panel->series[panel->n_series++] = c;
    }
}

static int compare_points(const void *a, const void *b)
{
    double x = ((const struct point *)a)->x, y = ((const struct point *)b)->x;
    return (x > y) - (x < y);
}

static int32_t find_points(struct panel *panel, const struct benchmark_case *first)
{
    int32_t n = 0;
    for (int32_t i = 0; i < panel->benchmark->n_cases; i++) {
        const struct benchmark_case *c = &panel->benchmark->cases[i];
        if (is_drawn(panel, c) && same_series(first, c)) panel->points[n++] = point_of(c);
    }
    qsort(panel->points, (size_t)n, sizeof *panel->points, compare_points);
    return n;
}

// 1, 2 or 5 times a power of ten, so that about six steps make `most`.
static double nice_step(double most)
{
    double power = pow(10, floor(log10(most / 6))), share = most / 6 / power;
    return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

// Both axes begin at 0 and end at a step.
static void choose_axes(struct panel *panel)
{
    double x = 1, y = 0;
    for (int32_t i = 0; i < panel->benchmark->n_cases; i++) {
        const struct benchmark_case *c = &panel->benchmark->cases[i];
        if (!is_drawn(panel, c)) continue;
        struct point point = point_of(c);
        x = fmax(x, point.x);
        y = fmax(y, point.rate.high);
    }
    panel->step_x = nice_step(x);
    panel->step_y = nice_step(y);
    panel->most_x = ceil(x / panel->step_x) * panel->step_x;
    panel->most_y = ceil(y / panel->step_y) * panel->step_y;
}

static double x_of(const struct panel *panel, double tokens)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * tokens / panel->most_x;
}

static double y_of(const struct panel *panel, double rate)
{
    return panel->top + PLOT * (1 - rate / panel->most_y);
}

// ---- Drawing ------------------------------------------------------------------------------------------------------

static tern_status draw_axes(struct panel *panel)
{
    char number[32];
    double bottom = panel->top + PLOT;
    for (int i = 0; i * panel->step_x <= panel->most_x * 1.0001; i++) {
        double x = x_of(panel, i * panel->step_x);
        snprintf(number, sizeof number, "%.10g", i * panel->step_x);
        TRY(svg_line(panel->svg, "grid", x, panel->top, x, bottom));
        TRY(svg_text(panel->svg, "axis", x, bottom + 18, "middle", number));
    }
    for (int i = 0; i * panel->step_y <= panel->most_y * 1.0001; i++) {
        double y = y_of(panel, i * panel->step_y);
        snprintf(number, sizeof number, "%.10g", i * panel->step_y);
        TRY(svg_line(panel->svg, "grid", LEFT, y, WIDTH - RIGHT, y));
        TRY(svg_text(panel->svg, "axis", LEFT - 8, y + 4, "end", number));
    }
    TRY(svg_text(panel->svg, "axis", (LEFT + WIDTH - RIGHT) / 2.0, bottom + 40, "middle", "tokens in the context"));
    return svg_upright_text(panel->svg, "axis", 22, panel->top + PLOT / 2.0, "tokens a second");
}

static tern_status draw_bar(struct panel *panel, const char *css_class, const struct point *point)
{
    double x = x_of(panel, point->x);
    return svg_line(panel->svg, css_class, x, y_of(panel, point->rate.low), x, y_of(panel, point->rate.high));
}

static tern_status draw_series(struct panel *panel, int32_t index)
{
    int32_t n = find_points(panel, panel->series[index]);
    int colour = (int)(index % SVG_SERIES);
    char css_class[8];
    snprintf(css_class, sizeof css_class, "s%d", colour);
    TRY(buffer_append_format(panel->svg, "<polyline class=\"%s\" points=\"", css_class));
    for (int32_t i = 0; i < n; i++)
        TRY(buffer_append_format(panel->svg, "%.1f,%.1f ", x_of(panel, panel->points[i].x),
                                 y_of(panel, panel->points[i].rate.middle)));
    TRY(buffer_append_string(panel->svg, "\"/>\n"));
    for (int32_t i = 0; i < n; i++) {
        const struct point *point = &panel->points[i];
        TRY(draw_bar(panel, css_class, point));
        TRY(svg_mark(panel->svg, colour, x_of(panel, point->x), y_of(panel, point->rate.middle)));
    }
    return TERN_OK;
}

static tern_status draw_legend(struct panel *panel, int32_t index, double y)
{
    const struct benchmark_case *c = panel->series[index];
    struct buffer label = {0};
    tern_status status =
        buffer_append_format(&label, "%s, keys and values in %s, %d thread%s", panel->benchmark->models[c->model].file,
                             benchmark_kv_name(c->kv_type), (int)c->threads, c->threads == 1 ? "" : "s");
    if (status == TERN_OK && c->streams > 1)
        status = buffer_append_format(&label, ", %d streams together", (int)c->streams);
    if (status == TERN_OK) status = svg_mark(panel->svg, (int)(index % SVG_SERIES), LEFT + 6, y - 4);
    if (status == TERN_OK) status = svg_text(panel->svg, "axis", LEFT + 18, y, "start", label.data);
    buffer_free(&label);
    return status;
}

static double panel_height(const struct panel *panel)
{
    return panel->n_series == 0 ? 0 : TITLE + LEGEND_LINE * panel->n_series + PLOT + BELOW;
}

static tern_status draw_panel(struct panel *panel, double top)
{
    static const char *const titles[] = {
        [BENCHMARK_STREAM] = "", [BENCHMARK_PREFILL] = "Reading a prompt", [BENCHMARK_DECODE] = "Decoding"};
    if (panel->n_series == 0) return TERN_OK;
    choose_axes(panel);
    panel->top = top + TITLE + LEGEND_LINE * panel->n_series;
    TRY(svg_text(panel->svg, "title", LEFT, top + 28, "start", titles[panel->test]));
    for (int32_t i = 0; i < panel->n_series; i++)
        TRY(draw_legend(panel, i, top + TITLE + LEGEND_LINE * i + 6));
    TRY(draw_axes(panel));
    for (int32_t i = 0; i < panel->n_series; i++)
        TRY(draw_series(panel, i));
    return TERN_OK;
}

static tern_status draw_panels(struct panel *decode, struct panel *prefill)
{
    find_series(decode);
    find_series(prefill);
    double height = panel_height(decode) + panel_height(prefill);
    if (height == 0) return status_fail(TERN_INVALID, "nothing was measured that could be drawn");
    struct buffer *svg = decode->svg;
    TRY(svg_open(svg, WIDTH, (int)height, "Tokens a second against the length of the context"));
    TRY(draw_panel(decode, 0));
    TRY(draw_panel(prefill, panel_height(decode)));
    return svg_close(svg);
}

tern_status benchmark_draw(const struct benchmark *benchmark, struct buffer *svg)
{
    size_t n = (size_t)benchmark->n_cases + 1;
    struct panel panel = {.benchmark = benchmark, .svg = svg, .points = calloc(n, sizeof *panel.points)};
    const struct benchmark_case **series = calloc(2 * n, sizeof *series);
    struct panel decode = panel, prefill = panel;
    decode.test = BENCHMARK_DECODE;
    decode.series = series;
    prefill.test = BENCHMARK_PREFILL;
    prefill.series = series + n;
    tern_status status = series != NULL && panel.points != NULL
                             ? draw_panels(&decode, &prefill)
                             : status_fail(TERN_NO_MEMORY, "no memory for a chart of %zu cases", n - 1);
    free(series);
    free(panel.points);
    return status;
}
