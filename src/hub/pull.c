#include "hub/pull.h"

#include "hub/cache.h"
#include "hub/part.h"
#include "hub/split.h"
#include "hub/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    GOOD_PROGRESS = 1 << 20, // bytes after which failures are forgotten
    LONGEST_WAIT = 300,      // seconds that a server may make us wait
    LONGEST_PAUSE = 60,      // seconds between attempts of our own accord
};

struct download {
    const struct pull_options *options;
    const struct hub_source *source;
    struct http_client *client;
    struct part_file part;
    struct sha256 *hash;
    struct part_identity now; // what the server says in this attempt
    bool begun;               // this attempt's body is the file's
    bool again;               // this attempt's failure may pass
    bool restart;             // ... if the file is begun anew
    bool grown;               // something came since the program started
    uint64_t wait;            // seconds that the server asked for; 0: none
};

static void note(const struct pull_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(const struct pull_options *options, const char *format, ...)
{
    char text[STATUS_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    options->events.note(options->events.context, text);
}

static tern_status pause_for(const struct pull_options *options, long milliseconds)
{
    const struct timespec slice = {.tv_nsec = 100 * 1000 * 1000};
    for (; milliseconds > 0; milliseconds -= 100) {
        if (!options->events.tick(options->events.context)) return status_fail(TERN_CANCELLED, "interrupted");
        nanosleep(&slice, NULL);
    }
    return TERN_OK;
}

static struct http_request request_for(const struct pull_options *options, const char *url)
{
    return (struct http_request){
        .url = url,
        .token = options->token,
        .token_origin = options->endpoint,
        .ca_file = options->ca_file,
        .timeout = options->timeout,
        .tick = options->events.tick,
        .tick_context = options->events.context,
    };
}

// ---- What answers mean --------------------------------------------------------------------------------------------

static tern_status refuse(const struct pull_options *options, const char *url, long status)
{
    bool has_token = options->token != NULL && options->token[0] != '\0';
    if (status == 401 || status == 403)
        return status_fail(
            TERN_IO, "%s: access is refused (%ld). %s; the model's page may also ask to accept its licence", url,
            status, has_token ? "The token in HF_TOKEN does not open it" : "Set HF_TOKEN to an access token");
    if (status == 404) return status_fail(TERN_IO, "%s: there is no such file or repository (404)", url);
    if (status == 429) return status_fail(TERN_IO, "%s: too many requests (429)", url);
    return status_fail(TERN_IO, "%s: the server answers with status %ld", url, status);
}

static bool may_pass(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

static tern_status take_refusal(struct download *d, const struct http_answer *answer)
{
    d->again = may_pass(answer->status);
    d->wait = answer->retry_after;
    tern_status status = refuse(d->options, d->source->url, answer->status);
    if (d->wait <= LONGEST_WAIT) return status;
    d->again = false;
    return status_fail(TERN_IO, "%s: the server answers with status %ld and asks to wait %llu seconds", d->source->url,
                       answer->status, (unsigned long long)d->wait);
}

// ---- The beginning of a body --------------------------------------------------------------------------------------

// The hub's ETag is the SHA-256 of a large file; of others only what X-Linked-Etag says is one.
static void read_sha256(const struct download *d, const struct http_answer *answer, char hex[SHA256_HEX_BYTES])
{
    if (!sha256_parse(answer->linked_etag, hex) && d->source->repository[0] != '\0')
        sha256_parse(answer->own_etag, hex);
}

static tern_status read_now(struct download *d, const struct http_answer *answer)
{
    bool strong = answer->etag[0] == '"';
    uint64_t size = answer->status == 206 ? answer->total : answer->length;
    d->now = (struct part_identity){.size = size != HTTP_UNKNOWN ? size : answer->linked_size};
    if (strong) memcpy(d->now.etag, answer->etag, sizeof d->now.etag);
    read_sha256(d, answer, d->now.sha256);
    if (size != HTTP_UNKNOWN && answer->linked_size != HTTP_UNKNOWN && size != answer->linked_size)
        return status_fail(TERN_IO, "%s: the server offers %llu bytes, the hub states %llu", d->source->url,
                           (unsigned long long)size, (unsigned long long)answer->linked_size);
    return TERN_OK;
}

// True if the bytes of this answer belong behind those that are there.
static bool continues(const struct download *d, const struct http_answer *answer)
{
    const struct part_identity *then = &d->part.identity;
    return answer->first == d->part.length && (then->size == HTTP_UNKNOWN || then->size == d->now.size) &&
           (then->etag[0] == '\0' || strcmp(then->etag, d->now.etag) == 0) && strcmp(then->sha256, d->now.sha256) == 0;
}

static tern_status begin_anew(struct download *d)
{
    sha256_begin(d->hash);
    return part_truncate(&d->part);
}

static tern_status begin_body(struct download *d, const struct http_answer *answer)
{
    d->begun = true;
    TRY(read_now(d, answer));
    if (answer->status == 206 && !continues(d, answer)) {
        d->again = d->restart = true;
        return status_fail(TERN_IO, "%s: the file changed on the server", d->source->url);
    }
    if (answer->status == 200 && d->part.length > 0) {
        note(d->options, "the server sends the whole file again: it changed, or the server cannot send a part");
        TRY(begin_anew(d));
    }
    TRY(part_check_space(&d->part, d->now.size == HTTP_UNKNOWN ? HTTP_UNKNOWN : d->now.size - d->part.length));
    return part_set_identity(&d->part, &d->now, d->source->url);
}

static tern_status take_body(void *context, const struct http_answer *answer, const void *data, size_t length)
{
    struct download *d = context;
    if (!d->begun) TRY(begin_body(d, answer));
    if (d->now.size != HTTP_UNKNOWN && length > d->now.size - d->part.length)
        return status_fail(TERN_IO, "%s: more bytes come than the server said", d->source->url);
    TRY(part_append(&d->part, data, length));
    sha256_add(d->hash, data, length);
    d->grown = true;
    d->options->events.progress(d->options->events.context, d->part.length, d->now.size);
    return TERN_OK;
}

// ---- Attempts -----------------------------------------------------------------------------------------------------

// Bytes are of use only if the server can be held to what they were part of.
static bool may_continue(const struct part_file *part)
{
    const struct part_identity *then = &part->identity;
    bool fits = then->size == HTTP_UNKNOWN || part->length <= then->size;
    return part->length > 0 && fits && (then->etag[0] != '\0' || then->sha256[0] != '\0');
}

// The network's words, and how far it came.
static tern_status fail_midway(const struct download *d)
{
    char words[STATUS_MESSAGE_BYTES / 2], size[32] = "?";
    snprintf(words, sizeof words, "%s", status_message());
    if (d->now.size != HTTP_UNKNOWN) snprintf(size, sizeof size, "%llu", (unsigned long long)d->now.size);
    return status_fail(TERN_IO, "%s: %s (%llu of %s bytes came)", d->source->url, words,
                       (unsigned long long)d->part.length, size);
}

// Of an answer that states no length of its own, only the hub's statement tells that it ended early.
static tern_status check_complete(struct download *d)
{
    if (d->now.size == HTTP_UNKNOWN || d->part.length == d->now.size) return TERN_OK;
    d->again = true;
    status_fail(TERN_IO, "the answer ended early");
    return fail_midway(d);
}

static tern_status take_answer(struct download *d, const struct http_answer *answer)
{
    if (d->begun) return check_complete(d);
    if (answer->status == 200 || answer->status == 206)
        return status_fail(TERN_IO, "%s: the file is empty", d->source->url);
    if (answer->status != 416 || d->part.length == 0) return take_refusal(d, answer);
    // There is nothing behind what is there: it is the whole file, or of another one.
    d->now = d->part.identity;
    if (d->part.length == d->now.size) return TERN_OK;
    d->again = d->restart = true;
    return status_fail(TERN_IO, "%s: the file changed on the server", d->source->url);
}

static tern_status attempt(struct download *d)
{
    d->begun = d->again = d->restart = false;
    d->wait = 0;
    if (d->part.length > 0 && !may_continue(&d->part)) TRY(begin_anew(d));
    struct http_request request = request_for(d->options, d->source->url);
    request.from = d->part.length;
    request.if_range = d->part.identity.etag;
    request.body = take_body;
    request.context = d;
    struct http_answer answer;
    tern_status status = http_get(d->client, &request, &answer);
    if (status == TERN_OK) return take_answer(d, &answer);
    // What the network did: a server that was never reached is rather a mistake in its name.
    if (status == TERN_IO && answer.transient) {
        d->again = !answer.unreached || d->grown;
        return d->begun ? fail_midway(d) : status_prefix(status, "%s: ", d->source->url);
    }
    return d->begun || status == TERN_CANCELLED ? status : status_prefix(status, "%s: ", d->source->url);
}

static tern_status pause_before_retry(const struct download *d, int failures)
{
    uint64_t pause = 1ull << (failures < 7 ? failures - 1 : 6);
    if (pause > LONGEST_PAUSE) pause = LONGEST_PAUSE;
    if (d->wait > 0) pause = d->wait;
    note(d->options, "%s; trying again in %llu s", status_message(), (unsigned long long)pause);
    return pause_for(d->options, (long)pause * 1000);
}

static tern_status attempt_repeatedly(struct download *d)
{
    for (int failures = 0;;) {
        uint64_t before = d->part.length;
        tern_status status = attempt(d);
        if (status == TERN_OK || !d->again) return status;
        if (d->part.length > before && d->part.length - before >= GOOD_PROGRESS) failures = 0;
        if (d->restart) TRY(begin_anew(d)); // also for the next run, should this one give up
        if (failures++ >= d->options->retries) return status;
        TRY(pause_before_retry(d, failures));
    }
}

// ---- Checks -------------------------------------------------------------------------------------------------------

static tern_status fetch_tree(const struct pull_options *options, struct http_client *client,
                              const struct hub_source *source, struct tree *out)
{
    char url[SOURCE_URL_BYTES + SOURCE_REPOSITORY_BYTES];
    struct buffer text = {.limit = TREE_MAX_BYTES};
    struct http_answer answer;
    snprintf(url, sizeof url, "%s/api/models/%s/tree/main?recursive=true", options->endpoint, source->repository);
    tern_status status = http_get_text(client, request_for(options, url), &answer, &text);
    if (status != TERN_OK)
        status_prefix(status, "%s: ", url);
    else if (answer.status != 200)
        status = refuse(options, url, answer.status);
    else
        status = tree_parse(text.data != NULL ? text.data : "", text.length, out);
    buffer_free(&text);
    return status;
}

// What the file must have: what the user says, the answer said, or the hub's list says; "" if nobody does.
static tern_status find_sha256(struct download *d, char hex[SHA256_HEX_BYTES])
{
    memcpy(hex, d->now.sha256, SHA256_HEX_BYTES);
    if (d->options->sha256 != NULL) sha256_parse(d->options->sha256, hex);
    if (hex[0] != '\0' || d->source->repository[0] == '\0') return TERN_OK;
    struct tree tree;
    TRY(fetch_tree(d->options, d->client, d->source, &tree));
    const struct tree_file *file = tree_find(&tree, d->source->file);
    if (file != NULL) memcpy(hex, file->sha256, SHA256_HEX_BYTES);
    tree_free(&tree);
    return TERN_OK;
}

static tern_status check_magic(const struct download *d)
{
    char magic[4] = {0};
    if (pread(d->part.fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic && memcmp(magic, "GGUF", 4) == 0)
        return TERN_OK;
    return status_fail(TERN_BAD_FILE, "%s: what came is no GGUF file and was thrown away", d->source->url);
}

static tern_status check_bytes(struct download *d, char got[SHA256_HEX_BYTES])
{
    char expected[SHA256_HEX_BYTES];
    sha256_finish(d->hash, got);
    TRY(find_sha256(d, expected));
    if (expected[0] == '\0')
        note(d->options, "nobody states this file's SHA-256, so only its length was checked; it is %s", got);
    else if (strcmp(expected, got) != 0)
        return status_fail(TERN_BAD_FILE, "%s: SHA-256 %s came, %s was expected; it was thrown away", d->source->url,
                           got, expected);
    return check_magic(d);
}

static tern_status finish(struct download *d)
{
    char got[SHA256_HEX_BYTES];
    tern_status status = check_bytes(d, got);
    if (status == TERN_BAD_FILE) part_discard(&d->part);
    return status == TERN_OK ? part_commit(&d->part, d->source->url, got) : status;
}

// ---- Files --------------------------------------------------------------------------------------------------------

static tern_status download(struct download *d)
{
    TRY(sha256_open(&d->hash));
    if (may_continue(&d->part)) {
        note(d->options, "going on after the %.1f MB that are there", (double)d->part.length / 1e6);
        TRY(part_hash(&d->part, d->hash, d->options->events.tick, d->options->events.context));
    }
    TRY(attempt_repeatedly(d));
    return finish(d);
}

static bool is_there(const struct pull_options *options, const struct hub_source *source, const char *path)
{
    return !options->force && cache_holds(path, source->url);
}

// Waits while another process fetches the same file; then it is there, or this one goes on.
static tern_status open_part(const struct pull_options *options, const char *path, struct part_file *part)
{
    bool busy, said = false;
    for (;;) {
        TRY(part_open(path, part, &busy));
        if (!busy) return TERN_OK;
        if (!said) note(options, "another tern is fetching this file; waiting for it");
        said = true;
        TRY(pause_for(options, 200));
    }
}

static tern_status pull_to(const struct pull_options *options, struct http_client *client,
                           const struct hub_source *source, const char *path)
{
    if (is_there(options, source, path)) return TERN_OK;
    struct download d = {.options = options, .source = source, .client = client};
    TRY(open_part(options, path, &d.part));
    tern_status status = TERN_OK;
    if (is_there(options, source, path))
        part_discard(&d.part);
    else
        status = download(&d);
    bool nothing_came = status != TERN_OK && d.part.length == 0;
    if (nothing_came) part_discard(&d.part);
    if (nothing_came) cache_prune(options->cache, path);
    sha256_close(d.hash);
    part_close(&d.part);
    return status;
}

static tern_status pull_file(const struct pull_options *options, struct http_client *client,
                             const struct hub_source *source)
{
    struct buffer path = {0};
    tern_status status = buffer_append_format(&path, "%s/%s", options->cache, source->path);
    if (status == TERN_OK) status = pull_to(options, client, source, path.data);
    buffer_free(&path);
    return status;
}

static tern_status pull_parts(const struct pull_options *options, struct http_client *client, struct hub_source *source)
{
    int parts;
    TRY(source_count_parts(source, &parts));
    if (parts > 1 && options->sha256 != NULL)
        return status_fail(TERN_INVALID, "a SHA-256 was given, but the model is split into %d files", parts);
    for (int part = parts; part >= 1; part--) { // the first one last: with it, the model is there
        source_select_part(source, part);
        if (parts > 1) note(options, "file %d of %d", parts - part + 1, parts);
        TRY(pull_file(options, client, source));
    }
    return TERN_OK;
}

// ---- Choosing a file ----------------------------------------------------------------------------------------------

static bool is_model(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcasecmp(path + length - 5, ".gguf") == 0;
}

static bool is_later_part(const char *path)
{
    struct split_name name;
    return split_read(path, &name) && name.part != 1;
}

static tern_status choose(const struct tree *tree, const struct pull_options *options, struct hub_source *source)
{
    struct buffer names = {.limit = STATUS_MESSAGE_BYTES / 2};
    const char *only = NULL;
    int count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (!is_model(tree->files[i].path) || is_later_part(tree->files[i].path)) continue;
        only = tree->files[i].path;
        count++;
        if (names.length + strlen(only) + 4 < names.limit) buffer_append_format(&names, "\n  %s", only);
    }
    tern_status status = TERN_INVALID;
    if (count == 1)
        status = source_set_file(source, only, options->endpoint);
    else if (count == 0)
        status_fail(status, "hf:%s holds no GGUF file", source->repository);
    else
        status_fail(status, "hf:%s holds %d models; say which, as hf:%s:FILE:%s", source->repository, count,
                    source->repository, names.data != NULL ? names.data : "");
    buffer_free(&names);
    return status;
}

static tern_status choose_file(const struct pull_options *options, struct http_client *client,
                               struct hub_source *source)
{
    struct tree tree;
    TRY(fetch_tree(options, client, source, &tree));
    tern_status status = choose(&tree, options, source);
    tree_free(&tree);
    return status;
}

tern_status pull_model(const struct pull_options *options, struct hub_source *source)
{
    if (source->url[0] == '\0' && source->repository[0] == '\0')
        return status_fail(TERN_INVALID, "%s: %s", source->model->name, source->model->about);
    struct http_client *client;
    TRY(http_open(&client));
    tern_status status = TERN_OK;
    if (source->url[0] == '\0') status = choose_file(options, client, source);
    if (status == TERN_OK) status = pull_parts(options, client, source);
    http_close(client);
    return status;
}
