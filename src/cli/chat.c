// tern run without a prompt: a conversation on a terminal.
#include "cli/conversation.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/run.h"
#include "cli/terminal.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

struct chat {
    const struct run_options *options;
    struct conversation conversation;
    tern_generation generation;
    tern_result total; // over all answers
    int answers;
    bool quit;
};

// ---- Notes: what the program, not the model, has to say -------------------------------------------------------------

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
    char text[1024]; // longer ones are cut
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    fputs(terminal_style(stdout, STYLE_DIM), stdout);
    terminal_write(stdout, text, strlen(text));
    fputs(terminal_style(stdout, STYLE_PLAIN), stdout);
    fputc('\n', stdout);
    va_end(arguments);
}

static void note_error(void)
{
    fflush(stdout);
    terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

// ---- Commands -------------------------------------------------------------------------------------------------------

static void command_help(struct chat *chat, const char *argument);

static void command_clear(struct chat *chat, const char *argument)
{
    (void)argument;
    conversation_clear(&chat->conversation);
    note("(all messages are forgotten%s)", chat->conversation.system != NULL ? ", the system prompt stays" : "");
}

static void command_save(struct chat *chat, const char *argument)
{
    if (argument[0] == '\0')
        note("/save needs the name of a file");
    else if (conversation_save(&chat->conversation, argument) != TERN_OK)
        note_error();
    else
        note("(%zu messages saved to %s)", chat->conversation.n_messages, argument);
}

static void command_load(struct chat *chat, const char *argument)
{
    if (argument[0] == '\0')
        note("/load needs the name of a file");
    else if (conversation_load(&chat->conversation, argument) != TERN_OK)
        note_error();
    else
        note("(%zu messages loaded from %s)", chat->conversation.n_messages, argument);
}

static void command_system(struct chat *chat, const char *argument)
{
    if (conversation_set_system(&chat->conversation, argument) != TERN_OK)
        note_error();
    else
        note(argument[0] == '\0' ? "(no system prompt)" : "(system prompt set; it counts from the next message on)");
}

static void command_stats(struct chat *chat, const char *argument)
{
    (void)argument;
    const struct conversation *c = &chat->conversation;
    note("%s, %s kernels, %d threads", tern_model_name(c->model), tern_model_kernels(c->model),
         tern_model_threads(c->model));
    note("%zu of %d tokens of context in use, %zu messages (%zu left out), %d answers", tern_session_length(c->session),
         (int)tern_session_context(c->session), c->n_messages, c->first, chat->answers);
    fflush(stdout);
    run_print_rates(&chat->total);
}

static void command_quit(struct chat *chat, const char *argument)
{
    (void)argument;
    chat->quit = true;
}

static const struct {
    const char *name, *argument, *help;
    void (*run)(struct chat *chat, const char *argument);
} commands[] = {
    {"help", "", "this list", command_help},
    {"clear", "", "forget all messages", command_clear},
    {"save", " FILE", "write the conversation to a JSON file; replaces an older one", command_save},
    {"load", " FILE", "read one back", command_load},
    {"system", " TEXT", "set the system prompt; without TEXT: none", command_system},
    {"stats", "", "tokens and rates so far", command_stats},
    {"quit", "", "leave; Ctrl-D does so too", command_quit},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void command_help(struct chat *chat, const char *argument)
{
    (void)chat;
    (void)argument;
    for (int i = 0; i < N_COMMANDS; i++)
        note("/%s%-*s %s", commands[i].name, (int)(13 - strlen(commands[i].name)), commands[i].argument,
             commands[i].help);
    note("A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
         "Ctrl-C stops an answer.");
}

// "/word ..." with letters only in the word: "/etc/passwd" is a message.
static bool is_command(const char *text)
{
    size_t letters = 0;
    while (text[0] == '/' && islower((unsigned char)text[1 + letters]))
        letters++;
    return letters > 0 && (text[1 + letters] == '\0' || isspace((unsigned char)text[1 + letters]));
}

static void run_command(struct chat *chat, const char *text)
{
    size_t length = strcspn(text + 1, " \t\n");
    const char *argument = text + 1 + length;
    argument += strspn(argument, " \t\n");
    for (int i = 0; i < N_COMMANDS; i++)
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, text + 1, length) == 0) {
            commands[i].run(chat, argument);
            return;
        }
    note("no command /%.*s; /help lists them", (int)length, text + 1);
}

