// Python's string methods.
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "text/template_run.h"
#include "text/utf8.h"

static size_t decode(struct string string, size_t offset, uint32_t *c)
{
    return (size_t)abs(utf8_decode(string.data + offset, string.length - offset, c));
}

static struct string substring(struct string string, size_t start, size_t end)
{
    return (struct string){string.data + start, end - start};
}

static struct value string_value(struct string string)
{
    return value_string(string.data, string.length);
}

// ---- Case -------------------------------------------------------------------------------------------------------

static bool is_cased(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

static bool is_upper(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LU;
}

bool string_is_case(struct string string, bool upper)
{
    bool any = false;
    for (size_t i = 0; i < string.length;) {
        uint32_t c;
        i += decode(string, i, &c);
        if (!is_cased(c)) continue;
        if (is_upper(c) != upper) return false;
        any = true;
    }
    return any;
}

// The one character whose upper case is common in text and longer than itself.
enum { SHARP_S = 0xDF };

static tern_status append_upper(struct run *run, struct builder *out, uint32_t c)
{
    if (c == SHARP_S) return builder_append(run, out, "SS", 2);
    return builder_append_character(run, out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

static tern_status append_title(struct run *run, struct builder *out, uint32_t c)
{
    if (c == SHARP_S) return builder_append(run, out, "Ss", 2);
    return builder_append_character(run, out, (uint32_t)utf8proc_totitle((utf8proc_int32_t)c));
}

static tern_status append_lower(struct run *run, struct builder *out, uint32_t c)
{
    return builder_append_character(run, out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

// Jinja's title filter begins a word after these and white space; Python's method after anything that has no case.
static bool begins_word(uint32_t before, enum letter_case which)
{
    if (which == CASE_TITLE) return !is_cased(before);
    return character_is_space(before) || (before < 0x80 && before > 0 && strchr("-({[<", (int)before));
}

static tern_status append_cased(struct run *run, struct builder *out, uint32_t c, bool first, enum letter_case which)
{
    switch (which) {
    case CASE_UPPER:
        return append_upper(run, out, c);
    case CASE_LOWER:
        return append_lower(run, out, c);
    case CASE_SWAP:
        return is_upper(c) ? append_lower(run, out, c) : append_upper(run, out, c);
    case CASE_TITLE_FILTER:
        return first ? append_upper(run, out, c) : append_lower(run, out, c);
    default:
        return first ? append_title(run, out, c) : append_lower(run, out, c);
    }
}

tern_status string_change_case(struct run *run, struct string string, enum letter_case which, struct value *out)
{
    struct builder builder = {0};
    bool first = true;
    TRY(run_charge(run, string.length * 4));
    for (size_t i = 0; i < string.length;) {
        uint32_t c;
        size_t n = decode(string, i, &c);
        TRY(append_cased(run, &builder, c, first, which));
        first = which == CASE_CAPITALIZE ? false : begins_word(c, which);
        i += n;
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

#define CASE_METHOD(name, which)                                                                                       \
    static tern_status name(struct run *run, const struct call *call, struct value *out)                               \
    {                                                                                                                  \
        return string_change_case(run, call->self.string, which, out);                                                 \
    }

CASE_METHOD(method_upper, CASE_UPPER)
CASE_METHOD(method_lower, CASE_LOWER)
CASE_METHOD(method_capitalize, CASE_CAPITALIZE)
CASE_METHOD(method_swapcase, CASE_SWAP)
CASE_METHOD(method_title, CASE_TITLE)
#undef CASE_METHOD

// ---- Kinds of characters ----------------------------------------------------------------------------------------

static bool is_alpha(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_decimal(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_superscript(uint32_t c)
{
    return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
           (c >= 0x2080 && c <= 0x2089);
}

static bool is_digit(uint32_t c)
{
    return is_decimal(c) || is_superscript(c);
}

static bool is_numeric(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
}

static bool is_alphanumeric(uint32_t c)
{
    return is_alpha(c) || is_numeric(c);
}

static tern_status all_characters(struct run *run, const struct call *call, bool (*is)(uint32_t), struct value *out)
{
    struct string text = call->self.string;
    bool all = text.length > 0;
    TRY(run_charge(run, text.length));
    for (size_t i = 0; all && i < text.length;) {
        uint32_t c;
        i += decode(text, i, &c);
        all = is(c);
    }
    *out = value_boolean(all);
    return TERN_OK;
}

#define CHARACTER_METHOD(name, is)                                                                                     \
    static tern_status name(struct run *run, const struct call *call, struct value *out)                               \
    {                                                                                                                  \
        return all_characters(run, call, is, out);                                                                     \
    }

CHARACTER_METHOD(method_isalpha, is_alpha)
CHARACTER_METHOD(method_isalnum, is_alphanumeric)
CHARACTER_METHOD(method_isdigit, is_digit)
CHARACTER_METHOD(method_isdecimal, is_decimal)
CHARACTER_METHOD(method_isnumeric, is_numeric)
CHARACTER_METHOD(method_isspace, character_is_space)
#undef CHARACTER_METHOD

static tern_status method_isupper(struct run *run, const struct call *call, struct value *out)
{
    *out = value_boolean(string_is_case(call->self.string, true));
    return run_charge(run, call->self.string.length);
}

static tern_status method_islower(struct run *run, const struct call *call, struct value *out)
{
    *out = value_boolean(string_is_case(call->self.string, false));
    return run_charge(run, call->self.string.length);
}

// ---- Stripping --------------------------------------------------------------------------------------------------

static bool strips(uint32_t c, size_t bytes, const char *at, const struct string *characters)
{
    if (!characters) return character_is_space(c);
    return string_find(*characters, (struct string){at, bytes}) != SIZE_MAX;
}

// Start of the character before `offset`, for well-formed text; a stray byte counts as one character.
static size_t previous(struct string string, size_t offset)
{
    size_t start = offset - 1;
    while (start > 0 && offset - start < 4 && ((unsigned char)string.data[start] & 0xC0) == 0x80)
        start--;
    uint32_t c;
    return start + decode(string, start, &c) == offset ? start : offset - 1;
}

struct string string_strip(struct string string, const struct string *characters, int sides)
{
    size_t start = 0, end = string.length;
    uint32_t c;
    while ((sides & STRIP_LEFT) && start < end) {
        size_t n = decode(string, start, &c);
        if (!strips(c, n, string.data + start, characters)) break;
        start += n;
    }
    while ((sides & STRIP_RIGHT) && end > start) {
        size_t before = previous(string, end), n = decode(string, before, &c);
        if (!strips(c, n, string.data + before, characters)) break;
        end = before;
    }
    return substring(string, start, end);
}

static tern_status strip_sides(struct run *run, const struct call *call, int sides, struct value *out)
{
    struct string characters;
    bool given = call->argument[0].kind != VALUE_MISSING && call->argument[0].kind != VALUE_NONE;
    if (given) TRY(argument_string(run, call->argument[0], "the characters to strip", &characters));
    TRY(run_charge(run, call->self.string.length * (1 + (given ? characters.length : 0))));
    *out = string_value(string_strip(call->self.string, given ? &characters : NULL, sides));
    return TERN_OK;
}

static tern_status method_strip(struct run *run, const struct call *call, struct value *out)
{
    return strip_sides(run, call, STRIP_LEFT | STRIP_RIGHT, out);
}

static tern_status method_lstrip(struct run *run, const struct call *call, struct value *out)
{
    return strip_sides(run, call, STRIP_LEFT, out);
}

static tern_status method_rstrip(struct run *run, const struct call *call, struct value *out)
{
    return strip_sides(run, call, STRIP_RIGHT, out);
}

// ---- Beginnings and ends ----------------------------------------------------------------------------------------

static bool has_end(struct string text, struct string part, bool at_end)
{
    if (part.length > text.length) return false;
    size_t offset = at_end ? text.length - part.length : 0;
    return memcmp(text.data + offset, part.data, part.length) == 0;
}

// One string, or a tuple of which any will do.
static tern_status match_end(struct run *run, const struct call *call, bool at_end, struct value *out)
{
    struct value parts = call->argument[0];
    const struct value *items = &parts;
    size_t count = 1;
    bool found = false;
    if (parts.kind == VALUE_TUPLE) TRY(value_items(run, parts, &items, &count));
    for (size_t i = 0; !found && i < count; i++) {
        struct string part;
        TRY(argument_string(run, items[i], at_end ? "endswith: what to look for" : "startswith: what to look for",
                            &part));
        TRY(run_charge(run, part.length));
        found = has_end(call->self.string, part, at_end);
    }
    *out = value_boolean(found);
    return TERN_OK;
}

static tern_status method_startswith(struct run *run, const struct call *call, struct value *out)
{
    return match_end(run, call, false, out);
}

static tern_status method_endswith(struct run *run, const struct call *call, struct value *out)
{
    return match_end(run, call, true, out);
}

static tern_status remove_end(struct run *run, const struct call *call, bool at_end, struct value *out)
{
    struct string text = call->self.string, part;
    TRY(argument_string(run, call->argument[0], "what to remove", &part));
    *out = call->self;
    if (!has_end(text, part, at_end)) return TERN_OK;
    *out = string_value(at_end ? substring(text, 0, text.length - part.length)
                               : substring(text, part.length, text.length));
    return TERN_OK;
}

static tern_status method_removeprefix(struct run *run, const struct call *call, struct value *out)
{
    return remove_end(run, call, false, out);
}

static tern_status method_removesuffix(struct run *run, const struct call *call, struct value *out)
{
    return remove_end(run, call, true, out);
}

// ---- Searching --------------------------------------------------------------------------------------------------

static size_t find_last(struct string text, struct string part)
{
    for (size_t i = text.length; i >= part.length; i--) {
        if (memcmp(text.data + i - part.length, part.data, part.length) == 0) return i - part.length;
        if (i == 0) break;
    }
    return SIZE_MAX;
}

// The part of a string that the optional start and end (argument 1 and 2) leave, by Python's slice rules.
static tern_status search_range(struct run *run, const struct call *call, struct string *text, size_t *skipped)
{
    struct value bounds[3] = {call->argument[1], call->argument[2], value_none()}, part;
    for (int i = 0; i < 2; i++)
        if (bounds[i].kind == VALUE_MISSING) bounds[i] = value_none();
    TRY(value_slice(run, call->self, bounds, &part));
    *text = part.string;
    *skipped = part.string.length ? (size_t)(part.string.data - call->self.string.data) : 0;
    return TERN_OK;
}

static tern_status find_part(struct run *run, const struct call *call, bool last, int64_t *index)
{
    struct string text, part;
    size_t skipped;
    TRY(argument_string(run, call->argument[0], "what to look for", &part));
    TRY(search_range(run, call, &text, &skipped));
    TRY(run_charge(run, text.length));
    if (last) TRY(run_charge(run, text.length / 16 * (part.length + 16)));
    size_t found = last ? find_last(text, part) : string_find(text, part);
    *index = found == SIZE_MAX ? -1 : (int64_t)string_characters(substring(call->self.string, 0, skipped + found));
    return TERN_OK;
}

static tern_status method_find(struct run *run, const struct call *call, struct value *out)
{
    int64_t index;
    TRY(find_part(run, call, false, &index));
    *out = value_integer(index);
    return TERN_OK;
}

static tern_status method_rfind(struct run *run, const struct call *call, struct value *out)
{
    int64_t index;
    TRY(find_part(run, call, true, &index));
    *out = value_integer(index);
    return TERN_OK;
}

static tern_status method_index(struct run *run, const struct call *call, struct value *out)
{
    TRY(method_find(run, call, out));
    return out->integer < 0 ? run_fail(run, "index: substring not found") : TERN_OK;
}

static tern_status method_count(struct run *run, const struct call *call, struct value *out)
{
    struct string text, part;
    size_t skipped;
    int64_t count = 0;
    TRY(argument_string(run, call->argument[0], "what to count", &part));
    TRY(search_range(run, call, &text, &skipped));
    TRY(run_charge(run, text.length));
    if (part.length == 0) return *out = value_integer((int64_t)string_characters(text) + 1), TERN_OK;
    for (size_t found; (found = string_find(text, part)) != SIZE_MAX; count++)
        text = substring(text, found + part.length, text.length);
    *out = value_integer(count);
    return TERN_OK;
}

// ---- Replacing --------------------------------------------------------------------------------------------------

// An empty `old` stands before every character and at the end.
static tern_status replace_between(struct run *run, struct string text, struct string with, int64_t count,
                                   struct value *out)
{
    struct builder builder = {0};
    size_t i = 0;
    for (; count != 0; count--) {
        uint32_t c;
        TRY(run_charge(run, with.length));
        TRY(builder_append(run, &builder, with.data, with.length));
        if (i == text.length) break;
        size_t n = decode(text, i, &c);
        TRY(builder_append(run, &builder, text.data + i, n));
        i += n;
    }
    TRY(builder_append(run, &builder, text.data + i, text.length - i));
    *out = builder_value(&builder);
    return TERN_OK;
}

tern_status string_replace(struct run *run, struct string string, struct string old, struct string with, int64_t count,
                           struct value *out)
{
    struct builder builder = {0};
    TRY(run_charge(run, string.length));
    if (old.length == 0) return replace_between(run, string, with, count, out);
    *out = string_value(string);
    size_t found = string_find(string, old);
    if (found == SIZE_MAX || count == 0) return TERN_OK;
    for (; found != SIZE_MAX && count != 0; count--) {
        TRY(run_charge(run, with.length));
        TRY(builder_append(run, &builder, string.data, found));
        TRY(builder_append(run, &builder, with.data, with.length));
        string = substring(string, found + old.length, string.length);
        found = string_find(string, old);
    }
    TRY(builder_append(run, &builder, string.data, string.length));
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status method_replace(struct run *run, const struct call *call, struct value *out)
{
    struct string old, with;
    int64_t count = -1;
    TRY(argument_string(run, call->argument[0], "replace: what to replace", &old));
    TRY(argument_string(run, call->argument[1], "replace: what to put there", &with));
    if (call->argument[2].kind != VALUE_MISSING)
        TRY(argument_integer(run, call->argument[2], "replace: count", &count));
    return string_replace(run, call->self.string, old, with, count, out);
}

// ---- Splitting and joining --------------------------------------------------------------------------------------

struct pieces {
    struct list *list;
    size_t capacity;
};

static tern_status pieces_open(struct run *run, struct pieces *pieces, struct value *out)
{
    TRY(value_new_list(run, VALUE_LIST, 0, out));
    *pieces = (struct pieces){out->list, 0};
    return TERN_OK;
}

static tern_status pieces_add(struct run *run, struct pieces *pieces, struct string piece)
{
    TRY(run_charge(run, 0));
    return list_push(run, pieces->list, &pieces->capacity, string_value(piece));
}

static void reverse_list(struct list *list)
{
    for (size_t i = 0; i < list->count / 2; i++) {
        struct value swapped = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = swapped;
    }
}

// Runs of white space separate; none at either end.
static tern_status split_blanks(struct run *run, struct string text, int64_t most, struct pieces *pieces)
{
    text = string_strip(text, NULL, STRIP_LEFT);
    while (text.length > 0) {
        size_t end = 0;
        uint32_t c;
        if (most-- == 0) return pieces_add(run, pieces, text);
        for (size_t n; end < text.length; end += n) {
            n = decode(text, end, &c);
            if (character_is_space(c)) break;
        }
        TRY(pieces_add(run, pieces, substring(text, 0, end)));
        text = string_strip(substring(text, end, text.length), NULL, STRIP_LEFT);
    }
    return TERN_OK;
}

static tern_status split_blanks_back(struct run *run, struct string text, int64_t most, struct pieces *pieces)
{
    text = string_strip(text, NULL, STRIP_RIGHT);
    while (text.length > 0) {
        size_t start = text.length;
        uint32_t c;
        if (most-- == 0) {
            TRY(pieces_add(run, pieces, text));
            break;
        }
        for (size_t before; start > 0; start = before) {
            before = previous(text, start);
            decode(text, before, &c);
            if (character_is_space(c)) break;
        }
        TRY(pieces_add(run, pieces, substring(text, start, text.length)));
        text = string_strip(substring(text, 0, start), NULL, STRIP_RIGHT);
    }
    reverse_list(pieces->list);
    return TERN_OK;
}

static tern_status split_at(struct run *run, struct string text, struct string separator, int64_t most,
                            struct pieces *pieces)
{
    for (size_t found; most-- != 0 && (found = string_find(text, separator)) != SIZE_MAX;) {
        TRY(pieces_add(run, pieces, substring(text, 0, found)));
        text = substring(text, found + separator.length, text.length);
    }
    return pieces_add(run, pieces, text);
}

static tern_status split_at_back(struct run *run, struct string text, struct string separator, int64_t most,
                                 struct pieces *pieces)
{
    TRY(run_charge(run, text.length / 16 * (separator.length + 16)));
    for (size_t found; most-- != 0 && (found = find_last(text, separator)) != SIZE_MAX;) {
        TRY(pieces_add(run, pieces, substring(text, found + separator.length, text.length)));
        text = substring(text, 0, found);
    }
    TRY(pieces_add(run, pieces, text));
    reverse_list(pieces->list);
    return TERN_OK;
}

static tern_status split_string(struct run *run, const struct call *call, bool back, struct value *out)
{
    struct string text = call->self.string, separator;
    struct pieces pieces;
    int64_t most = -1;
    TRY(run_charge(run, text.length));
    TRY(pieces_open(run, &pieces, out));
    if (call->argument[1].kind != VALUE_MISSING)
        TRY(argument_integer(run, call->argument[1], "split: maxsplit", &most));
    if (call->argument[0].kind == VALUE_MISSING || call->argument[0].kind == VALUE_NONE)
        return back ? split_blanks_back(run, text, most, &pieces) : split_blanks(run, text, most, &pieces);
    TRY(argument_string(run, call->argument[0], "split: the separator", &separator));
    if (separator.length == 0) return run_fail(run, "split: the separator is empty");
    return back ? split_at_back(run, text, separator, most, &pieces) : split_at(run, text, separator, most, &pieces);
}

static tern_status method_split(struct run *run, const struct call *call, struct value *out)
{
    return split_string(run, call, false, out);
}

static tern_status method_rsplit(struct run *run, const struct call *call, struct value *out)
{
    return split_string(run, call, true, out);
}

static tern_status partition(struct run *run, const struct call *call, bool last, struct value *out)
{
    struct string text = call->self.string, part;
    TRY(argument_string(run, call->argument[0], "partition: the separator", &part));
    if (part.length == 0) return run_fail(run, "partition: the separator is empty");
    TRY(run_charge(run, last ? text.length / 16 * (part.length + 16) : text.length));
    size_t found = last ? find_last(text, part) : string_find(text, part);
    TRY(value_new_list(run, VALUE_TUPLE, 3, out));
    struct value *items = out->list->items, empty = value_text("");
    bool none = found == SIZE_MAX;
    items[0] = !none ? string_value(substring(text, 0, found)) : last ? empty : call->self;
    items[1] = none ? empty : string_value(part);
    items[2] = !none ? string_value(substring(text, found + part.length, text.length)) : last ? call->self : empty;
    return TERN_OK;
}

static tern_status method_partition(struct run *run, const struct call *call, struct value *out)
{
    return partition(run, call, false, out);
}

static tern_status method_rpartition(struct run *run, const struct call *call, struct value *out)
{
    return partition(run, call, true, out);
}

static bool is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static tern_status method_splitlines(struct run *run, const struct call *call, struct value *out)
{
    struct string text = call->self.string;
    struct pieces pieces;
    bool keep = value_true(call->argument[0]);
    TRY(run_charge(run, text.length));
    TRY(pieces_open(run, &pieces, out));
    size_t start = 0;
    for (size_t i = 0; i < text.length;) {
        uint32_t c;
        size_t end = i;
        i += decode(text, i, &c);
        if (!is_line_end(c)) continue;
        if (c == '\r' && i < text.length && text.data[i] == '\n') i++;
        TRY(pieces_add(run, &pieces, substring(text, start, keep ? i : end)));
        start = i;
    }
    return start < text.length ? pieces_add(run, &pieces, substring(text, start, text.length)) : TERN_OK;
}

static tern_status method_join(struct run *run, const struct call *call, struct value *out)
{
    struct builder builder = {0};
    const struct value *items;
    size_t count;
    TRY(value_items(run, call->argument[0], &items, &count));
    for (size_t i = 0; i < count; i++) {
        struct string item;
        TRY(argument_string(run, items[i], "join: an item", &item));
        TRY(run_charge(run, item.length + call->self.string.length));
        if (i > 0) TRY(builder_append(run, &builder, call->self.string.data, call->self.string.length));
        TRY(builder_append(run, &builder, item.data, item.length));
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

// ---- Padding ----------------------------------------------------------------------------------------------------

static tern_status pad(struct run *run, const struct call *call, int sides, struct value *out)
{
    struct string text = call->self.string, fill = {" ", 1};
    struct builder builder = {0};
    int64_t width;
    TRY(argument_integer(run, call->argument[0], "the width", &width));
    if (call->argument[1].kind != VALUE_MISSING) TRY(argument_string(run, call->argument[1], "the filling", &fill));
    if (fill.length != 1) return run_fail(run, "the filling must be one ASCII character");
    int64_t missing = width - (int64_t)string_characters(text);
    if (missing < 0) missing = 0;
    // Python's str.center puts the odd one to the left if the width is odd.
    int64_t left = sides == STRIP_LEFT ? missing : sides == STRIP_RIGHT ? 0 : missing / 2 + (missing & width & 1);
    TRY(builder_repeat(run, &builder, fill.data[0], (size_t)left));
    TRY(builder_append(run, &builder, text.data, text.length));
    TRY(builder_repeat(run, &builder, fill.data[0], (size_t)(missing - left)));
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status method_ljust(struct run *run, const struct call *call, struct value *out)
{
    return pad(run, call, STRIP_RIGHT, out);
}

static tern_status method_rjust(struct run *run, const struct call *call, struct value *out)
{
    return pad(run, call, STRIP_LEFT, out);
}

static tern_status method_center(struct run *run, const struct call *call, struct value *out)
{
    return pad(run, call, STRIP_LEFT | STRIP_RIGHT, out);
}

static tern_status method_zfill(struct run *run, const struct call *call, struct value *out)
{
    struct string text = call->self.string;
    struct builder builder = {0};
    int64_t width;
    TRY(argument_integer(run, call->argument[0], "the width", &width));
    int64_t missing = width - (int64_t)string_characters(text);
    size_t sign = text.length > 0 && (text.data[0] == '-' || text.data[0] == '+');
    TRY(builder_append(run, &builder, text.data, sign));
    TRY(builder_repeat(run, &builder, '0', missing > 0 ? (size_t)missing : 0));
    TRY(builder_append(run, &builder, text.data + sign, text.length - sign));
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status method_format(struct run *run, const struct call *call, struct value *out)
{
    return format_braces(run, call->self.string, call->all, out);
}

const struct builtin template_string_methods[] = {
    {"upper", method_upper, ""},
    {"lower", method_lower, ""},
    {"casefold", method_lower, ""},
    {"capitalize", method_capitalize, ""},
    {"swapcase", method_swapcase, ""},
    {"title", method_title, ""},
    {"isalpha", method_isalpha, ""},
    {"isalnum", method_isalnum, ""},
    {"isdigit", method_isdigit, ""},
    {"isdecimal", method_isdecimal, ""},
    {"isnumeric", method_isnumeric, ""},
    {"isspace", method_isspace, ""},
    {"isupper", method_isupper, ""},
    {"islower", method_islower, ""},
    {"strip", method_strip, "|chars"},
    {"lstrip", method_lstrip, "|chars"},
    {"rstrip", method_rstrip, "|chars"},
    {"startswith", method_startswith, "prefix"},
    {"endswith", method_endswith, "suffix"},
    {"removeprefix", method_removeprefix, "prefix"},
    {"removesuffix", method_removesuffix, "suffix"},
    {"find", method_find, "sub | start end"},
    {"rfind", method_rfind, "sub | start end"},
    {"index", method_index, "sub | start end"},
    {"count", method_count, "sub | start end"},
    {"replace", method_replace, "old new | count"},
    {"split", method_split, "| sep maxsplit"},
    {"rsplit", method_rsplit, "| sep maxsplit"},
    {"partition", method_partition, "sep"},
    {"rpartition", method_rpartition, "sep"},
    {"splitlines", method_splitlines, "| keepends"},
    {"join", method_join, "iterable"},
    {"ljust", method_ljust, "width | fillchar"},
    {"rjust", method_rjust, "width | fillchar"},
    {"center", method_center, "width | fillchar"},
    {"zfill", method_zfill, "width"},
    {"format", method_format, NULL},
    {NULL, NULL, NULL},
};
