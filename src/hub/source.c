#include "hub/source.h"

#include "hub/sha256.h"
#include "hub/split.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

// What a folder of the cache is for: files of the hub lie in hub/OWNER/REPO/, others in url/HOST/.
#define HUB_FOLDER "hub"
#define URL_FOLDER "url"

enum {
    COMPONENT_BYTES = 200, // file systems take 255; this leaves room for ".part.json"
    MARK_DIGITS = 12,      // 48 bits keep apart what one machine will ever fetch
};

static bool begins_with(const char *text, const char *start)
{
    return strncasecmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

bool source_is_meant(const char *text)
{
    return begins_with(text, "hf:") || strstr(text, "://") != NULL || hub_find_model(text) != NULL;
}

// ---- Names --------------------------------------------------------------------------------------------------------

// Printable ASCII without what shells, terminals or other systems' file names give a meaning to.
static bool is_safe(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("._-+=@,~", c) != NULL);
}

// One component of a path: not empty, not hidden (which also refuses "." and ".."), not too long, safe throughout.
static bool is_safe_component(const char *text, size_t length)
{
    if (length == 0 || length > COMPONENT_BYTES || text[0] == '.') return false;
    for (size_t i = 0; i < length; i++)
        if (!is_safe(text[i])) return false;
    return true;
}

// Components between slashes; returns how many, 0 if one of them is not safe.
static int count_safe_components(const char *path)
{
    for (int count = 1;; count++) {
        size_t length = strcspn(path, "/");
        if (!is_safe_component(path, length)) return 0;
        if (path[length] == '\0') return count;
        path += length + 1;
    }
}

// ---- Files of the hub ---------------------------------------------------------------------------------------------

tern_status source_set_file(struct hub_source *source, const char *file, const char *endpoint)
{
    if (strlen(file) >= SOURCE_FILE_BYTES || count_safe_components(file) == 0)
        return status_fail(TERN_INVALID,
                           "%s: a file's name is refused: letters, digits and ._-+=@,~ are allowed, "
                           "and folders that do not begin with a dot",
                           source->repository);
    if (!ends_with(file, ".gguf")) return status_fail(TERN_INVALID, "%s is no GGUF file by its name (*.gguf)", file);
    memcpy(source->file, file, strlen(file) + 1);
    int url = snprintf(source->url, sizeof source->url, "%s/%s/resolve/main/%s", endpoint, source->repository, file);
    int path = snprintf(source->path, sizeof source->path, HUB_FOLDER "/%s/%s", source->repository, file);
    if (url >= (int)sizeof source->url || path >= (int)sizeof source->path)
        return status_fail(TERN_INVALID, "%s: the name is too long", file);
    return TERN_OK;
}

static tern_status parse_repository(const char *text, const char *endpoint, struct hub_source *out)
{
    size_t length = strcspn(text, ":");
    if (length >= sizeof out->repository) return status_fail(TERN_INVALID, "hf:...: the repository's name is too long");
    memcpy(out->repository, text, length);
    out->repository[length] = '\0';
    if (count_safe_components(out->repository) != 2)
        return status_fail(TERN_INVALID, "expected hf:OWNER/REPO or hf:OWNER/REPO:FILE");
    return text[length] == ':' ? source_set_file(out, text + length + 1, endpoint) : TERN_OK;
}

static tern_status take_model(const struct hub_model *model, const char *endpoint, struct hub_source *out)
{
    out->model = model;
    if (model->repository != NULL) {
        snprintf(out->repository, sizeof out->repository, "%s", model->repository);
        return source_set_file(out, model->file, endpoint);
    }
    snprintf(out->path, sizeof out->path, "%s", model->file);
    return TERN_OK;
}

// ---- Addresses ----------------------------------------------------------------------------------------------------

// Appends "/COMPONENT" with everything unsafe in it made an underscore.
static tern_status append_component(struct hub_source *out, const char *component, size_t length)
{
    size_t at = strlen(out->path);
    if (length == 0) return TERN_OK;
    if (length > COMPONENT_BYTES || at + length + sizeof "/.gguf" > sizeof out->path)
        return status_fail(TERN_INVALID, "the address is too long to keep a file under its name");
    out->path[at++] = '/';
    for (size_t i = 0; i < length; i++)
        out->path[at + i] = is_safe(component[i]) && (i > 0 || component[0] != '.') ? component[i] : '_';
    out->path[at + length] = '\0';
    return TERN_OK;
}

// Appends what the address has behind its host, and what makes it a model's name.
static tern_status append_path(struct hub_source *out, const char *path)
{
    size_t before = strlen(out->path);
    for (;;) {
        size_t length = strcspn(path, "/");
        TRY(append_component(out, path, length));
        if (path[length] == '\0') break;
        path += length + 1;
    }
    if (strlen(out->path) == before) return status_fail(TERN_INVALID, "the address names no file");
    if (!ends_with(out->path, ".gguf")) snprintf(strchr(out->path, '\0'), sizeof ".gguf", ".gguf");
    return TERN_OK;
}

// Appends "/MARK", the beginning of the address's SHA-256.
static tern_status append_mark(struct hub_source *out)
{
    struct sha256 *hash;
    char hex[SHA256_HEX_BYTES];
    TRY(sha256_open(&hash));
    sha256_begin(hash);
    sha256_add(hash, out->url, strlen(out->url));
    sha256_finish(hash, hex);
    sha256_close(hash);
    return append_component(out, hex, MARK_DIGITS);
}

