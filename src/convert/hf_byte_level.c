#include "convert/hf_byte_level.h"

#include "convert/hf_pretokenizer.h"

#include <string.h>

// A half of a merge; blanks, which separate the halves in GGUF, are spelled as byte-level tokens spell them.
static tern_status append_half(const json_t *half, struct buffer *out)
{
    const char *text = json_string_value(half);
    for (size_t i = 0; i < json_string_length(half); i++) {
        if (text[i] == ' ')
            TRY(buffer_append_string(out, "\u0120"));
        else
            TRY(buffer_append(out, text + i, 1));
    }
    return TERN_OK;
}

// "a b", or ["a", "b"] since tokenizers 0.20.
static tern_status add_merge(struct hf_vocabulary *v, const json_t *merge, size_t index)
{
    if (json_is_string(merge))
        return metadata_element_string(v->metadata, json_string_value(merge), json_string_length(merge));
    if (json_array_size(merge) != 2 || !json_is_string(json_array_get(merge, 0)) ||
        !json_is_string(json_array_get(merge, 1)))
        return status_fail(TERN_BAD_FILE, "%s: merge %zu is not two strings", v->path, index);
    struct buffer joined = {0};
    tern_status status = append_half(json_array_get(merge, 0), &joined);
    if (status == TERN_OK) status = buffer_append_string(&joined, " ");
    if (status == TERN_OK) status = append_half(json_array_get(merge, 1), &joined);
    if (status == TERN_OK) status = metadata_element_string(v->metadata, joined.data, joined.length);
    buffer_free(&joined);
    return status;
}

static tern_status add_merges(struct hf_vocabulary *v)
{
    const json_t *merges = json_object_get(json_object_get(v->root, "model"), "merges"), *merge;
    size_t i;
    if (!json_is_array(merges)) return status_fail(TERN_BAD_FILE, "%s: model.merges is not an array", v->path);
    TRY(metadata_begin_array(v->metadata, "tokenizer.ggml.merges", GGUF_STRING, json_array_size(merges)));
    json_array_foreach(merges, i, merge) TRY(add_merge(v, merge, i));
    return TERN_OK;
}

static tern_status check_kind(const struct hf_vocabulary *v)
{
    const json_t *type = json_object_get(json_object_get(v->root, "model"), "type");
    bool bpe = type == NULL || hf_equals(type, "BPE"); // old files leave it out
    if (bpe && hf_equals(json_object_get(json_object_get(v->root, "decoder"), "type"), "ByteLevel")) return TERN_OK;
    return status_fail(TERN_UNSUPPORTED,
                       "%s: a %.40s tokenizer that is neither byte-level BPE nor SentencePiece's BPE; convert such a "
                       "model's tokenizer with llama.cpp and pack its GGUF file",
                       v->path, json_is_string(type) ? json_string_value(type) : "BPE");
}

tern_status hf_read_byte_level(struct hf_vocabulary *v, const char *pretokenizer)
{
    TRY(check_kind(v));
    if (pretokenizer == NULL) TRY(hf_pretokenizer_find(v->path, v->root, &pretokenizer));
    TRY(hf_read_ordinary_tokens(v));
    TRY(hf_read_added_tokens(v));
    TRY(metadata_add_string(v->metadata, "tokenizer.ggml.model", "gpt2", strlen("gpt2")));
    TRY(metadata_add_string(v->metadata, "tokenizer.ggml.pre", pretokenizer, strlen(pretokenizer)));
    TRY(hf_add_tokens(v));
    return add_merges(v);
}
