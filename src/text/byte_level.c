#include "text/byte_level.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_MERGES = 1 << 23 };

static const char merges_key[] = "tokenizer.ggml.merges";

static tern_status bad_merge(const struct gguf_file *file, uint64_t index, struct gguf_string merge, const char *wrong)
{
    return status_fail(TERN_BAD_FILE, "%s: %s: merge %llu, \"%.*s\", %s", file->path, merges_key,
                       (unsigned long long)index, (int)(merge.length < 80 ? merge.length : 80), merge.data, wrong);
}

// The token that a merge makes. A trainer numbers tokens in the order of its merges, so the one after the last merge's
// is tried first: it needs no search.
static tern_token find_merged(const struct vocabulary *vocabulary, tern_token last, const char *bytes, size_t length)
{
    tern_token next = last + 1;
    if (next < vocabulary->n_tokens && vocabulary->types[next] == TOKEN_NORMAL) {
        size_t next_length;
        const char *next_bytes = vocabulary_bytes(vocabulary, next, &next_length);
        if (next_length == length && memcmp(next_bytes, bytes, length) == 0) return next;
    }
    return vocabulary_find(vocabulary, bytes, length);
}

// Reads the merge after *out with the help of `joined`, which has room for the whole string.
static tern_status read_merge(const struct gguf_file *file, const struct vocabulary *vocabulary, uint64_t index,
                              struct gguf_string string, char *joined, struct merge *out)
{
    const char *space = string.length < 3 ? NULL : memchr(string.data + 1, ' ', string.length - 2);
    if (!space) return bad_merge(file, index, string, "is not two tokens with a space between");
    struct gguf_string left = {string.data, (size_t)(space - string.data)};
    struct gguf_string right = {space + 1, string.length - left.length - 1};
    size_t left_length = vocabulary_unspell(vocabulary->spelling, left, joined);
    size_t right_length = vocabulary_unspell(vocabulary->spelling, right, joined + left_length);
    out->rank = (uint32_t)index;
    out->left = vocabulary_find(vocabulary, joined, left_length);
    out->right = vocabulary_find(vocabulary, joined + left_length, right_length);
    out->merged = find_merged(vocabulary, out->merged, joined, left_length + right_length);
    if (out->left < 0 || out->right < 0)
        return bad_merge(file, index, string, "names a token that the vocabulary lacks");
    if (out->merged < 0) return bad_merge(file, index, string, "makes a token that the vocabulary lacks");
    return TERN_OK;
}

static tern_status read_all(const struct gguf_file *file, const struct vocabulary *vocabulary,
                            const struct gguf_array *strings, char *joined, struct merge_table *out)
{
    struct merge merge = {.merged = -1};
    for (uint64_t i = 0; i < strings->count; i++) {
        TRY(read_merge(file, vocabulary, i, strings->strings[i], joined, &merge));
        tern_status status = merge_table_add(out, merge);
        if (status != TERN_OK) return status_prefix(status, "%s: %s: ", file->path, merges_key);
    }
    return TERN_OK;
}

tern_status byte_level_read_merges(const struct gguf_file *file, const struct vocabulary *vocabulary,
                                   struct merge_table *out)
{
    if (!gguf_find(file, merges_key)) {
        return status_fail(TERN_BAD_FILE, "%s: %s is missing: a byte-level BPE vocabulary needs its merges", file->path,
                           merges_key);
    }
    struct gguf_array strings = {0};
    TRY(gguf_get_array(file, merges_key, GGUF_STRING, &strings));
    if (strings.count > MAX_MERGES) {
        return status_fail(TERN_BAD_FILE, "%s: %s has %llu entries, expected at most %d", file->path, merges_key,
                           (unsigned long long)strings.count, MAX_MERGES);
    }
    size_t longest = 0;
    for (uint64_t i = 0; i < strings.count; i++) {
        if (strings.strings[i].length > longest) longest = strings.strings[i].length;
    }
    TRY(merge_table_open(out, (size_t)strings.count));
    char *joined = malloc(longest + 1);
    if (!joined) return status_fail(TERN_NO_MEMORY, "no memory for a merge of %zu bytes", longest);
    tern_status status = read_all(file, vocabulary, &strings, joined, out);
    free(joined);
    return status;
}

tern_status byte_level_encode(const struct vocabulary *vocabulary, const struct merge_table *merges, const char *bytes,
                              size_t length, struct merge_word *word, struct token_list *out)
{
    for (size_t i = 0; i < length; i++) {
        tern_token id = vocabulary->byte_ids[(unsigned char)bytes[i]];
        if (id >= 0) TRY(merge_word_append(word, id));
    }
    return merge_word_encode(word, merges, out);
}
