#include "hub/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STRING_OF(text) #text
#define STRING(macro)   STRING_OF(macro)

struct http_client {
    CURL *curl;
    char error[CURL_ERROR_SIZE];
};

tern_status http_open(struct http_client **out)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (client != NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) client->curl = curl_easy_init();
    if (client != NULL && client->curl != NULL) {
        *out = client;
        return TERN_OK;
    }
    free(client);
    *out = NULL;
    return status_fail(TERN_NO_MEMORY, "libcurl could not be set up");
}

void http_close(struct http_client *client)
{
    if (client == NULL) return;
    curl_easy_cleanup(client->curl);
    free(client);
}

// ---- Addresses ----------------------------------------------------------------------------------------------------

struct origin {
    char *scheme, *host, *port; // curl's
};

static void free_origin(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

static bool read_origin(const char *url, struct origin *out)
{
    *out = (struct origin){0};
    CURLU *parts = curl_url();
    bool read = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &out->scheme, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &out->host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PORT, &out->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(parts);
    return read;
}

static bool same_origin(const char *a, const char *b)
{
    struct origin first, second;
    bool both = read_origin(a, &first);
    both = read_origin(b, &second) && both;
    bool same = both && strcasecmp(first.scheme, second.scheme) == 0 && strcasecmp(first.host, second.host) == 0 &&
                strcmp(first.port, second.port) == 0;
    free_origin(&first);
    free_origin(&second);
    return same;
}

static bool is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

static bool is_loopback(const char *url)
{
    struct origin origin;
    bool loopback =
        read_origin(url, &origin) && (strcmp(origin.host, "127.0.0.1") == 0 || strcmp(origin.host, "[::1]") == 0 ||
                                      strcasecmp(origin.host, "localhost") == 0);
    free_origin(&origin);
    return loopback;
}

// A token goes to the origin it belongs to, and never readable over a network.
static bool may_see_token(const struct http_request *request, const char *url)
{
    return request->token != NULL && request->token[0] != '\0' && same_origin(url, request->token_origin) &&
           (is_https(url) || is_loopback(url));
}

// ---- One hop ------------------------------------------------------------------------------------------------------

struct hop {
    struct http_client *client;
    const struct http_request *request;
    struct http_answer *answer;
    bool asked_first; // this host was asked first
    bool read;        // the headers have been read into the answer
    size_t header_bytes, page_bytes;
    tern_status status; // why a callback gave up
};

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// The last value of a header; "" if there is none or it is too long.
static void read_header(CURL *curl, const char *name, char out[HTTP_VALUE_BYTES])
{
    struct curl_header *header;
    out[0] = '\0';
    if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return;
    if (strlen(header->value) < HTTP_VALUE_BYTES) memcpy(out, header->value, strlen(header->value) + 1);
}

// A decimal number; HTTP_UNKNOWN if there is none or it does not fit.
static uint64_t parse_number(const char *text)
{
    errno = 0;
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && value < HTTP_UNKNOWN ? value : HTTP_UNKNOWN;
}

// "bytes 100-199/200", "bytes */200" (RFC 9110, 14.4)
static void parse_range(const char *text, struct http_answer *answer)
{
    const char *slash = strchr(text, '/');
    if (strncasecmp(text, "bytes ", 6) != 0 || slash == NULL) return;
    answer->first = parse_number(text + 6);
    answer->total = parse_number(slash + 1);
}

static void strip_quotes(char *text)
{
    size_t length = strlen(text);
    if (length < 2 || text[0] != '"' || text[length - 1] != '"') return;
    memmove(text, text + 1, length - 2);
    text[length - 2] = '\0';
}

// Keeps what an earlier redirect of the same host said.
static void read_stated(CURL *curl, const char *name, char out[HTTP_VALUE_BYTES])
{
    char value[HTTP_VALUE_BYTES];
    read_header(curl, name, value);
    strip_quotes(value);
    if (value[0] != '\0') memcpy(out, value, sizeof value);
}

static void read_linked(CURL *curl, struct http_answer *answer)
{
    char size[HTTP_VALUE_BYTES];
    read_stated(curl, "X-Linked-Etag", answer->linked_etag);
    read_stated(curl, "ETag", answer->own_etag);
    read_header(curl, "X-Linked-Size", size);
    if (size[0] != '\0') answer->linked_size = parse_number(size);
}

static void read_answer(struct hop *hop)
{
    CURL *curl = hop->client->curl;
    struct http_answer *answer = hop->answer;
    char value[HTTP_VALUE_BYTES];
    curl_off_t length = -1, wait = 0;
    hop->read = true;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait);
    answer->length = length >= 0 ? (uint64_t)length : HTTP_UNKNOWN;
    answer->retry_after = wait > 0 ? (uint64_t)wait : 0;
    read_header(curl, "ETag", answer->etag);
    read_header(curl, "Content-Range", value);
    parse_range(value, answer);
    if (hop->asked_first) read_linked(curl, answer);
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct hop *hop = context;
    (void)data;
    hop->header_bytes += size * count;
    if (hop->header_bytes <= HTTP_MAX_HEADER_BYTES) return size * count;
    hop->status = status_fail(TERN_LIMIT, "the server sends more than %d KiB of headers", HTTP_MAX_HEADER_BYTES >> 10);
    return 0;
}

