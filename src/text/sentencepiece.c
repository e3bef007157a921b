#include "text/sentencepiece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum {
    MAX_MERGED_BYTES = 1024,    // the time to find a token's pairs grows with the square of its length
    MAX_PAIRS_PER_TOKEN = 8,    // Llama 2's vocabulary has 1.8
    MAX_PAIRS_OF_ANY = 1 << 16, // and what a small vocabulary may have
};

static const char scores_key[] = "tokenizer.ggml.scores";

struct scored {
    float score;
    tern_token id;
};

static int compare_scores(const void *a, const void *b)
{
    float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return x > y ? -1 : x < y;
}

// ranks[id]: how many different scores are higher than that of the token.
static tern_status rank_tokens(const struct gguf_file *file, const struct gguf_array *scores, struct scored *sorted,
                               uint32_t *ranks)
{
    for (size_t i = 0; i < scores->count; i++) {
        memcpy(&sorted[i].score, scores->data + 4 * i, sizeof(float));
        sorted[i].id = (tern_token)i;
        if (isnan(sorted[i].score)) {
            return status_fail(TERN_BAD_FILE, "%s: %s: the score of token %zu is not a number", file->path, scores_key,
                               i);
        }
    }
    qsort(sorted, (size_t)scores->count, sizeof *sorted, compare_scores);
    uint32_t rank = 0;
    for (size_t i = 0; i < scores->count; i++) {
        if (i > 0 && sorted[i].score < sorted[i - 1].score) rank++;
        ranks[sorted[i].id] = rank;
    }
    return TERN_OK;
}

static tern_status read_ranks(const struct gguf_file *file, int32_t n_tokens, uint32_t *ranks)
{
    struct gguf_array scores = {0};
    if (!gguf_find(file, scores_key)) {
        return status_fail(TERN_BAD_FILE, "%s: %s is missing: a SentencePiece vocabulary needs its scores", file->path,
                           scores_key);
    }
    TRY(gguf_get_array(file, scores_key, GGUF_F32, &scores));
    if (scores.count != (uint64_t)n_tokens) {
        return status_fail(TERN_BAD_FILE, "%s: %s has %llu entries, expected one for each of the %d tokens", file->path,
                           scores_key, (unsigned long long)scores.count, n_tokens);
    }
    struct scored *sorted = malloc((size_t)scores.count * sizeof *sorted);
    if (!sorted) return status_fail(TERN_NO_MEMORY, "no memory for the scores of a vocabulary");
    tern_status status = rank_tokens(file, &scores, sorted, ranks);
    free(sorted);
    return status;
}

// An ordinary token by its bytes, -1 if none: control and user-defined tokens take no part in merges.
static tern_token find_ordinary(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    tern_token id = vocabulary_find(vocabulary, bytes, length);
    return id >= 0 && vocabulary->types[id] == TOKEN_NORMAL ? id : -1;
}

// Pairs found so far; all zero is empty.
struct pair_list {
    struct merge *pairs; // [count]
    size_t count, capacity, limit;
};

static tern_status add_pair(struct pair_list *list, struct merge pair)
{
    if (list->count == list->limit) {
        return status_fail(TERN_UNSUPPORTED, "more than %zu pairs of tokens merge", list->limit);
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 1024;
        struct merge *grown = realloc(list->pairs, capacity * sizeof *grown);
        if (!grown) return status_fail(TERN_NO_MEMORY, "no memory for %zu merges of a vocabulary", capacity);
        list->pairs = grown;
        list->capacity = capacity;
    }
    list->pairs[list->count++] = pair;
    return TERN_OK;
}

// All ways to cut a token between two characters into two tokens.
static tern_status add_pairs_of(const struct vocabulary *vocabulary, tern_token token, uint32_t rank,
                                struct pair_list *list)
{
    size_t length;
    const char *bytes = vocabulary_bytes(vocabulary, token, &length);
    if (length > MAX_MERGED_BYTES) {
        return status_fail(TERN_UNSUPPORTED, "token %d has %zu bytes, expected at most %d", token, length,
                           MAX_MERGED_BYTES);
    }
    for (size_t cut = 1; cut < length; cut++) {
        if (((unsigned char)bytes[cut] & 0xC0) == 0x80) continue;
        tern_token left = find_ordinary(vocabulary, bytes, cut);
        if (left < 0) continue;
        tern_token right = find_ordinary(vocabulary, bytes + cut, length - cut);
        if (right < 0) continue;
        TRY(add_pair(list, (struct merge){.left = left, .right = right, .merged = token, .rank = rank}));
    }
    return TERN_OK;
}

