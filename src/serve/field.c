#include "serve/field.h"

#include "serve/json_memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A parsed object takes a hundred times the memory of "{}," and a number ten times that of "1,": what jansson 2.14
// allocates for each, and for the name of a pair.
enum { CONTAINER_BYTES = 256, VALUE_BYTES = 64, PAIR_BYTES = 96 };

struct amount {
    size_t containers, values, pairs;
};

static struct amount count_values(const char *body, size_t length)
{
    struct amount n = {0};
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        if (in_string && body[i] == '\\')
            i++;
        else if (body[i] == '"')
            in_string = !in_string;
        else if (!in_string) {
            n.containers += body[i] == '{' || body[i] == '[';
            n.values += body[i] == ',';
            n.pairs += body[i] == ':';
        }
    }
    return n;
}

static size_t memory_of(struct amount n, size_t length)
{
    return n.containers * CONTAINER_BYTES + n.values * VALUE_BYTES + n.pairs * PAIR_BYTES + length;
}

size_t field_body_memory(const char *body, size_t length)
{
    return memory_of(count_values(body, length), length);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t field_most_memory(size_t length)
{
    struct amount n = {.containers = least(length / 2, FIELD_MAX_CONTAINERS),
                       .values = least(length / 2, FIELD_MAX_VALUES)};
    n.pairs = least(length / 4, n.containers + n.values);
    return memory_of(n, length);
}

bool field_open_body(const char *body, size_t length, json_t **root, struct api_error *error)
{
    json_error_t why;
    *root = NULL;
    struct amount n = count_values(body, length);
    if (n.containers > FIELD_MAX_CONTAINERS || n.values > FIELD_MAX_VALUES)
        return api_error_invalid(error, NULL, "invalid_json",
                                 "the body has more than %d objects and arrays, or more than %d values",
                                 FIELD_MAX_CONTAINERS, FIELD_MAX_VALUES);
    *root = json_memory_read(body, length, 0, &why);
    if (*root == NULL && json_memory_lost()) return api_error_from_status(error, TERN_NO_MEMORY, NULL);
    if (*root == NULL)
        return api_error_invalid(error, NULL, "invalid_json", "the body is no valid JSON: line %d, column %d: %s",
                                 why.line, why.column, why.text);
    if (json_is_object(*root)) return true;
    json_decref(*root);
    *root = NULL;
    return api_error_invalid(error, NULL, "invalid_json", "the body is no JSON object");
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

bool field_fail(const struct fields *f, const char *name, const char *format, ...)
{
    char message[API_ERROR_MESSAGE_BYTES], param[API_ERROR_PARAM_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    snprintf(param, sizeof param, "%s%s", f->where, name);
    return api_error_invalid(f->error, param, NULL, "%s: %s", param, message);
}

bool field_fail_memory(const struct fields *f)
{
    return api_error_from_status(f->error, TERN_NO_MEMORY, NULL);
}

// value: NULL if there is none where one must be.
static bool wrong_type(const struct fields *f, const char *name, const char *expected, const json_t *value)
{
    if (value == NULL) return field_fail(f, name, "it is missing");
    field_fail(f, name, "expected %s, got %s", expected, type_name(value));
    f->error->code = "invalid_type";
    return false;
}

// NULL if the field is absent or null.
static const json_t *find(const struct fields *f, const char *name)
{
    const json_t *value = json_object_get(f->object, name);
    return json_is_null(value) ? NULL : value;
}

bool field_is_given(const struct fields *f, const char *name)
{
    return find(f, name) != NULL;
}

bool field_enter(const struct fields *parent, const char *name, int index, const json_t *value, struct fields *out)
{
    char at[API_ERROR_PARAM_BYTES];
    if (index < 0)
        snprintf(at, sizeof at, "%s", name);
    else
        snprintf(at, sizeof at, "%s[%d]", name, index);
    if (!json_is_object(value)) return wrong_type(parent, at, "an object", value);
    *out = (struct fields){.object = value, .error = parent->error};
    snprintf(out->where, sizeof out->where, "%.*s%.*s.", 30, parent->where, 30, at);
    return true;
}

bool field_bool(const struct fields *f, const char *name, bool *out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    if (!json_is_boolean(value)) return wrong_type(f, name, "true or false", value);
    *out = json_is_true(value);
    return true;
}

bool field_number(const struct fields *f, const char *name, double low, double high, double *out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    if (!json_is_number(value)) return wrong_type(f, name, "a number", value);
    double number = json_number_value(value);
    if (!(number >= low && number <= high))
        return field_fail(f, name, "%g is out of bounds, expected %g to %g", number, low, high);
    *out = number;
    return true;
}

bool field_float(const struct fields *f, const char *name, double low, double high, float *out)
{
    double number = (double)*out;
    if (!field_number(f, name, low, high, &number)) return false;
    *out = (float)number;
    return true;
}

bool field_integer(const struct fields *f, const char *name, int64_t low, int64_t high, int64_t *out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    int64_t number = json_integer_value(value);
    if (json_is_real(value)) {
        double real = json_real_value(value);
        // Beyond 2^53 a double no longer says which whole number is meant.
        if (real != floor(real) || fabs(real) > 0x1p53) return wrong_type(f, name, "a whole number", value);
        number = (int64_t)real;
    } else if (!json_is_integer(value)) {
        return wrong_type(f, name, "a whole number", value);
    }
    if (number < low || number > high)
        return field_fail(f, name, "%lld is out of bounds, expected %lld to %lld", (long long)number, (long long)low,
                          (long long)high);
    *out = number;
    return true;
}

bool field_int(const struct fields *f, const char *name, int low, int high, int *out)
{
    int64_t number = *out;
    if (!field_integer(f, name, low, high, &number)) return false;
    *out = (int)number;
    return true;
}

bool field_text(const struct fields *f, const char *name, const char **out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    if (!json_is_string(value)) return wrong_type(f, name, "a string", value);
    *out = json_string_value(value);
    return true;
}

bool field_object(const struct fields *f, const char *name, const json_t **out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    if (!json_is_object(value)) return wrong_type(f, name, "an object", value);
    *out = value;
    return true;
}

bool field_array(const struct fields *f, const char *name, size_t most, const json_t **out)
{
    const json_t *value = find(f, name);
    if (value == NULL) return true;
    if (!json_is_array(value)) return wrong_type(f, name, "an array", value);
    if (json_array_size(value) > most)
        return field_fail(f, name, "%zu entries, at most %zu are taken", json_array_size(value), most);
    *out = value;
    return true;
}

bool field_tokens(const struct fields *f, const char *name, const json_t *list, tern_token **out, size_t *count)
{
    size_t index;
    const json_t *item;
    *count = 0;
    *out = calloc(json_array_size(list) + 1, sizeof **out);
    if (*out == NULL) return field_fail_memory(f);
    json_array_foreach(list, index, item)
    {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id > INT32_MAX)
            return field_fail(f, name, "entry %zu is no token id", index);
        (*out)[(*count)++] = (tern_token)id;
    }
    return true;
}

bool field_choice(const struct fields *f, const char *name, const char *words, int *out)
{
    const char *text = NULL;
    if (!field_text(f, name, &text)) return false;
    if (text == NULL) return true;
    size_t length = strlen(text);
    int index = 0;
    for (const char *word = words; *word != '\0'; index++) {
        size_t n = strcspn(word, "|");
        if (n == length && memcmp(word, text, n) == 0) {
            *out = index;
            return true;
        }
        word += n + (word[n] == '|');
    }
    return field_fail(f, name, "'%.40s' is unknown, expected one of %s", text, words);
}
