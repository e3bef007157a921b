#include "eval/svg.h"

const double svg_letter_width = 6.6, svg_mark_radius = 5.5;

// Colours that people who see few of them can tell apart too (Okabe and Ito 2008), lighter on dark ground. No
// variables: programs that turn SVG into pictures do not know them, and pass over what is in @media.
static const char STYLE[] =
    "<style>\n"
    "text { font-family: system-ui, 'DejaVu Sans', Arial, Helvetica, sans-serif }\n"
    ".title { font-size: 16px; font-weight: bold } .axis { font-size: 12px }\n"
    ".label { font-size: 11px; paint-order: stroke; stroke-width: 3px }\n"
    ".grid { stroke-width: 1 } .dashes { fill: none; stroke-width: 1.3; stroke-dasharray: 5 3 }\n"
    "text { fill: #222 } .ground { fill: #fff } .axis { fill: #444 } .label { stroke: #fff }\n"
    ".grid { stroke: #ddd } .dashes { stroke: #444 }\n"
    ".s0 { fill: #0072b2; stroke: #0072b2 } .s1 { fill: #d55e00; stroke: #d55e00 } .s2 { fill: #6b6b6b; stroke: "
    "#6b6b6b }\n"
    ".s3 { fill: #009e73; stroke: #009e73 } .s4 { fill: #cc79a7; stroke: #cc79a7 } .s5 { fill: #a07800; stroke: "
    "#a07800 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #eee } .ground { fill: #16181c } .axis { fill: #bbb } .label { stroke: #16181c }\n"
    ".grid { stroke: #3a3d44 } .dashes { stroke: #bbb }\n"
    ".s0 { fill: #56b4e9; stroke: #56b4e9 } .s1 { fill: #f08040; stroke: #f08040 } .s2 { fill: #a8a8a8; stroke: "
    "#a8a8a8 }\n"
    ".s3 { fill: #2fc99b; stroke: #2fc99b } .s4 { fill: #e6a3c8; stroke: #e6a3c8 } .s5 { fill: #d9b13b; stroke: "
    "#d9b13b }\n"
    "}\n"
    "polyline { fill: none !important; stroke-width: 1.6 }\n"
    "</style>\n";

tern_status svg_open(struct buffer *svg, int width, int height, const char *title)
{
    TRY(buffer_append_format(svg,
                             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                             "height=\"%d\" role=\"img\">\n<title>",
                             width, height, width, height));
    TRY(svg_escape(svg, title));
    TRY(buffer_append_string(svg, "</title>\n"));
    TRY(buffer_append_string(svg, STYLE));
    return buffer_append_format(svg, "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n", width, height);
}

tern_status svg_close(struct buffer *svg)
{
    return buffer_append_string(svg, "</svg>\n");
}

tern_status svg_escape(struct buffer *svg, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            TRY(buffer_append_string(svg, "&amp;"));
            break;
        case '<':
            TRY(buffer_append_string(svg, "&lt;"));
            break;
        case '>':
            TRY(buffer_append_string(svg, "&gt;"));
            break;
        default:
            TRY(buffer_append(svg, (unsigned char)*text < 0x20 ? " " : text, 1));
        }
    }
    return TERN_OK;
}

tern_status svg_text(struct buffer *svg, const char *css_class, double x, double y, const char *anchor,
                     const char *text)
{
    TRY(buffer_append_format(svg, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", css_class, x, y,
                             anchor));
    TRY(svg_escape(svg, text));
    return buffer_append_string(svg, "</text>\n");
}

tern_status svg_upright_text(struct buffer *svg, const char *css_class, double x, double y, const char *text)
{
    TRY(buffer_append_format(svg,
                             "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
                             "transform=\"rotate(-90 %.1f %.1f)\">",
                             css_class, x, y, x, y));
    TRY(svg_escape(svg, text));
    return buffer_append_string(svg, "</text>\n");
}

tern_status svg_line(struct buffer *svg, const char *css_class, double x1, double y1, double x2, double y2)
{
    return buffer_append_format(svg, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                                css_class, x1, y1, x2, y2);
}

// Circle, diamond, square, triangle, and the first two again, hollow.
tern_status svg_mark(struct buffer *svg, int series, double x, double y)
{
    const double r = svg_mark_radius;
    const char *hollow = series >= 4 ? " fill-opacity=\"0.2\" stroke-width=\"1.6\"" : "";
    switch (series % 4) {
    case 0:
        return buffer_append_format(svg, "<circle class=\"s%d\"%s cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", series,
                                    hollow, x, y, r);
    case 1:
        return buffer_append_format(svg, "<path class=\"s%d\"%s d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\"/>\n",
                                    series, hollow, x, y - 1.3 * r, 1.3 * r, 1.3 * r, -1.3 * r, 1.3 * r, -1.3 * r,
                                    -1.3 * r);
    case 2:
        return buffer_append_format(svg, "<rect class=\"s%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                                    series, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
    default:
        return buffer_append_format(svg, "<path class=\"s%d\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"/>\n", series, x,
                                    y - 1.2 * r, 1.2 * r, 2.2 * r, -2.4 * r);
    }
}

size_t svg_count_characters(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}
