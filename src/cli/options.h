// Command lines: a table of options says what there is; parsing, bounds, help and suggestions follow from it.
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_HEADING, // no option: a heading in the help (its text in `help`)
    OPTION_SET,     // int: becomes `low`
    OPTION_INTEGER, // int in low..high
    OPTION_FLOAT,   // float in low..high
    OPTION_SEED,    // uint64_t
    OPTION_TEXT,    // const char *
    OPTION_TEXTS,   // struct text_list: may be given again and again
    OPTION_CHOICE,  // int: index among the words of `argument` ("md|json|csv")
};

enum { TEXT_LIST_MAX = 64 };

struct text_list {
    const char *items[TEXT_LIST_MAX];
    size_t count;
};

struct option {
    enum option_kind kind;
    const char *names;    // "-m, --model"
    const char *argument; // "FILE"; NULL if it takes none
    size_t offset;        // of the value in the command's struct of options
    double low, high;
    const char *help;
};

struct command {
    const char *name;             // "run"
    const char *usage;            // "MODEL [PROMPT] [options]"
    const char *summary;          // one line
    const char *details;          // paragraphs after the options: examples, notes; may be NULL
    const struct option *options; // ends with one whose help is NULL
    int max_arguments;            // of words that are no options
};

struct arguments {
    const char *words[4];
    int count;
};

enum parse_result { PARSE_OK, PARSE_HELP, PARSE_ERROR };

// Reads argv[0..argc) into *values and *words. --help and -h give PARSE_HELP; PARSE_ERROR comes with a message on
// stderr that names the command, the option, what it takes and what it got.
enum parse_result options_parse(const struct command *command, int argc, char **argv, void *values,
                                struct arguments *words);

void options_print_help(const struct command *command, FILE *stream);

// "tern COMMAND: message", and where to find help, on stderr; returns EXIT_USAGE.
int options_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The word of list[count] nearest to `word`; NULL if none is near.
const char *options_nearest(const char *word, const char *const *list, size_t count);

#endif
