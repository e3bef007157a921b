#include "text/reply_call.h"

#include <string.h>

#include "text/utf8.h"

void reply_call_free(struct reply_call *call)
{
    buffer_free(&call->key);
    buffer_free(&call->name);
    buffer_free(&call->arguments);
}

void reply_call_next(struct reply_call *call)
{
    call->key.length = call->name.length = call->arguments.length = 0;
    call->string = (struct json_string){0};
    call->named = call->argued = call->argued_out = false;
    call->place = call->in_list ? CALL_NEXT_OR_CLOSE : CALL_START;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// ---- Strings ----------------------------------------------------------------------------------------------------

static tern_status append_character(uint32_t code, struct buffer *out)
{
    char bytes[4];
    // NUL would end a name; nobody means it.
    return buffer_append(out, bytes, (size_t)utf8_encode(code == 0 ? 0xFFFD : code, bytes));
}

// A high surrogate whose other half did not come.
static tern_status drop_surrogate(struct json_string *string, struct buffer *out)
{
    if (string->high == 0) return TERN_OK;
    string->high = 0;
    return append_character(0xFFFD, out);
}

static tern_status end_unicode_escape(struct json_string *string, struct buffer *out)
{
    uint32_t code = string->code, high = string->high;
    string->n_escape = 0;
    if (high != 0 && code >= 0xDC00 && code < 0xE000) {
        string->high = 0;
        return append_character(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00), out);
    }
    TRY(drop_surrogate(string, out));
    if (code < 0xD800 || code >= 0xDC00) return append_character(code, out);
    string->high = code;
    return TERN_OK;
}

static int hex_digit(char byte)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = byte == '\0' ? NULL : strchr(digits, byte);
    return found == NULL ? -1 : (int)((found - digits) % 16);
}

// Takes the next byte of an escape. *broken: JSON has no such escape; the byte was not taken.
static tern_status push_escape(struct json_string *string, char byte, struct buffer *out, bool *broken)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    bool unicode = string->n_escape > 1 || byte == 'u';
    const char *letter = unicode || byte == '\0' ? NULL : strchr(letters, byte);
    int digit = string->n_escape == 1 ? 0 : hex_digit(byte);
    *broken = unicode ? digit < 0 : letter == NULL;
    if (*broken) return TERN_OK;
    string->escape[string->n_escape++] = byte;
    if (unicode) {
        string->code = string->n_escape == 2 ? 0 : string->code << 4 | (uint32_t)digit;
        return string->n_escape == 6 ? end_unicode_escape(string, out) : TERN_OK;
    }
    string->n_escape = 0;
    TRY(drop_surrogate(string, out));
    return buffer_append(out, &meant[letter - letters], 1);
}

// Takes the next byte behind the opening quote. *closed: it was the closing one. *broken: no JSON string has it there;
// it was not taken.
static tern_status push_string(struct json_string *string, char byte, struct buffer *out, bool *closed, bool *broken)
{
    *closed = *broken = false;
    if (string->n_escape > 0) return push_escape(string, byte, out, broken);
    if (byte == '\\') {
        string->escape[string->n_escape++] = byte;
        return TERN_OK;
    }
    *closed = byte == '"';
    *broken = (unsigned char)byte < 0x20;
    if (*broken) return TERN_OK;
    TRY(drop_surrogate(string, out));
    return *closed ? TERN_OK : buffer_append(out, &byte, 1);
}

// A key or the name, behind which stands `then`.
static tern_status push_in_text(struct reply_call *call, char byte, struct buffer *out, enum call_place then,
                                enum call_step *step)
{
    bool closed, broken;
    TRY(push_string(&call->string, byte, out, &closed, &broken));
    if (broken) *step = CALL_IS_NONE;
    if (closed) call->place = then;
    return TERN_OK;
}

// ---- Values -----------------------------------------------------------------------------------------------------

static bool is_key(const struct reply_call *call, const char *key)
{
    return call->key.length == strlen(key) && memcmp(call->key.data, key, call->key.length) == 0;
}

// Models mix the two words up.
static bool is_arguments_key(const struct reply_call *call)
{
    return is_key(call, call->arguments_key) || is_key(call, "arguments") || is_key(call, "parameters");
}

static void end_value(struct reply_call *call)
{
    if (call->to_arguments) call->argued_out = true;
    call->to_arguments = false;
    call->place = CALL_COMMA_OR_CLOSE;
}

static tern_status push_nested(struct reply_call *call, char byte)
{
    if (call->quoted) {
        if (call->escaped)
            call->escaped = false;
        else if (byte == '\\')
            call->escaped = true;
        else if (byte == '"')
            call->quoted = false;
    } else if (byte == '"') {
        call->quoted = true;
    } else if (byte == '{' || byte == '[') {
        call->depth++;
    } else if (byte == '}' || byte == ']') {
        call->depth--;
    }
    if (call->to_arguments) TRY(buffer_append(&call->arguments, &byte, 1));
    bool closing = byte == '"' || byte == '}' || byte == ']';
    if (closing && call->depth == 0 && !call->quoted) end_value(call);
    return TERN_OK;
}

