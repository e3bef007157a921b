// JSON text to values and back (RFC 8259).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/template_run.h"
#include "text/utf8.h"

// ---- Reading ----------------------------------------------------------------------------------------------------

struct json_reader {
    struct run *run;
    const char *text;
    size_t length, position;
    int depth;
};

static tern_status read_value(struct json_reader *r, struct value *out);

static tern_status json_fail(const struct json_reader *r, const char *expected)
{
    return status_fail(TERN_INVALID, "JSON: %s expected at byte %zu of %zu", expected, r->position, r->length);
}

static char peek(const struct json_reader *r)
{
    return r->position < r->length ? r->text[r->position] : '\0';
}

static void skip_blanks(struct json_reader *r)
{
    while (r->position < r->length && strchr(" \t\r\n", r->text[r->position]) && r->text[r->position])
        r->position++;
}

static bool take(struct json_reader *r, char c)
{
    skip_blanks(r);
    if (peek(r) != c || r->position == r->length) return false;
    r->position++;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The four digits of \uXXXX at the position, or -1.
static int32_t read_unit(struct json_reader *r)
{
    int32_t unit = 0;
    if (r->length - r->position < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(r->text[r->position + (size_t)i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    r->position += 4;
    return unit;
}

// After "\u". Two surrogates are one character, one alone becomes U+FFFD.
static tern_status read_unicode(struct json_reader *r, struct builder *out)
{
    int32_t unit = read_unit(r);
    if (unit < 0) return json_fail(r, "four hexadecimal digits");
    if (unit >= 0xD800 && unit < 0xDC00 && r->length - r->position >= 6 &&
        memcmp(r->text + r->position, "\\u", 2) == 0) {
        size_t back = r->position;
        r->position += 2;
        int32_t low = read_unit(r);
        if (low >= 0xDC00 && low < 0xE000) {
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        } else {
            r->position = back;
        }
    }
    return builder_append_character(r->run, out, (uint32_t)unit);
}

static tern_status read_escape(struct json_reader *r, struct builder *out)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = peek(r);
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c != 'u' && !letter) return json_fail(r, "an escape (one of \"\\/bfnrtu)");
    r->position++;
    return c == 'u' ? read_unicode(r, out) : builder_append(r->run, out, &meanings[letter - letters], 1);
}

// After the opening quote.
static tern_status read_string(struct json_reader *r, struct value *out)
{
    struct builder builder = {0};
    while (r->position < r->length && r->text[r->position] != '"') {
        size_t start = r->position;
        while (r->position < r->length && (unsigned char)r->text[r->position] >= 0x20 && r->text[r->position] != '"' &&
               r->text[r->position] != '\\')
            r->position++;
        TRY(builder_append(r->run, &builder, r->text + start, r->position - start));
        if (peek(r) == '\\' && r->position < r->length) {
            r->position++;
            TRY(read_escape(r, &builder));
        } else if (r->position < r->length && r->text[r->position] != '"') {
            return json_fail(r, "a character (control characters need an escape)");
        }
    }
    if (r->position == r->length) return json_fail(r, "'\"'");
    r->position++;
    *out = builder_value(&builder);
    return TERN_OK;
}

static void skip_digits(struct json_reader *r)
{
    while (peek(r) >= '0' && peek(r) <= '9')
        r->position++;
}

// Integers of more than 64 bits become floats.
static tern_status number_value(struct json_reader *r, size_t start, bool is_integer, struct value *out)
{
    char text[512];
    size_t length = r->position - start;
    int64_t integer = 0;
    bool negative = r->text[start] == '-';
    for (size_t i = start + negative; is_integer && i < r->position; i++) {
        int digit = r->text[i] - '0';
        if (__builtin_mul_overflow(integer, 10, &integer) ||
            __builtin_sub_overflow(integer, digit, &integer)) // downwards: the least integer has no positive twin
            is_integer = false;
    }
    if (is_integer && (negative || integer > INT64_MIN)) {
        *out = value_integer(negative ? integer : -integer);
        return TERN_OK;
    }
    if (length >= sizeof text) return json_fail(r, "a number of at most 511 characters");
    memcpy(text, r->text + start, length);
    text[length] = '\0';
    *out = value_float(strtod(text, NULL));
    return TERN_OK;
}

static tern_status read_number(struct json_reader *r, struct value *out)
{
    size_t start = r->position;
    bool is_integer = true;
    if (peek(r) == '-') r->position++;
    size_t digits = r->position;
    skip_digits(r);
    if (r->position == digits) return json_fail(r, "a value");
    if (r->text[digits] == '0' && r->position > digits + 1) return json_fail(r, "a number without leading zeros");
    if (peek(r) == '.') {
        digits = ++r->position;
        skip_digits(r);
        if (r->position == digits) return json_fail(r, "a digit");
        is_integer = false;
    }
    if ((peek(r) | 32) == 'e') {
        r->position++;
        if (peek(r) == '+' || peek(r) == '-') r->position++;
        digits = r->position;
        skip_digits(r);
        if (r->position == digits) return json_fail(r, "a digit");
        is_integer = false;
    }
    return number_value(r, start, is_integer, out);
}

// After "[".
static tern_status read_array(struct json_reader *r, struct value *out)
{
    size_t capacity = 0;
    TRY(value_new_list(r->run, VALUE_LIST, 0, out));
    out->list->items = NULL;
    if (take(r, ']')) return TERN_OK;
    do {
        struct value item;
        TRY(read_value(r, &item));
        TRY(list_push(r->run, out->list, &capacity, item));
    } while (take(r, ','));
    return take(r, ']') ? TERN_OK : json_fail(r, "',' or ']'");
}

// After "{". Of equal keys the last one counts.
static tern_status read_object(struct json_reader *r, struct value *out)
{
    TRY(value_new_dict(r->run, VALUE_DICT, out));
    if (take(r, '}')) return TERN_OK;
    do {
        struct value key, item;
        if (!take(r, '"')) return json_fail(r, "a key in '\"'");
        TRY(read_string(r, &key));
        if (!take(r, ':')) return json_fail(r, "':'");
        TRY(read_value(r, &item));
        TRY(dict_set(r->run, out->dict, key, item));
    } while (take(r, ','));
    return take(r, '}') ? TERN_OK : json_fail(r, "',' or '}'");
}

static bool take_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if (r->length - r->position < n || memcmp(r->text + r->position, word, n) != 0) return false;
    r->position += n;
    return true;
}

static tern_status read_inside(struct json_reader *r, struct value *out)
{
    if (take(r, '{')) return read_object(r, out);
    if (take(r, '[')) return read_array(r, out);
    if (take(r, '"')) return read_string(r, out);
    if (take_word(r, "true")) return *out = value_boolean(true), TERN_OK;
    if (take_word(r, "false")) return *out = value_boolean(false), TERN_OK;
    if (take_word(r, "null")) return *out = value_none(), TERN_OK;
    return read_number(r, out);
}

// Input is paid for in memory, not in steps: how much of it there is, is the caller's choice.
static tern_status read_value(struct json_reader *r, struct value *out)
{
    int64_t steps = r->run->steps;
    if (++r->depth > r->run->limits.depth)
        return status_fail(TERN_LIMIT, "JSON: nested more than %d deep at byte %zu of %zu", r->run->limits.depth,
                           r->position, r->length);
    TRY(read_inside(r, out));
    r->depth--;
    r->run->steps = steps;
    return TERN_OK;
}

tern_status json_parse(struct run *run, const char *text, size_t length, struct value *out)
{
    struct json_reader reader = {.run = run, .text = text, .length = length};
    TRY(read_value(&reader, out));
    skip_blanks(&reader);
    return reader.position == length ? TERN_OK : json_fail(&reader, "the end");
}

// ---- Writing ----------------------------------------------------------------------------------------------------

static tern_status write_unit(struct run *run, uint32_t unit, struct builder *out)
{
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", (unsigned)(unit & 0xFFFF));
    return builder_append_string(run, out, text);
}

static tern_status write_character(struct run *run, uint32_t c, struct builder *out)
{
    static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
    const char *meaning = c && c < 0x80 ? strchr(meanings, (int)c) : NULL;
    if (meaning) {
        TRY(builder_append(run, out, "\\", 1));
        return builder_append(run, out, &letters[meaning - meanings], 1);
    }
    if (c < 0x10000) return write_unit(run, c, out);
    TRY(write_unit(run, 0xD800 + ((c - 0x10000) >> 10), out));
    return write_unit(run, 0xDC00 + ((c - 0x10000) & 0x3FF), out);
}

static bool needs_escape(unsigned char c, bool ascii)
{
    return c < 0x20 || c == '"' || c == '\\' || (ascii && c >= 0x7F);
}

static tern_status write_string(struct run *run, struct string text, bool ascii, struct builder *out)
{
    TRY(run_charge(run, text.length));
    TRY(builder_append(run, out, "\"", 1));
    for (size_t i = 0; i < text.length;) {
        size_t start = i;
        while (i < text.length && !needs_escape((unsigned char)text.data[i], ascii))
            i++;
        TRY(builder_append(run, out, text.data + start, i - start));
        if (i == text.length) break;
        uint32_t c;
        i += (size_t)abs(utf8_decode(text.data + i, text.length - i, &c));
        TRY(c == 0x7F ? builder_append(run, out, "\x7F", 1) : write_character(run, c, out));
    }
    return builder_append(run, out, "\"", 1);
}

static tern_status write_scalar(struct run *run, struct value value, struct builder *out)
{
    if (value.kind == VALUE_NONE) return builder_append_string(run, out, "null");
    if (value.kind == VALUE_BOOLEAN) return builder_append_string(run, out, value.boolean ? "true" : "false");
    if (value.kind == VALUE_FLOAT && isnan(value.number)) return builder_append_string(run, out, "NaN");
    if (value.kind == VALUE_FLOAT && isinf(value.number))
        return builder_append_string(run, out, value.number < 0 ? "-Infinity" : "Infinity");
    return value_repr(run, value, out);
}

// Keys that are no strings are written as the text that they would be as values.
static tern_status write_key(struct run *run, struct value key, const struct json_style *style, struct builder *out)
{
    struct builder text = {0};
    if (key.kind == VALUE_STRING) return write_string(run, key.string, style->ascii, out);
    if (!value_is_number(key) && key.kind != VALUE_NONE)
        return run_fail(run, "JSON has no keys of type '%s'", value_type(key));
    TRY(write_scalar(run, key, &text));
    return write_string(run, builder_value(&text).string, style->ascii, out);
}

static tern_status write_line(struct run *run, int level, const struct json_style *style, struct builder *out)
{
    if (!style->lines) return TERN_OK;
    TRY(builder_append(run, out, "\n", 1));
    for (int i = 0; i < level; i++) {
        TRY(run_charge(run, style->indent.length));
        TRY(builder_append(run, out, style->indent.data, style->indent.length));
    }
    return TERN_OK;
}

static tern_status write_value(struct run *run, struct value value, int level, const struct json_style *style,
                               struct builder *out);

static tern_status write_list(struct run *run, const struct list *list, int level, const struct json_style *style,
                              struct builder *out)
{
    if (list->count == 0) return builder_append(run, out, "[]", 2);
    TRY(builder_append(run, out, "[", 1));
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) TRY(builder_append(run, out, style->item_separator.data, style->item_separator.length));
        TRY(write_line(run, level + 1, style, out));
        TRY(write_value(run, list->items[i], level + 1, style, out));
    }
    TRY(write_line(run, level, style, out));
    return builder_append(run, out, "]", 1);
}

