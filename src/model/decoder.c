// The transformer, read top to bottom: decoder_forward, then a layer's two halves, then what they need.
#include "model/decoder.h"

#include "base/elementary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    const struct config *config;
    const struct weights *weights;
    struct device *device;

    // Rotation of pair i at position p: angle = p * frequency[i], magnitude on top (YaRN). [rope_dims / 2]
    double *frequency;
    double magnitude;

    // One row each for up to DECODER_MAX_ROWS tokens.
    float *x;             // [width] the residual stream
    float *normed;        // [max(width, n_heads * head_size)] input of a product
    float *q;             // [n_heads * head_size]
    float *k, *v;         // [n_kv_heads * head_size]
    float *attended;      // [n_heads * head_size]
    float *gate, *up;     // [n_ffn]
    float *delta;         // [width] what a half-layer adds to x
    float *cosine, *sine; // [rope_dims / 2]
    int32_t tokens[DECODER_MAX_ROWS];
    int32_t positions[DECODER_MAX_ROWS];
    uint8_t *const *blocks[DECODER_MAX_ROWS];
};

static int64_t q_width(const struct config *c)
{
    return (int64_t)c->n_heads * c->head_size;
}

static int64_t kv_width(const struct config *c)
{
    return (int64_t)c->n_kv_heads * c->head_size;
}

// ---- Rotary position embedding

// YaRN (Peng et al. 2023, section 3.2): frequencies that turn more than beta_fast times within the original context
// stay, those that turn less than beta_slow times are stretched by the factor, between them a ramp over pairs.
static double yarn_ramp(const struct config *c, int32_t pair)
{
    double log_base = elementary_log(c->rope_base), turn = c->rope_original / (2 * 3.14159265358979323846);
    double low = floor(c->rope_dims * elementary_log(turn / c->yarn_beta_fast) / (2 * log_base));
    double high = ceil(c->rope_dims * elementary_log(turn / c->yarn_beta_slow) / (2 * log_base));
    if (low < 0) low = 0;
    if (high > c->rope_dims - 1) high = c->rope_dims - 1;
    double width = high - low < 0.001 ? 0.001 : high - low;
    double ramp = (pair - low) / width;
    return ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
}

static void fill_frequencies(struct decoder *decoder)
{
    const struct config *c = decoder->config;
    double log_base = elementary_log(c->rope_base);
    decoder->magnitude = 1;
    if (c->rope_scaling == ROPE_YARN)
        decoder->magnitude = c->yarn_attention * (1 + 0.1 * elementary_log(c->rope_factor));
    for (int32_t i = 0; i < c->rope_dims / 2; i++) {
        double frequency = elementary_exp(-2.0 * i / c->rope_dims * log_base);
        if (decoder->weights->rope_factors != NULL) frequency /= decoder->weights->rope_factors[i];
        double stretched = frequency / c->rope_factor;
        if (c->rope_scaling == ROPE_YARN) {
            double ramp = yarn_ramp(c, i);
            frequency = stretched * ramp + frequency * (1 - ramp);
        } else {
            frequency = stretched;
        }
        decoder->frequency[i] = frequency;
    }
}

static void fill_rotations(struct decoder *decoder, int32_t n_rows)
{
    int32_t pairs = decoder->config->rope_dims / 2;
    for (int32_t row = 0; row < n_rows; row++) {
        for (int32_t i = 0; i < pairs; i++) {
            double sine, cosine;
            elementary_sincos(decoder->positions[row] * decoder->frequency[i], &sine, &cosine);
            decoder->cosine[row * pairs + i] = (float)(cosine * decoder->magnitude);
            decoder->sine[row * pairs + i] = (float)(sine * decoder->magnitude);
        }
    }
}

// ---- Opening

