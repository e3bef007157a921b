// Python's two ways of putting values into a string: "%s" % value and "{}".format(value).
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/template_run.h"

enum { WIDEST = 4096, MOST_DIGITS = 100 };

// What a conversion asks for; the same for both ways.
struct spec {
    char fill, align; // align: '<', '>', '^', '=' or 0
    char sign;        // '+', ' ' or 0
    bool zero, alternate, comma;
    int width, precision; // precision: -1 if not given
    char type;            // 0 if not given
};

struct cursor {
    struct string text;
    size_t position;
};

static char at(const struct cursor *c)
{
    return c->position < c->text.length ? c->text.data[c->position] : '\0';
}

static bool take(struct cursor *c, char wanted)
{
    if (at(c) != wanted || c->position >= c->text.length) return false;
    c->position++;
    return true;
}

static tern_status take_number(struct run *run, struct cursor *c, int most, int *out)
{
    for (*out = 0; at(c) >= '0' && at(c) <= '9'; c->position++) {
        *out = *out * 10 + (at(c) - '0');
        if (*out > most) return run_fail(run, "a format wider than %d", most);
    }
    return TERN_OK;
}

// ---- One value --------------------------------------------------------------------------------------------------

// Text with its filling; `sign` bytes at its beginning stay before a '=' filling.
static tern_status append_padded(struct run *run, const struct spec *spec, struct string text, size_t sign, char align,
                                 struct builder *out)
{
    size_t length = string_characters(text), width = (size_t)spec->width;
    size_t missing = width > length ? width - length : 0;
    size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    char fill = spec->fill ? spec->fill : ' ';
    if (align == '=') TRY(builder_append(run, out, text.data, sign));
    TRY(builder_repeat(run, out, fill, left));
    size_t written = align == '=' ? sign : 0;
    TRY(builder_append(run, out, text.data + written, text.length - written));
    return builder_repeat(run, out, fill, missing - left);
}

static tern_status append_number(struct run *run, const struct spec *spec, bool negative, const char *digits,
                                 struct builder *out)
{
    struct builder text = {0};
    char sign = negative ? '-' : spec->sign;
    if (sign) TRY(builder_append(run, &text, &sign, 1));
    size_t whole = strspn(digits, "0123456789");
    for (size_t i = 0; digits[i]; i++) {
        if (spec->comma && i > 0 && i < whole && (whole - i) % 3 == 0) TRY(builder_append(run, &text, ",", 1));
        TRY(builder_append(run, &text, &digits[i], 1));
    }
    struct spec filled = *spec;
    char align = spec->align ? spec->align : spec->zero ? '=' : '>';
    if (spec->zero && !spec->align) filled.fill = '0';
    return append_padded(run, &filled, builder_value(&text).string, sign != 0, align, out);
}

static tern_status format_integer(struct run *run, const struct spec *spec, struct value value, struct builder *out)
{
    char digits[80];
    int64_t integer = value_as_integer(value);
    unsigned long long size = integer < 0 ? 0 - (unsigned long long)integer : (unsigned long long)integer;
    const char *format = spec->type == 'x'   ? (spec->alternate ? "0x%llx" : "%llx")
                         : spec->type == 'X' ? (spec->alternate ? "0X%llX" : "%llX")
                         : spec->type == 'o' ? (spec->alternate ? "0o%llo" : "%llo")
                                             : "%llu";
    snprintf(digits, sizeof digits, format, size);
    return append_number(run, spec, integer < 0, digits, out);
}

static tern_status format_float(struct run *run, const struct spec *spec, double number, struct builder *out)
{
    char digits[512];
    double size = fabs(number);
    int precision = spec->precision < 0 ? 6 : spec->precision;
    bool percent = spec->type == '%';
    if (percent) size *= 100;
    switch (isfinite(size) ? spec->type : 0) {
    case 'e':
        snprintf(digits, sizeof digits, "%.*e", precision, size);
        break;
    case 'E':
        snprintf(digits, sizeof digits, "%.*E", precision, size);
        break;
    case 'g':
        snprintf(digits, sizeof digits, "%.*g", precision, size);
        break;
    case 'G':
        snprintf(digits, sizeof digits, "%.*G", precision, size);
        break;
    case 0:
        if (isfinite(size) && spec->precision >= 0) return run_fail(run, "a precision without a type is not supported");
        value_format_float(size, digits);
        break;
    default:
        snprintf(digits, sizeof digits, "%.*f", precision, size);
    }
    if (percent) strcat(digits, "%");
    return append_number(run, spec, signbit(number) && !isnan(number), digits, out);
}

