// The body of a request to /v1/responses or /v1/messages, and what its tools and messages become for a template that
// knows tools or not. The first byte chooses.
#include <stdlib.h>

#include "serve/messages_request.h"
#include "serve/responses_request.h"
#include "serve/server.h"
#include "serve/tool_prompt.h"
#include "serve/tool_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right) abort();
}

// A request that was taken has all that a generation counts on.
static void look_at_messages(const tern_message *messages, size_t n_messages)
{
    check(n_messages > 0);
    for (size_t i = 0; i < n_messages; i++)
        check(messages[i].role != NULL && (messages[i].content != NULL || messages[i].tool_calls != NULL));
}

static void look_at_tools(const struct reply_style *style, const struct generation_request *request)
{
    static const bool loose[GENERATION_MAX_TOOLS];
    struct tool_prompt prompt;
    check(tool_prompt_open(style, request, &prompt) == TERN_OK);
    look_at_messages(prompt.messages, prompt.n_messages);
    tool_prompt_close(&prompt);
    json_decref(tool_schema(style, request->tools, request->tool_name, request->one_call, loose));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct server server;
    struct generation_request request;
    struct api_error error = {0};
    json_t *root;
    bool stream = false;
    if (size < 1) return 0;
    if (!field_open_body((const char *)data + 1, size - 1, &root, &error)) return 0;
    generation_request_init(&server, &request, root);
    request.count_only = data[0] & 2;
    const struct fields fields = {.object = root, .error = &error};
    bool taken = data[0] & 1 ? responses_read_request(&fields, &request, &stream)
                             : messages_read_request(&fields, &request, &stream);
    check(taken == (error.status == 0));
    if (taken) {
        struct reply_style style = {.call_open = "<tool_call>",
                                    .call_close = "</tool_call>",
                                    .name_key = "name",
                                    .arguments_key = "arguments",
                                    .shows_tools = data[0] & 4,
                                    .short_ids = data[0] & 8,
                                    .call_is_list = data[0] & 16};
        look_at_messages(request.messages, request.n_messages);
        look_at_tools(&style, &request);
    }
    json_decref(api_error_json(&error));
    generation_request_free(&request);
    return 0;
}
