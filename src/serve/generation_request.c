#include "serve/field.h"
#include "serve/generation.h"
#include "serve/schema_text.h"
#include "serve/server.h"
#include "serve/tool_schema.h"

#include <stdlib.h>
#include <string.h>

void generation_request_init(const struct server *server, struct generation_request *request, json_t *root)
{
    *request = (struct generation_request){
        .root = root,
        .kept = json_array(),
        .thinking_budget = -1,
        .n = 1,
        .max_tokens = -1,
        .messages_param = "messages",
        .max_tokens_param = "max_tokens",
        .format_param = "response_format",
        .n_logprobs = -1,
        .sampling = server->options.sampling,
        .random_seed = true,
    };
}

void generation_request_free(struct generation_request *request)
{
    for (size_t i = 0; i < request->n_prompts; i++)
        free(request->prompts[i].tokens);
    free(request->prompts);
    free(request->messages);
    free((tern_token *)(uintptr_t)request->sampling.bias_tokens);
    free((float *)(uintptr_t)request->sampling.bias_values);
    json_decref(request->kept);
    json_decref(request->root);
    *request = (struct generation_request){0};
}

const char *generation_keep(struct generation_request *request, json_t *value)
{
    if (value == NULL || json_array_append_new(request->kept, value) != 0) return NULL;
    return json_is_string(value) ? json_string_value(value) : "";
}

bool generation_keep_schema(struct generation_request *request, const json_t *schema, const char *param)
{
    char *text = schema_text(schema);
    request->format = FORMAT_JSON_SCHEMA;
    request->format_param = param;
    request->format_text = text != NULL ? generation_keep(request, json_string(text)) : NULL;
    free(text);
    return request->format_text != NULL;
}

bool generation_add_message(struct generation_request *request, const tern_message *message)
{
    size_t n = request->n_messages;
    if (n >= GENERATION_MAX_MESSAGES) return false;
    if ((n & (n - 1)) == 0) { // doubles at powers of two
        tern_message *grown = realloc(request->messages, (n == 0 ? 1 : n * 2) * sizeof *grown);
        if (grown == NULL) return false;
        request->messages = grown;
    }
    request->messages[request->n_messages++] = *message;
    return true;
}

// ---- Fields that dialects share -------------------------------------------------------------------------------------

// A string, or an array of strings.
static bool read_stop(const struct fields *f, struct generation_request *request)
{
    const json_t *value = json_object_get(f->object, "stop");
    bool is_list = json_is_array(value);
    size_t count = is_list ? json_array_size(value) : json_is_string(value) ? 1 : 0;
    if (value == NULL || json_is_null(value)) return true;
    if (!is_list && count == 0) return field_fail(f, "stop", "expected a string or an array of strings");
    if (count > GENERATION_MAX_STOP)
        return field_fail(f, "stop", "%zu strings, at most %d are taken", count, GENERATION_MAX_STOP);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = is_list ? json_array_get(value, i) : value;
        const char *text = json_string_value(item);
        if (text == NULL) return field_fail(f, "stop", "entry %zu is no string", i);
        if (strlen(text) > 1024) return field_fail(f, "stop", "a string is longer than 1024 bytes");
        if (text[0] != '\0') request->stop[request->n_stop++] = text; // "": some clients mean none
    }
    return true;
}

static bool read_bias_entry(const struct fields *f, const char *key, const json_t *value, tern_token *token,
                            float *bias)
{
    char *end;
    long id = strtol(key, &end, 10);
    if (*key == '\0' || *end != '\0' || id < 0 || id > INT32_MAX)
        return field_fail(f, "logit_bias", "'%.20s' is no token id", key);
    double number = json_is_false(value) ? -100 : json_number_value(value);
    if (!json_is_number(value) && !json_is_false(value))
        return field_fail(f, "logit_bias", "the bias of token %ld is no number", id);
    if (!(number >= -100 && number <= 100))
        return field_fail(f, "logit_bias", "%g is out of bounds, expected -100 to 100", number);
    *token = (tern_token)id;
    // OpenAI: "-100 or 100 should result in a ban or exclusive selection".
    *bias = number <= -100 ? -1e9F : (float)number;
    return true;
}