// True if the name is the address itself, so that no other address has it: nothing was left out (a query, the scheme),
// replaced or added.
static bool says_address(const struct hub_source *source)
{
    static const char scheme[] = "https://", folder[] = URL_FOLDER "/";
    return begins_with(source->url, scheme) &&
           strcmp(source->url + sizeof scheme - 1, source->path + sizeof folder - 1) == 0;
}

// A name that several addresses could have lies in a folder of this one: with a mark at its end, the name of a split
// file's part would be none.
static tern_status name_after(struct hub_source *out, const char *host, const char *port, const char *path)
{
    char place[COMPONENT_BYTES + 16];
    snprintf(place, sizeof place, "%.*s%s%s", COMPONENT_BYTES - 8, host, port != NULL ? "_" : "",
             port != NULL ? port : "");
    snprintf(out->path, sizeof out->path, URL_FOLDER);
    TRY(append_component(out, place, strlen(place)));
    size_t before = strlen(out->path);
    TRY(append_path(out, path));
    if (says_address(out)) return TERN_OK;
    out->path[before] = '\0';
    TRY(append_mark(out));
    return append_path(out, path);
}

static tern_status take_parts(CURLU *parts, struct hub_source *out)
{
    char *host = NULL, *port = NULL, *path = NULL;
    tern_status status = TERN_INVALID;
    curl_url_get(parts, CURLUPART_PORT, &port, 0); // only if it is said
    if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        status_fail(status, "the address names no host");
    else if (curl_url_get(parts, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK)
        status_fail(status, "the address has control characters in it");
    else
        status = name_after(out, host, port, path);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    return status;
}

static tern_status parse_url(const char *text, struct hub_source *out)
{
    if (!begins_with(text, "https://") && !begins_with(text, "http://"))
        return status_fail(TERN_INVALID, "only addresses with https:// or http:// are fetched");
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~') return status_fail(TERN_INVALID, "only printable ASCII may stand in an address");
    if (strlen(text) >= sizeof out->url) return status_fail(TERN_INVALID, "the address is too long");
    memcpy(out->url, text, strlen(text) + 1);
    CURLU *parts = curl_url();
    if (parts == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    tern_status status = code == CURLUE_OK ? take_parts(parts, out)
                                           : status_fail(TERN_INVALID, "no address: %s", curl_url_strerror(code));
    curl_url_cleanup(parts);
    return status;
}

// The addresses of the hub's own pages, as they are copied from a browser: ENDPOINT/OWNER/REPO, and behind it
// /blob/main/FILE or /resolve/main/FILE. Returns what follows ENDPOINT/; NULL for other addresses.
static const char *find_page(const char *text, const char *endpoint)
{
    size_t length = strlen(endpoint);
    return strncasecmp(text, endpoint, length) == 0 && text[length] == '/' ? text + length + 1 : NULL;
}

// Makes "hf:OWNER/REPO" or "hf:OWNER/REPO:FILE" of such an address; false if it is another page.
static bool read_page(const char *page, char *name, size_t size)
{
    size_t owner = strcspn(page, "/?#");
    if (!is_safe_component(page, owner) || page[owner] != '/') return false;
    const char *repository = page + owner + 1;
    size_t length = strcspn(repository, "/?#");
    const char *rest = repository + length;
    if (!is_safe_component(repository, length)) return false;
    int both = (int)(owner + 1 + length);
    if (*rest != '/') return snprintf(name, size, "hf:%.*s", both, page) < (int)size && !ends_with(name, ".gguf");
    size_t marker = begins_with(rest, "/blob/main/") ? 11 : begins_with(rest, "/resolve/main/") ? 14 : 0;
    const char *file = rest + marker;
    return marker > 0 && snprintf(name, size, "hf:%.*s:%.*s", both, page, (int)strcspn(file, "?#"), file) < (int)size;
}

tern_status source_parse(const char *text, const char *endpoint, struct hub_source *out)
{
    *out = (struct hub_source){0};
    const struct hub_model *model = hub_find_model(text);
    if (model != NULL) return take_model(model, endpoint, out);
    if (begins_with(text, "hf:")) return parse_repository(text + 3, endpoint, out);
    const char *page = find_page(text, endpoint);
    char name[SOURCE_PATH_BYTES];
    if (page != NULL && read_page(page, name, sizeof name)) return parse_repository(name + 3, endpoint, out);
    if (strstr(text, "://") != NULL) return parse_url(text, out);
    return status_fail(TERN_INVALID,
                       "no model is known by this name; there are also hf:OWNER/REPO[:FILE] and https://...");
}

// ---- Parts --------------------------------------------------------------------------------------------------------

tern_status source_count_parts(const struct hub_source *source, int *parts)
{
    struct split_name name;
    *parts = 1;
    if (!split_read(source->path, &name)) return TERN_OK;
    if (name.part < 1 || name.part > name.count || name.count > SOURCE_MAX_PARTS)
        return status_fail(TERN_INVALID, "part %d of %d: expected 1 to %d parts", name.part, name.count,
                           SOURCE_MAX_PARTS);
    *parts = name.count;
    // An address may hide its file's name behind a query; then its other parts cannot be known.
    if (!split_read(source->url, &name))
        return status_fail(TERN_INVALID, "one part of a split file, and the address does not end with its name");
    return TERN_OK;
}

void source_select_part(struct hub_source *source, int part)
{
    split_set_part(source->path, part);
    split_set_part(source->url, part);
    split_set_part(source->file, part);
}
