#include "text/constraint_decimal.h"

#include <string.h>

enum { MAX_DIGITS = 300, EXACT_DIGITS = 15, EXACT_WHOLE = 22 }; // 10^22 is the last power of ten that a double holds

// A number of JSON taken apart.
struct parts {
    const char *digits; // [n_digits] those before and behind the point, in one row
    size_t n_digits;
    int64_t point;        // how many of them are before the point; may be negative or beyond them
    bool negative, plain; // plain: only digits
};

static int64_t read_exponent(const char *text, size_t length)
{
    int64_t value = 0;
    size_t i = text[0] == '+' || text[0] == '-';
    for (; i < length; i++) {
        if (value < 1000000) value = value * 10 + (text[i] - '0');
    }
    return text[0] == '-' ? -value : value;
}

static tern_status take_apart(struct arena *arena, const char *text, size_t length, struct parts *out)
{
    char *digits;
    size_t i = text[0] == '-', n = 0;
    TRY(arena_alloc(arena, length + 1, 1, &digits));
    *out = (struct parts){.digits = digits, .negative = text[0] == '-', .plain = true, .point = -1};
    for (; i < length && (text[i] | 32) != 'e'; i++) {
        if (text[i] == '.')
            out->point = (int64_t)n, out->plain = false;
        else
            digits[n++] = text[i];
    }
    if (out->point < 0) out->point = (int64_t)n;
    if (i < length) {
        out->plain = false;
        out->point += read_exponent(text + i + 1, length - i - 1);
    }
    out->n_digits = n;
    return TERN_OK;
}

static void strip_zeros(struct parts *p)
{
    while (p->n_digits > 0 && p->digits[0] == '0') {
        p->digits++;
        p->n_digits--;
        p->point--;
    }
    while (p->n_digits > 0 && p->digits[p->n_digits - 1] == '0') {
        p->n_digits--;
    }
}

static tern_status check_size(const struct parts *p, const char *text, size_t length)
{
    bool huge = p->point > MAX_DIGITS || p->point < -MAX_DIGITS || p->n_digits > MAX_DIGITS;
    bool rounded = !p->plain && (p->n_digits > EXACT_DIGITS || p->point > EXACT_WHOLE);
    if (!huge && !rounded) return TERN_OK;
    return status_fail(TERN_UNSUPPORTED, "the number %.*s cannot be compared exactly by all readers: at most %d digits",
                       (int)(length < 60 ? length : 60), text, EXACT_DIGITS);
}

// The digits at [from, to) of the row, zeros where it has none.
static tern_status copy_digits(struct arena *arena, const struct parts *p, int64_t from, int64_t to, const char **out)
{
    char *digits;
    TRY(arena_alloc(arena, (size_t)(to - from) + 1, 1, &digits));
    for (int64_t i = from; i < to; i++) {
        digits[i - from] = i >= 0 && i < (int64_t)p->n_digits ? p->digits[i] : '0';
    }
    *out = digits;
    return TERN_OK;
}

tern_status decimal_read(struct arena *arena, const char *text, size_t length, struct decimal *out)
{
    struct parts p;
    TRY(take_apart(arena, text, length, &p));
    strip_zeros(&p);
    *out = (struct decimal){.whole = "", .fraction = "", .negative = p.negative && p.n_digits > 0};
    if (p.n_digits == 0) return TERN_OK;
    TRY(check_size(&p, text, length));
    int64_t end = (int64_t)p.n_digits;
    if (p.point > 0) {
        out->n_whole = (size_t)p.point;
        TRY(copy_digits(arena, &p, 0, p.point, &out->whole));
    }
    if (end > p.point) {
        out->n_fraction = (size_t)(end - p.point);
        TRY(copy_digits(arena, &p, p.point, end, &out->fraction));
    }
    return TERN_OK;
}

static int compare_sizes(const struct decimal *a, const struct decimal *b)
{
    if (a->n_whole != b->n_whole) return a->n_whole < b->n_whole ? -1 : 1;
    int order = memcmp(a->whole, b->whole, a->n_whole);
    size_t shorter = a->n_fraction < b->n_fraction ? a->n_fraction : b->n_fraction;
    if (order == 0) order = memcmp(a->fraction, b->fraction, shorter);
    if (order == 0) order = (a->n_fraction > b->n_fraction) - (a->n_fraction < b->n_fraction);
    return (order > 0) - (order < 0);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->negative != b->negative) return a->negative ? -1 : 1;
    int order = compare_sizes(a, b);
    return a->negative ? -order : order;
}

bool decimal_is_whole(const struct decimal *a)
{
    return a->n_fraction == 0;
}
