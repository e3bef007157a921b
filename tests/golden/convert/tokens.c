// The token ids of a packed model's texts against those of the libraries that its tokenizer is from.
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_ids(const json_t *expected, const tern_token *tokens, size_t count)
{
    if (json_array_size(expected) != count) return false;
    for (size_t i = 0; i < count; i++)
        if (json_integer_value(json_array_get(expected, i)) != tokens[i]) return false;
    return true;
}

static void print_ids(const char *text, const tern_token *tokens, size_t count)
{
    printf("\"%s\" became", text);
    for (size_t i = 0; i < count; i++)
        printf(" %d", (int)tokens[i]);
    putchar('\n');
}

// The number of texts whose ids differ.
static int compare_texts(const struct tokenizer *tokenizer, json_t *texts)
{
    const char *text;
    const json_t *expected;
    int wrong = 0;
    json_object_foreach(texts, text, expected)
    {
        tern_token *tokens;
        size_t count;
        // Where the tokenizer adds a first token, the answers have it.
        if (tokenizer_encode(tokenizer, text, strlen(text), TERN_TOKENIZE_BOS, &tokens, &count) != TERN_OK) return -1;
        if (!same_ids(expected, tokens, count)) {
            print_ids(text, tokens, count);
            wrong++;
        }
        free(tokens);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: tokens TEXTS.json NAME MODEL.gguf\n");
        return 2;
    }
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    json_t *known = json_load_file(argv[1], 0, NULL), *texts = json_object_get(known, argv[2]);
    if (json_object_size(texts) == 0) {
        fprintf(stderr, "%s: no known answers for %s\n", argv[1], argv[2]);
        return 1;
    }
    if (gguf_open(argv[3], &file) != TERN_OK || tokenizer_open(file, &tokenizer) != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    int wrong = compare_texts(tokenizer, texts);
    printf("%s: %d of %zu texts differ\n", argv[2], wrong, json_object_size(texts));
    tokenizer_close(tokenizer);
    gguf_close(file);
    json_decref(known);
    return wrong != 0;
}
