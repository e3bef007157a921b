#include "text/template_syntax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

// Far beyond any real template (the longest known are about 50 KB).
enum { SOURCE_BYTES = 1 << 20 };

static char *normalise_newlines(struct arena *arena, const char *source, size_t length, size_t *normalised)
{
    char *copy = template_arena_array(arena, length + 1, 1);
    if (!copy) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (source[i] == '\r') {
            copy[n++] = '\n';
            if (i + 1 < length && source[i + 1] == '\n') i++;
        } else {
            copy[n++] = source[i];
        }
    }
    if (n > 0 && copy[n - 1] == '\n') n--;
    *normalised = n;
    return copy;
}

tern_status lexer_open(struct lexer *lexer, struct arena *arena, const char *source, size_t length)
{
    *lexer = (struct lexer){.arena = arena, .line = 1, .line_starting = true};
    if (length > SOURCE_BYTES)
        return status_fail(TERN_LIMIT, "template of %zu bytes: at most %d are read", length, SOURCE_BYTES);
    lexer->source.data = normalise_newlines(arena, source, length, &lexer->source.length);
    return lexer->source.data ? TERN_OK : arena->failure;
}

static tern_status lexer_fail(const struct lexer *lexer, const char *what)
{
    return status_fail(TERN_BAD_FILE, "template line %d: %s", lexer->line, what);
}

static bool looking_at(const struct lexer *lexer, size_t position, const char *text)
{
    size_t n = strlen(text);
    return lexer->source.length - position >= n && memcmp(lexer->source.data + position, text, n) == 0;
}

static char character_at(const struct lexer *lexer, size_t position)
{
    return position < lexer->source.length ? lexer->source.data[position] : '\0';
}

static void advance_to(struct lexer *lexer, size_t position)
{
    for (size_t i = lexer->position; i < position; i++)
        lexer->line += lexer->source.data[i] == '\n';
    if (position > 0) lexer->line_starting = lexer->source.data[position - 1] == '\n';
    lexer->position = position;
}

static size_t skip_space(const struct lexer *lexer, size_t position)
{
    while (position < lexer->source.length) {
        uint32_t c;
        int n = utf8_decode(lexer->source.data + position, lexer->source.length - position, &c);
        if (n < 0 || !character_is_space(c)) break;
        position += (size_t)n;
    }
    return position;
}

// ---- Text and the beginnings of tags ----------------------------------------------------------------------------

// Length of a tag's end at `position` (with the white space that it swallows), 0 if there is none there.
// "-%}" swallows all space that follows, "+%}" none, "%}" one newline where `trims`.
static size_t tag_end(const struct lexer *lexer, size_t position, const char *closing, bool trims)
{
    if (character_at(lexer, position) == '-' && looking_at(lexer, position + 1, closing))
        return skip_space(lexer, position + 3) - position;
    if (trims && character_at(lexer, position) == '+' && looking_at(lexer, position + 1, closing)) return 3;
    if (!looking_at(lexer, position, closing)) return 0;
    return trims && character_at(lexer, position + 2) == '\n' ? 3 : 2;
}

// Length of "{% raw %}" at `position`, 0 if there is none there.
static size_t raw_begin(const struct lexer *lexer, size_t position)
{
    size_t p = position + 2;
    if (character_at(lexer, p) == '-' || character_at(lexer, p) == '+') p++;
    p = skip_space(lexer, p);
    if (!looking_at(lexer, p, "raw")) return 0;
    p = skip_space(lexer, p + 3);
    if (looking_at(lexer, p, "-%}")) return skip_space(lexer, p + 3) - position;
    return looking_at(lexer, p, "%}") ? p + 2 - position : 0;
}

static size_t raw_end(const struct lexer *lexer, size_t position)
{
    size_t p = position + 2;
    if (character_at(lexer, p) == '-' || character_at(lexer, p) == '+') p++;
    p = skip_space(lexer, p);
    if (!looking_at(lexer, p, "endraw")) return 0;
    p = skip_space(lexer, p + 6);
    size_t end = tag_end(lexer, p, "%}", true);
    return end ? p + end - position : 0;
}

