// What may stand after "|".
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/template_run.h"

static bool given(struct value value)
{
    return value.kind != VALUE_MISSING && value.kind != VALUE_NONE;
}

static struct string text_of(const char *text)
{
    return (struct string){text, strlen(text)};
}

// The value as a string, which is how Jinja's string filters see any value.
static tern_status self_text(struct run *run, const struct call *call, struct string *out)
{
    TRY(value_to_string(run, call->self, out));
    return run_charge(run, out->length);
}

// ---- Attributes of items ----------------------------------------------------------------------------------------

// "a.b.0": what map(attribute=...), sort(attribute=...) and their like look up in each item.
static tern_status item_attribute(struct run *run, struct value item, struct string path, struct value *out)
{
    *out = item;
    for (size_t start = 0, end; start <= path.length; start = end + 1) {
        for (end = start; end < path.length && path.data[end] != '.';)
            end++;
        struct value key = value_string(path.data + start, end - start);
        size_t digits = 0;
        int64_t index = 0;
        while (digits < key.string.length && digits < 9 && key.string.data[digits] >= '0' &&
               key.string.data[digits] <= '9')
            index = index * 10 + (key.string.data[digits++] - '0');
        if (digits > 0 && digits == key.string.length) key = value_integer(index);
        TRY(value_subscript(run, *out, key, out));
    }
    return TERN_OK;
}

// By an attribute (a string, an integer, or none given: the item itself).
static tern_status look_up(struct run *run, struct value item, struct value attribute, struct value *out)
{
    TRY(run_charge(run, 0));
    if (!given(attribute)) return *out = item, TERN_OK;
    if (attribute.kind == VALUE_STRING) return item_attribute(run, item, attribute.string, out);
    return value_subscript(run, item, attribute, out);
}

static tern_status fold_case(struct run *run, struct value value, struct value case_sensitive, struct value *out)
{
    *out = value;
    if (value.kind != VALUE_STRING || value_true(case_sensitive)) return TERN_OK;
    return string_change_case(run, value.string, CASE_LOWER, out);
}

// A list of what the filter's input yields, to be filled or permuted.
static tern_status copy_items(struct run *run, struct value value, enum value_kind kind, struct value *out)
{
    const struct value *items;
    size_t count;
    TRY(value_items(run, value, &items, &count));
    TRY(value_new_list(run, kind, count, out));
    if (count) memcpy(out->list->items, items, count * sizeof *items);
    return TERN_OK;
}

// ---- Strings ----------------------------------------------------------------------------------------------------

static tern_status change_case(struct run *run, const struct call *call, enum letter_case which, struct value *out)
{
    struct string text;
    TRY(self_text(run, call, &text));
    return string_change_case(run, text, which, out);
}

static tern_status filter_upper(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_UPPER, out);
}

static tern_status filter_lower(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_LOWER, out);
}

static tern_status filter_capitalize(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_CAPITALIZE, out);
}

static tern_status filter_title(struct run *run, const struct call *call, struct value *out)
{
    return change_case(run, call, CASE_TITLE_FILTER, out);
}

static tern_status filter_string(struct run *run, const struct call *call, struct value *out)
{
    struct string text;
    TRY(self_text(run, call, &text));
    *out = value_string(text.data, text.length);
    return TERN_OK;
}

static tern_status filter_trim(struct run *run, const struct call *call, struct value *out)
{
    struct string text, characters;
    bool named = given(call->argument[0]);
    TRY(self_text(run, call, &text));
    if (named) TRY(argument_string(run, call->argument[0], "trim: the characters", &characters));
    if (named) TRY(run_charge(run, text.length * characters.length));
    text = string_strip(text, named ? &characters : NULL, STRIP_LEFT | STRIP_RIGHT);
    *out = value_string(text.data, text.length);
    return TERN_OK;
}

static tern_status filter_replace(struct run *run, const struct call *call, struct value *out)
{
    struct string text, old, with;
    int64_t count = -1;
    TRY(self_text(run, call, &text));
    TRY(value_to_string(run, call->argument[0], &old));
    TRY(value_to_string(run, call->argument[1], &with));
    if (given(call->argument[2])) TRY(argument_integer(run, call->argument[2], "replace: count", &count));
    return string_replace(run, text, old, with, count, out);
}