static tern_status collect_pairs(const struct vocabulary *vocabulary, const uint32_t *ranks, struct pair_list *list)
{
    list->limit = MAX_PAIRS_PER_TOKEN * (size_t)vocabulary->n_tokens + MAX_PAIRS_OF_ANY;
    for (tern_token token = 0; token < vocabulary->n_tokens; token++) {
        if (vocabulary->types[token] == TOKEN_NORMAL) TRY(add_pairs_of(vocabulary, token, ranks[token], list));
    }
    return TERN_OK;
}

static tern_status build_table(const struct pair_list *list, struct merge_table *out)
{
    TRY(merge_table_open(out, list->count));
    for (size_t i = 0; i < list->count; i++) {
        TRY(merge_table_add(out, list->pairs[i]));
    }
    return TERN_OK;
}

tern_status sentencepiece_read_merges(const struct gguf_file *file, const struct vocabulary *vocabulary,
                                      struct merge_table *out)
{
    uint32_t *ranks = malloc((size_t)vocabulary->n_tokens * sizeof *ranks);
    if (!ranks) return status_fail(TERN_NO_MEMORY, "no memory for the scores of a vocabulary");
    struct pair_list list = {0};
    tern_status status = read_ranks(file, vocabulary->n_tokens, ranks);
    if (status == TERN_OK) {
        status = collect_pairs(vocabulary, ranks, &list);
        if (status == TERN_OK) status = build_table(&list, out);
        if (status != TERN_OK) status_prefix(status, "%s: tokenizer.ggml.tokens: ", file->path);
    }
    free(list.pairs);
    free(ranks);
    return status;
}

static bool has_byte_tokens(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (vocabulary->byte_ids[(unsigned char)bytes[i]] < 0) return false;
    }
    return true;
}

static tern_status append_character(const struct sentencepiece *model, const char *bytes, size_t length,
                                    struct merge_word *word)
{
    tern_token id = find_ordinary(model->vocabulary, bytes, length);
    if (id >= 0) return merge_word_append(word, id);
    if (has_byte_tokens(model->vocabulary, bytes, length)) {
        for (size_t i = 0; i < length; i++) {
            TRY(merge_word_append(word, model->vocabulary->byte_ids[(unsigned char)bytes[i]]));
        }
        return TERN_OK;
    }
    bool follows_unknown = word->count > 0 && word->symbols[word->count - 1].id == model->unknown;
    return model->unknown < 0 || follows_unknown ? TERN_OK : merge_word_append(word, model->unknown);
}

// True if a space follows something else.
static bool has_inner_space(const char *bytes, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] == ' ' && bytes[i - 1] != ' ') return true;
    }
    return false;
}

bool sentencepiece_words_apart(const struct vocabulary *vocabulary)
{
    for (tern_token token = 0; token < vocabulary->n_tokens; token++) {
        size_t length;
        const char *bytes = vocabulary_bytes(vocabulary, token, &length);
        if (vocabulary->types[token] == TOKEN_NORMAL && has_inner_space(bytes, length)) return false;
    }
    return find_ordinary(vocabulary, " ", 1) >= 0; // else a space could be part of a row of unknown characters
}

tern_status sentencepiece_encode(const struct sentencepiece *model, const char *text, size_t length,
                                 struct merge_word *word, struct token_list *out)
{
    for (size_t i = 0; i < length;) {
        bool word_ends = i > 0 && text[i] == ' ' && text[i - 1] != ' ';
        if (word_ends && model->words_apart) TRY(merge_word_encode(word, model->merges, out));
        uint32_t code_point;
        size_t n = (size_t)utf8_decode(text + i, length - i, &code_point);
        TRY(append_character(model, text + i, n, word));
        i += n;
    }
    return merge_word_encode(word, model->merges, out);
}