// What is left of text before a tag whose sign ('-', '+' or another character) is given.
static struct string strip_before_tag(const struct lexer *lexer, struct string text, char sign, bool is_variable)
{
    if (sign == '-') {
        size_t kept = 0; // bytes up to the last character that is no space
        for (size_t i = 0; i < text.length;) {
            uint32_t c;
            int n = utf8_decode(text.data + i, text.length - i, &c);
            i += (size_t)abs(n);
            if (n < 0 || !character_is_space(c)) kept = i;
        }
        text.length = kept;
    } else if (sign != '+' && !is_variable) {
        size_t line = text.length;
        while (line > 0 && text.data[line - 1] != '\n')
            line--;
        const struct lexer rest = {.source = text};
        if ((line > 0 || lexer->line_starting) && skip_space(&rest, line) == text.length) text.length = line;
    }
    return text;
}

static tern_status skip_comment(struct lexer *lexer, size_t position)
{
    size_t p = position + 2;
    if (character_at(lexer, p) == '-' || character_at(lexer, p) == '+') p++;
    for (; p < lexer->source.length; p++) {
        size_t end = tag_end(lexer, p, "#}", true);
        if (end) {
            advance_to(lexer, p + end);
            return TERN_OK;
        }
    }
    return lexer_fail(lexer, "a comment without its end, '#}'");
}

static tern_status read_raw(struct lexer *lexer, size_t begin_length, struct token *token)
{
    advance_to(lexer, lexer->position + begin_length);
    size_t start = lexer->position;
    for (size_t p = start; p < lexer->source.length; p++) {
        size_t end = looking_at(lexer, p, "{%") ? raw_end(lexer, p) : 0;
        if (!end) continue;
        struct string text = {lexer->source.data + start, p - start};
        token->text = strip_before_tag(lexer, text, character_at(lexer, p + 2), false);
        advance_to(lexer, p + end);
        return TERN_OK;
    }
    return lexer_fail(lexer, "a raw block without its end, '{% endraw %}'");
}

static size_t find_tag(const struct lexer *lexer)
{
    for (size_t p = lexer->position; p + 1 < lexer->source.length; p++) {
        if (lexer->source.data[p] == '{' && strchr("{%#", lexer->source.data[p + 1]) && lexer->source.data[p + 1])
            return p;
    }
    return lexer->source.length;
}

// One piece of text up to a tag (which becomes pending), a comment or a raw block; may be empty.
static tern_status read_data(struct lexer *lexer, struct token *token)
{
    size_t start = lexer->position, tag = find_tag(lexer);
    token->kind = TOKEN_DATA;
    token->text = (struct string){lexer->source.data + start, tag - start};
    if (tag == lexer->source.length) {
        advance_to(lexer, tag);
        return TERN_OK;
    }
    char opening = lexer->source.data[tag + 1];
    size_t raw = opening == '%' ? raw_begin(lexer, tag) : 0;
    char sign = character_at(lexer, tag + 2);
    token->text = strip_before_tag(lexer, token->text, sign, opening == '{');
    advance_to(lexer, tag);
    if (opening == '#') return token->text.length > 0 ? TERN_OK : skip_comment(lexer, tag);
    if (raw) return token->text.length > 0 ? TERN_OK : read_raw(lexer, raw, token);
    lexer->pending = opening == '%' ? TOKEN_BLOCK_BEGIN : TOKEN_VARIABLE_BEGIN;
    lexer->pending_length = sign == '-' || sign == '+' ? 3 : 2;
    return TERN_OK;
}

// ---- Inside tags ------------------------------------------------------------------------------------------------

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// The digits of base `base` at `position`, single underscores between them allowed.
static size_t skip_digits(const struct lexer *lexer, size_t position, int base)
{
    for (;; position++) {
        char c = character_at(lexer, position);
        if (c == '_') c = character_at(lexer, position + 1);
        int digit = is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
        if (digit >= base) return position;
        if (character_at(lexer, position) == '_') position++;
    }
}

