#include "eval/frontier.h"

#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The picture in its own units; a viewer scales it.
enum { WIDTH = 960, HEIGHT = 600, LEFT = 70, RIGHT = 30, TOP = 64, BOTTOM = 64, MAX_GROUPS = 6 };

static const double LETTER_WIDTH = 6.3, LETTER_HEIGHT = 12, MARK_RADIUS = 5.5;

// Colours that people who see few of them can tell apart too (Okabe and Ito 2008), each with its own mark.
static const char *const colours[MAX_GROUPS] = {"#0072b2", "#d55e00", "#6b6b6b", "#009e73", "#cc79a7", "#a07800"};

struct box {
    double x, y, width, height;
};

struct chart {
    const struct scored_models *models;
    struct buffer *svg;
    double low_size, high_size, low_score, high_score; // of the axes
    const char *groups[MAX_GROUPS];                    // the last stands for all further ones
    int n_groups;
    struct box *taken; // [n_taken] by marks and labels
    size_t n_taken;
};

// ---- Axes ----------------------------------------------------------------------------------------------------------

static double x_of(const struct chart *c, double gigabytes)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * log(gigabytes / c->low_size) / log(c->high_size / c->low_size);
}

static double y_of(const struct chart *c, double score)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (score - c->low_score) / (c->high_score - c->low_score);
}

static void choose_axes(struct chart *c)
{
    double low = INFINITY, high = 0, least = 100, most = 0;
    for (size_t i = 0; i < c->models->count; i++) {
        const struct scored_model *m = &c->models->items[i];
        low = fmin(low, m->gigabytes);
        high = fmax(high, m->gigabytes);
        least = fmin(least, m->score);
        most = fmax(most, m->score);
    }
    c->low_size = low / 1.5;
    c->high_size = high * 2; // room for labels at the right
    c->low_score = fmax(0, floor(least / 10) * 10 - (fmod(least, 10) < 3 ? 10 : 0));
    c->high_score = fmin(100, ceil(most / 10) * 10 + (fmod(most, 10) > 7 ? 10 : 0));
    if (c->high_score <= c->low_score) c->high_score = c->low_score + 10;
}

static int group_of(struct chart *c, const char *name)
{
    for (int i = 0; i < c->n_groups; i++)
        if (strcmp(c->groups[i], name) == 0) return i;
    if (c->n_groups == MAX_GROUPS) return MAX_GROUPS - 1;
    c->groups[c->n_groups] = name;
    return c->n_groups++;
}