static tern_status write_dict(struct run *run, const struct dict *dict, int level, const struct json_style *style,
                              struct builder *out)
{
    if (dict->count == 0) return builder_append(run, out, "{}", 2);
    if (style->sort_keys) TRY(dict_sorted(run, dict, &dict));
    TRY(builder_append(run, out, "{", 1));
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) TRY(builder_append(run, out, style->item_separator.data, style->item_separator.length));
        TRY(write_line(run, level + 1, style, out));
        TRY(write_key(run, dict->entries[i].key, style, out));
        TRY(builder_append(run, out, style->key_separator.data, style->key_separator.length));
        TRY(write_value(run, dict->entries[i].value, level + 1, style, out));
    }
    TRY(write_line(run, level, style, out));
    return builder_append(run, out, "}", 1);
}

static tern_status write_value(struct run *run, struct value value, int level, const struct json_style *style,
                               struct builder *out)
{
    TRY(run_enter(run));
    switch (value.kind) {
    case VALUE_NONE:
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
    case VALUE_FLOAT:
        TRY(write_scalar(run, value, out));
        break;
    case VALUE_STRING:
        TRY(write_string(run, value.string, style->ascii, out));
        break;
    case VALUE_LIST:
    case VALUE_TUPLE:
        TRY(write_list(run, value.list, level, style, out));
        break;
    case VALUE_DICT:
        TRY(write_dict(run, value.dict, level, style, out));
        break;
    default:
        return run_fail(run, "a value of type '%s' cannot be written as JSON", value_type(value));
    }
    run_leave(run);
    return TERN_OK;
}

tern_status json_write(struct run *run, struct value value, const struct json_style *style, struct builder *out)
{
    return write_value(run, value, 0, style, out);
}
