// Characters, and values as Python prints them.
#define _GNU_SOURCE // memmem

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "text/template_run.h"
#include "text/utf8.h"

// ---- Characters -------------------------------------------------------------------------------------------------

// Unicode's white space (PropList.txt) and the separators U+001C to U+001F, as Python counts them.
bool character_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_printable(uint32_t c)
{
    if (c < 0x7F) return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

static size_t ascii_prefix(struct string string)
{
    size_t n = 0;
    while (n < string.length && (unsigned char)string.data[n] < 0x80)
        n++;
    return n;
}

size_t string_characters(struct string string)
{
    size_t i = ascii_prefix(string), characters = i;
    while (i < string.length) {
        uint32_t c;
        i += (size_t)abs(utf8_decode(string.data + i, string.length - i, &c));
        characters++;
    }
    return characters;
}

size_t string_offset(struct string string, size_t character)
{
    size_t i = ascii_prefix(string);
    if (character <= i) return character;
    character -= i;
    while (character > 0 && i < string.length) {
        uint32_t c;
        i += (size_t)abs(utf8_decode(string.data + i, string.length - i, &c));
        character--;
    }
    return i;
}

size_t string_find(struct string string, struct string part)
{
    if (part.length == 0) return 0;
    const char *found = memmem(string.data, string.length, part.data, part.length);
    return found ? (size_t)(found - string.data) : SIZE_MAX;
}

// ---- Floats -----------------------------------------------------------------------------------------------------

// Digits and decimal exponent of |number| = 0.d1d2d3... * 10^exponent, the fewest that read back the same.
static int shortest_digits(double number, char digits[20], int *exponent)
{
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, number);
        if (strtod(text, NULL) == number) break;
    }
    int n = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && n < 19) digits[n++] = *p;
    *exponent = (int)strtol(p + 1, NULL, 10) + 1;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return n;
}

// Where Python's repr() puts the point: exponents from 1e-4 up to below 1e16 are written out.
int value_format_float(double number, char out[32])
{
    char digits[20];
    int exponent;
    if (isnan(number)) return snprintf(out, 32, "nan");
    const char *sign = signbit(number) ? "-" : "";
    if (isinf(number)) return snprintf(out, 32, "%sinf", sign);
    int n = shortest_digits(fabs(number), digits, &exponent);
    if (number == 0) return snprintf(out, 32, "%s0.0", sign);
    if (exponent > 16 || exponent < -3) {
        const char *point = n > 1 ? "." : "";
        return snprintf(out, 32, "%s%c%s%se%c%02d", sign, digits[0], point, digits + 1, exponent > 0 ? '+' : '-',
                        abs(exponent - 1));
    }
    if (exponent <= 0) return snprintf(out, 32, "%s0.%.*s%s", sign, -exponent, "0000", digits);
    if (n <= exponent) return snprintf(out, 32, "%s%s%.*s.0", sign, digits, exponent - n, "0000000000000000");
    return snprintf(out, 32, "%s%.*s.%s", sign, exponent, digits, digits + exponent);
}

// ---- Printing ---------------------------------------------------------------------------------------------------

static tern_status repr_character(struct run *run, uint32_t c, char quote, struct builder *out)
{
    char text[16];
    if (c == '\n') return builder_append_string(run, out, "\\n");
    if (c == '\r') return builder_append_string(run, out, "\\r");
    if (c == '\t') return builder_append_string(run, out, "\\t");
    if (c == '\\') return builder_append_string(run, out, "\\\\");
    if (c == (uint32_t)(unsigned char)quote) {
        TRY(builder_append(run, out, "\\", 1));
        return builder_append(run, out, &quote, 1);
    }
    if (is_printable(c)) return builder_append_character(run, out, c);
    snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
    return builder_append_string(run, out, text);
}