// Arguments that are written as a string. They are being given out already, so what is no JSON is taken as it stands.
static tern_status push_in_string(struct reply_call *call, char byte)
{
    bool closed, broken;
    TRY(push_string(&call->string, byte, &call->arguments, &closed, &broken));
    if (closed) end_value(call);
    if (!broken) return TERN_OK;
    TRY(drop_surrogate(&call->string, &call->arguments));
    if (call->string.n_escape == 0) return buffer_append(&call->arguments, &byte, 1);
    TRY(buffer_append(&call->arguments, call->string.escape, (size_t)call->string.n_escape));
    call->string.n_escape = 0;
    return push_in_string(call, byte);
}

static bool begins_scalar(char byte)
{
    return byte == '-' || (byte >= '0' && byte <= '9') || byte == 't' || byte == 'f' || byte == 'n';
}

static tern_status begin_value(struct reply_call *call, char byte, enum call_step *step)
{
    call->string = (struct json_string){0};
    if (is_key(call, call->name_key) && !call->named) {
        call->name.length = 0;
        call->place = CALL_IN_NAME;
        if (byte != '"') *step = CALL_IS_NONE;
        return TERN_OK;
    }
    call->to_arguments = !call->argued && is_arguments_key(call);
    if (call->to_arguments) call->argued = true;
    if (call->to_arguments && byte == '"') {
        call->place = CALL_IN_STRING;
        return TERN_OK;
    }
    if (byte != '{' && byte != '[' && byte != '"' && !begins_scalar(byte)) {
        *step = CALL_IS_NONE;
        return TERN_OK;
    }
    call->depth = 0;
    call->quoted = call->escaped = false;
    call->place = CALL_IN_VALUE;
    return push_nested(call, byte);
}

// ---- The object -------------------------------------------------------------------------------------------------

// A comma, or the end of the object.
static void push_behind_value(struct reply_call *call, char byte, enum call_step *step)
{
    if (is_blank(byte)) return;
    if (byte == ',')
        call->place = CALL_KEY;
    else if (byte == '}' && call->named)
        *step = CALL_OBJECT_ENDS;
    else
        *step = CALL_IS_NONE;
}

static tern_status push_in_value(struct reply_call *call, char byte, enum call_step *step)
{
    bool scalar = call->depth == 0 && !call->quoted;
    if (!scalar || !(is_blank(byte) || byte == ',' || byte == '}')) {
        if (scalar && (byte == '"' || byte == '[' || byte == ']' || byte == '{')) *step = CALL_IS_NONE;
        return *step == CALL_IS_NONE ? TERN_OK : push_nested(call, byte);
    }
    end_value(call);
    push_behind_value(call, byte, step);
    return TERN_OK;
}

// Between strings and values: the byte that is expected (or another), and where it leads; blanks may stand before it.
static void push_between(struct reply_call *call, char byte, enum call_step *step)
{
    if (is_blank(byte)) return;
    if ((call->place == CALL_START || call->place == CALL_NEXT) && byte == '{') {
        call->place = CALL_KEY_OR_CLOSE;
    } else if (call->place == CALL_START && byte == '[') {
        call->in_list = true;
        call->place = CALL_NEXT;
    } else if (call->place == CALL_NEXT_OR_CLOSE && byte == ',') {
        call->place = CALL_NEXT;
    } else if (call->place == CALL_NEXT_OR_CLOSE && byte == ']') {
        *step = CALL_LIST_ENDS;
    } else if ((call->place == CALL_KEY || call->place == CALL_KEY_OR_CLOSE) && byte == '"') {
        call->key.length = 0;
        call->string = (struct json_string){0};
        call->place = CALL_IN_KEY;
    } else if (call->place == CALL_COLON && byte == ':') {
        call->place = CALL_VALUE;
    } else {
        *step = CALL_IS_NONE;
    }
}

static tern_status push_in_name(struct reply_call *call, char byte, enum call_step *step)
{
    TRY(push_in_text(call, byte, &call->name, CALL_COMMA_OR_CLOSE, step));
    call->named = call->place == CALL_COMMA_OR_CLOSE;
    if (call->named && call->name.length == 0) *step = CALL_IS_NONE;
    return TERN_OK;
}

tern_status reply_call_push(struct reply_call *call, char byte, enum call_step *step)
{
    *step = CALL_GOES_ON;
    switch (call->place) {
    case CALL_IN_KEY:
        return push_in_text(call, byte, &call->key, CALL_COLON, step);
    case CALL_IN_NAME:
        return push_in_name(call, byte, step);
    case CALL_IN_STRING:
        return push_in_string(call, byte);
    case CALL_IN_VALUE:
        return push_in_value(call, byte, step);
    case CALL_COMMA_OR_CLOSE:
        push_behind_value(call, byte, step);
        return TERN_OK;
    case CALL_VALUE:
        return is_blank(byte) ? TERN_OK : begin_value(call, byte, step);
    default:
        push_between(call, byte, step);
        return TERN_OK;
    }
}