// Nobody reads the page of a redirect or a refusal, and it need not end.
static tern_status skip_page(struct hop *hop, size_t length)
{
    hop->page_bytes += length;
    if (hop->page_bytes <= HTTP_MAX_PAGE_BYTES) return TERN_OK;
    return status_fail(TERN_LIMIT, "the server answers with status %ld and more than %d KiB of text",
                       hop->answer->status, HTTP_MAX_PAGE_BYTES >> 10);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct hop *hop = context;
    if (!hop->read) read_answer(hop);
    bool wanted = hop->answer->status == 200 || hop->answer->status == 206;
    hop->status = wanted ? hop->request->body(hop->request->context, hop->answer, data, size * count)
                         : skip_page(hop, size * count);
    return hop->status == TERN_OK ? size * count : 0;
}

static int tick(void *context, curl_off_t total, curl_off_t now, curl_off_t upload_total, curl_off_t upload_now)
{
    struct hop *hop = context;
    (void)total, (void)now, (void)upload_total, (void)upload_now;
    if (hop->request->tick == NULL || hop->request->tick(hop->request->tick_context)) return 0;
    hop->status = status_fail(TERN_CANCELLED, "interrupted");
    return 1;
}

// True for failures that a second attempt may not meet again.
static bool is_transient(CURLcode code)
{
    switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
        return true;
    default:
        return false;
    }
}

static void set_transfer(struct hop *hop, const char *url, const char *range)
{
    CURL *curl = hop->client->curl;
    const struct http_request *request = hop->request;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tern/" STRING(TERN_VERSION_MAJOR) "." STRING(TERN_VERSION_MINOR));
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, hop->client->error);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, request->timeout);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, request->timeout);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, hop);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, hop);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, tick);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, hop);
    if (range[0] != '\0') curl_easy_setopt(curl, CURLOPT_RANGE, range);
    bool has_ca_file = request->ca_file != NULL && request->ca_file[0] != '\0';
    if (has_ca_file) curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
    if (!may_see_token(request, url)) return;
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request->token);
}

static tern_status fail_transfer(struct hop *hop, CURLcode code)
{
    if (hop->status != TERN_OK) return hop->status;
    hop->answer->transient = is_transient(code);
    hop->answer->unreached = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                             code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR;
    const char *words = hop->client->error[0] != '\0' ? hop->client->error : curl_easy_strerror(code);
    return status_fail(TERN_IO, "%s", words);
}

static tern_status perform(struct hop *hop, const char *url)
{
    char range[32] = "";
    struct curl_slist *headers = NULL;
    if (hop->request->from > 0) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)hop->request->from);
        if (hop->request->if_range != NULL && hop->request->if_range[0] != '\0') {
            char line[HTTP_VALUE_BYTES + 16];
            snprintf(line, sizeof line, "If-Range: %s", hop->request->if_range);
            if ((headers = curl_slist_append(NULL, line)) == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
        }
    }
    set_transfer(hop, url, range);
    curl_easy_setopt(hop->client->curl, CURLOPT_HTTPHEADER, headers);
    hop->client->error[0] = '\0';
    CURLcode code = curl_easy_perform(hop->client->curl);
    if (code == CURLE_OK && !hop->read) read_answer(hop);
    curl_slist_free_all(headers);
    return code == CURLE_OK ? TERN_OK : fail_transfer(hop, code);
}

// ---- Requests -----------------------------------------------------------------------------------------------------

// Where a redirect leads; NULL with a message if tern does not go there. Borrowed from curl until its next request.
static const char *follow(struct http_client *client, const char *url)
{
    char *next = NULL;
    curl_easy_getinfo(client->curl, CURLINFO_REDIRECT_URL, &next);
    if (next == NULL)
        status_fail(TERN_INVALID, "the server sends us elsewhere and does not say where");
    else if (!is_https(next) && (is_https(url) || strncasecmp(next, "http://", 7) != 0))
        status_fail(TERN_INVALID, "the server sends us to an address that is not https, where tern does not follow");
    else
        return next;
    return NULL;
}

static tern_status get_hops(struct http_client *client, const struct http_request *request, char **url,
                            struct http_answer *answer)
{
    for (int redirects = 0; redirects <= HTTP_MAX_REDIRECTS; redirects++) {
        struct hop hop = {.client = client, .request = request, .answer = answer};
        hop.asked_first = same_origin(*url, request->url);
        answer->first = answer->total = HTTP_UNKNOWN;
        TRY(perform(&hop, *url));
        if (!is_redirect(answer->status)) return TERN_OK;
        const char *next = follow(client, *url);
        if (next == NULL) return TERN_INVALID;
        char *copy = strdup(next);
        if (copy == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
        free(*url);
        *url = copy;
    }
    return status_fail(TERN_LIMIT, "more than %d redirects", HTTP_MAX_REDIRECTS);
}

tern_status http_get(struct http_client *client, const struct http_request *request, struct http_answer *answer)
{
    *answer = (struct http_answer){.length = HTTP_UNKNOWN, .linked_size = HTTP_UNKNOWN};
    char *url = strdup(request->url);
    if (url == NULL) return status_fail(TERN_NO_MEMORY, "out of memory");
    tern_status status = get_hops(client, request, &url, answer);
    free(url);
    return status;
}

static tern_status append_text(void *context, const struct http_answer *answer, const void *data, size_t length)
{
    (void)answer;
    return buffer_append(context, data, length);
}

tern_status http_get_text(struct http_client *client, struct http_request request, struct http_answer *answer,
                          struct buffer *out)
{
    request.context = out;
    request.body = append_text;
    return http_get(client, &request, answer);
}
