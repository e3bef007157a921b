#include "cli/options.h"

#include "cli/terminal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int options_error(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "tern %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n'tern %s --help' shows what it takes.\n", command->name);
    va_end(arguments);
    return EXIT_USAGE;
}

// ---- Names ------------------------------------------------------------------------------------------------------

enum { NAME_BYTES = 32, MAX_NAMES = 128 };

// Copies the next of "-m, --model" to name and returns what follows; NULL at the end.
static const char *next_name(const char *names, char name[NAME_BYTES])
{
    names += strspn(names, ", ");
    size_t length = strcspn(names, ",");
    if (length == 0 || length >= NAME_BYTES) return NULL;
    memcpy(name, names, length);
    name[length] = '\0';
    return names + length;
}

static bool has_name(const struct option *option, const char *wanted, size_t length)
{
    char name[NAME_BYTES];
    if (option->kind == OPTION_HEADING) return false;
    for (const char *at = option->names; (at = next_name(at, name)) != NULL;)
        if (strlen(name) == length && memcmp(name, wanted, length) == 0) return true;
    return false;
}

static const struct option *find_option(const struct command *command, const char *name, size_t length)
{
    for (const struct option *o = command->options; o->help != NULL; o++)
        if (has_name(o, name, length)) return o;
    return NULL;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

// Levenshtein's distance of words of fewer than NAME_BYTES bytes.
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_BYTES + 1], n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

const char *options_nearest(const char *word, const char *const *list, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1; // about one slip in three letters
    if (strlen(word) >= NAME_BYTES) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, list[i]);
        if (distance > best_distance || (best != NULL && distance == best_distance)) continue;
        best = list[i];
        best_distance = distance;
    }
    return best;
}

static enum parse_result unknown_option(const struct command *command, const char *word)
{
    static char names[MAX_NAMES][NAME_BYTES];
    const char *list[MAX_NAMES];
    size_t count = 0;
    for (const struct option *o = command->options; o->help != NULL; o++)
        for (const char *at = o->names; at != NULL && count < MAX_NAMES;)
            if ((at = next_name(at, names[count])) != NULL) {
                list[count] = names[count];
                count++;
            }
    char plain[NAME_BYTES] = {0}; // without "=value"
    size_t length = strcspn(word, "=");
    memcpy(plain, word, length < NAME_BYTES - 1 ? length : NAME_BYTES - 1);
    const char *nearest = options_nearest(plain, list, count);
    if (nearest != NULL)
        options_error(command, "unknown option %s; did you mean %s?", plain, nearest);
    else
        options_error(command, "unknown option %s", word);
    return PARSE_ERROR;
}

// ---- Values -----------------------------------------------------------------------------------------------------

// "a number from 0 to 100", "md, json or csv", "text"
static void describe_value(const struct option *option, char *out, size_t size)
{
    switch (option->kind) {
    case OPTION_INTEGER:
        snprintf(out, size, "a whole number from %.0f to %.0f", option->low, option->high);
        break;
    case OPTION_FLOAT:
        snprintf(out, size, "a number from %g to %g", option->low, option->high);
        break;
    case OPTION_SEED:
        snprintf(out, size, "a whole number from 0 to 18446744073709551615, or 'random'");
        break;
    case OPTION_CHOICE:
        snprintf(out, size, "one of %s", option->argument);
        break;
    default:
        snprintf(out, size, "%s", option->argument);
    }
}

static bool read_float(const struct option *option, const char *text, float *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= option->low && value <= option->high)) return false;
    *out = (float)value;
    return true;
}

static bool read_integer(const struct option *option, const char *text, int *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) return false;
    if ((double)value < option->low || (double)value > option->high) return false;
    *out = (int)value;
    return true;
}

static uint64_t random_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + ((uint64_t)getpid() << 40);
}

static bool read_seed(const char *text, uint64_t *out)
{
    if (strcmp(text, "random") == 0 || strcmp(text, "-1") == 0) { // -1: as in llama-cli
        *out = random_seed();
        return true;
    }
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0;
}

static bool read_choice(const struct option *option, const char *text, int *out)
{
    size_t length = strlen(text);
    int index = 0;
    for (const char *word = option->argument; *word != '\0'; index++) {
        size_t n = strcspn(word, "|");
        if (n == length && memcmp(word, text, n) == 0) {
            *out = index;
            return true;
        }
        word += n + (word[n] == '|');
    }
    return false;
}

