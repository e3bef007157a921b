// The body of a request to /v1/chat/completions or /v1/completions, as it comes from anybody. The first byte chooses.
#include <stdlib.h>
#include <string.h>

#include "serve/completions_request.h"
#include "serve/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right) abort();
}

// What a generation counts on.
static void look_at_request(const struct generation_request *request)
{
    check(request->n >= 1 && request->n <= GENERATION_MAX_CHOICES && request->max_tokens != 0);
    check(request->n_stop <= GENERATION_MAX_STOP && request->n_logprobs <= SCHEDULER_MAX_TOP);
    check((request->format == FORMAT_JSON_SCHEMA || request->format == FORMAT_GRAMMAR) ==
          (request->format_text != NULL));
    for (size_t i = 0; i < request->n_stop; i++)
        check(strlen(request->stop[i]) > 0);
    for (size_t i = 0; i < request->n_messages; i++)
        check(request->messages[i].role != NULL &&
              (request->messages[i].content != NULL || request->messages[i].tool_calls != NULL));
}

static void look_at_prompts(const struct generation_request *request)
{
    check(request->n_prompts * (size_t)request->n <= GENERATION_MAX_CHOICES && request->n_prompts > 0);
    for (size_t i = 0; i < request->n_prompts; i++)
        check(request->prompts[i].text != NULL || request->prompts[i].tokens != NULL);
}

static bool read_request(const struct fields *fields, bool is_chat, struct generation_request *request)
{
    struct chat_options chat = {0};
    struct completion_options completion = {0};
    return is_chat ? chat_request_read(fields, request, &chat) : completions_read_request(fields, request, &completion);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct server server;
    struct generation_request request;
    struct api_error error = {0};
    json_t *root;
    if (size < 1 || !field_open_body((const char *)data + 1, size - 1, &root, &error)) return 0;
    generation_request_init(&server, &request, root);
    const struct fields fields = {.object = root, .error = &error};
    bool is_chat = data[0] & 1, taken = read_request(&fields, is_chat, &request);
    check(taken == (error.status == 0));
    if (taken) look_at_request(&request);
    if (taken && !is_chat) look_at_prompts(&request);
    json_decref(api_error_json(&error));
    generation_request_free(&request);
    return 0;
}