// End of a number with a fraction or an exponent, 0 if what is at the position is none.
static size_t float_end(const struct lexer *lexer)
{
    size_t start = lexer->position, p = skip_digits(lexer, start, 10);
    bool is_float = false;
    if (start > 0 && lexer->source.data[start - 1] == '.') return 0;
    if (character_at(lexer, p) == '.' && is_digit(character_at(lexer, p + 1))) {
        p = skip_digits(lexer, p + 1, 10);
        is_float = true;
    }
    if ((character_at(lexer, p) | 32) == 'e') {
        size_t e = p + 1;
        if (character_at(lexer, e) == '+' || character_at(lexer, e) == '-') e++;
        if (is_digit(character_at(lexer, e))) {
            p = skip_digits(lexer, e, 10);
            is_float = true;
        }
    }
    return is_float ? p : 0;
}

// The bytes of a number without underscores, for strtod(); numbers of more digits than fit are cut.
static void copy_digits(const struct lexer *lexer, size_t end, char digits[128])
{
    size_t n = 0;
    for (size_t i = lexer->position; i < end && n < 127; i++)
        if (lexer->source.data[i] != '_') digits[n++] = lexer->source.data[i];
    digits[n] = '\0';
}

static tern_status read_integer(struct lexer *lexer, struct token *token)
{
    char second = (char)(character_at(lexer, lexer->position + 1) | 32);
    int base = 10;
    if (character_at(lexer, lexer->position) == '0')
        base = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 1;
    size_t p = lexer->position + (base == 16 || base == 8 || base == 2 ? 2 : 0);
    size_t end = skip_digits(lexer, p, base);
    if (end == p) return lexer_fail(lexer, "a number without digits");
    int64_t number = 0;
    for (; p < end; p++) {
        char c = lexer->source.data[p];
        if (c == '_') continue;
        int digit = is_digit(c) ? c - '0' : (c | 32) - 'a' + 10;
        if (__builtin_mul_overflow(number, base, &number) || __builtin_add_overflow(number, digit, &number))
            return lexer_fail(lexer, "a number beyond 64 bits");
    }
    token->kind = TOKEN_INTEGER;
    token->number = value_integer(number);
    advance_to(lexer, end);
    return TERN_OK;
}

static tern_status read_number(struct lexer *lexer, struct token *token)
{
    size_t end = float_end(lexer);
    if (!end) return read_integer(lexer, token);
    char digits[128];
    copy_digits(lexer, end, digits);
    token->kind = TOKEN_FLOAT;
    token->number = value_float(strtod(digits, NULL));
    advance_to(lexer, end);
    return TERN_OK;
}

static void read_name(struct lexer *lexer, struct token *token)
{
    size_t end = lexer->position;
    while (is_name_start(character_at(lexer, end)) || is_digit(character_at(lexer, end)))
        end++;
    token->kind = TOKEN_NAME;
    token->text = (struct string){lexer->source.data + lexer->position, end - lexer->position};
    advance_to(lexer, end);
}