static bool read_bias(const struct fields *f, struct generation_request *request)
{
    const json_t *object = NULL;
    if (!field_object(f, "logit_bias", &object)) return false;
    size_t count = json_object_size(object), i = 0;
    if (count == 0) return true;
    if (count > GENERATION_MAX_BIAS)
        return field_fail(f, "logit_bias", "%zu tokens, at most %d are taken", count, GENERATION_MAX_BIAS);
    tern_token *tokens = calloc(count, sizeof *tokens);
    float *values = calloc(count, sizeof *values);
    request->sampling.bias_tokens = tokens; // freed with the request
    request->sampling.bias_values = values;
    if (tokens == NULL || values == NULL) return field_fail_memory(f);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!read_bias_entry(f, key, value, &tokens[i], &values[i])) return false;
        i++;
    }
    request->sampling.n_bias = count;
    return true;
}

static bool read_seed(const struct fields *f, struct generation_request *request)
{
    int64_t seed = -1;
    if (!field_is_given(f, "seed")) return true;
    if (!field_integer(f, "seed", INT64_MIN, INT64_MAX, &seed)) return false;
    request->random_seed = seed == -1; // as llama.cpp's server has it
    request->sampling.seed = (uint64_t)seed;
    return true;
}

static bool read_top_k(const struct fields *f, int *top_k)
{
    if (!field_int(f, "top_k", -1, 1 << 30, top_k)) return false;
    if (*top_k < 0) *top_k = 0; // vLLM's word for all
    return true;
}

bool generation_read_sampling(const struct fields *f, struct generation_request *request)
{
    tern_sampling *s = &request->sampling;
    return field_float(f, "temperature", 0, 100, &s->temperature) && field_float(f, "top_p", 0, 1, &s->top_p) &&
           read_top_k(f, &s->top_k) && field_float(f, "min_p", 0, 1, &s->min_p) &&
           field_float(f, "typical_p", 0, 1, &s->typical_p) &&
           field_float(f, "presence_penalty", -100, 100, &s->presence_penalty) &&
           field_float(f, "frequency_penalty", -100, 100, &s->frequency_penalty) &&
           field_float(f, "repetition_penalty", 0.01, 100, &s->repetition_penalty) &&
           field_float(f, "repeat_penalty", 0.01, 100, &s->repetition_penalty) && read_seed(f, request) &&
           read_stop(f, request) && read_bias(f, request);
}

// `allowed`: entries of `tools`, {"type": "function", "function": {"name": ...}}, or as /v1/responses has them,
// {"type": "function", "name": ...}.
static bool is_allowed(const json_t *allowed, const char *name)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(allowed, index, entry)
    {
        const json_t *function = tool_function(entry);
        const char *found = json_string_value(json_object_get(function != NULL ? function : entry, "name"));
        if (found != NULL && strcmp(found, name) == 0) return true;
    }
    return false;
}

bool generation_read_allowed_tools(const struct fields *f, struct generation_request *request)
{
    const json_t *allowed = NULL;
    int mode = 0;
    if (!field_choice(f, "mode", "auto|required", &mode) || !field_array(f, "tools", GENERATION_MAX_TOOLS, &allowed))
        return false;
    json_t *tools = (json_t *)(uintptr_t)request->tools;
    for (size_t i = json_array_size(tools); i > 0; i--) {
        if (!is_allowed(allowed, tool_name(json_array_get(tools, i - 1)))) json_array_remove(tools, i - 1);
    }
    request->tool_choice = mode == 0 ? TOOL_CHOICE_AUTO : TOOL_CHOICE_REQUIRED;
    if (request->tool_choice == TOOL_CHOICE_REQUIRED && json_array_size(tools) == 0)
        return field_fail(f, "tools", "a tool is required, but the request has none of these");
    return true;
}
