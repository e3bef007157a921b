// tern tokenize: the tokens of a text, without loading the weights.
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/loading.h"

#include "text/tokenizer.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct tokenize_options {
    const char *model;
    int ids, json, count, no_special, no_bos;
};

#define AT(field) offsetof(struct tokenize_options, field)

static const struct option options_tokenize[] = {
    {OPTION_TEXT, "-m, --model", "FILE", AT(model), .help = "the model, a GGUF file; or give it as first word"},
    {OPTION_SET, "--ids", NULL, AT(ids), 1, .help = "print the numbers only, on one line"},
    {OPTION_SET, "--count", NULL, AT(count), 1, .help = "print how many tokens there are, nothing else"},
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {OPTION_SET, "--no-special", NULL, AT(no_special), 1,
     .help = "take text such as <|im_end|> as text, not as the special token of that name"},
    {OPTION_SET, "--no-bos", NULL, AT(no_bos), 1, .help = "put no start token first, even if the model wants one"},
    {.help = NULL},
};

const struct command command_tokenize = {
    .name = "tokenize",
    .usage = "MODEL [TEXT] [options]",
    .summary = "show the tokens of a text",
    .options = options_tokenize,
    .max_arguments = 2,
    .details =
        "Without TEXT it reads standard input, 16 MiB at most. Prints a token a line: its number, and its bytes\n"
        "with \\n, \\t, \\\\ and \\xNN for what is no visible UTF-8.\n"
        "\n"
        "examples:\n"
        "  tern tokenize model.gguf \"Hello, world\"\n"
        "  tern tokenize model.gguf --count < book.txt",
};

// ---- Output -------------------------------------------------------------------------------------------------------

static void print_escaped(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code_point;
        int n = utf8_decode(bytes + i, length - i, &code_point);
        bool control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
        if (bytes[i] == '\n')
            fputs("\\n", stdout);
        else if (bytes[i] == '\t')
            fputs("\\t", stdout);
        else if (bytes[i] == '\\')
            fputs("\\\\", stdout);
        else if (n > 0 && !control)
            fwrite(bytes + i, 1, (size_t)n, stdout);
        else
            for (int k = 0; k < abs(n); k++)
                printf("\\x%02x", (unsigned)(unsigned char)bytes[i + (size_t)k]);
        i += (size_t)abs(n);
    }
}

static void print_lines(const struct tokenizer *tokenizer, const tern_token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        const char *bytes = tokenizer_token_bytes(tokenizer, tokens[i], &length);
        printf("%6" PRId32 "  ", tokens[i]);
        print_escaped(bytes, length);
        putchar('\n');
    }
}

static void print_ids(const tern_token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf(i == 0 ? "%" PRId32 : " %" PRId32, tokens[i]);
    putchar('\n');
}

// A token's text for JSON, where broken bytes are U+FFFD; the caller's to free, NULL without memory.
static char *valid_text(const char *bytes, size_t length)
{
    struct utf8_stream stream = {0};
    struct buffer text = {0};
    bool done =
        utf8_stream_push(&stream, bytes, length, &text) == TERN_OK && utf8_stream_finish(&stream, &text) == TERN_OK;
    char *copy = done ? buffer_take(&text) : NULL;
    buffer_free(&text);
    return copy;
}

static int print_json(const struct tokenizer *tokenizer, const tern_token *tokens, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        const char *bytes = tokenizer_token_bytes(tokenizer, tokens[i], &length);
        char *text = valid_text(bytes, length);
        json_array_append_new(list, json_pack("{s:i, s:s*}", "id", (int)tokens[i], "text", text));
        free(text);
    }
    json_t *object = json_pack("{s:I, s:o}", "count", (json_int_t)count, "tokens", list);
    if (object == NULL) return terminal_error(EXIT_FAILED, "no memory for the JSON object");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return EXIT_OK;
}

static int print_tokens(const struct tokenize_options *o, const struct tokenizer *tokenizer, const tern_token *tokens,
                        size_t count)
{
    if (o->json) return print_json(tokenizer, tokens, count);
    if (o->count)
        printf("%zu\n", count);
    else if (o->ids)
        print_ids(tokens, count);
    else
        print_lines(tokenizer, tokens, count);
    return EXIT_OK;
}

// ---- Command ------------------------------------------------------------------------------------------------------

static int open_tokenizer(const char *name, struct tokenizer **out)
{
    struct gguf_file *file;
    int code = loading_open_file(name, &file);
    if (code != EXIT_OK) return code;
    if (tokenizer_open(file, out) != TERN_OK) code = terminal_error(EXIT_FAILED, "%s", tern_last_error());
    gguf_close(file);
    return code;
}

static int tokenize_text(const struct tokenize_options *o, const struct buffer *text)
{
    struct tokenizer *tokenizer;
    tern_token *tokens = NULL;
    size_t count;
    unsigned flags = (o->no_special ? 0u : TERN_TOKENIZE_SPECIAL) | (o->no_bos ? 0u : TERN_TOKENIZE_BOS);
    int code = open_tokenizer(o->model, &tokenizer);
    if (code != EXIT_OK) return code;
    const char *bytes = text->data != NULL ? text->data : "";
    code = EXIT_FAILED;
    if (tokenizer_encode(tokenizer, bytes, text->length, flags, &tokens, &count) != TERN_OK)
        terminal_error(code, "%s", tern_last_error());
    else if ((code = print_tokens(o, tokenizer, tokens, count)) == EXIT_OK)
        code = terminal_finish_output();
    free(tokens);
    tokenizer_close(tokenizer);
    return code;
}

int tokenize_main(int argc, char **argv)
{
    struct tokenize_options o = {0};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_tokenize, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_tokenize, stdout);
        return terminal_finish_output();
    }
    int next = 0;
    if (o.model == NULL && next < words.count) o.model = words.words[next++];
    if (o.model == NULL) return options_error(&command_tokenize, "which model? Give a GGUF file");
    if (next + 1 < words.count) return options_error(&command_tokenize, "'%s' is one word too many", words.words[1]);

    struct buffer text = {0};
    tern_status status = next < words.count ? buffer_append_string(&text, words.words[next]) : input_read("-", &text);
    int code = status == TERN_OK ? tokenize_text(&o, &text) : terminal_error(EXIT_FAILED, "%s", tern_last_error());
    buffer_free(&text);
    return code;
}
