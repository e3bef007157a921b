#include "engine/model.h"

#include "model/memory_plan.h"
#include "text/chat.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT(x)        #x
#define EXPANDED(x)    TEXT(x)
#define VERSION_STRING EXPANDED(TERN_VERSION_MAJOR) "." EXPANDED(TERN_VERSION_MINOR) "." EXPANDED(TERN_VERSION_PATCH)

const char *tern_version(void)
{
    return VERSION_STRING;
}

const char *tern_last_error(void)
{
    return status_message();
}

void tern_free(void *pointer)
{
    free(pointer);
}

// ---- Opening ------------------------------------------------------------------------------------------------------

// A NUL-terminated copy of a token's bytes; of no token: "".
static char *copy_token_name(const struct tokenizer *tokenizer, tern_token token)
{
    size_t length = 0;
    const char *bytes = tokenizer_token_bytes(tokenizer, token, &length);
    char *copy = malloc(length + 1);
    if (copy == NULL) return NULL;
    if (bytes != NULL) memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

static tern_status remember_chat_error(tern_model *model, tern_status status)
{
    model->chat_status = status;
    model->chat_error = strdup(status_message());
    if (model->chat_error == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a message");
    return TERN_OK;
}

static const char TEMPLATE_KEY[] = "tokenizer.chat_template";

// Fails only for want of memory: what is wrong with a template is told when a chat is to be rendered.
static tern_status open_chat_template(tern_model *model)
{
    model->bos = copy_token_name(model->tokenizer, tokenizer_bos(model->tokenizer));
    model->eos = copy_token_name(model->tokenizer, tokenizer_eos(model->tokenizer));
    if (model->bos == NULL || model->eos == NULL) return status_fail(TERN_NO_MEMORY, "no memory for token names");

    struct gguf_string source = {0};
    tern_status status = gguf_get_string(model->file, TEMPLATE_KEY, &source);
    if (status == TERN_OK && source.data == NULL)
        status = status_fail(TERN_UNSUPPORTED, "%s has no chat template (%s)", model->file->path, TEMPLATE_KEY);
    else if (status == TERN_OK) {
        status = template_parse(source.data, source.length, &model->chat_template);
        if (status != TERN_OK) status_prefix(status, "%s: %s: ", model->file->path, TEMPLATE_KEY);
    }
    return status == TERN_OK || status == TERN_NO_MEMORY ? status : remember_chat_error(model, status);
}

// Keys and values come later: callers that know how many ask for the tiles that leave them room.
static bool wants_dense_tiles(const tern_model *model, tern_tiles tiles, const struct device_options *device)
{
    if (tiles != TERN_TILES_AUTO) return tiles == TERN_TILES_DENSE;
    if (device_prefers_dense(device)) return true;
    const struct memory_plan_options options = {.memory = machine_memory("")};
    return memory_plan_needs_dense(model->file, &model->config, options);
}

static tern_status open_parts(tern_model *model, const char *path, const tern_model_options *options)
{
    TRY(gguf_open(path, &model->file));
    TRY(config_read(model->file, &model->config));
    utf8_repair(model->config.name); // what a file says, and cut perhaps within a character
    TRY(tokenizer_open(model->file, &model->tokenizer));
    // Fewer are fine: embeddings are often padded with rows that no token uses.
    if (tokenizer_vocabulary(model->tokenizer) > model->config.n_vocabulary)
        return status_fail(TERN_BAD_FILE, "%s: the tokenizer has %d tokens, the model only %d", path,
                           (int)tokenizer_vocabulary(model->tokenizer), (int)model->config.n_vocabulary);
    TRY(open_chat_template(model));

    struct device_options device_options = {
        .threads = options->threads,
        .kernels = getenv("TERN_CPU"),
        .f32_activations = options->f32_activations,
    };
    device_options.dense_tiles = wants_dense_tiles(model, options->tiles, &device_options);
    model->f32_activations = options->f32_activations;
    TRY(device_open(&device_options, &model->device));
    TRY(weights_load(model->file, &model->config, model->device, options->progress, options->progress_context,
                     &model->weights));
    return decoder_open(&model->config, model->weights, &model->decoder);
}

tern_status tern_model_open(const char *path, const tern_model_options *options, tern_model **out)
{
    static const tern_model_options defaults;
    *out = NULL;
    if (path == NULL) return status_fail(TERN_INVALID, "no path to a model was given");
    if (options == NULL) options = &defaults;
    if (options->threads < 0)
        return status_fail(TERN_INVALID, "threads is %d, expected 0 (all cores) or more", options->threads);

    tern_model *model = calloc(1, sizeof *model);
    if (model == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a model");
    pthread_mutex_init(&model->mutex, NULL);
    pthread_cond_init(&model->turn_ends, NULL);
    tern_status status = open_parts(model, path, options);
    if (status != TERN_OK) {
        tern_model_close(model);
        return status;
    }
    *out = model;
    return TERN_OK;
}

void tern_model_close(tern_model *model)
{
    if (model == NULL) return;
    if (model->decoder != NULL) decoder_close(model->decoder);
    if (model->weights != NULL) weights_free(model->weights);
    if (model->device != NULL) device_close(model->device);
    template_free(model->chat_template);
    tokenizer_close(model->tokenizer);
    gguf_close(model->file);
    free(model->chat_error);
    free(model->bos);
    free(model->eos);
    pthread_cond_destroy(&model->turn_ends);
    pthread_mutex_destroy(&model->mutex);
    free(model);
}

// ---- Facts --------------------------------------------------------------------------------------------------------

const char *tern_model_name(const tern_model *model)
{
    return model->config.name[0] != '\0' ? model->config.name : model->config.architecture;
}

const char *tern_model_architecture(const tern_model *model)
{
    return model->config.architecture;
}

int32_t tern_model_vocabulary(const tern_model *model)
{
    return model->config.n_vocabulary;
}

int32_t tern_model_context(const tern_model *model)
{
    return model->config.context;
}

int tern_model_threads(const tern_model *model)
{
    return device_threads(model->device);
}

const char *tern_model_kernels(const tern_model *model)
{
    return device_kernels(model->device);
}

tern_tiles tern_model_tiles(const tern_model *model)
{
    return model->weights->dense_tiles ? TERN_TILES_DENSE : TERN_TILES_LOOSE;
}

bool tern_model_has_chat_template(const tern_model *model)
{
    return model->chat_status == TERN_OK;
}

// ---- Text ---------------------------------------------------------------------------------------------------------

tern_status tern_tokenize(const tern_model *model, const char *text, size_t length, unsigned flags, tern_token **tokens,
                          size_t *count)
{
    return tokenizer_encode(model->tokenizer, text, length, flags, tokens, count);
}

const char *tern_token_text(const tern_model *model, tern_token token, size_t *length)
{
    return tokenizer_token_bytes(model->tokenizer, token, length);
}

bool tern_token_is_end(const tern_model *model, tern_token token)
{
    return tokenizer_is_end(model->tokenizer, token);
}

tern_status tern_chat_render(const tern_model *model, const tern_message *messages, size_t n_messages,
                             const tern_chat_options *options, char **text)
{
    *text = NULL;
    if (model->chat_status != TERN_OK) return status_fail(model->chat_status, "%s", model->chat_error);
    tern_status status = chat_render(model->chat_template, model->bos, model->eos, messages, n_messages, options, text);
    if (status == TERN_BAD_FILE || status == TERN_LIMIT)
        status_prefix(status, "%s: %s: ", model->file->path, TEMPLATE_KEY);
    return status;
}

// ---- Turns --------------------------------------------------------------------------------------------------------

// A ticket lock: a plain mutex would let the thread that just gave it up take it again and again.
static void begin_turn(tern_model *model)
{
    pthread_mutex_lock(&model->mutex);
    uint64_t ticket = model->next_ticket++;
    while (model->now_serving != ticket)
        pthread_cond_wait(&model->turn_ends, &model->mutex);
    pthread_mutex_unlock(&model->mutex);
}

static void end_turn(tern_model *model)
{
    pthread_mutex_lock(&model->mutex);
    model->now_serving++;
    pthread_cond_broadcast(&model->turn_ends);
    pthread_mutex_unlock(&model->mutex);
}

double model_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

tern_status model_forward(tern_model *model, const struct decoder_row *rows, int32_t n_rows, double *seconds)
{
    begin_turn(model);
    double start = model_clock();
    tern_status status = decoder_forward(model->decoder, rows, n_rows);
    if (seconds != NULL) *seconds = model_clock() - start;
    end_turn(model);
    return status;
}
