#include "cli/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096 };

static char *trim(char *text)
{
    char *end = strchr(text, '\0');
    while (isspace((unsigned char)*text))
        text++;
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

// Quotes around a value keep blanks at its ends.
static char *unquote(char *text)
{
    size_t length = strlen(text);
    if (length < 2 || text[0] != '"' || text[length - 1] != '"') return text;
    text[length - 1] = '\0';
    return text + 1;
}

static tern_status add_word(struct config_file *file, const char *key, const char *value)
{
    size_t size = strlen(key) + strlen(value) + 4;
    if (strcmp(value, "false") == 0) return TERN_OK;
    if (file->count == CONFIG_FILE_MAX_LINES)
        return status_fail(TERN_LIMIT, "more than %d options", CONFIG_FILE_MAX_LINES);
    char *word = malloc(size);
    if (word == NULL) return status_fail(TERN_NO_MEMORY, "no memory");
    if (strcmp(value, "true") == 0)
        snprintf(word, size, "--%s", key);
    else
        snprintf(word, size, "--%s=%s", key, value);
    file->words[file->count++] = word;
    return TERN_OK;
}

static tern_status read_line(struct config_file *file, char *line)
{
    char *start = trim(line);
    if (*start == '\0' || *start == '#') return TERN_OK;
    char *equals = strchr(start, '=');
    if (equals == NULL) return status_fail(TERN_INVALID, "expected 'key = value', got '%s'", start);
    *equals = '\0';
    char *key = trim(start);
    if (*key == '\0' || *key == '-') return status_fail(TERN_INVALID, "expected an option's name without dashes");
    return add_word(file, key, unquote(trim(equals + 1)));
}

static tern_status read_lines(struct config_file *file, FILE *stream)
{
    char line[MAX_LINE];
    for (int number = 1; fgets(line, sizeof line, stream) != NULL; number++) {
        if (strchr(line, '\n') == NULL && strlen(line) == sizeof line - 1)
            return status_fail(TERN_LIMIT, "line %d is longer than %d bytes", number, MAX_LINE - 2);
        tern_status status = read_line(file, line);
        if (status != TERN_OK) return status_prefix(status, "line %d: ", number);
    }
    return ferror(stream) ? status_fail(TERN_IO, "%s", strerror(errno)) : TERN_OK;
}

tern_status config_file_open(const char *path, struct config_file *out)
{
    *out = (struct config_file){0};
    FILE *stream = fopen(path, "r");
    if (stream == NULL) return status_fail(TERN_IO, "%s: %s", path, strerror(errno));
    tern_status status = read_lines(out, stream);
    fclose(stream);
    return status == TERN_OK ? TERN_OK : status_prefix(status, "%s: ", path);
}

void config_file_close(struct config_file *file)
{
    for (int i = 0; i < file->count; i++)
        free(file->words[i]);
    *file = (struct config_file){0};
}
