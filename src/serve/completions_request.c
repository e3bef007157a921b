#include "serve/completions_request.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX_TOKENS = 16 }; // OpenAI's

static bool read_prompt(const struct fields *f, const json_t *value, struct generation_prompt *prompt)
{
    prompt->text = json_string_value(value);
    if (prompt->text != NULL) return true;
    if (json_is_array(value)) return field_tokens(f, "prompt", value, &prompt->tokens, &prompt->n_tokens);
    return field_fail(f, "prompt", "expected a string, an array of strings, of token ids, or of arrays of token ids");
}

// "a text", ["texts", "to continue"], [1, 2, 3], [[1, 2], [3]]
static bool read_prompts(const struct fields *f, struct generation_request *request)
{
    const json_t *value = json_object_get(f->object, "prompt");
    if (value == NULL || json_is_null(value)) return field_fail(f, "prompt", "it is missing");
    bool is_one = !json_is_array(value) || json_is_number(json_array_get(value, 0));
    size_t count = is_one ? 1 : json_array_size(value);
    if (count == 0) return field_fail(f, "prompt", "it is empty");
    if (count * (size_t)request->n > GENERATION_MAX_CHOICES)
        return field_fail(f, "prompt", "%zu prompts and n %d are more than %d answers", count, request->n,
                          GENERATION_MAX_CHOICES);
    request->prompts = calloc(count, sizeof *request->prompts);
    if (request->prompts == NULL) return field_fail_memory(f);
    for (size_t i = 0; i < count; i++) {
        request->n_prompts++;
        if (!read_prompt(f, is_one ? value : json_array_get(value, i), &request->prompts[i])) return false;
    }
    return true;
}

static bool read_options(const struct fields *f, struct generation_request *request, struct completion_options *options)
{
    int logprobs = -1, best_of = 0;
    const char *suffix = NULL, *grammar = NULL, *user = NULL;
    request->max_tokens = DEFAULT_MAX_TOKENS;
    if (!field_text(f, "model", &request->model) || !field_int(f, "n", 1, GENERATION_MAX_CHOICES, &request->n) ||
        !field_int(f, "best_of", 1, GENERATION_MAX_CHOICES, &best_of) ||
        !field_int(f, "max_tokens", -1, INT32_MAX, &request->max_tokens) ||
        !field_int(f, "logprobs", 0, SCHEDULER_MAX_TOP, &logprobs) || !field_bool(f, "echo", &options->echo) ||
        !field_text(f, "suffix", &suffix) || !field_text(f, "grammar", &grammar) ||
        !field_bool(f, "ignore_eos", &request->ignore_end) || !field_text(f, "user", &user))
        return false;
    if (request->max_tokens == 0) return field_fail(f, "max_tokens", "expected 1 or more, or -1 for no bound");
    if (best_of > request->n) return field_fail(f, "best_of", "answers beyond n are not supported");
    if (suffix != NULL && suffix[0] != '\0') return field_fail(f, "suffix", "inserting text is not supported");
    if (options->echo && logprobs >= 0)
        return field_fail(f, "echo", "logprobs of the prompt are not supported: leave out echo or logprobs");
    request->n_logprobs = logprobs;
    options->logprobs = logprobs >= 0;
    if (grammar != NULL) {
        request->format = FORMAT_GRAMMAR;
        request->format_text = grammar;
        request->format_param = "grammar";
    }
    return true;
}

// What is echoed must be text: nobody knows whether tokens make whole characters.
static bool check_echo(const struct fields *f, const struct generation_request *request)
{
    for (size_t i = 0; i < request->n_prompts; i++)
        if (request->prompts[i].text == NULL) return field_fail(f, "echo", "it needs prompts that are text");
    return true;
}

bool completions_read_request(const struct fields *f, struct generation_request *request,
                              struct completion_options *options)
{
    if (!read_options(f, request, options) || !read_prompts(f, request) || !generation_read_sampling(f, request) ||
        !chat_request_read_stream(f, &options->stream))
        return false;
    return !options->echo || check_echo(f, request);
}