static int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// `digits` hexadecimal digits at `text`, or -1.
static int64_t read_hex(const char *text, const char *end, int digits)
{
    int64_t code = 0;
    if (end - text < digits) return -1;
    for (int i = 0; i < digits; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

// Resolves one escape of a Python string after its backslash. Returns how many bytes it took, or 0 if it is broken;
// writes at most 4 bytes to `out`, never more than it took plus one.
static size_t read_escape(const char *text, const char *end, char *out, size_t *written)
{
    static const char letters[] = "abfnrtv\\'\"", meanings[] = "\a\b\f\n\r\t\v\\'\"";
    const char *letter = strchr(letters, text[0]);
    *written = 1;
    if (letter && *letter) {
        out[0] = meanings[letter - letters];
        return 1;
    }
    if (text[0] == '\n') {
        *written = 0;
        return 1;
    }
    if (text[0] == 'x' || text[0] == 'u' || text[0] == 'U') {
        int digits = text[0] == 'x' ? 2 : text[0] == 'u' ? 4 : 8;
        int64_t code = read_hex(text + 1, end, digits);
        if (code < 0 || code > 0x10FFFF) return 0;
        *written = (size_t)utf8_encode((uint32_t)code, out);
        return 1 + (size_t)digits;
    }
    if (text[0] >= '0' && text[0] <= '7') {
        uint32_t code = 0;
        size_t n = 0;
        for (; n < 3 && text + n < end && text[n] >= '0' && text[n] <= '7'; n++)
            code = code * 8 + (uint32_t)(text[n] - '0');
        *written = (size_t)utf8_encode(code, out);
        return n;
    }
    if (text[0] == 'N') return 0;
    out[0] = '\\'; // unknown escapes stay as they are
    out[1] = text[0];
    *written = 2;
    return 1;
}

static tern_status resolve_escapes(struct lexer *lexer, struct string *text)
{
    char *resolved = template_arena_array(lexer->arena, text->length + 1, 1);
    if (!resolved) return lexer->arena->failure;
    const char *end = text->data + text->length;
    size_t n = 0;
    for (const char *p = text->data; p < end;) {
        if (*p != '\\') {
            resolved[n++] = *p++;
            continue;
        }
        size_t written, taken = read_escape(p + 1, end, resolved + n, &written);
        if (!taken) return lexer_fail(lexer, "a string with a broken escape");
        p += 1 + taken;
        n += written;
    }
    *text = (struct string){resolved, n};
    return TERN_OK;
}

static tern_status read_string(struct lexer *lexer, struct token *token)
{
    char quote = lexer->source.data[lexer->position];
    size_t start = lexer->position + 1, p = start;
    bool escapes = false;
    while (p < lexer->source.length && lexer->source.data[p] != quote) {
        if (lexer->source.data[p] == '\\') {
            escapes = true;
            p++;
        }
        p++;
    }
    if (p >= lexer->source.length) return lexer_fail(lexer, "a string without its closing quote");
    token->kind = TOKEN_STRING;
    token->text = (struct string){lexer->source.data + start, p - start};
    if (escapes) TRY(resolve_escapes(lexer, &token->text));
    advance_to(lexer, p + 1);
    return TERN_OK;
}

static tern_status track_bracket(struct lexer *lexer, char c)
{
    const char *opening = strchr("([{", c), *closing = strchr(")]}", c);
    if (opening) {
        if (lexer->n_brackets == LEXER_BRACKETS)
            return status_fail(TERN_LIMIT, "template line %d: more than %d nested brackets", lexer->line,
                               LEXER_BRACKETS);
        lexer->brackets[lexer->n_brackets++] = ")]}"[opening - "([{"];
    } else if (closing) {
        if (lexer->n_brackets == 0)
            return status_fail(TERN_BAD_FILE, "template line %d: unexpected '%c'", lexer->line, c);
        char expected = lexer->brackets[--lexer->n_brackets];
        if (expected != c)
            return status_fail(TERN_BAD_FILE, "template line %d: unexpected '%c', expected '%c'", lexer->line, c,
                               expected);
    }
    return TERN_OK;
}

static tern_status read_operator(struct lexer *lexer, struct token *token)
{
    static const struct {
        const char *text;
        int kind;
    } pairs[] = {{"==", TOKEN_EQUAL},         {"!=", TOKEN_NOT_EQUAL},    {"<=", TOKEN_LESS_EQUAL},
                 {">=", TOKEN_GREATER_EQUAL}, {"//", TOKEN_FLOOR_DIVIDE}, {"**", TOKEN_POWER}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!looking_at(lexer, lexer->position, pairs[i].text)) continue;
        token->kind = pairs[i].kind;
        advance_to(lexer, lexer->position + 2);
        return TERN_OK;
    }
    char c = lexer->source.data[lexer->position];
    if (!c || !strchr("+-/*%~[](){}<>=.:|,;", c))
        return status_fail(TERN_BAD_FILE, "template line %d: unexpected byte 0x%02x in a tag", lexer->line,
                           (unsigned)(unsigned char)c);
    TRY(track_bracket(lexer, c));
    token->kind = c;
    advance_to(lexer, lexer->position + 1);
    return TERN_OK;
}

static bool read_tag_end(struct lexer *lexer, struct token *token)
{
    bool is_block = lexer->tag == TOKEN_BLOCK_BEGIN;
    size_t length = tag_end(lexer, lexer->position, is_block ? "%}" : "}}", is_block);
    if (lexer->n_brackets > 0 || !length) return false;
    token->kind = is_block ? TOKEN_BLOCK_END : TOKEN_VARIABLE_END;
    lexer->tag = 0;
    advance_to(lexer, lexer->position + length);
    return true;
}

static tern_status read_in_tag(struct lexer *lexer, struct token *token)
{
    if (read_tag_end(lexer, token)) return TERN_OK;
    advance_to(lexer, skip_space(lexer, lexer->position));
    token->line = lexer->line;
    if (lexer->position == lexer->source.length) {
        token->kind = TOKEN_END;
        return TERN_OK;
    }
    if (read_tag_end(lexer, token)) return TERN_OK;
    char c = lexer->source.data[lexer->position];
    if (is_digit(c)) return read_number(lexer, token);
    if (c == '\'' || c == '"') return read_string(lexer, token);
    if (!is_name_start(c)) return read_operator(lexer, token);
    read_name(lexer, token);
    return TERN_OK;
}

tern_status lexer_next(struct lexer *lexer, struct token *token)
{
    *token = (struct token){.kind = TOKEN_END, .line = lexer->line};
    while (!lexer->tag && !lexer->pending && lexer->position < lexer->source.length) {
        TRY(read_data(lexer, token));
        if (token->text.length > 0) return TERN_OK;
        token->line = lexer->line;
    }
    if (lexer->pending) {
        token->kind = lexer->tag = lexer->pending;
        lexer->pending = 0;
        advance_to(lexer, lexer->position + lexer->pending_length);
        return TERN_OK;
    }
    if (lexer->tag) return read_in_tag(lexer, token);
    token->kind = TOKEN_END;
    return TERN_OK;
}

const char *token_describe(const struct token *token, char buffer[64])
{
    static const char *const words[] = {
        [TOKEN_END - TOKEN_END] = "the end of the template",
        [TOKEN_DATA - TOKEN_END] = "text",
        [TOKEN_BLOCK_BEGIN - TOKEN_END] = "'{%'",
        [TOKEN_BLOCK_END - TOKEN_END] = "'%}'",
        [TOKEN_VARIABLE_BEGIN - TOKEN_END] = "'{{'",
        [TOKEN_VARIABLE_END - TOKEN_END] = "'}}'",
        [TOKEN_STRING - TOKEN_END] = "a string",
        [TOKEN_INTEGER - TOKEN_END] = "a number",
        [TOKEN_FLOAT - TOKEN_END] = "a number",
        [TOKEN_EQUAL - TOKEN_END] = "'=='",
        [TOKEN_NOT_EQUAL - TOKEN_END] = "'!='",
        [TOKEN_LESS_EQUAL - TOKEN_END] = "'<='",
        [TOKEN_GREATER_EQUAL - TOKEN_END] = "'>='",
        [TOKEN_FLOOR_DIVIDE - TOKEN_END] = "'//'",
        [TOKEN_POWER - TOKEN_END] = "'**'",
    };
    if (token->kind == TOKEN_NAME) {
        int shown = token->text.length < 40 ? (int)token->text.length : 40;
        snprintf(buffer, 64, "'%.*s'", shown, token->text.data);
        return buffer;
    }
    if (token->kind >= TOKEN_END) return words[token->kind - TOKEN_END];
    snprintf(buffer, 64, "'%c'", token->kind);
    return buffer;
}
