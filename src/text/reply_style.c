// What a chat template says of how its model writes.
#define _GNU_SOURCE // memmem
#include "text/reply.h"

#include <string.h>

static bool contains(const char *text, size_t length, const char *word)
{
    return text != NULL && memmem(text, length, word, strlen(word)) != NULL;
}

static bool contains_any(const char *text, size_t length, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (contains(text, length, *words)) return true;
    }
    return false;
}

// A template that reads old answers names the closing mark; one that opens the thinking itself names both.
static void detect_thinking(const char *text, size_t length, struct reply_style *style)
{
    static const struct {
        const char *open, *close;
    } marks[] = {
        {"<think>", "</think>"},
        {"[THINK]", "[/THINK]"},
        {"<seed:think>", "</seed:think>"},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (!contains(text, length, marks[i].close)) continue;
        style->think_open = marks[i].open;
        style->think_close = marks[i].close;
        return;
    }
}

// Calls whose arguments are not JSON, or whose name stands outside of it: formats that are not read. The marks of some
// of them are those of others that are.
static const char *const foreign[] = {"<arg_key>",  "<parameter=", "<parameter name", "<param ",
                                      "<function=", "<invoke",     "[ARGS]",          NULL};

// Templates that are known by their marks (Qwen, Hermes, Mistral, Granite, Nemotron), and Llama 3's by its words.
static void detect_calls(const char *text, size_t length, struct reply_style *style)
{
    static const struct {
        const char *sign; // that the template speaks of it
        const char *open, *close;
        const char *arguments_key;
        bool list, bare;
    } formats[] = {
        {"<tool_call>", "<tool_call>", "</tool_call>", "arguments", false, false},
        {"[TOOL_CALLS]", "[TOOL_CALLS]", "", "arguments", true, false},
        {"<|tool_call|>", "<|tool_call|>", "", "arguments", true, false},
        {"<TOOLCALL>", "<TOOLCALL>", "</TOOLCALL>", "arguments", true, false},
        {"{\"name\": function name, \"parameters\":", "<|python_tag|>", "", "parameters", false, true},
    };
    *style = (struct reply_style){
        .call_open = "<tool_call>", .call_close = "</tool_call>", .name_key = "name", .arguments_key = "arguments"};
    if (contains_any(text, length, foreign)) return;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!contains(text, length, formats[i].sign)) continue;
        style->call_open = formats[i].open;
        style->call_close = formats[i].close;
        style->arguments_key = formats[i].arguments_key;
        style->call_is_list = formats[i].list;
        style->call_is_bare = formats[i].bare;
        style->shows_tools = true;
        style->short_ids = contains(text, length, "|length != 9");
        return;
    }
}

void reply_style_detect(const char *chat_template, size_t length, struct reply_style *out)
{
    detect_calls(chat_template, length, out);
    detect_thinking(chat_template, length, out);
}

void reply_style_read_prompt(struct reply_style *style, const char *prompt, size_t length)
{
    style->think_opened = false;
    if (style->think_open == NULL) return;
    while (length > 0 && strchr(" \n\r\t", prompt[length - 1]) != NULL)
        length--;
    size_t mark = strlen(style->think_open);
    style->think_opened = length >= mark && memcmp(prompt + length - mark, style->think_open, mark) == 0;
}

bool reply_style_has_mark(const struct reply_style *style, const char *text, size_t length)
{
    const char *const marks[] = {style->think_open, style->think_close, style->call_open, style->call_close};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (length > 0 && marks[i] != NULL && strlen(marks[i]) == length && memcmp(marks[i], text, length) == 0)
            return true;
    }
    return false;
}
