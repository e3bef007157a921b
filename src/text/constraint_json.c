#include "text/constraint_json.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum { MAX_TEXT = 4 << 20, MAX_DEPTH = 128 };

struct json_text {
    struct arena *arena;
    const char *text;
    size_t length, at;
    int depth;
    uint32_t count;
};

static tern_status expected(const struct json_text *r, const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < r->at; i++) {
        column = r->text[i] == '\n' ? 1 : column + 1;
        line += r->text[i] == '\n';
    }
    return status_fail(TERN_INVALID, "JSON, line %zu, column %zu: %s expected", line, column, what);
}

static int peek(const struct json_text *r)
{
    return r->at < r->length ? (unsigned char)r->text[r->at] : -1;
}

static void skip_blanks(struct json_text *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r') {
        r->at++;
    }
}

static bool take(struct json_text *r, char c)
{
    skip_blanks(r);
    if (peek(r) != (unsigned char)c) return false;
    r->at++;
    return true;
}

// ---- Scalars --------------------------------------------------------------------------------------------------------

static tern_status read_unit(struct json_text *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(r), letter = c | 32;
        bool is_letter = c > 0 && letter >= 'a' && letter <= 'f';
        if (!(c >= '0' && c <= '9') && !is_letter) return expected(r, "a hexadecimal digit");
        *out = *out * 16 + (uint32_t)(is_letter ? letter - 'a' + 10 : c - '0');
        r->at++;
    }
    return TERN_OK;
}

// After "\u".
static tern_status read_unicode(struct json_text *r, uint32_t *out)
{
    uint32_t low;
    TRY(read_unit(r, out));
    if (*out < 0xD800 || *out > 0xDFFF) return TERN_OK;
    if (*out > 0xDBFF || r->length - r->at < 6 || memcmp(r->text + r->at, "\\u", 2) != 0)
        return expected(r, "the two halves of a surrogate pair");
    r->at += 2;
    TRY(read_unit(r, &low));
    if (low < 0xDC00 || low > 0xDFFF) return expected(r, "the second half of a surrogate pair");
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return TERN_OK;
}

static tern_status read_character(struct json_text *r, uint32_t *out)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    if (c < 0x20) return expected(r, c < 0 ? "'\"'" : "a character (control characters need an escape)");
    if (c != '\\') {
        int n = utf8_decode(r->text + r->at, r->length - r->at, out);
        if (n < 0) return expected(r, "valid UTF-8");
        r->at += (size_t)n;
        return TERN_OK;
    }
    r->at++;
    c = peek(r);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (!letter && c != 'u') return expected(r, "an escape (one of \"\\/bfnrtu)");
    r->at++;
    if (!letter) return read_unicode(r, out);
    *out = (unsigned char)meanings[letter - letters];
    return TERN_OK;
}

// After the opening quote. What is written is never longer than what is read.
static tern_status read_string(struct json_text *r, const char **out, size_t *length)
{
    char *text;
    size_t end = r->at;
    while (end < r->length && r->text[end] != '"') {
        end += r->text[end] == '\\' ? 2 : 1;
    }
    TRY(arena_alloc(r->arena, (end < r->length ? end : r->length) - r->at + 1, 1, &text));
    *out = text;
    *length = 0;
    while (peek(r) != '"') {
        uint32_t code;
        char utf8[4];
        TRY(read_character(r, &code));
        int n = utf8_encode(code, utf8);
        memcpy(text + *length, utf8, (size_t)n);
        *length += (size_t)n;
    }
    r->at++;
    return TERN_OK;
}

static tern_status skip_digits(struct json_text *r)
{
    size_t start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9') {
        r->at++;
    }
    return r->at > start ? TERN_OK : expected(r, "a digit");
}

static tern_status read_number(struct json_text *r, struct json *out)
{
    size_t start = r->at;
    if (peek(r) == '-') r->at++;
    if (peek(r) < '0' || peek(r) > '9') return expected(r, "a value");
    if (peek(r) == '0')
        r->at++;
    else
        TRY(skip_digits(r));
    if (peek(r) == '.') {
        r->at++;
        TRY(skip_digits(r));
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-') r->at++;
        TRY(skip_digits(r));
    }
    out->kind = JSON_NUMBER;
    out->text = r->text + start;
    out->length = r->at - start;
    return TERN_OK;
}

static tern_status read_word(struct json_text *r, struct json *out)
{
    static const struct {
        const char *word;
        size_t length;
        enum json_kind kind;
    } words[] = {{"null", 4, JSON_NULL}, {"false", 5, JSON_FALSE}, {"true", 4, JSON_TRUE}};
    for (size_t i = 0; i < 3; i++) {
        if (r->length - r->at < words[i].length || memcmp(r->text + r->at, words[i].word, words[i].length) != 0)
            continue;
        r->at += words[i].length;
        out->kind = words[i].kind;
        return TERN_OK;
    }
    return read_number(r, out);
}

// ---- Arrays and objects ---------------------------------------------------------------------------------------------

static tern_status read_value(struct json_text *r, struct json *out);

static tern_status add_value(struct json_text *r, struct json *parent, const struct json ***end, struct json **out)
{
    struct json *value;
    TRY(arena_alloc(r->arena, 1, sizeof *value, &value));
    value->parent = parent;
    value->index = parent->count++;
    **end = value;
    *end = &value->next;
    *out = value;
    return TERN_OK;
}