static tern_status filter_escape(struct run *run, const struct call *call, struct value *out)
{
    static const char special[] = "&<>'\"";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct builder builder = {0};
    struct string text;
    TRY(self_text(run, call, &text));
    for (size_t i = 0; i < text.length; i++) {
        const char *found = text.data[i] ? strchr(special, text.data[i]) : NULL;
        if (found)
            TRY(builder_append_string(run, &builder, names[found - special]));
        else
            TRY(builder_append(run, &builder, &text.data[i], 1));
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status indentation(struct run *run, struct value width, struct string *out)
{
    struct builder builder = {0};
    int64_t spaces = 4;
    if (width.kind == VALUE_STRING) return *out = width.string, TERN_OK;
    if (width.kind != VALUE_MISSING) TRY(argument_integer(run, width, "indent: width", &spaces));
    TRY(builder_repeat(run, &builder, ' ', spaces > 0 ? (size_t)spaces : 0));
    *out = builder_value(&builder).string;
    return TERN_OK;
}

// Lines after the first begin with the indentation; empty ones only if asked for.
static tern_status filter_indent(struct run *run, const struct call *call, struct value *out)
{
    struct string text, indent;
    struct builder builder = {0};
    bool first = value_true(call->argument[1]), blank = value_true(call->argument[2]);
    if (call->self.kind != VALUE_STRING) return run_fail(run, "indent needs a string, not %s", value_type(call->self));
    TRY(self_text(run, call, &text));
    TRY(indentation(run, call->argument[0], &indent));
    for (size_t start = 0, end; start <= text.length; start = end + 1) {
        const char *newline = start < text.length ? memchr(text.data + start, '\n', text.length - start) : NULL;
        end = newline ? (size_t)(newline - text.data) : text.length;
        bool indents = start == 0 ? first : blank || end > start;
        TRY(run_charge(run, indent.length));
        if (indents) TRY(builder_append(run, &builder, indent.data, indent.length));
        TRY(builder_append(run, &builder, text.data + start, end - start));
        if (newline) TRY(builder_append(run, &builder, "\n", 1));
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status filter_format(struct run *run, const struct call *call, struct value *out)
{
    struct string text;
    TRY(self_text(run, call, &text));
    if (call->all->n_values > 0 && call->all->n_keywords > 0)
        return run_fail(run, "format: positional and keyword arguments at the same time");
    return format_percent(run, text, call->all, out);
}

static tern_status filter_join(struct run *run, const struct call *call, struct value *out)
{
    struct builder builder = {0};
    struct string separator = {"", 0};
    const struct value *items;
    size_t count;
    if (call->argument[0].kind != VALUE_MISSING) TRY(value_to_string(run, call->argument[0], &separator));
    TRY(value_items(run, call->self, &items, &count));
    for (size_t i = 0; i < count; i++) {
        struct value item;
        TRY(look_up(run, items[i], call->argument[1], &item));
        TRY(run_charge(run, separator.length));
        if (i > 0) TRY(builder_append(run, &builder, separator.data, separator.length));
        TRY(value_print(run, item, &builder));
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

// ---- JSON -------------------------------------------------------------------------------------------------------

static tern_status json_indent(struct run *run, struct value indent, struct json_style *style)
{
    style->lines = given(indent);
    if (!style->lines) return TERN_OK;
    style->item_separator = text_of(",");
    return indentation(run, indent, &style->indent);
}

static tern_status json_separators(struct run *run, struct value separators, struct json_style *style)
{
    const struct value *items;
    size_t count;
    if (!given(separators)) return TERN_OK;
    TRY(value_items(run, separators, &items, &count));
    if (count != 2) return run_fail(run, "tojson: %zu separators, not 2", count);
    TRY(argument_string(run, items[0], "tojson: a separator", &style->item_separator));
    return argument_string(run, items[1], "tojson: a separator", &style->key_separator);
}

// transformers' tojson: json.dumps(x, ensure_ascii, indent, separators, sort_keys).
static tern_status filter_tojson(struct run *run, const struct call *call, struct value *out)
{
    struct builder builder = {0};
    struct json_style style = {.ascii = value_true(call->argument[0]),
                               .sort_keys = value_true(call->argument[3]),
                               .item_separator = text_of(", "),
                               .key_separator = text_of(": ")};
    TRY(json_indent(run, call->argument[1], &style));
    TRY(json_separators(run, call->argument[2], &style));
    TRY(json_write(run, call->self, &style, &builder));
    *out = builder_value(&builder);
    return TERN_OK;
}

// ---- Any value --------------------------------------------------------------------------------------------------

static tern_status filter_default(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    bool replaced = call->self.kind == VALUE_UNDEFINED || (value_true(call->argument[1]) && !value_true(call->self));
    *out = !replaced ? call->self : call->argument[0].kind == VALUE_MISSING ? value_text("") : call->argument[0];
    return TERN_OK;
}

static tern_status filter_length(struct run *run, const struct call *call, struct value *out)
{
    size_t length;
    TRY(value_length(run, call->self, &length));
    *out = value_integer((int64_t)length);
    return TERN_OK;
}

static tern_status filter_attr(struct run *run, const struct call *call, struct value *out)
{
    struct string name;
    TRY(argument_string(run, call->argument[0], "attr: the name", &name));
    TRY(value_attribute(run, call->self, name, out));
    if (call->self.kind == VALUE_DICT && out->kind != VALUE_METHOD)
        *out = (struct value){.kind = VALUE_UNDEFINED, .string = name};
    return TERN_OK;
}

// ---- Numbers ----------------------------------------------------------------------------------------------------

// A number's text without white space around it and without underscores; false if it cannot be one.
static bool clean_number(struct string text, char out[64])
{
    size_t n = 0;
    text = string_strip(text, NULL, STRIP_LEFT | STRIP_RIGHT);
    if (text.length == 0 || text.length > 63) return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool between = i > 0 && i + 1 < text.length && text.data[i - 1] != '_' && text.data[i + 1] != '_';
        if (c == '_' && !between) return false;
        if (c != '_') out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

// Python's int(text, base): 1 if it is one, 0 if not, -1 if it has more than 64 bits.
static int parse_integer(struct string text, int64_t base, int64_t *out)
{
    char clean[64];
    if (!clean_number(text, clean) || base < 2 || base > 36) return 0;
    const char *p = clean;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    char letter = (char)(p[0] == '0' ? p[1] | 32 : 0);
    if ((base == 16 && letter == 'x') || (base == 8 && letter == 'o') || (base == 2 && letter == 'b')) p += 2;
    if (!*p) return 0;
    for (*out = 0; *p; p++) {
        int digit = *p >= '0' && *p <= '9'                 ? *p - '0'
                    : (*p | 32) >= 'a' && (*p | 32) <= 'z' ? (*p | 32) - 'a' + 10
                                                           : 99;
        if (digit >= base) return 0;
        if (__builtin_mul_overflow(*out, base, out) || __builtin_sub_overflow(*out, digit, out)) return -1;
    }
    if (!negative && *out == INT64_MIN) return -1;
    if (!negative) *out = -*out;
    return 1;
}

static bool is_decimal_text(const char *text)
{
    static const char *const words[] = {"inf", "infinity", "nan"};
    if (*text == '-' || *text == '+') text++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = 0;
        while (text[n] && (text[n] | 32) == words[i][n])
            n++;
        if (!text[n] && !words[i][n]) return true;
    }
    return *text && strspn(text, "0123456789.eE+-") == strlen(text);
}

static bool parse_float(struct string text, double *out)
{
    char clean[64], *end;
    if (!clean_number(text, clean) || !is_decimal_text(clean)) return false;
    *out = strtod(clean, &end);
    return *end == '\0';
}

static tern_status truncate_float(struct run *run, double number, struct value fallback, struct value *out)
{
    *out = fallback;
    if (!isfinite(number)) return TERN_OK;
    if (!(fabs(number) < 9223372036854775807.0)) return run_fail(run, "an integer beyond 64 bits");
    *out = value_integer((int64_t)number);
    return TERN_OK;
}

static tern_status filter_int(struct run *run, const struct call *call, struct value *out)
{
    struct value self = call->self, fallback = call->argument[0];
    int64_t base = 10, integer;
    double number;
    if (fallback.kind == VALUE_MISSING) fallback = value_integer(0);
    if (call->argument[1].kind != VALUE_MISSING) TRY(argument_integer(run, call->argument[1], "int: base", &base));
    if (self.kind == VALUE_UNDEFINED) return run_fail_undefined(run, self);
    *out = fallback;
    if (self.kind == VALUE_FLOAT) return truncate_float(run, self.number, fallback, out);
    if (value_is_number(self)) return *out = value_integer(value_as_integer(self)), TERN_OK;
    if (self.kind != VALUE_STRING) return TERN_OK;
    int parsed = parse_integer(self.string, base, &integer);
    if (parsed < 0) return run_fail(run, "an integer beyond 64 bits");
    if (parsed) return *out = value_integer(integer), TERN_OK;
    return parse_float(self.string, &number) ? truncate_float(run, number, fallback, out) : TERN_OK;
}

static tern_status filter_float(struct run *run, const struct call *call, struct value *out)
{
    double number;
    if (call->self.kind == VALUE_UNDEFINED) return run_fail_undefined(run, call->self);
    *out = call->argument[0].kind == VALUE_MISSING ? value_float(0) : call->argument[0];
    if (value_is_number(call->self)) *out = value_float(value_as_float(call->self));
    if (call->self.kind == VALUE_STRING && parse_float(call->self.string, &number)) *out = value_float(number);
    return TERN_OK;
}

static tern_status filter_abs(struct run *run, const struct call *call, struct value *out)
{
    struct value self = call->self;
    if (self.kind == VALUE_UNDEFINED) return run_fail_undefined(run, self);
    if (!value_is_number(self)) return run_fail(run, "abs needs a number, not %s", value_type(self));
    if (self.kind == VALUE_FLOAT) return *out = value_float(fabs(self.number)), TERN_OK;
    int64_t integer = value_as_integer(self);
    if (integer == INT64_MIN) return run_fail(run, "an integer beyond 64 bits");
    *out = value_integer(integer < 0 ? -integer : integer);
    return TERN_OK;
}

// Halves to even by the decimal value, as Python's round(): printf does the same.
static double round_float(double number, int precision)
{
    char text[512];
    if (!isfinite(number) || precision > 300) return number;
    if (precision < 0) {
        double scale = pow(10, -precision);
        return nearbyint(number / scale) * scale;
    }
    snprintf(text, sizeof text, "%.*f", precision, number);
    return fabs(number) < 1e150 ? strtod(text, NULL) : number;
}

static tern_status filter_round(struct run *run, const struct call *call, struct value *out)
{
    struct value self = call->self;
    struct string method = {"common", 6};
    int64_t precision = 0;
    if (self.kind == VALUE_UNDEFINED) return run_fail_undefined(run, self);
    if (!value_is_number(self)) return run_fail(run, "round needs a number, not %s", value_type(self));
    if (given(call->argument[0])) TRY(argument_integer(run, call->argument[0], "round: precision", &precision));
    if (given(call->argument[1])) TRY(argument_string(run, call->argument[1], "round: method", &method));
    if (precision < -300 || precision > 300) return run_fail(run, "round: a precision beyond 300 digits");
    double scale = pow(10, (double)precision), number = value_as_float(self);
    if (string_equals(method, "common")) {
        bool whole = self.kind != VALUE_FLOAT;
        *out = whole && precision >= 0 ? value_integer(value_as_integer(self))
                                       : value_float(round_float(number, (int)precision));
        return whole && precision < 0 ? truncate_float(run, out->number, *out, out) : TERN_OK;
    }
    if (string_equals(method, "ceil")) return *out = value_float(ceil(number * scale) / scale), TERN_OK;
    if (string_equals(method, "floor")) return *out = value_float(floor(number * scale) / scale), TERN_OK;
    return run_fail(run, "round: the method must be common, ceil or floor");
}

// ---- Lists ------------------------------------------------------------------------------------------------------

static tern_status filter_list(struct run *run, const struct call *call, struct value *out)
{
    return copy_items(run, call->self, VALUE_LIST, out);
}

static tern_status filter_first(struct run *run, const struct call *call, struct value *out)
{
    const struct value *items;
    size_t count;
    *out = value_undefined("the first item of nothing");
    if (call->self.kind == VALUE_ITERATOR) { // takes one item only
        struct list *list = call->self.list;
        if (list->position < list->count) *out = list->items[list->position++];
        return TERN_OK;
    }
    TRY(value_items(run, call->self, &items, &count));
    if (count > 0) *out = items[0];
    return TERN_OK;
}

static tern_status filter_last(struct run *run, const struct call *call, struct value *out)
{
    const struct value *items;
    size_t count;
    if (call->self.kind == VALUE_ITERATOR) return run_fail(run, "last needs a list, not a generator");
    TRY(value_items(run, call->self, &items, &count));
    *out = count > 0 ? items[count - 1] : value_undefined("the last item of nothing");
    return TERN_OK;
}

static tern_status filter_reverse(struct run *run, const struct call *call, struct value *out)
{
    struct value bounds[3] = {value_none(), value_none(), value_integer(-1)};
    if (call->self.kind == VALUE_STRING) return value_slice(run, call->self, bounds, out);
    TRY(copy_items(run, call->self, VALUE_ITERATOR, out));
    struct list *list = out->list;
    for (size_t i = 0; i < list->count / 2; i++) {
        struct value swapped = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = swapped;
    }
    return TERN_OK;
}

static tern_status filter_sum(struct run *run, const struct call *call, struct value *out)
{
    const struct value *items;
    size_t count;
    *out = call->argument[1].kind == VALUE_MISSING ? value_integer(0) : call->argument[1];
    if (out->kind == VALUE_STRING) return run_fail(run, "sum cannot begin with a string");
    TRY(value_items(run, call->self, &items, &count));
    for (size_t i = 0; i < count; i++) {
        struct value item;
        TRY(look_up(run, items[i], call->argument[0], &item));
        TRY(operator_apply(run, '+', *out, item, out));
    }
    return TERN_OK;
}

static tern_status extreme(struct run *run, const struct call *call, int wanted, struct value *out)
{
    const struct value *items;
    struct value key, best;
    size_t count;
    TRY(value_items(run, call->self, &items, &count));
    *out = value_undefined("the extreme of nothing");
    for (size_t i = 0; i < count; i++) {
        int order = wanted;
        TRY(look_up(run, items[i], call->argument[1], &key));
        TRY(fold_case(run, key, call->argument[0], &key));
        if (i > 0) TRY(value_order(run, key, best, &order));
        if (order != wanted) continue;
        best = key;
        *out = items[i];
    }
    return TERN_OK;
}

static tern_status filter_min(struct run *run, const struct call *call, struct value *out)
{
    return extreme(run, call, -1, out);
}

static tern_status filter_max(struct run *run, const struct call *call, struct value *out)
{
    return extreme(run, call, 1, out);
}

// ---- Sorting ----------------------------------------------------------------------------------------------------

struct sorting {
    struct run *run;
    struct value *keys, *items;             // [count]
    struct value *spare_keys, *spare_items; // [count]
    int after;                              // the order of two neighbours that must change places
};

// Merges two sorted runs [start, middle) and [middle, end).
static tern_status merge_runs(struct sorting *s, size_t start, size_t middle, size_t end)
{
    size_t left = start, right = middle;
    for (size_t i = start; i < end; i++) {
        int order = 0;
        if (left < middle && right < end) {
            TRY(run_charge(s->run, 0));
            TRY(value_order(s->run, s->keys[left], s->keys[right], &order));
        }
        size_t from = left < middle && (right == end || order != s->after) ? left++ : right++;
        s->spare_keys[i] = s->keys[from];
        s->spare_items[i] = s->items[from];
    }
    size_t bytes = (end - start) * sizeof *s->items;
    memcpy(s->keys + start, s->spare_keys + start, bytes);
    memcpy(s->items + start, s->spare_items + start, bytes);
    return TERN_OK;
}

// Sorts items stably by keys that may be any values with an order; both arrays are permuted alike.
static tern_status sort_items(struct run *run, struct value *keys, struct value *items, size_t count, bool reverse)
{
    struct sorting s = {.run = run, .keys = keys, .items = items, .after = reverse ? -1 : 1};
    s.spare_keys = template_arena_array(&run->arena, count, sizeof *keys);
    s.spare_items = template_arena_array(&run->arena, count, sizeof *items);
    if (!s.spare_keys || !s.spare_items) return run->arena.failure;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start + width < count; start += 2 * width) {
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            TRY(merge_runs(&s, start, start + width, end));
        }
    }
    return TERN_OK;
}

// The key of one item: a list of its attributes ("a,b" names several).
static tern_status sort_key(struct run *run, struct value item, struct value attribute, struct value case_sensitive,
                            struct value *out)
{
    size_t capacity = 0;
    struct value part;
    TRY(value_new_list(run, VALUE_LIST, 0, out));
    struct string names = attribute.kind == VALUE_STRING ? attribute.string : (struct string){"", 0};
    for (size_t start = 0, end; start <= names.length; start = end + 1) {
        for (end = start; end < names.length && names.data[end] != ',';)
            end++;
        struct value name = value_string(names.data + start, end - start);
        TRY(look_up(run, item, attribute.kind == VALUE_STRING ? name : attribute, &part));
        TRY(fold_case(run, part, case_sensitive, &part));
        TRY(list_push(run, out->list, &capacity, part));
    }
    return TERN_OK;
}

static tern_status filter_sort(struct run *run, const struct call *call, struct value *out)
{
    struct value keys;
    TRY(copy_items(run, call->self, VALUE_LIST, out));
    TRY(value_new_list(run, VALUE_LIST, out->list->count, &keys));
    for (size_t i = 0; i < out->list->count; i++)
        TRY(sort_key(run, out->list->items[i], call->argument[2], call->argument[1], &keys.list->items[i]));
    return sort_items(run, keys.list->items, out->list->items, out->list->count, value_true(call->argument[0]));
}

static tern_status pair(struct run *run, struct value key, struct value value, struct value *out)
{
    TRY(value_new_list(run, VALUE_TUPLE, 2, out));
    out->list->items[0] = key;
    out->list->items[1] = value;
    return TERN_OK;
}

tern_status dict_sorted(struct run *run, const struct dict *dict, const struct dict **out)
{
    struct value keys, values, sorted;
    TRY(value_new_list(run, VALUE_LIST, dict->count, &keys));
    TRY(value_new_list(run, VALUE_LIST, dict->count, &values));
    for (size_t i = 0; i < dict->count; i++) {
        keys.list->items[i] = dict->entries[i].key;
        values.list->items[i] = dict->entries[i].value;
    }
    TRY(sort_items(run, keys.list->items, values.list->items, dict->count, false));
    TRY(value_new_dict(run, VALUE_DICT, &sorted));
    for (size_t i = 0; i < dict->count; i++)
        TRY(dict_set(run, sorted.dict, keys.list->items[i], values.list->items[i]));
    *out = sorted.dict;
    return TERN_OK;
}

static tern_status filter_dictsort(struct run *run, const struct call *call, struct value *out)
{
    struct string by = {"key", 3};
    struct value keys;
    if (call->self.kind != VALUE_DICT) return run_fail(run, "dictsort needs a dict, not %s", value_type(call->self));
    if (call->argument[1].kind != VALUE_MISSING) TRY(argument_string(run, call->argument[1], "dictsort: by", &by));
    bool by_value = string_equals(by, "value");
    if (!by_value && !string_equals(by, "key")) return run_fail(run, "dictsort: by must be \"key\" or \"value\"");
    const struct dict *dict = call->self.dict;
    TRY(value_new_list(run, VALUE_LIST, dict->count, out));
    TRY(value_new_list(run, VALUE_LIST, dict->count, &keys));
    for (size_t i = 0; i < dict->count; i++) {
        const struct dict_entry *entry = &dict->entries[i];
        TRY(pair(run, entry->key, entry->value, &out->list->items[i]));
        TRY(fold_case(run, by_value ? entry->value : entry->key, call->argument[0], &keys.list->items[i]));
    }
    return sort_items(run, keys.list->items, out->list->items, dict->count, value_true(call->argument[2]));
}

static tern_status filter_items(struct run *run, const struct call *call, struct value *out)
{
    const struct dict empty = {0}, *dict = &empty;
    if (call->self.kind == VALUE_DICT)
        dict = call->self.dict;
    else if (call->self.kind != VALUE_UNDEFINED)
        return run_fail(run, "items needs a dict, not %s", value_type(call->self));
    TRY(value_new_list(run, VALUE_ITERATOR, dict->count, out));
    for (size_t i = 0; i < dict->count; i++)
        TRY(pair(run, dict->entries[i].key, dict->entries[i].value, &out->list->items[i]));
    return TERN_OK;
}

static tern_status filter_unique(struct run *run, const struct call *call, struct value *out)
{
    const struct value *items;
    struct value seen, key, *found;
    size_t count, capacity = 0;
    TRY(value_items(run, call->self, &items, &count));
    TRY(value_new_dict(run, VALUE_DICT, &seen));
    TRY(value_new_list(run, VALUE_ITERATOR, 0, out));
    for (size_t i = 0; i < count; i++) {
        TRY(look_up(run, items[i], call->argument[1], &key));
        TRY(fold_case(run, key, call->argument[0], &key));
        TRY(dict_find(run, seen.dict, key, &found));
        if (found) continue;
        TRY(dict_set(run, seen.dict, key, value_none()));
        TRY(list_push(run, out->list, &capacity, items[i]));
    }
    return TERN_OK;
}

static tern_status filter_batch(struct run *run, const struct call *call, struct value *out)
{
    const struct value *items;
    size_t count, capacity = 0;
    int64_t size;
    TRY(argument_integer(run, call->argument[0], "batch: linecount", &size));
    if (size < 1) return run_fail(run, "batch: lines must have at least one item");
    TRY(value_items(run, call->self, &items, &count));
    TRY(value_new_list(run, VALUE_ITERATOR, 0, out));
    for (size_t start = 0; start < count; start += (size_t)size) {
        struct value line;
        bool short_line = count - start < (size_t)size;
        size_t length = short_line && !given(call->argument[1]) ? count - start : (size_t)size;
        TRY(value_new_list(run, VALUE_LIST, length, &line));
        for (size_t i = 0; i < length; i++)
            line.list->items[i] = start + i < count ? items[start + i] : call->argument[1];
        TRY(list_push(run, out->list, &capacity, line));
    }
    return TERN_OK;
}

// ---- Filters that apply filters and tests -----------------------------------------------------------------------

static const struct value *keyword(const struct arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->n_keywords; i++)
        if (string_equals(arguments->keywords[i].name, name)) return &arguments->keywords[i].value;
    return NULL;
}

static tern_status map_attribute(struct run *run, const struct call *call, struct value attribute, struct list *out)
{
    const struct value *fallback = keyword(call->all, "default");
    if (call->all->n_keywords != (fallback ? 2u : 1u))
        return run_fail(run, "map: an unknown argument beside 'attribute'");
    for (size_t i = 0; i < out->count; i++) {
        TRY(look_up(run, out->items[i], attribute, &out->items[i]));
        if (fallback && given(*fallback) && out->items[i].kind == VALUE_UNDEFINED) out->items[i] = *fallback;
    }
    return TERN_OK;
}

static tern_status map_filter(struct run *run, const struct call *call, struct list *out)
{
    struct string name;
    if (call->all->n_values == 0) return run_fail(run, "map: the name of a filter is missing");
    TRY(argument_string(run, call->all->values[0], "map: the name of a filter", &name));
    struct arguments rest = *call->all;
    rest.values++;
    rest.n_values--;
    for (size_t i = 0; i < out->count; i++)
        TRY(filter_apply(run, name, out->items[i], &rest, &out->items[i]));
    return TERN_OK;
}

static tern_status filter_map(struct run *run, const struct call *call, struct value *out)
{
    const struct value *attribute = keyword(call->all, "attribute");
    TRY(run_enter(run));
    TRY(value_true(call->self) ? copy_items(run, call->self, VALUE_ITERATOR, out)
                               : value_new_list(run, VALUE_ITERATOR, 0, out));
    if (out->list->count > 0)
        TRY(call->all->n_values == 0 && attribute ? map_attribute(run, call, *attribute, out->list)
                                                  : map_filter(run, call, out->list));
    run_leave(run);
    return TERN_OK;
}

// Whether an item (or one of its attributes) passes the test that the other arguments name.
static tern_status passes(struct run *run, const struct call *call, bool by_attribute, struct value item, bool *result)
{
    struct string name;
    struct arguments rest = *call->all;
    if (by_attribute) {
        if (rest.n_values == 0) return run_fail(run, "the name of an attribute is missing");
        TRY(look_up(run, item, rest.values[0], &item));
        rest.values++;
        rest.n_values--;
    }
    TRY(run_charge(run, 0));
    if (rest.n_values == 0) return *result = value_true(item), TERN_OK;
    TRY(argument_string(run, rest.values[0], "the name of a test", &name));
    rest.values++;
    rest.n_values--;
    return test_apply(run, name, item, &rest, result);
}

static tern_status select_items(struct run *run, const struct call *call, bool by_attribute, bool wanted,
                                struct value *out)
{
    const struct value *items;
    size_t count, capacity = 0;
    TRY(run_enter(run));
    TRY(value_new_list(run, VALUE_ITERATOR, 0, out));
    if (!value_true(call->self)) return run_leave(run), TERN_OK;
    TRY(value_items(run, call->self, &items, &count));
    for (size_t i = 0; i < count; i++) {
        bool passed;
        TRY(passes(run, call, by_attribute, items[i], &passed));
        if (passed == wanted) TRY(list_push(run, out->list, &capacity, items[i]));
    }
    run_leave(run);
    return TERN_OK;
}

static tern_status filter_select(struct run *run, const struct call *call, struct value *out)
{
    return select_items(run, call, false, true, out);
}

static tern_status filter_reject(struct run *run, const struct call *call, struct value *out)
{
    return select_items(run, call, false, false, out);
}

static tern_status filter_selectattr(struct run *run, const struct call *call, struct value *out)
{
    return select_items(run, call, true, true, out);
}

static tern_status filter_rejectattr(struct run *run, const struct call *call, struct value *out)
{
    return select_items(run, call, true, false, out);
}

const struct builtin template_filters[] = {
    {"trim", filter_trim, "| chars"},
    {"tojson", filter_tojson, "| ensure_ascii indent separators sort_keys"},
    {"length", filter_length, ""},
    {"count", filter_length, ""},
    {"default", filter_default, "| default_value boolean"},
    {"d", filter_default, "| default_value boolean"},
    {"string", filter_string, ""},
    {"safe", filter_string, ""},
    {"escape", filter_escape, ""},
    {"e", filter_escape, ""},
    {"forceescape", filter_escape, ""},
    {"upper", filter_upper, ""},
    {"lower", filter_lower, ""},
    {"capitalize", filter_capitalize, ""},
    {"title", filter_title, ""},
    {"replace", filter_replace, "old new | count"},
    {"indent", filter_indent, "| width first blank"},
    {"format", filter_format, NULL},
    {"join", filter_join, "| d attribute"},
    {"int", filter_int, "| default base"},
    {"float", filter_float, "| default"},
    {"abs", filter_abs, ""},
    {"round", filter_round, "| precision method"},
    {"list", filter_list, ""},
    {"first", filter_first, ""},
    {"last", filter_last, ""},
    {"reverse", filter_reverse, ""},
    {"sum", filter_sum, "| attribute start"},
    {"min", filter_min, "| case_sensitive attribute"},
    {"max", filter_max, "| case_sensitive attribute"},
    {"sort", filter_sort, "| reverse case_sensitive attribute"},
    {"dictsort", filter_dictsort, "| case_sensitive by reverse"},
    {"items", filter_items, ""},
    {"unique", filter_unique, "| case_sensitive attribute"},
    {"batch", filter_batch, "linecount | fill_with"},
    {"attr", filter_attr, "name"},
    {"map", filter_map, NULL},
    {"select", filter_select, NULL},
    {"reject", filter_reject, NULL},
    {"selectattr", filter_selectattr, NULL},
    {"rejectattr", filter_rejectattr, NULL},
    {NULL, NULL, NULL},
};