static bool add_text(struct text_list *list, const char *text)
{
    if (list->count == TEXT_LIST_MAX) return false;
    list->items[list->count++] = text;
    return true;
}

static bool read_value(const struct option *option, const char *text, void *target)
{
    switch (option->kind) {
    case OPTION_INTEGER:
        return read_integer(option, text, target);
    case OPTION_FLOAT:
        return read_float(option, text, target);
    case OPTION_SEED:
        return read_seed(text, target);
    case OPTION_CHOICE:
        return read_choice(option, text, target);
    case OPTION_TEXTS:
        return add_text(target, text);
    default:
        *(const char **)target = text;
        return true;
    }
}

// ---- Parsing ----------------------------------------------------------------------------------------------------

static enum parse_result value_error(const struct command *command, const struct option *option, const char *name,
                                     const char *text)
{
    char expected[160];
    describe_value(option, expected, sizeof expected);
    if (text == NULL)
        options_error(command, "%s needs a value: %s", name, expected);
    else if (option->kind == OPTION_TEXTS)
        options_error(command, "%s can be given %d times at most", name, TEXT_LIST_MAX);
    else
        options_error(command, "%s takes %s, got '%s'", name, expected, text);
    return PARSE_ERROR;
}

// argv[*at] is an option; its value may be the next word, then *at moves on to that.
static enum parse_result parse_option(const struct command *command, int argc, char **argv, int *at, void *values)
{
    char *word = argv[*at];
    size_t length = strcspn(word, "=");
    const struct option *option = find_option(command, word, length);
    if (option == NULL) return unknown_option(command, word);
    void *target = (char *)values + option->offset;
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)length, word);

    if (option->kind == OPTION_SET) {
        if (word[length] == '=') {
            options_error(command, "%s takes no value, got '%s'", name, word + length + 1);
            return PARSE_ERROR;
        }
        *(int *)target = (int)option->low;
        return PARSE_OK;
    }
    const char *text = word[length] == '=' ? word + length + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (text == NULL || !read_value(option, text, target)) return value_error(command, option, name, text);
    return PARSE_OK;
}

enum parse_result options_parse(const struct command *command, int argc, char **argv, void *values,
                                struct arguments *words)
{
    bool options_end = false;
    *words = (struct arguments){0};
    for (int i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            return PARSE_HELP;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
            enum parse_result result = parse_option(command, argc, argv, &i, values);
            if (result != PARSE_OK) return result;
        } else if (words->count == command->max_arguments) {
            options_error(command, "'%s' is one word too many (quote a text of several words)", argv[i]);
            return PARSE_ERROR;
        } else {
            words->words[words->count++] = argv[i];
        }
    }
    return PARSE_OK;
}

// ---- Help -------------------------------------------------------------------------------------------------------

enum { HELP_COLUMN = 30 };

// Prints words of `text` from the current column on, broken before `width`, further lines at HELP_COLUMN.
static void print_wrapped(const char *text, int width, FILE *stream)
{
    int column = HELP_COLUMN;
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + length > width) {
            fprintf(stream, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', stream);
            column++;
        }
        fwrite(text, 1, (size_t)length, stream);
        column += length;
        text += length;
        text += *text == ' ';
    }
    fputc('\n', stream);
}

static void print_option(const struct option *option, int width, FILE *stream)
{
    if (option->kind == OPTION_HEADING) {
        fprintf(stream, "\n%s%s%s\n", terminal_style(stream, STYLE_BOLD), option->help,
                terminal_style(stream, STYLE_PLAIN));
        return;
    }
    int used = fprintf(stream, "  %s%s%s", option->names, option->argument != NULL ? " " : "",
                       option->argument != NULL ? option->argument : "");
    if (used > HELP_COLUMN - 2)
        fprintf(stream, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(stream, "%*s", HELP_COLUMN - used, "");
    print_wrapped(option->help, width, stream);
}

void options_print_help(const struct command *command, FILE *stream)
{
    int width = terminal_width(stream);
    if (width > 110) width = 110;
    if (width < HELP_COLUMN + 20) width = HELP_COLUMN + 20;
    fprintf(stream, "tern %s: %s\n\nusage: tern %s %s\n", command->name, command->summary, command->name,
            command->usage);
    for (const struct option *o = command->options; o->help != NULL; o++)
        print_option(o, width, stream);
    print_option(&(struct option){.kind = OPTION_SET, .names = "-h, --help", .help = "this help"}, width, stream);
    if (command->details != NULL) fprintf(stream, "\n%s\n", command->details);
}