static tern_status format_text(struct run *run, const struct spec *spec, struct string text, char align,
                               struct builder *out)
{
    if (spec->precision >= 0) text.length = string_offset(text, (size_t)spec->precision);
    TRY(run_charge(run, text.length));
    return append_padded(run, spec, text, 0, spec->align ? spec->align : align, out);
}

// ---- "%" --------------------------------------------------------------------------------------------------------

struct percent {
    struct run *run;
    struct cursor cursor;
    const struct arguments *arguments;
    size_t next;
    struct builder out;
};

static tern_status next_argument(struct percent *p, struct value *out)
{
    if (p->next >= p->arguments->n_values) return run_fail(p->run, "not enough arguments for the format string");
    *out = p->arguments->values[p->next++];
    return TERN_OK;
}

// "%(name)s": from the keywords, or from a dict that is the only argument.
static tern_status named_argument(struct percent *p, struct value *out)
{
    size_t start = p->cursor.position;
    while (p->cursor.position < p->cursor.text.length && at(&p->cursor) != ')')
        p->cursor.position++;
    struct string name = {p->cursor.text.data + start, p->cursor.position - start};
    if (!take(&p->cursor, ')')) return run_fail(p->run, "a format's '%%(' without ')'");
    for (size_t i = 0; i < p->arguments->n_keywords; i++) {
        struct string other = p->arguments->keywords[i].name;
        if (other.length != name.length || memcmp(other.data, name.data, name.length) != 0) continue;
        *out = p->arguments->keywords[i].value;
        return TERN_OK;
    }
    struct value *found = NULL;
    if (p->arguments->n_values == 1 && p->arguments->values[0].kind == VALUE_DICT)
        TRY(dict_find(p->run, p->arguments->values[0].dict, value_string(name.data, name.length), &found));
    if (!found) return run_fail(p->run, "the format's '%.*s' is not given", (int)name.length, name.data);
    p->next = p->arguments->n_values;
    *out = *found;
    return TERN_OK;
}

static tern_status percent_spec(struct percent *p, struct spec *spec)
{
    *spec = (struct spec){.precision = -1};
    for (bool flag = true; flag;) {
        flag = true;
        if (take(&p->cursor, '-'))
            spec->align = '<';
        else if (take(&p->cursor, '0'))
            spec->zero = true;
        else if (take(&p->cursor, '+'))
            spec->sign = '+';
        else if (take(&p->cursor, '#'))
            spec->alternate = true;
        else if (take(&p->cursor, ' '))
            spec->sign = spec->sign ? spec->sign : ' ';
        else
            flag = false;
    }
    TRY(take_number(p->run, &p->cursor, WIDEST, &spec->width));
    if (take(&p->cursor, '.')) TRY(take_number(p->run, &p->cursor, MOST_DIGITS, &spec->precision));
    spec->type = at(&p->cursor);
    p->cursor.position++;
    return TERN_OK;
}

static tern_status percent_integer(struct percent *p, struct spec *spec, struct value value)
{
    if (!value_is_number(value)) return run_fail(p->run, "%%%c needs a number, not %s", spec->type, value_type(value));
    if (value.kind == VALUE_FLOAT) {
        if (!(fabs(value.number) < 9e18)) return run_fail(p->run, "an integer beyond 64 bits");
        if (strchr("xXo", spec->type)) return run_fail(p->run, "%%%c needs an integer, not float", spec->type);
        value = value_integer((int64_t)value.number);
    }
    spec->precision = -1;
    return format_integer(p->run, spec, value, &p->out);
}

