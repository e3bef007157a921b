// Pieces of charts as SVG 1.1: text, lines, marks and colours that all charts of tern share. Dark where the viewer is.
// All of them append to a buffer; errors: NO_MEMORY.
#ifndef EVAL_SVG_H
#define EVAL_SVG_H

#include "base/buffer.h"

enum { SVG_SERIES = 6 };

extern const double svg_letter_width; // about, of labels in CSS pixels

// The opening of a picture with its title (for readers aloud), style and background; svg_close() ends it. Classes of
// the style: title, axis, label (text); grid, dashes (lines); s0 .. s5 (the colours of series).
tern_status svg_open(struct buffer *svg, int width, int height, const char *title);
tern_status svg_close(struct buffer *svg);

// Text for XML: what would be markup is escaped; control characters, which it cannot hold, become blanks.
tern_status svg_escape(struct buffer *svg, const char *text);

// anchor: "start", "middle" or "end"
tern_status svg_text(struct buffer *svg, const char *css_class, double x, double y, const char *anchor,
                     const char *text);
tern_status svg_upright_text(struct buffer *svg, const char *css_class, double x, double y, const char *text);
tern_status svg_line(struct buffer *svg, const char *css_class, double x1, double y1, double x2, double y2);

// The mark of a series, 0 .. SVG_SERIES - 1: each has its own colour and its own shape.
extern const double svg_mark_radius;
tern_status svg_mark(struct buffer *svg, int series, double x, double y);

// Characters of UTF-8 text.
size_t svg_count_characters(const char *text);

#endif