static tern_status allocate_rows(struct decoder *decoder)
{
    const struct config *c = decoder->config;
    int64_t widest = q_width(c) > c->width ? q_width(c) : c->width, pairs = c->rope_dims / 2;
    struct {
        float **rows;
        int64_t width;
    } buffers[] = {
        {&decoder->x, c->width},    {&decoder->normed, widest}, {&decoder->q, q_width(c)},
        {&decoder->k, kv_width(c)}, {&decoder->v, kv_width(c)}, {&decoder->attended, q_width(c)},
        {&decoder->gate, c->n_ffn}, {&decoder->up, c->n_ffn},   {&decoder->delta, c->width},
        {&decoder->cosine, pairs},  {&decoder->sine, pairs},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        // A multiple of 64 bytes, because DECODER_MAX_ROWS is; pages are taken only when rows are used.
        *buffers[i].rows = aligned_alloc(64, (size_t)buffers[i].width * DECODER_MAX_ROWS * sizeof(float));
        if (*buffers[i].rows == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the decoder's working space");
    }
    decoder->frequency = calloc((size_t)pairs, sizeof *decoder->frequency);
    return decoder->frequency != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for the rotary embedding");
}

tern_status decoder_open(const struct config *config, const struct weights *weights, struct decoder **out)
{
    *out = NULL;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the decoder");
    decoder->config = config;
    decoder->weights = weights;
    decoder->device = weights->device;
    tern_status status = allocate_rows(decoder);
    if (status != TERN_OK) {
        decoder_close(decoder);
        return status;
    }
    fill_frequencies(decoder);
    *out = decoder;
    return TERN_OK;
}

void decoder_close(struct decoder *decoder)
{
    if (decoder == NULL) return;
    float *buffers[] = {decoder->x,     decoder->normed,   decoder->q,    decoder->k,
                        decoder->v,     decoder->attended, decoder->gate, decoder->up,
                        decoder->delta, decoder->cosine,   decoder->sine};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]);
    free(decoder->frequency);
    free(decoder);
}

// ---- A layer

static tern_status attention(struct decoder *decoder, const struct decoder_row *rows, int32_t n_rows, int32_t index)
{
    const struct config *c = decoder->config;
    const struct layer *layer = &decoder->weights->layers[index];
    struct device *device = decoder->device;

    device_norm(device, decoder->x, layer->attn_norm, n_rows, c->width, c->norm_eps, decoder->normed);
    struct weight *qkv[] = {layer->q, layer->k, layer->v};
    float *outs[] = {decoder->q, decoder->k, decoder->v};
    TRY(device_matmul(device, qkv, outs, 3, decoder->normed, n_rows));

    int64_t q_heads = (int64_t)n_rows * c->n_heads, kv_heads = (int64_t)n_rows * c->n_kv_heads;
    if (c->qk_norm) {
        device_norm(device, decoder->q, layer->q_norm, q_heads, c->head_size, c->norm_eps, decoder->q);
        device_norm(device, decoder->k, layer->k_norm, kv_heads, c->head_size, c->norm_eps, decoder->k);
    }
    device_rope(device, decoder->q, n_rows, c->n_heads, c->head_size, decoder->cosine, decoder->sine, c->rope_dims / 2,
                c->rope_interleaved);
    device_rope(device, decoder->k, n_rows, c->n_kv_heads, c->head_size, decoder->cosine, decoder->sine,
                c->rope_dims / 2, c->rope_interleaved);

    for (int32_t i = 0; i < n_rows; i++)
        decoder->blocks[i] = rows[i].cache->blocks + (size_t)index * (size_t)rows[i].cache->max_blocks;
    TRY(device_attend(device, &(struct device_attention){.n_rows = n_rows,
                                                         .n_heads = c->n_heads,
                                                         .n_kv_heads = c->n_kv_heads,
                                                         .head_size = c->head_size,
                                                         .kv_type = rows[0].cache->type,
                                                         .scale = 1 / sqrtf((float)c->head_size),
                                                         .q = decoder->q,
                                                         .k = decoder->k,
                                                         .v = decoder->v,
                                                         .position = decoder->positions,
                                                         .blocks = decoder->blocks,
                                                         .out = decoder->attended}));
    if (c->sub_norm)
        device_norm(device, decoder->attended, layer->attn_sub_norm, n_rows, q_width(c), c->norm_eps,
                    decoder->attended);
    TRY(device_matmul(device, &layer->attn_output, &decoder->delta, 1, decoder->attended, n_rows));
    device_add(device, decoder->x, decoder->delta, (int64_t)n_rows * c->width);
    return TERN_OK;
}