static tern_status list_members(struct json_text *r, struct json *parent)
{
    size_t n = 0;
    TRY(arena_alloc(r->arena, parent->count, sizeof *parent->sorted, &parent->sorted));
    for (const struct json *m = parent->first; m; m = m->next) {
        parent->sorted[n++] = m;
    }
    return TERN_OK;
}

// After '['.
static tern_status read_array(struct json_text *r, struct json *out)
{
    const struct json **end = &out->first;
    out->kind = JSON_ARRAY;
    if (take(r, ']')) return TERN_OK;
    do {
        struct json *item;
        TRY(add_value(r, out, &end, &item));
        TRY(read_value(r, item));
    } while (take(r, ','));
    if (!take(r, ']')) return expected(r, "',' or ']'");
    return list_members(r, out);
}

static int compare_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length) return a_length < b_length ? -1 : 1;
    return memcmp(a, b, a_length);
}

static int compare_keys(const void *a, const void *b)
{
    const struct json *x = *(const struct json *const *)a, *y = *(const struct json *const *)b;
    return compare_text(x->key, x->key_length, y->key, y->key_length);
}

static tern_status sort_keys(struct json_text *r, struct json *object)
{
    TRY(list_members(r, object));
    const struct json **members = object->sorted;
    qsort(members, object->count, sizeof *members, compare_keys);
    for (size_t i = 1; i < object->count; i++) {
        if (compare_keys(&members[i - 1], &members[i]) == 0)
            return status_fail(TERN_INVALID, "JSON: the key \"%.*s\" is twice in the object at %s",
                               (int)(members[i]->key_length < 40 ? members[i]->key_length : 40), members[i]->key,
                               json_where(object).text);
    }
    return TERN_OK;
}

// After '{'.
static tern_status read_object(struct json_text *r, struct json *out)
{
    const struct json **end = &out->first;
    out->kind = JSON_OBJECT;
    if (take(r, '}')) return TERN_OK;
    do {
        struct json *member;
        if (!take(r, '"')) return expected(r, "a key in '\"'");
        TRY(add_value(r, out, &end, &member));
        TRY(read_string(r, &member->key, &member->key_length));
        if (!take(r, ':')) return expected(r, "':'");
        TRY(read_value(r, member));
    } while (take(r, ','));
    if (!take(r, '}')) return expected(r, "',' or '}'");
    return sort_keys(r, out);
}

static tern_status read_inside(struct json_text *r, struct json *out)
{
    if (take(r, '{')) return read_object(r, out);
    if (take(r, '[')) return read_array(r, out);
    if (!take(r, '"')) return read_word(r, out);
    out->kind = JSON_STRING;
    return read_string(r, &out->text, &out->length);
}

static tern_status read_value(struct json_text *r, struct json *out)
{
    if (++r->depth > MAX_DEPTH) return status_fail(TERN_LIMIT, "JSON: nested more than %d deep", MAX_DEPTH);
    out->number = r->count++;
    TRY(read_inside(r, out));
    r->depth--;
    return TERN_OK;
}

tern_status json_read(struct arena *arena, const char *text, size_t length, const struct json **out)
{
    struct json_text reader = {.arena = arena, .text = text, .length = length};
    struct json *value;
    if (length > MAX_TEXT) return status_fail(TERN_LIMIT, "JSON: more than %d bytes", MAX_TEXT);
    TRY(arena_alloc(arena, 1, sizeof *value, &value));
    TRY(read_value(&reader, value));
    skip_blanks(&reader);
    *out = value;
    return reader.at == length ? TERN_OK : expected(&reader, "the end");
}

// ---- Looking around -------------------------------------------------------------------------------------------------

bool json_same_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && memcmp(a, b, a_length) == 0;
}

const struct json *json_find(const struct json *object, const char *key, size_t length)
{
    if (object->kind != JSON_OBJECT) return NULL;
    for (uint32_t low = 0, high = object->count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        const struct json *m = object->sorted[middle];
        int order = compare_text(m->key, m->key_length, key, length);
        if (order == 0) return m;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return json_find(object, key, strlen(key));
}

bool json_is(const struct json *string, const char *text)
{
    return string->kind == JSON_STRING && json_same_text(string->text, string->length, text, strlen(text));
}

// Puts text before what is at out[*at ...]. False: there is no room left.
static bool put_before(char *out, size_t *at, const char *text, size_t length)
{
    if (length > *at) return false;
    *at -= length;
    memcpy(out + *at, text, length);
    return true;
}

static bool put_step(char *out, size_t *at, const struct json *value)
{
    char digits[16];
    size_t n = sizeof digits;
    if (value->key) return put_before(out, at, value->key, value->key_length) && put_before(out, at, "/", 1);
    for (uint32_t index = value->index; n == sizeof digits || index > 0; index /= 10) {
        digits[--n] = (char)('0' + index % 10);
    }
    return put_before(out, at, digits + n, sizeof digits - n) && put_before(out, at, "/", 1);
}

struct json_place json_where(const struct json *value)
{
    struct json_place place;
    size_t at = sizeof place.text - 1, end = at;
    for (; value->parent && put_step(place.text, &at, value); value = value->parent) {
    }
    if (value->parent && at > 4) put_before(place.text, &at, "...", 3);
    if (at == end) place.text[--at] = '/';
    place.text[end] = '\0';
    memmove(place.text, place.text + at, end - at + 1);
    return place;
}
