// tern list: the models in the cache, and those that could be fetched.
#include "cli/commands.h"
#include "cli/fetching.h"
#include "cli/model_name.h"

#include "format/gguf.h"

#include <jansson.h>
#include <string.h>

struct list_command {
    int json;
};

#define AT(field) offsetof(struct list_command, field)

static const struct option options_list[] = {
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {.help = NULL},
};

const struct command command_list = {
    .name = "list",
    .usage = "[options]",
    .summary = "the models on this machine, and those that could be fetched",
    .options = options_list,
    .max_arguments = 0,
    .details = "examples:\n"
               "  tern list\n"
               "  tern list --json",
};

struct listing {
    const char *folder;
    struct cache_list list;
};

// The type of most of the weights, from the file's header; "?" if tern cannot read it.
static const char *main_type(const char *folder, const struct cache_entry *entry)
{
    struct buffer path = {0};
    struct gguf_file *file = NULL;
    uint64_t weights[DTYPE_COUNT] = {0};
    enum dtype most = 0;
    if (buffer_append_format(&path, "%s/%s", folder, entry->path) == TERN_OK) gguf_open(path.data, &file);
    buffer_free(&path);
    if (file == NULL) return "?";
    for (uint64_t i = 0; i < file->n_tensors; i++)
        weights[file->tensors[i].type] += file->tensors[i].rows * file->tensors[i].dims[0];
    gguf_close(file);
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        if (weights[type] > weights[most]) most = type;
    return dtype_info(most)->name;
}

static bool is_there(const struct cache_list *list, const struct hub_model *model)
{
    bool several;
    return model_name_look_up(list, "", model->name, false, &several) != NULL;
}

// ---- Text ---------------------------------------------------------------------------------------------------------

static void print_entry(const struct listing *listing, const struct cache_entry *entry)
{
    struct buffer name = {0};
    char size[32], used[32];
    struct tm day;
    fetching_format_bytes(entry->bytes, size, sizeof size);
    if (localtime_r(&entry->used, &day) == NULL || strftime(used, sizeof used, "%Y-%m-%d", &day) == 0) used[0] = '\0';
    if (model_name_append(entry, &name) == TERN_OK) {
        terminal_write(stdout, name.data, name.length);
        printf("%*s", name.length < 24 ? (int)(24 - name.length) : 1, "");
    }
    printf(" %9s  %-10s %s  ", size, entry->partial ? "partial" : main_type(listing->folder, entry), used);
    terminal_write(stdout, listing->folder, strlen(listing->folder));
    putchar('/');
    terminal_write(stdout, entry->path, strlen(entry->path));
    puts(entry->partial ? ".part" : "");
    buffer_free(&name);
}

static int print_text(const struct listing *listing)
{
    const struct cache_list *list = &listing->list;
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    if (list->count > 0)
        printf("%-24s %9s  %-10s %-10s  %s\n", "NAME", "SIZE", "TYPE", "LAST USE", "FILE");
    else
        printf("no model in %s yet\n", listing->folder);
    for (size_t i = 0; i < list->count; i++)
        print_entry(listing, &list->entries[i]);
    puts("\nnot here yet; 'tern pull NAME' fetches one:");
    for (size_t i = 0; i < count; i++)
        if (!is_there(list, &models[i])) printf("%-24s %s\n", models[i].name, models[i].about);
    return terminal_finish_output();
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

static json_t *entry_to_json(const struct listing *listing, const struct cache_entry *entry)
{
    struct buffer name = {0}, path = {0};
    json_t *object = NULL;
    if (model_name_append(entry, &name) == TERN_OK &&
        buffer_append_format(&path, "%s/%s%s", listing->folder, entry->path, entry->partial ? ".part" : "") == TERN_OK)
        object = json_pack("{s:s, s:I, s:s, s:I, s:s, s:i, s:b}", "name", name.data, "bytes", (json_int_t)entry->bytes,
                           "type", entry->partial ? "?" : main_type(listing->folder, entry), "last_use",
                           (json_int_t)entry->used, "file", path.data, "parts", entry->parts, "partial",
                           (int)entry->partial);
    buffer_free(&name);
    buffer_free(&path);
    return object;
}

static json_t *available_to_json(const struct cache_list *list)
{
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        if (is_there(list, &models[i])) continue;
        json_t *object = json_pack("{s:s, s:s?, s:s, s:s}", "name", models[i].name, "repository", models[i].repository,
                                   "file", models[i].file, "about", models[i].about);
        if (object != NULL && models[i].bytes > 0)
            json_object_set_new(object, "bytes", json_integer((json_int_t)models[i].bytes));
        json_array_append_new(array, object);
    }
    return array;
}

static int print_json(const struct listing *listing)
{
    json_t *models = json_array();
    for (size_t i = 0; i < listing->list.count; i++) // names that are no UTF-8 cannot be said in JSON
        json_array_append_new(models, entry_to_json(listing, &listing->list.entries[i]));
    json_t *object = json_pack("{s:s, s:o, s:o}", "folder", listing->folder, "models", models, "available",
                               available_to_json(&listing->list));
    if (object == NULL) return terminal_error(EXIT_FAILED, "the list cannot be said in JSON");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return terminal_finish_output();
}

// ---- Command ------------------------------------------------------------------------------------------------------

static int list_folder(const struct list_command *o, const char *folder)
{
    struct listing listing = {.folder = folder};
    if (cache_read(folder, &listing.list) != TERN_OK) return fetching_error(EXIT_FAILED);
    int code = o->json ? print_json(&listing) : print_text(&listing);
    cache_free(&listing.list);
    return code;
}

int list_main(int argc, char **argv)
{
    struct list_command o = {0};
    struct arguments words;
    struct buffer folder = {0};
    enum parse_result parsed = options_parse(&command_list, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_list, stdout);
        return terminal_finish_output();
    }
    int code = cache_append_folder(&folder) == TERN_OK ? list_folder(&o, folder.data) : fetching_error(EXIT_FAILED);
    buffer_free(&folder);
    return code;
}
