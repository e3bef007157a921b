// tern pull: fetches a model into the cache.
#include "cli/commands.h"
#include "cli/fetching.h"
#include "cli/interrupt.h"

#include "hub/sha256.h"

struct pull_command {
    const char *sha256;
    int retries, timeout, force, quiet;
};

#define AT(field) offsetof(struct pull_command, field)

static const struct option options_pull[] = {
    {OPTION_TEXT, "--sha256", "HEX", AT(sha256), .help = "what the file must have, default: what the hub states"},
    {OPTION_SET, "-f, --force", NULL, AT(force), 1, .help = "fetch it again even if it is there"},
    {OPTION_INTEGER, "--retries", "N", AT(retries), 0, 100,
     "further attempts after failures that may pass, default 4; progress starts the count anew"},
    {OPTION_INTEGER, "--timeout", "SECONDS", AT(timeout), 1, 3600,
     "without a kilobyte a second, before an attempt counts as failed, default 30"},
    {OPTION_SET, "-q, --quiet", NULL, AT(quiet), 1, .help = "only errors"},
    {.help = NULL},
};

const struct command command_pull = {
    .name = "pull",
    .usage = "[NAME | hf:OWNER/REPO[:FILE] | URL] [options]",
    .summary = "fetch a model",
    .options = options_pull,
    .max_arguments = 1,
    .details = "Without a name it shows the models it knows. What is fetched is checked by its SHA-256 and kept in\n"
               "$XDG_CACHE_HOME/tern (~/.cache/tern); its path goes to stdout. What broke off goes on where it was.\n"
               "\n"
               "examples:\n"
               "  tern pull ternary-bonsai-1.7b\n"
               "  tern pull hf:prism-ml/Bonsai-4B-gguf:Bonsai-4B-Q1_0.gguf\n"
               "  tern pull https://example.org/model.gguf --sha256 1f2e...\n"
               "\n"
               "environment: HF_TOKEN opens models that ask for a licence or are private; HF_ENDPOINT names another\n"
               "hub than https://huggingface.co; https_proxy and others as curl knows them",
};

static int print_catalogue(void)
{
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    for (size_t i = 0; i < count; i++) {
        char size[32] = "";
        if (models[i].bytes > 0) fetching_format_bytes(models[i].bytes, size, sizeof size);
        printf("%-24s %9s  %s\n", models[i].name, size, models[i].about);
    }
    puts("\n'tern pull NAME' fetches one; 'tern list' shows which are there.");
    return terminal_finish_output();
}

static int print_path(const struct hub_source *source)
{
    struct buffer path = {0};
    if (fetching_append_path(source, &path) != TERN_OK) return fetching_error(EXIT_FAILED);
    puts(path.data);
    buffer_free(&path);
    return terminal_finish_output();
}

int pull_main(int argc, char **argv)
{
    struct pull_command o = {.retries = FETCHING_RETRIES, .timeout = FETCHING_TIMEOUT};
    struct arguments words;
    struct hub_source source;
    char hex[SHA256_HEX_BYTES];
    enum parse_result parsed = options_parse(&command_pull, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_pull, stdout);
        return terminal_finish_output();
    }
    if (words.count == 0) return print_catalogue();
    if (o.sha256 != NULL && !sha256_parse(o.sha256, hex))
        return options_error(&command_pull, "--sha256 takes 64 hexadecimal digits, got '%s'", o.sha256);
    if (fetching_parse(words.words[0], &source) != TERN_OK) return fetching_error(EXIT_FAILED);
    const struct fetching fetching = {
        .sha256 = o.sha256, .retries = o.retries, .timeout = o.timeout, .force = o.force, .quiet = o.quiet};
    interrupt_install(INTERRUPT_ONCE);
    int code = fetching_run(&fetching, &source);
    return code == EXIT_OK ? print_path(&source) : code;
}