static tern_status percent_convert(struct percent *p, struct spec *spec, struct value value)
{
    struct string text;
    struct builder repr = {0};
    switch (spec->type) {
    case 's':
        TRY(value_to_string(p->run, value, &text));
        return format_text(p->run, spec, text, '>', &p->out);
    case 'r':
    case 'a':
        TRY(value_repr(p->run, value, &repr));
        return format_text(p->run, spec, builder_value(&repr).string, '>', &p->out);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        return percent_integer(p, spec, value);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        if (!value_is_number(value))
            return run_fail(p->run, "%%%c needs a number, not %s", spec->type, value_type(value));
        return format_float(p->run, spec, value_as_float(value), &p->out);
    default:
        return run_fail(p->run, "a format's '%%' followed by byte 0x%02x", (unsigned)(unsigned char)spec->type);
    }
}

static tern_status percent_one(struct percent *p)
{
    struct value value = {.kind = VALUE_MISSING};
    struct spec spec;
    if (take(&p->cursor, '%')) return builder_append(p->run, &p->out, "%", 1);
    if (take(&p->cursor, '(')) TRY(named_argument(p, &value));
    TRY(percent_spec(p, &spec));
    if (value.kind == VALUE_MISSING) TRY(next_argument(p, &value));
    return percent_convert(p, &spec, value);
}

tern_status format_percent(struct run *run, struct string format, const struct arguments *arguments, struct value *out)
{
    struct percent p = {.run = run, .cursor = {.text = format}, .arguments = arguments};
    TRY(run_charge(run, format.length));
    while (p.cursor.position < format.length) {
        TRY(run_charge(run, 0));
        const char *start = format.data + p.cursor.position;
        const char *sign = memchr(start, '%', format.length - p.cursor.position);
        size_t plain = sign ? (size_t)(sign - start) : format.length - p.cursor.position;
        TRY(builder_append(run, &p.out, start, plain));
        p.cursor.position += plain;
        if (take(&p.cursor, '%')) TRY(percent_one(&p));
    }
    bool one_dict = arguments->n_values == 1 && arguments->values[0].kind == VALUE_DICT;
    if (p.next < arguments->n_values && !one_dict) return run_fail(run, "too many arguments for the format string");
    *out = builder_value(&p.out);
    return TERN_OK;
}

// ---- "{}" -------------------------------------------------------------------------------------------------------

struct braces {
    struct run *run;
    struct cursor cursor;
    const struct arguments *arguments;
    size_t next;
    struct builder out;
};

static bool is_align(char c)
{
    return c && strchr("<>^=", c);
}

// [[fill]align][sign][#][0][width][,][.precision][type]
static tern_status braces_spec(struct braces *b, struct spec *spec)
{
    struct cursor *c = &b->cursor;
    *spec = (struct spec){.precision = -1};
    if (c->position + 1 < c->text.length && is_align(c->text.data[c->position + 1])) {
        spec->fill = at(c);
        if ((unsigned char)spec->fill >= 0x80 || spec->fill == '{' || spec->fill == '}')
            return run_fail(b->run, "format: the filling must be an ASCII character");
        c->position++;
    }
    if (is_align(at(c))) {
        spec->align = at(c);
        c->position++;
    }
    if (take(c, '+'))
        spec->sign = '+';
    else if (take(c, ' '))
        spec->sign = ' ';
    else
        take(c, '-');
    spec->alternate = take(c, '#');
    spec->zero = take(c, '0');
    TRY(take_number(b->run, c, WIDEST, &spec->width));
    spec->comma = take(c, ',');
    if (take(c, '.')) TRY(take_number(b->run, c, MOST_DIGITS, &spec->precision));
    if (at(c) != '}') {
        spec->type = at(c);
        c->position++;
    }
    return TERN_OK;
}

