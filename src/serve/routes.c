#include "serve/route.h"

#include <string.h>

static const struct route routes[] = {
    {.method = "POST", .path = "/v1/chat/completions", .handle = chat_handle},
    {.method = "POST", .path = "/v1/completions", .handle = completions_handle},
    {.method = "POST", .path = "/v1/embeddings", .handle = embeddings_handle},
    {.method = "POST", .path = "/v1/responses", .handle = responses_handle},
    {.method = "POST",
     .path = "/v1/messages",
     .handle = messages_handle,
     .write_error = messages_error_json,
     .id_header = "request-id"},
    {.method = "POST",
     .path = "/v1/messages/count_tokens",
     .handle = messages_count_handle,
     .write_error = messages_error_json,
     .id_header = "request-id"},
    {.method = "GET", .path = "/v1/models", .handle = models_list_handle},
    {.method = "GET", .path = "/v1/models/*", .handle = models_one_handle},
    {.method = "POST", .path = "/tokenize", .handle = tokenize_handle},
    {.method = "POST", .path = "/detokenize", .handle = detokenize_handle},
    {.method = "POST", .path = "/apply-template", .handle = template_handle},
    {.method = "GET", .path = "/health", .handle = health_handle, .open = true, .fast = true, .quiet = true},
    {.method = "GET", .path = "/metrics", .handle = metrics_handle, .quiet = true},
    {.method = "GET", .path = "/props", .handle = props_handle, .quiet = true},
    {.method = "GET", .path = "/slots", .handle = slots_handle, .quiet = true},
    {.method = "GET", .path = "/", .handle = page_handle, .page = true, .fast = true, .quiet = true},
    {.method = "GET", .path = "/*", .handle = page_handle, .page = true, .fast = true, .quiet = true},
};

enum { N_ROUTES = sizeof routes / sizeof *routes };

// What "*" stands for; NULL if the path is another.
static const char *match(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);
    if (pattern[length - 1] != '*') return strcmp(pattern, path) == 0 ? "" : NULL;
    if (strncmp(pattern, path, length - 1) != 0 || path[length - 1] == '\0') return NULL;
    return path + length - 1;
}

static bool has_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

const struct route *route_find(const char *method, const char *path, const char **rest, const char **allowed,
                               struct api_error *error)
{
    *allowed = NULL;
    for (int i = 0; i < N_ROUTES; i++) {
        const char *behind = match(routes[i].path, path);
        bool is_page = routes[i].page && *allowed != NULL; // "/*" takes nothing from endpoints
        if (behind == NULL || is_page) continue;
        if (has_method(&routes[i], method)) {
            *rest = behind;
            return &routes[i];
        }
        if (!routes[i].page || strcmp(path, "/") == 0)
            *allowed = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
    }
    if (*allowed != NULL)
        api_error_status(error, 405, "method_not_allowed", "%s does not take %.20s, but %s", path, method, *allowed);
    else
        api_error_status(error, 404, "not_found", "there is nothing at %.20s %.200s", method, path);
    return NULL;
}
