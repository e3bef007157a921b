// tern: only finds the command.
#include "cli/commands.h"

#include <tern/tern.h>

#include <locale.h>
#include <string.h>

static const struct {
    const struct command *command;
    int (*main)(int argc, char **argv);
} commands[] = {
    {&command_run, run_main},       {&command_serve, serve_main},
    {&command_info, info_main},     {&command_tokenize, tokenize_main},
    {&command_bench, bench_main},   {&command_pack, pack_main},
    {&command_verify, verify_main}, {&command_perplexity, perplexity_main},
    {&command_size, size_main},     {&command_report, report_main},
    {&command_pull, pull_main},     {&command_list, list_main},
    {&command_rm, rm_main},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *stream)
{
    fputs("tern runs language models with ternary {-1, 0, +1} or binary {-1, +1} weights on ordinary CPUs.\n\n"
          "usage: tern COMMAND [arguments]\n\n",
          stream);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].command->name, commands[i].command->summary);
    fputs("\n"
          "  tern COMMAND --help   what a command takes, with examples\n"
          "  tern --version        the version\n"
          "\n"
          "examples:\n"
          "  tern run model.gguf                        a conversation\n"
          "  tern run model.gguf \"Why is the sky blue?\"  one answer\n"
          "  tern serve model.gguf                      OpenAI's API and a page to chat in, at 127.0.0.1:8080\n"
          "  tern info model.gguf --context 4096        what the file holds, the memory it needs\n"
          "  tern pull                                  models that can be fetched, and then run by their names\n"
          "\n"
          "exit codes: 0 fine; 1 the model, a file or the system failed; 2 the command line makes no sense;\n"
          "130 interrupted with Ctrl-C\n"
          "environment: TERN_CPU=reference|sse41|avx2|avxvnni|avx512|neon|dotprod|i8mm chooses the kernels,\n"
          "NO_COLOR=1 turns off colours; HF_TOKEN, HF_ENDPOINT and XDG_CACHE_HOME are of the hub\n"
          "('tern pull --help')\n",
          stream);
}

static int unknown_command(const char *word)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].command->name;
    const char *nearest = options_nearest(word, names, N_COMMANDS);
    if (nearest != NULL)
        terminal_error(EXIT_USAGE, "unknown command '%s'; did you mean 'tern %s'?", word, nearest);
    else
        terminal_error(EXIT_USAGE, "unknown command '%s'", word);
    fputs("'tern --help' lists the commands.\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); // of line editing; numbers are read and written as in C everywhere
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return terminal_finish_output();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tern %s\n", tern_version());
        return terminal_finish_output();
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].command->name) == 0) return commands[i].main(argc - 2, argv + 2);
    return unknown_command(argv[1]);
}