static tern_status braces_convert(struct braces *b, const struct spec *spec, struct value value)
{
    struct string text;
    bool integer = value.kind == VALUE_INTEGER || (value.kind == VALUE_BOOLEAN && spec->type && spec->type != 's');
    bool plain = !spec->width && spec->precision < 0 && !spec->type && !spec->sign && !spec->comma;
    if (integer && (!spec->type || strchr("dxXo", spec->type))) return format_integer(b->run, spec, value, &b->out);
    if (value_is_number(value) && value.kind != VALUE_BOOLEAN && (!spec->type || strchr("eEfFgG%", spec->type)))
        return format_float(b->run, spec, value_as_float(value), &b->out);
    bool is_text = value.kind == VALUE_STRING || value.kind == VALUE_BOOLEAN;
    if (!plain && (!is_text || (spec->type && spec->type != 's') || spec->sign || spec->comma))
        return run_fail(b->run, "format: this specification is not for '%s'", value_type(value));
    TRY(value_to_string(b->run, value, &text));
    return format_text(b->run, spec, text, '<', &b->out);
}

static tern_status positional(struct braces *b, size_t index, struct value *out)
{
    if (index >= b->arguments->n_values) return run_fail(b->run, "format: argument %zu is not given", index);
    *out = b->arguments->values[index];
    return TERN_OK;
}

static tern_status named(struct braces *b, struct string name, struct value *out)
{
    for (size_t i = 0; i < b->arguments->n_keywords; i++) {
        struct string other = b->arguments->keywords[i].name;
        if (other.length != name.length || memcmp(other.data, name.data, name.length) != 0) continue;
        *out = b->arguments->keywords[i].value;
        return TERN_OK;
    }
    return run_fail(b->run, "format: '%.*s' is not given", (int)name.length, name.data);
}

// "", "0", "name", with ".attribute" after any.
static tern_status braces_field(struct braces *b, struct value *out)
{
    struct cursor *c = &b->cursor;
    size_t start = c->position;
    while (c->position < c->text.length && !strchr("!:}.[{", at(c)))
        c->position++;
    struct string name = {c->text.data + start, c->position - start};
    size_t digits = 0, index = 0;
    while (digits < name.length && digits < 9 && name.data[digits] >= '0' && name.data[digits] <= '9')
        index = index * 10 + (size_t)(name.data[digits++] - '0');
    if (name.length == 0) {
        TRY(positional(b, b->next++, out));
    } else if (digits == name.length) {
        TRY(positional(b, index, out));
    } else {
        TRY(named(b, name, out));
    }
    while (take(c, '.')) {
        start = c->position;
        while (c->position < c->text.length && !strchr("!:}.[{", at(c)))
            c->position++;
        TRY(value_attribute(b->run, *out, (struct string){c->text.data + start, c->position - start}, out));
    }
    return TERN_OK;
}

static tern_status braces_one(struct braces *b)
{
    struct value value;
    struct spec spec = {.precision = -1};
    struct builder repr = {0};
    TRY(braces_field(b, &value));
    if (take(&b->cursor, '!')) {
        char conversion = at(&b->cursor);
        b->cursor.position++;
        if (conversion == 'r')
            TRY(value_repr(b->run, value, &repr));
        else if (conversion == 's')
            TRY(value_print(b->run, value, &repr));
        else
            return run_fail(b->run, "format: a conversion other than !r and !s");
        value = builder_value(&repr);
    }
    if (take(&b->cursor, ':')) TRY(braces_spec(b, &spec));
    if (!take(&b->cursor, '}')) return run_fail(b->run, "format: '}' expected");
    return braces_convert(b, &spec, value);
}

tern_status format_braces(struct run *run, struct string format, const struct arguments *arguments, struct value *out)
{
    struct braces b = {.run = run, .cursor = {.text = format}, .arguments = arguments};
    while (b.cursor.position < format.length) {
        char c = at(&b.cursor);
        TRY(run_charge(run, 0));
        b.cursor.position++;
        if ((c == '{' || c == '}') && at(&b.cursor) == c) {
            b.cursor.position++;
            TRY(builder_append(run, &b.out, &c, 1));
        } else if (c == '{') {
            TRY(braces_one(&b));
        } else if (c == '}') {
            return run_fail(run, "format: a '}' without '{'");
        } else {
            TRY(builder_append(run, &b.out, &c, 1));
        }
    }
    *out = builder_value(&b.out);
    return TERN_OK;
}
