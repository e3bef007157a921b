// tern rm: removes fetched models from the cache.
#include "cli/commands.h"
#include "cli/fetching.h"
#include "cli/model_name.h"

#include <string.h>

struct rm_command {
    int yes, partial;
};

#define AT(field) offsetof(struct rm_command, field)

static const struct option options_rm[] = {
    {OPTION_SET, "-y, --yes", NULL, AT(yes), 1, .help = "do not ask"},
    {OPTION_SET, "--partial", NULL, AT(partial), 1,
     .help = "what is left of downloads that did not end; without names: all of it"},
    {.help = NULL},
};

const struct command command_rm = {
    .name = "rm",
    .usage = "NAME... [options]",
    .summary = "remove fetched models",
    .options = options_rm,
    .max_arguments = 4, // what struct arguments holds
    .details = "Names are what 'tern list' shows: a model's name, hf:OWNER/REPO:FILE, or a path in the cache.\n"
               "Nothing outside the cache is touched.\n"
               "\n"
               "examples:\n"
               "  tern rm bonsai-4b\n"
               "  tern rm --partial --yes",
};

// Somebody may have put files of any name there.
static void print_path(FILE *stream, const char *before, const struct cache_entry *entry)
{
    fputs(before, stream);
    terminal_write(stream, entry->path, strlen(entry->path));
    if (entry->partial) fputs(".part", stream);
}

static bool ask(const struct cache_entry *entry)
{
    char size[32], answer[16];
    fetching_format_bytes(entry->bytes, size, sizeof size);
    print_path(stderr, "Remove ", entry);
    fprintf(stderr, " (%s)? [y/N] ", size);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int remove_entry(const struct rm_command *o, const char *folder, const struct cache_entry *entry)
{
    if (!o->yes && !terminal_is(stdin))
        return terminal_error(EXIT_FAILED, "nobody is there to ask; --yes removes without asking");
    if (!o->yes && !ask(entry)) return EXIT_OK;
    if (cache_remove(folder, entry) != TERN_OK) return fetching_error(EXIT_FAILED);
    char size[32];
    fetching_format_bytes(entry->bytes, size, sizeof size);
    print_path(stdout, "removed ", entry);
    printf(", %s\n", size);
    return EXIT_OK;
}

static int remove_named(const struct rm_command *o, const struct cache_list *list, const char *folder, const char *name)
{
    bool several;
    const struct cache_entry *entry = model_name_look_up(list, folder, name, o->partial != 0, &several);
    if (several) return terminal_error(EXIT_FAILED, "%s: several files; say which ('tern list' shows them)", name);
    if (entry != NULL) return remove_entry(o, folder, entry);
    return terminal_error(EXIT_FAILED, "%s: not in %s; 'tern list' shows what is", name, folder);
}

static int remove_all_partial(const struct rm_command *o, const struct cache_list *list, const char *folder)
{
    int code = EXIT_OK;
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].partial && remove_entry(o, folder, &list->entries[i]) != EXIT_OK) code = EXIT_FAILED;
    return code;
}

static int remove_from(const struct rm_command *o, const struct arguments *words, const char *folder)
{
    struct cache_list list;
    if (cache_read(folder, &list) != TERN_OK) return fetching_error(EXIT_FAILED);
    int code = words->count == 0 ? remove_all_partial(o, &list, folder) : EXIT_OK;
    for (int i = 0; i < words->count; i++)
        if (remove_named(o, &list, folder, words->words[i]) != EXIT_OK) code = EXIT_FAILED;
    cache_free(&list);
    return code == EXIT_OK ? terminal_finish_output() : code;
}

int rm_main(int argc, char **argv)
{
    struct rm_command o = {0};
    struct arguments words;
    struct buffer folder = {0};
    enum parse_result parsed = options_parse(&command_rm, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_rm, stdout);
        return terminal_finish_output();
    }
    if (words.count == 0 && !o.partial) return options_error(&command_rm, "which model? 'tern list' shows their names");
    int code =
        cache_append_folder(&folder) == TERN_OK ? remove_from(&o, &words, folder.data) : fetching_error(EXIT_FAILED);
    buffer_free(&folder);
    return code;
}
