#include "cli/model_name.h"

#include "cli/fetching.h"
#include "cli/options.h"
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUB_PREFIX "hub/"

// ---- Names of files in the cache ----------------------------------------------------------------------------------

static const struct hub_model *find_in_catalogue(const char *path)
{
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    for (size_t i = 0; i < count; i++) {
        struct hub_source source;
        if (fetching_parse(models[i].name, &source) == TERN_OK && strcmp(source.path, path) == 0) return &models[i];
    }
    return NULL;
}

// "hub/OWNER/REPO/FILE"; FILE is returned, NULL if the path is another.
static const char *file_on_hub(const char *path)
{
    if (strncmp(path, HUB_PREFIX, strlen(HUB_PREFIX)) != 0) return NULL;
    const char *slash = strchr(path + strlen(HUB_PREFIX), '/');
    slash = slash != NULL ? strchr(slash + 1, '/') : NULL;
    return slash != NULL ? slash + 1 : NULL;
}

tern_status model_name_append(const struct cache_entry *entry, struct buffer *out)
{
    const struct hub_model *model = find_in_catalogue(entry->path);
    if (model != NULL) return buffer_append_string(out, model->name);
    const char *file = file_on_hub(entry->path), *start = entry->path + strlen(HUB_PREFIX);
    if (file == NULL) return buffer_append_string(out, entry->path);
    return buffer_append_format(out, "hf:%.*s:%s", (int)(file - 1 - start), start, file);
}

static bool is_in_repository(const char *path, const char *repository)
{
    size_t length = strlen(repository);
    return file_on_hub(path) != NULL && strncmp(path + strlen(HUB_PREFIX), repository, length) == 0 &&
           path[strlen(HUB_PREFIX) + length] == '/';
}

// True unless another address is noted beside the file. The hub's files are the same under every address of a hub.
static bool is_from(const struct cache_entry *entry, const struct hub_source *source, const char *folder)
{
    struct buffer path = {0};
    if (entry->partial || source->repository[0] != '\0' || source->url[0] == '\0') return true;
    bool from =
        buffer_append_format(&path, "%s/%s", folder, entry->path) == TERN_OK && cache_holds(path.data, source->url);
    buffer_free(&path);
    return from;
}

static bool is_meant(const struct cache_entry *entry, const struct hub_source *source, const char *folder,
                     const char *path)
{
    if (source == NULL) return strcmp(entry->path, path) == 0;
    if (source->path[0] != '\0') return strcmp(entry->path, source->path) == 0 && is_from(entry, source, folder);
    return is_in_repository(entry->path, source->repository);
}

const struct cache_entry *model_name_look_up(const struct cache_list *list, const char *folder, const char *name,
                                             bool partial, bool *several)
{
    struct hub_source source;
    bool by_source = source_is_meant(name) && fetching_parse(name, &source) == TERN_OK;
    size_t length = strlen(folder);
    const char *path = strncmp(name, folder, length) == 0 && name[length] == '/' ? name + length + 1 : name;
    const struct cache_entry *found = NULL;
    *several = false;
    int parts;
    if (by_source && source_count_parts(&source, &parts) == TERN_OK && parts > 1) source_select_part(&source, 1);
    for (size_t i = 0; i < list->count; i++) {
        const struct cache_entry *entry = &list->entries[i];
        if (entry->partial != partial || !is_meant(entry, by_source ? &source : NULL, folder, path)) continue;
        *several = found != NULL;
        if (found == NULL) found = entry;
    }
    return found;
}

// ---- Models for commands ------------------------------------------------------------------------------------------

static int say_nearest(const char *name)
{
    const char *names[64];
    size_t count;
    const struct hub_model *models = hub_catalogue(&count);
    if (count > sizeof names / sizeof *names) count = sizeof names / sizeof *names;
    for (size_t i = 0; i < count; i++)
        names[i] = models[i].name;
    const char *nearest = options_nearest(name, names, count);
    if (nearest == NULL) return EXIT_OK;
    return terminal_error(EXIT_FAILED,
                          "there is no file '%s'; did you mean the model '%s'? 'tern list' shows those there are", name,
                          nearest);
}

static bool ask(const struct hub_source *source, const char *name)
{
    char size[40] = "";
    if (source->model != NULL && source->model->bytes > 0) {
        memcpy(size, " (", 3);
        fetching_format_bytes(source->model->bytes, size + 2, sizeof size - 3);
        memcpy(strchr(size, '\0'), ")", 2);
    }
    fprintf(stderr, "%s is not on this machine. Fetch it%s? [Y/n] ", name, size);
    char answer[16];
    if (fgets(answer, sizeof answer, stdin) == NULL) return false;
    return answer[0] == '\n' || answer[0] == 'y' || answer[0] == 'Y';
}

static int fetch(struct hub_source *source, const char *name)
{
    if (source->url[0] == '\0' && source->repository[0] == '\0')
        return terminal_error(EXIT_FAILED, "%s is not on this machine: %s", name, source->model->about);
    if (!terminal_is(stdin) || !terminal_is(stderr) || !ask(source, name))
        return terminal_error(EXIT_FAILED, "%s is not on this machine; fetch it with: tern pull %s", name, name);
    const struct fetching fetching = {.retries = FETCHING_RETRIES, .timeout = FETCHING_TIMEOUT};
    return fetching_run(&fetching, source);
}

static int find_entry(const char *name, const char *folder, struct buffer *path)
{
    struct cache_list list;
    bool several;
    if (cache_read(folder, &list) != TERN_OK) return fetching_error(EXIT_FAILED);
    const struct cache_entry *entry = model_name_look_up(&list, folder, name, false, &several);
    int code = EXIT_OK;
    if (several)
        code =
            terminal_error(EXIT_FAILED, "%s: several of its files are here; say which ('tern list' shows them)", name);
    else if (entry != NULL && buffer_append_format(path, "%s/%s", folder, entry->path) != TERN_OK)
        code = fetching_error(EXIT_FAILED);
    cache_free(&list);
    return code;
}

static int find_source(const char *name, const char *folder, struct buffer *path)
{
    struct hub_source source;
    if (fetching_parse(name, &source) != TERN_OK) return fetching_error(EXIT_FAILED);
    int code = find_entry(name, folder, path);
    if (code != EXIT_OK || path->length > 0) return code;
    code = fetch(&source, name);
    return code == EXIT_OK ? find_entry(name, folder, path) : code;
}

int model_name_find(const char *name, char **path)
{
    struct buffer found = {0}, folder = {0};
    int code = EXIT_OK;
    *path = NULL;
    if (access(name, F_OK) != 0) {
        if (!source_is_meant(name))
            code = strchr(name, '/') == NULL ? say_nearest(name) : EXIT_OK;
        else
            code = cache_append_folder(&folder) == TERN_OK ? find_source(name, folder.data, &found)
                                                           : fetching_error(EXIT_FAILED);
    }
    if (found.length > 0) cache_touch(found.data);
    if (code == EXIT_OK && (*path = found.length > 0 ? buffer_take(&found) : strdup(name)) == NULL)
        code = terminal_error(EXIT_FAILED, "out of memory");
    buffer_free(&found);
    buffer_free(&folder);
    return code;
}
