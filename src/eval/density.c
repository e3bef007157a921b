#include "eval/density.h"

#include "base/buffer.h"
#include "text/utf8.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Made of share/published.csv by the build.
extern const char density_published_csv[];
extern const size_t density_published_csv_bytes;

enum { MAX_MODELS = 1000, MAX_COLUMNS = 64 };

double density_of(const struct scored_model *model)
{
    return -log1p(-model->score / 100) / model->gigabytes;
}

bool density_on_frontier(const struct scored_models *models, size_t index)
{
    const struct scored_model *m = &models->items[index];
    for (size_t i = 0; i < models->count; i++) {
        const struct scored_model *other = &models->items[i];
        bool no_worse = other->gigabytes <= m->gigabytes && other->score >= m->score;
        if (no_worse && (other->gigabytes < m->gigabytes || other->score > m->score)) return false;
    }
    return true;
}

void scored_models_free(struct scored_models *models)
{
    for (size_t i = 0; i < models->count; i++) {
        free(models->items[i].name);
        free(models->items[i].group);
    }
    free(models->items);
    *models = (struct scored_models){0};
}

// ---- One model ----------------------------------------------------------------------------------------------------

// What a line or an object says; NULL or NaN: nothing.
struct fields {
    const char *model, *group, *file;
    double gigabytes, bytes, score, density;
};

static const struct fields NO_FIELDS = {.gigabytes = NAN, .bytes = NAN, .score = NAN, .density = NAN};

static tern_status measure_file(const char *path, double *gigabytes)
{
    struct stat info;
    if (stat(path, &info) != 0) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    *gigabytes = (double)info.st_size / 1e9;
    return TERN_OK;
}

static tern_status find_size(const struct fields *fields, double *gigabytes)
{
    *gigabytes = !isnan(fields->gigabytes) ? fields->gigabytes : fields->bytes / 1e9;
    if (isnan(*gigabytes) && fields->file != NULL) TRY(measure_file(fields->file, gigabytes));
    if (isnan(*gigabytes)) return status_fail(TERN_BAD_FILE, "no size: gb, bytes or file is needed");
    if (*gigabytes > 0 && *gigabytes < 1e9) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "a size of %g GB, expected more than 0 and less than 1e9", *gigabytes);
}

static tern_status make_room(struct scored_models *models)
{
    if (models->count == MAX_MODELS) return status_fail(TERN_BAD_FILE, "more than %d models", MAX_MODELS);
    if (models->count < models->capacity) return TERN_OK;
    size_t capacity = models->capacity * 2 + 16;
    struct scored_model *items = realloc(models->items, capacity * sizeof *items);
    if (items == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %zu models", capacity);
    models->items = items;
    models->capacity = capacity;
    return TERN_OK;
}

static tern_status add_model(const struct fields *fields, struct scored_models *models)
{
    const char *group = fields->group != NULL ? fields->group : "";
    struct scored_model model = {.score = fields->score};
    if (fields->model == NULL || fields->model[0] == '\0')
        return status_fail(TERN_BAD_FILE, "no name: model is needed");
    if (!utf8_valid(fields->model, strlen(fields->model)) || !utf8_valid(group, strlen(group)))
        return status_fail(TERN_BAD_FILE, "a name that is not UTF-8");
    if (isnan(fields->score)) return status_fail(TERN_BAD_FILE, "no score: a number in percent is needed");
    if (!(fields->score >= 0 && fields->score < 100))
        return status_fail(TERN_BAD_FILE, "a score of %g, expected 0 to less than 100 percent", fields->score);
    TRY(find_size(fields, &model.gigabytes));
    TRY(make_room(models));
    model.published = isnan(fields->density) ? 0 : fields->density;
    model.name = strdup(fields->model);
    model.group = strdup(group);
    models->items[models->count++] = model;
    if (model.name == NULL || model.group == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a name");
    return TERN_OK;
}

// ---- CSV ----------------------------------------------------------------------------------------------------------

struct line {
    char *columns[MAX_COLUMNS]; // NUL-terminated, in the text
    int count;
};

// Reads one value at *at, removing quotes in place; false if a quote is not closed. *last: no comma came after it.
static bool take_value(char **at, char **value, bool *last)
{
    char *from = *at, *to = *at;
    bool quoted = *from == '"';
    *value = to;
    if (quoted) from++;
    while (*from != '\0' && (quoted || (*from != ',' && *from != '\n'))) {
        if (quoted && *from == '"') {
            if (from[1] != '"') break;
            from++;
        }
        *to++ = *from++;
    }
    if (quoted && *from++ != '"') return false;
    if (*from == '\r') from++;
    if (*from != ',' && *from != '\n' && *from != '\0') return false;
    *last = *from != ',';
    *at = *from == '\0' ? from : from + 1;
    if (to > *value && !quoted && to[-1] == '\r') to--;
    *to = '\0';
    return true;
}

static tern_status take_line(char **at, struct line *line)
{
    bool last = false;
    line->count = 0;
    while (!last) {
        if (line->count == MAX_COLUMNS) return status_fail(TERN_BAD_FILE, "more than %d columns", MAX_COLUMNS);
        if (!take_value(at, &line->columns[line->count], &last))
            return status_fail(TERN_BAD_FILE, "a quoted value that does not end before a comma or the end of the line");
        line->count++;
    }
    return TERN_OK;
}

static tern_status take_number(const char *name, const char *text, double *out)
{
    char *end;
    if (text[0] == '\0') return TERN_OK;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(*out)) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s is '%.40s', expected a number", name, text);
}

static tern_status take_column(struct fields *fields, const char *name, const char *value)
{
    if (strcmp(name, "model") == 0) fields->model = value;
    if (strcmp(name, "group") == 0) fields->group = value;
    if (strcmp(name, "file") == 0 && value[0] != '\0') fields->file = value;
    if (strcmp(name, "gb") == 0) return take_number(name, value, &fields->gigabytes);
    if (strcmp(name, "bytes") == 0) return take_number(name, value, &fields->bytes);
    if (strcmp(name, "score") == 0) return take_number(name, value, &fields->score);
    if (strcmp(name, "density") == 0) return take_number(name, value, &fields->density);
    return TERN_OK;
}

static tern_status add_line(const struct line *names, const struct line *line, struct scored_models *models)
{
    struct fields fields = NO_FIELDS;
    if (line->count == 1 && line->columns[0][0] == '\0') return TERN_OK; // an empty line
    if (line->count != names->count)
        return status_fail(TERN_BAD_FILE, "%d values, the first line names %d", line->count, names->count);
    for (int i = 0; i < line->count; i++)
        TRY(take_column(&fields, names->columns[i], line->columns[i]));
    return add_model(&fields, models);
}

// `text` is changed.
static tern_status read_csv(const char *name, char *text, struct scored_models *models)
{
    struct line names, line;
    char *at = text;
    tern_status status = take_line(&at, &names);
    int number = 1;
    while (status == TERN_OK && *at != '\0') {
        number++;
        status = take_line(&at, &line);
        if (status == TERN_OK) status = add_line(&names, &line, models);
    }
    return status == TERN_OK ? TERN_OK : status_prefix(status, "%s: line %d: ", name, number);
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double mean_of(const json_t *scores)
{
    double sum = 0;
    size_t n = json_object_size(scores);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)scores, key, value) sum +=
        json_is_number(value) ? json_number_value(value) : NAN;
    return n > 0 ? sum / (double)n : NAN;
}

