#include "eval/frontier.h"

#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The picture in its own units; a viewer scales it.
enum { WIDTH = 960, HEIGHT = 600, LEFT = 70, RIGHT = 30, TOP = 64, BOTTOM = 64, MAX_GROUPS = 6 };

static const double LETTER_WIDTH = 6.6, LETTER_HEIGHT = 12, MARK_RADIUS = 5.5;

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
    const struct scored_model **frontier; // [n_frontier] by size
    size_t n_frontier;
    struct box *taken; // [n_taken] by marks and labels
    size_t n_taken;
};

// ---- Axes ---------------------------------------------------------------------------------------------------------

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

// ---- Marks --------------------------------------------------------------------------------------------------------

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

static void find_frontier(struct chart *c)
{
    for (size_t i = 0; i < c->models->count; i++)
        if (density_on_frontier(c->models, i)) c->frontier[c->n_frontier++] = &c->models->items[i];
    qsort(c->frontier, c->n_frontier, sizeof *c->frontier, compare_sizes);
}

static tern_status draw_frontier(struct chart *c)
{
    TRY(buffer_append_string(c->svg, "<polyline class=\"frontier\" points=\""));
    for (size_t i = 0; i < c->n_frontier; i++)
        TRY(buffer_append_format(c->svg, "%.1f,%.1f ", x_of(c, c->frontier[i]->gigabytes),
                                 y_of(c, c->frontier[i]->score)));
    return buffer_append_string(c->svg, "\"/>\n");
}

// ---- Labels -------------------------------------------------------------------------------------------------------

static bool overlap(const struct box *a, const struct box *b)
{
    return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height && b->y < a->y + a->height;
}

// Whether the line of the frontier runs through the box: looked for at points closer than a letter is high.
static bool on_line(const struct chart *c, const struct box *box)
{
    enum { POINTS = 100 };
    for (size_t i = 1; i < c->n_frontier; i++) {
        double x0 = x_of(c, c->frontier[i - 1]->gigabytes), x1 = x_of(c, c->frontier[i]->gigabytes);
        double y0 = y_of(c, c->frontier[i - 1]->score), y1 = y_of(c, c->frontier[i]->score);
        for (int k = 0; k <= POINTS; k++) {
            double x = x0 + (x1 - x0) * k / POINTS, y = y0 + (y1 - y0) * k / POINTS;
            if (x > box->x && x < box->x + box->width && y > box->y && y < box->y + box->height) return true;
        }
    }
    return false;
}

static bool is_free(const struct chart *c, const struct box *box)
{
    if (box->x < LEFT || box->x + box->width > WIDTH - 4 || box->y < TOP - 10 || box->y + box->height > HEIGHT - BOTTOM)
        return false;
    for (size_t i = 0; i < c->n_taken; i++)
        if (overlap(box, &c->taken[i])) return false;
    return !on_line(c, box);
}

struct place {
    double x, y; // of the anchor, from the middle of the mark; y is the label's middle
    const char *anchor;
    double leftward; // share of the label that lies left of the anchor
};

static struct box box_at(const struct place *place, double x, double y, double width)
{
    return (struct box){x + place->x - place->leftward * width, y + place->y - LETTER_HEIGHT / 2, width, LETTER_HEIGHT};
}

// Right of the mark, left, above, below, or at one of the corners: the first that is free, else right.
static const struct place *place_label(const struct chart *c, double x, double y, double width)
{
    static const struct place places[] = {
        {10, 0, "start", 0}, {-10, 0, "end", 1},   {0, -14, "middle", 0.5}, {0, 14, "middle", 0.5},
        {8, 12, "start", 0}, {8, -12, "start", 0}, {-8, 12, "end", 1},      {-8, -12, "end", 1},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct box box = box_at(&places[i], x, y, width);
        if (is_free(c, &box)) return &places[i];
    }
    return &places[0];
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
    double x = x_of(c, m->gigabytes), y = y_of(c, m->score);
    double width = LETTER_WIDTH * (double)count_characters(m->name);
    const struct place *place = place_label(c, x, y, width);
    take_box(c, box_at(place, x, y, width));
    TRY(buffer_append_format(c->svg, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x + place->x,
                             y + place->y + 4, place->anchor));
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

// ---- Picture ------------------------------------------------------------------------------------------------------

static const char OPENING[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 600\" width=\"960\" height=\"600\" role=\"img\">\n"
    "<title>Score against size of models</title>\n"
    "<style>\n"
    "text { font-family: system-ui, 'DejaVu Sans', Arial, Helvetica, sans-serif; fill: #222 }\n"
    ".title { font-size: 16px; font-weight: bold }\n"
    ".axis { font-size: 12px; fill: #444 }\n"
    ".label { font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 3px }\n"
    ".grid { stroke: #ddd; stroke-width: 1 }\n"
    ".frontier { fill: none; stroke: #333; stroke-width: 1.3; stroke-dasharray: 5 3 }\n"
    "</style>\n"
    "<rect width=\"960\" height=\"600\" fill=\"#fff\"/>\n";

static tern_status draw(struct chart *c)
{
    choose_axes(c);
    find_frontier(c);
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
    chart.frontier = calloc(models->count, sizeof *chart.frontier);
    bool allocated = chart.taken != NULL && chart.frontier != NULL;
    tern_status status = allocated ? draw(&chart) : status_fail(TERN_NO_MEMORY, "no memory for the frontier");
    free(chart.taken);
    free(chart.frontier);
    return status;
}