static tern_status draw_size_line(struct chart *c, double gigabytes)
{
    if (gigabytes < c->low_size || gigabytes > c->high_size) return TERN_OK;
    double x = x_of(c, gigabytes);
    return buffer_append_format(c->svg,
                                "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n"
                                "<text class=\"axis\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                                x, TOP, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, gigabytes);
}

static tern_status draw_axes(struct chart *c)
{
    for (int power = (int)floor(log10(c->low_size)); pow(10, power) <= c->high_size; power++) {
        TRY(draw_size_line(c, pow(10, power)));
        TRY(draw_size_line(c, 2 * pow(10, power)));
        TRY(draw_size_line(c, 5 * pow(10, power)));
    }
    for (double score = c->low_score; score <= c->high_score; score += 10)
        TRY(buffer_append_format(c->svg,
                                 "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n"
                                 "<text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                                 LEFT, y_of(c, score), WIDTH - RIGHT, y_of(c, score), LEFT - 8, y_of(c, score) + 4,
                                 score));
    return buffer_append_format(c->svg,
                                "<text class=\"title\" x=\"%d\" y=\"26\">Score and size of models</text>\n"
                                "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">size, GB (logarithmic)"
                                "</text>\n"
                                "<text class=\"axis\" x=\"20\" y=\"%d\" text-anchor=\"middle\" "
                                "transform=\"rotate(-90 20 %d)\">average score, %%</text>\n",
                                LEFT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, (TOP + HEIGHT - BOTTOM) / 2,
                                (TOP + HEIGHT - BOTTOM) / 2);
}

// ---- Marks ---------------------------------------------------------------------------------------------------------

// Circle, diamond, square, triangle, and the last two again.
static tern_status draw_mark(struct chart *c, int group, double x, double y)
{
    const double r = MARK_RADIUS;
    switch (group % 4) {
    case 0:
        return buffer_append_format(c->svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", x, y, r,
                                    colours[group]);
    case 1:
        return buffer_append_format(c->svg, "<path d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\" fill=\"%s\"/>\n", x,
                                    y - 1.3 * r, 1.3 * r, 1.3 * r, -1.3 * r, 1.3 * r, -1.3 * r, -1.3 * r,
                                    colours[group]);
    case 2:
        return buffer_append_format(c->svg,
                                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
                                    x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r, colours[group]);
    default:
        return buffer_append_format(c->svg, "<path d=\"M%.1f %.1fl%.1f %.1fh%.1fz\" fill=\"%s\"/>\n", x, y - 1.2 * r,
                                    1.2 * r, 2.2 * r, -2.4 * r, colours[group]);
    }
}

static void take_box(struct chart *c, struct box box)
{
    c->taken[c->n_taken++] = box;
}

static tern_status draw_marks(struct chart *c)
{
    for (size_t i = 0; i < c->models->count; i++) {
        const struct scored_model *m = &c->models->items[i];
        double x = x_of(c, m->gigabytes), y = y_of(c, m->score);
        TRY(draw_mark(c, group_of(c, m->group), x, y));
        take_box(c, (struct box){x - MARK_RADIUS, y - MARK_RADIUS, 2 * MARK_RADIUS, 2 * MARK_RADIUS});
    }
    return TERN_OK;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct scored_model *x = *(const struct scored_model *const *)a, *y = *(const struct scored_model *const *)b;
    return (x->gigabytes > y->gigabytes) - (x->gigabytes < y->gigabytes);
}

static tern_status draw_frontier(struct chart *c)
{
    const struct scored_model **on = malloc(c->models->count * sizeof(struct scored_model *));
    size_t n = 0;
    if (on == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the frontier");
    for (size_t i = 0; i < c->models->count; i++)
        if (density_on_frontier(c->models, i)) on[n++] = &c->models->items[i];
    qsort(on, n, sizeof(struct scored_model *), compare_sizes);
    tern_status status = buffer_append_string(c->svg, "<polyline class=\"frontier\" points=\"");
    for (size_t i = 0; status == TERN_OK && i < n; i++)
        status = buffer_append_format(c->svg, "%.1f,%.1f ", x_of(c, on[i]->gigabytes), y_of(c, on[i]->score));
    free(on);
    return status == TERN_OK ? buffer_append_string(c->svg, "\"/>\n") : status;
}

// ---- Labels --------------------------------------------------------------------------------------------------------

static bool overlap(const struct box *a, const struct box *b)
{
    return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

static bool is_free(const struct chart *c, const struct box *box)
{
    if (box->x < LEFT || box->x + box->width > WIDTH - 4 || box->y < TOP - 10 || box->y + box->height > HEIGHT - BOTTOM)
        return false;
    for (size_t i = 0; i < c->n_taken; i++)
        if (overlap(box, &c->taken[i])) return false;
    return true;
}

// Right of the mark, left, above, below, or at one of the corners: the first that is free, else right.
static struct box place_label(const struct chart *c, double x, double y, double width)
{
    const double gap = MARK_RADIUS + 4, half = LETTER_HEIGHT / 2;
    const double places[][2] = {
        {gap, -half},   {-gap - width, -half}, {-width / 2, -gap - 12}, {-width / 2, gap},
        {gap, gap - 2}, {gap, -gap - 10},      {-gap - width, gap - 2}, {-gap - width, -gap - 10}};
    struct box first = {x + places[0][0], y + places[0][1], width, LETTER_HEIGHT};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct box box = {x + places[i][0], y + places[i][1], width, LETTER_HEIGHT};
        if (is_free(c, &box)) return box;
    }
    return first;
}

static size_t count_characters(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

// Text for XML; control characters, which it cannot hold, become blanks.
static tern_status append_escaped(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            TRY(buffer_append_string(out, "&amp;"));
            break;
        case '<':
            TRY(buffer_append_string(out, "&lt;"));
            break;
        case '>':
            TRY(buffer_append_string(out, "&gt;"));
            break;
        default:
            TRY(buffer_append(out, (unsigned char)*text < 0x20 ? " " : text, 1));
        }
    }
    return TERN_OK;
}

static tern_status draw_label(struct chart *c, const struct scored_model *m)
{
    struct box box =
        place_label(c, x_of(c, m->gigabytes), y_of(c, m->score), LETTER_WIDTH * (double)count_characters(m->name));
    take_box(c, box);
    TRY(buffer_append_format(c->svg, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">", box.x, box.y + 10));
    TRY(append_escaped(c->svg, m->name));
    return buffer_append_format(c->svg, "<title>%.4g GB, %.2f %%, density %.3f</title></text>\n", m->gigabytes,
                                m->score, density_of(m));
}

static tern_status draw_legend(struct chart *c)
{
    double x = LEFT;
    for (int i = 0; i < c->n_groups; i++) {
        const char *name = c->groups[i][0] != '\0' ? c->groups[i] : "others";
        TRY(draw_mark(c, i, x + 6, 44));
        TRY(buffer_append_format(c->svg, "<text class=\"axis\" x=\"%.1f\" y=\"48\">", x + 17));
        TRY(append_escaped(c->svg, name));
        TRY(buffer_append_string(c->svg, "</text>\n"));
        x += 40 + LETTER_WIDTH * (double)count_characters(name);
    }
    return buffer_append_format(c->svg,
                                "<line class=\"frontier\" x1=\"%.1f\" y1=\"44\" x2=\"%.1f\" y2=\"44\"/>\n"
                                "<text class=\"axis\" x=\"%.1f\" y=\"48\">frontier: no model is smaller and better"
                                "</text>\n",
                                x, x + 24, x + 31);
}

// ---- Picture -------------------------------------------------------------------------------------------------------

static const char OPENING[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 600\" width=\"960\" height=\"600\" role=\"img\">\n"
    "<title>Score against size of models</title>\n"
    "<style>\n"
    "text { font-family: system-ui, 'DejaVu Sans', Arial, Helvetica, sans-serif; fill: #222 }\n"
    ".title { font-size: 16px; font-weight: bold }\n"
    ".axis { font-size: 12px; fill: #444 }\n"
    ".label { font-size: 11px }\n"
    ".grid { stroke: #ddd; stroke-width: 1 }\n"
    ".frontier { fill: none; stroke: #333; stroke-width: 1.3; stroke-dasharray: 5 3 }\n"
    "</style>\n"
    "<rect width=\"960\" height=\"600\" fill=\"#fff\"/>\n";

static tern_status draw(struct chart *c)
{
    choose_axes(c);
    TRY(buffer_append_string(c->svg, OPENING));
    TRY(draw_axes(c));
    TRY(draw_frontier(c));
    TRY(draw_marks(c));
    TRY(draw_legend(c));
    for (size_t i = 0; i < c->models->count; i++)
        TRY(draw_label(c, &c->models->items[i]));
    return buffer_append_string(c->svg, "</svg>\n");
}

tern_status frontier_draw(const struct scored_models *models, struct buffer *svg)
{
    if (models->count == 0) return status_fail(TERN_INVALID, "no model to draw");
    struct chart chart = {.models = models, .svg = svg};
    chart.taken = calloc(2 * models->count, sizeof *chart.taken);
    if (chart.taken == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the frontier");
    tern_status status = draw(&chart);
    free(chart.taken);
    return status;
}