static tern_status add_object(const json_t *object, struct scored_models *models)
{
    if (!json_is_object(object)) return status_fail(TERN_BAD_FILE, "is no object");
    struct fields fields = {
        .model = json_string_value(json_object_get(object, "model")),
        .group = json_string_value(json_object_get(object, "group")),
        .file = json_string_value(json_object_get(object, "file")),
        .gigabytes = number_of(object, "gb"),
        .bytes = number_of(object, "bytes"),
        .score = number_of(object, "score"),
        .density = number_of(object, "density"),
    };
    if (isnan(fields.score)) fields.score = mean_of(json_object_get(object, "scores"));
    return add_model(&fields, models);
}

static tern_status read_json(const char *name, const char *text, size_t length, struct scored_models *models)
{
    json_error_t error;
    json_t *root = json_loadb(text, length, 0, &error);
    if (root == NULL) return status_fail(TERN_BAD_FILE, "%s: line %d: %s", name, error.line, error.text);
    tern_status status = json_is_array(root) ? TERN_OK : status_fail(TERN_BAD_FILE, "%s: expected an array", name);
    for (size_t i = 0; status == TERN_OK && i < json_array_size(root); i++) {
        status = add_object(json_array_get(root, i), models);
        if (status != TERN_OK) status_prefix(status, "%s: model %zu: ", name, i + 1);
    }
    json_decref(root);
    return status;
}

// ---- Either -------------------------------------------------------------------------------------------------------

tern_status density_read(const char *name, const char *text, size_t length, struct scored_models *models)
{
    size_t start = 0;
    while (start < length && strchr(" \t\r\n", text[start]) != NULL)
        start++;
    if (start == length) return status_fail(TERN_BAD_FILE, "%s: is empty", name);
    if (text[start] == '[' || text[start] == '{') return read_json(name, text, length, models);
    if (memchr(text, '\0', length) != NULL) return status_fail(TERN_BAD_FILE, "%s: neither JSON nor CSV", name);
    struct buffer copy = {0};
    tern_status status = buffer_append(&copy, text, length);
    if (status == TERN_OK) status = read_csv(name, copy.data, models);
    buffer_free(&copy);
    return status;
}

tern_status density_read_published(struct scored_models *models)
{
    return density_read("published.csv", density_published_csv, density_published_csv_bytes, models);
}