static tern_status repr_string(struct run *run, struct string string, struct builder *out)
{
    TRY(run_charge(run, string.length));
    bool has_single = memchr(string.data, '\'', string.length), has_double = memchr(string.data, '"', string.length);
    char quote = has_single && !has_double ? '"' : '\'';
    TRY(builder_append(run, out, &quote, 1));
    for (size_t i = 0; i < string.length;) {
        uint32_t c;
        i += (size_t)abs(utf8_decode(string.data + i, string.length - i, &c));
        TRY(repr_character(run, c, quote, out));
    }
    return builder_append(run, out, &quote, 1);
}

static tern_status repr_items(struct run *run, const struct list *list, struct builder *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) TRY(builder_append(run, out, ", ", 2));
        TRY(value_repr(run, list->items[i], out));
    }
    return TERN_OK;
}

static tern_status repr_dict(struct run *run, const struct dict *dict, struct builder *out)
{
    TRY(builder_append(run, out, "{", 1));
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) TRY(builder_append(run, out, ", ", 2));
        TRY(value_repr(run, dict->entries[i].key, out));
        TRY(builder_append(run, out, ": ", 2));
        TRY(value_repr(run, dict->entries[i].value, out));
    }
    return builder_append(run, out, "}", 1);
}

static tern_status repr_number(struct run *run, struct value value, struct builder *out)
{
    char text[32];
    if (value.kind == VALUE_BOOLEAN) return builder_append_string(run, out, value.boolean ? "True" : "False");
    if (value.kind == VALUE_INTEGER) {
        snprintf(text, sizeof text, "%lld", (long long)value.integer);
    } else {
        value_format_float(value.number, text);
    }
    return builder_append_string(run, out, text);
}

static tern_status repr_list(struct run *run, struct value value, struct builder *out)
{
    const struct list *list = value.list;
    bool view = value.kind == VALUE_VIEW, tuple = value.kind == VALUE_TUPLE;
    if (view) TRY(builder_append_string(run, out, list->label));
    TRY(builder_append_string(run, out, view ? "([" : tuple ? "(" : "["));
    TRY(repr_items(run, list, out));
    return builder_append_string(run, out, view ? "])" : tuple ? (list->count == 1 ? ",)" : ")") : "]");
}

static tern_status repr_inside(struct run *run, struct value value, struct builder *out)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
        return builder_append_string(run, out, "Undefined");
    case VALUE_NONE:
        return builder_append_string(run, out, "None");
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
    case VALUE_FLOAT:
        return repr_number(run, value, out);
    case VALUE_STRING:
        return repr_string(run, value.string, out);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_VIEW:
        return repr_list(run, value, out);
    case VALUE_RANGE:
        return builder_append_string(run, out, value.list->label);
    case VALUE_DICT:
        return repr_dict(run, value.dict, out);
    case VALUE_NAMESPACE:
        TRY(builder_append_string(run, out, "<Namespace "));
        TRY(repr_dict(run, value.dict, out));
        return builder_append(run, out, ">", 1);
    default:
        TRY(builder_append(run, out, "<", 1));
        TRY(builder_append_string(run, out, value_type(value)));
        return builder_append(run, out, ">", 1);
    }
}

tern_status value_repr(struct run *run, struct value value, struct builder *out)
{
    TRY(run_enter(run));
    TRY(repr_inside(run, value, out));
    run_leave(run);
    return TERN_OK;
}

tern_status value_print(struct run *run, struct value value, struct builder *out)
{
    if (value.kind == VALUE_UNDEFINED) return TERN_OK;
    if (value.kind != VALUE_STRING) return value_repr(run, value, out);
    TRY(run_charge(run, value.string.length));
    return builder_append(run, out, value.string.data, value.string.length);
}

tern_status value_to_string(struct run *run, struct value value, struct string *out)
{
    struct builder builder = {0};
    if (value.kind == VALUE_STRING) {
        *out = value.string;
        return TERN_OK;
    }
    TRY(value_print(run, value, &builder));
    *out = builder_value(&builder).string;
    return TERN_OK;
}
