#include "eval/frontier.h"

#include "eval/svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The picture in its own units; a viewer scales it.
enum { WIDTH = 960, HEIGHT = 600, LEFT = 70, RIGHT = 30, TOP = 64, BOTTOM = 64, MAX_GROUPS = SVG_SERIES };

static const double LETTER_HEIGHT = 12;

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
    char number[32];
    snprintf(number, sizeof number, "%g", gigabytes);
    TRY(svg_line(c->svg, "grid", x, TOP, x, HEIGHT - BOTTOM));
    return svg_text(c->svg, "axis", x, HEIGHT - BOTTOM + 18, "middle", number);
}

static tern_status draw_score_line(struct chart *c, double score)
{
    double y = y_of(c, score);
    char number[32];
    snprintf(number, sizeof number, "%g", score);
    TRY(svg_line(c->svg, "grid", LEFT, y, WIDTH - RIGHT, y));
    return svg_text(c->svg, "axis", LEFT - 8, y + 4, "end", number);
}

static tern_status draw_axes(struct chart *c)
{
    for (int power = (int)floor(log10(c->low_size)); pow(10, power) <= c->high_size; power++) {
        TRY(draw_size_line(c, pow(10, power)));
        TRY(draw_size_line(c, 2 * pow(10, power)));
        TRY(draw_size_line(c, 5 * pow(10, power)));
    }
    for (double score = c->low_score; score <= c->high_score; score += 10)
        TRY(draw_score_line(c, score));
    TRY(svg_text(c->svg, "title", LEFT, 26, "start", "Score and size of models"));
    TRY(svg_text(c->svg, "axis", (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16, "middle", "size, GB (logarithmic)"));
    return svg_upright_text(c->svg, "axis", 20, (TOP + HEIGHT - BOTTOM) / 2.0, "average score, %");
}

// ---- Marks --------------------------------------------------------------------------------------------------------

static void take_box(struct chart *c, struct box box)
{
    c->taken[c->n_taken++] = box;
}

static tern_status draw_marks(struct chart *c)
{
    for (size_t i = 0; i < c->models->count; i++) {
        const struct scored_model *m = &c->models->items[i];
        double x = x_of(c, m->gigabytes), y = y_of(c, m->score);
        TRY(svg_mark(c->svg, group_of(c, m->group), x, y));
        take_box(c, (struct box){x - svg_mark_radius, y - svg_mark_radius, 2 * svg_mark_radius, 2 * svg_mark_radius});
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
    TRY(buffer_append_string(c->svg, "<polyline class=\"dashes\" points=\""));
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

static tern_status draw_label(struct chart *c, const struct scored_model *m)
{
    double x = x_of(c, m->gigabytes), y = y_of(c, m->score);
    double width = svg_letter_width * (double)svg_count_characters(m->name);
    const struct place *place = place_label(c, x, y, width);
    take_box(c, box_at(place, x, y, width));
    TRY(buffer_append_format(c->svg, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x + place->x,
                             y + place->y + 4, place->anchor));
    TRY(svg_escape(c->svg, m->name));
    return buffer_append_format(c->svg, "<title>%.4g GB, %.2f %%, density %.3f</title></text>\n", m->gigabytes,
                                m->score, density_of(m));
}

static tern_status draw_legend(struct chart *c)
{
    double x = LEFT;
    for (int i = 0; i < c->n_groups; i++) {
        const char *name = c->groups[i][0] != '\0' ? c->groups[i] : "others";
        TRY(svg_mark(c->svg, i, x + 6, 44));
        TRY(svg_text(c->svg, "axis", x + 17, 48, "start", name));
        x += 40 + svg_letter_width * (double)svg_count_characters(name);
    }
    TRY(svg_line(c->svg, "dashes", x, 44, x + 24, 44));
    return svg_text(c->svg, "axis", x + 31, 48, "start", "frontier: no model is smaller and better");
}

// ---- Picture ------------------------------------------------------------------------------------------------------

static tern_status draw(struct chart *c)
{
    choose_axes(c);
    find_frontier(c);
    TRY(svg_open(c->svg, WIDTH, HEIGHT, "Score against size of models"));
    TRY(draw_axes(c));
    TRY(draw_frontier(c));
    TRY(draw_marks(c));
    TRY(draw_legend(c));
    for (size_t i = 0; i < c->models->count; i++)
        TRY(draw_label(c, &c->models->items[i]));
    return svg_close(c->svg);
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