static tern_status feed_forward(struct decoder *decoder, int32_t n_rows, const struct layer *layer)
{
    const struct config *c = decoder->config;
    struct device *device = decoder->device;

    device_norm(device, decoder->x, layer->ffn_norm, n_rows, c->width, c->norm_eps, decoder->normed);
    struct weight *gate_up[] = {layer->gate, layer->up};
    float *outs[] = {decoder->gate, decoder->up};
    TRY(device_matmul(device, gate_up, outs, 2, decoder->normed, n_rows));
    device_gate(device, c->relu2 ? DEVICE_RELU2 : DEVICE_SILU, decoder->gate, decoder->up, (int64_t)n_rows * c->n_ffn,
                decoder->gate);
    if (c->sub_norm)
        device_norm(device, decoder->gate, layer->ffn_sub_norm, n_rows, c->n_ffn, c->norm_eps, decoder->gate);
    TRY(device_matmul(device, &layer->down, &decoder->delta, 1, decoder->gate, n_rows));
    device_add(device, decoder->x, decoder->delta, (int64_t)n_rows * c->width);
    return TERN_OK;
}

// ---- Forward

static tern_status check_rows(const struct decoder *decoder, const struct decoder_row *rows, int32_t n_rows)
{
    if (n_rows < 1 || n_rows > DECODER_MAX_ROWS)
        return status_fail(TERN_INVALID, "%d rows, expected 1 to %d", n_rows, DECODER_MAX_ROWS);
    for (int32_t i = 0; i < n_rows; i++) {
        const struct decoder_row *row = &rows[i];
        if (row->token < 0 || row->token >= decoder->config->n_vocabulary)
            return status_fail(TERN_INVALID, "token %d, expected 0 to %d", row->token,
                               decoder->config->n_vocabulary - 1);
        if (row->position < 0 || row->position / DEVICE_KV_BLOCK >= row->cache->n_blocks)
            return status_fail(TERN_INVALID, "position %d, the cache has room for %d", row->position,
                               row->cache->n_blocks * DEVICE_KV_BLOCK);
        if (row->cache->type != rows[0].cache->type)
            return status_fail(TERN_INVALID, "rows whose caches have types %d and %d, expected one type",
                               (int)rows[0].cache->type, (int)row->cache->type);
    }
    return TERN_OK;
}

static void last_norm(struct decoder *decoder, int32_t row, float *out)
{
    const struct config *c = decoder->config;
    device_norm(decoder->device, decoder->x + (int64_t)row * c->width, decoder->weights->output_norm, 1, c->width,
                c->norm_eps, out);
}

// Logits of the rows that want them. The head is the largest matrix, so rows whose logits lie one after the other in
// memory share a pass over it.
static tern_status project_logits(struct decoder *decoder, const struct decoder_row *rows, int32_t n_rows)
{
    const struct config *c = decoder->config;
    float *logits = NULL; // of the rows gathered so far
    int32_t n = 0;
    for (int32_t i = 0; i < n_rows; i++) {
        if (rows[i].logits == NULL) continue;
        if (n > 0 && rows[i].logits != logits + (int64_t)n * c->n_vocabulary) {
            TRY(device_matmul(decoder->device, &decoder->weights->head, &logits, 1, decoder->normed, n));
            n = 0;
        }
        if (n == 0) logits = rows[i].logits;
        last_norm(decoder, i, decoder->normed + (int64_t)n++ * c->width);
    }
    return n == 0 ? TERN_OK : device_matmul(decoder->device, &decoder->weights->head, &logits, 1, decoder->normed, n);
}

tern_status decoder_forward(struct decoder *decoder, const struct decoder_row *rows, int32_t n_rows)
{
    TRY(check_rows(decoder, rows, n_rows));
    for (int32_t i = 0; i < n_rows; i++) {
        decoder->tokens[i] = rows[i].token;
        decoder->positions[i] = rows[i].position;
    }
    fill_rotations(decoder, n_rows);
    device_embed(decoder->device, decoder->weights->embedding, decoder->tokens, n_rows, decoder->x);
    for (int32_t i = 0; i < decoder->config->n_layers; i++) {
        TRY(attention(decoder, rows, n_rows, i));
        TRY(feed_forward(decoder, n_rows, &decoder->weights->layers[i]));
    }
    for (int32_t i = 0; i < n_rows; i++)
        if (rows[i].hidden != NULL) last_norm(decoder, i, rows[i].hidden);
    return project_logits(decoder, rows, n_rows);
}