// ---- Answers --------------------------------------------------------------------------------------------------------

static void add_result(struct chat *chat, const tern_result *result)
{
    chat->answers++;
    chat->total.n_prompt += result->n_prompt;
    chat->total.n_generated += result->n_generated;
    chat->total.prompt_seconds += result->prompt_seconds;
    chat->total.generate_seconds += result->generate_seconds;
}

static void describe_end(struct chat *chat, tern_status status, const tern_result *result, size_t dropped)
{
    const tern_session *session = chat->conversation.session;
    if (dropped > 0)
        note("(the context of %d tokens is full: the oldest %zu messages are left out from now on)",
             (int)tern_session_context(session), dropped);
    if (status == TERN_CANCELLED)
        note("(stopped)");
    else if (result->finish == TERN_FINISH_LENGTH &&
             tern_session_length(session) == (size_t)tern_session_context(session))
        note("(cut off: the context of %d tokens is full; /clear starts anew)", (int)tern_session_context(session));
    fflush(stdout);
}

// Takes the question back if it got no answer at all, so that questions and answers keep alternating.
static void answer_message(struct chat *chat, const char *text)
{
    struct conversation *c = &chat->conversation;
    size_t before = c->n_messages, first = c->first;
    struct answer answer = {0};
    tern_result result = {0};
    interrupt_forget();
    (void)tern_session_feed(c->session, NULL, 0); // a Ctrl-C that came just after the last answer is spent here
    interrupt_watch(c->session);
    tern_status status = conversation_add_user(c, text);
    if (status == TERN_OK) status = conversation_answer(c, &chat->generation, stdout, &answer, &result);
    interrupt_watch(NULL);
    if (answer.text.length > 0) fputc('\n', stdout);
    if (c->n_messages == before + 1) conversation_drop_last(c);

    if (status != TERN_OK && status != TERN_CANCELLED) {
        note_error();
    } else {
        add_result(chat, &result);
        describe_end(chat, status, &result, c->first - first);
        if (!chat->options->quiet) run_print_rates(&result);
    }
    answer_close(&answer);
}

// ---- Conversation ---------------------------------------------------------------------------------------------------

static void greet(const tern_model *model, const tern_session *session)
{
    char name[160];
    snprintf(name, sizeof name, "%s (%s, context of %d tokens)", tern_model_name(model), tern_model_architecture(model),
             (int)tern_session_context(session));
    terminal_write(stdout, name, strlen(name));
    fputc('\n', stdout);
    note("/help lists commands, Ctrl-C stops an answer, /quit leaves");
}

static void take_message(struct chat *chat, const char *text)
{
    if (text[strspn(text, " \t\n")] == '\0') return;
    if (is_command(text))
        run_command(chat, text);
    else
        answer_message(chat, text);
}

static void converse(struct chat *chat, struct line_editor *editor)
{
    struct buffer text = {0};
    while (!chat->quit) {
        fputc('\n', stdout);
        fflush(stdout);
        enum line_result result = line_editor_read(editor, &text);
        if (result == LINE_END) break;
        if (result == LINE_READ)
            take_message(chat, text.length > 0 ? text.data : "");
        else if (result == LINE_TOO_LONG)
            note_error();
        else
            note("\n(/quit or Ctrl-D leaves)");
    }
    buffer_free(&text);
}

int chat_main(const struct run_options *options, tern_model *model, tern_session *session)
{
    struct chat chat = {.options = options, .generation = run_generation(options)};
    if (!tern_model_has_chat_template(model)) {
        char *text; // the reason is told by trying
        tern_message hello = {.role = "user", .content = "hello"};
        if (tern_chat_render(model, &hello, 1, NULL, &text) == TERN_OK) tern_free(text);
        return terminal_error(EXIT_FAILED, "%s; --raw with a prompt continues plain text", tern_last_error());
    }
    struct line_editor *editor = line_editor_open();
    if (editor == NULL) return terminal_error(EXIT_FAILED, "line editing cannot be set up on this terminal");
    conversation_begin(&chat.conversation, model, session, options->thinking);
    int code = EXIT_OK;
    if (conversation_set_system(&chat.conversation, options->system) != TERN_OK) {
        code = terminal_error(EXIT_FAILED, "%s", tern_last_error());
    } else {
        greet(model, session);
        converse(&chat, editor);
    }
    conversation_end(&chat.conversation);
    line_editor_close(editor);
    return code;
}
