#include "cli/line_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000, MESSAGE_MAX_BYTES = 1 << 20 };

struct line_editor {
    EditLine *edit;
    History *history;
    struct buffer path; // of the history file; empty: none
    const char *prompt;
};

// ---- History ------------------------------------------------------------------------------------------------------

// Makes the folders of path (after its first character) that are missing, for the owner only.
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made) return false;
    }
    return true;
}

static bool find_history(struct buffer *path)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    tern_status status = TERN_INVALID;
    if (state != NULL && state[0] == '/') // relative ones are to be ignored, says the specification
        status = buffer_append_format(path, "%s/tern/history", state);
    else if (home != NULL && home[0] == '/')
        status = buffer_append_format(path, "%s/.local/state/tern/history", home);
    return status == TERN_OK && make_folders(path->data);
}

// Conversations are private: the file is made with mode 0600 before anything is written to it.
static bool make_private_file(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return false;
    bool done = fchmod(file, 0600) == 0;
    close(file);
    return done;
}

static void open_history(struct line_editor *editor)
{
    HistEvent event;
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    if (!find_history(&editor->path) || !make_private_file(editor->path.data)) {
        buffer_free(&editor->path);
        return;
    }
    history(editor->history, &event, H_LOAD, editor->path.data);
}

static void save_history(struct line_editor *editor)
{
    HistEvent event;
    if (editor->path.length > 0) history(editor->history, &event, H_SAVE, editor->path.data);
}

// ---- Editor -------------------------------------------------------------------------------------------------------

static char *get_prompt(EditLine *edit)
{
    struct line_editor *editor;
    el_get(edit, EL_CLIENTDATA, &editor);
    return (char *)editor->prompt;
}

// libedit takes bytes apart by the locale: without a UTF-8 one, everything but ASCII would be lost.
static void want_utf8(void)
{
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

struct line_editor *line_editor_open(void)
{
    struct line_editor *editor = calloc(1, sizeof *editor);
    if (editor == NULL) return NULL;
    want_utf8();
    editor->edit = el_init("tern", stdin, stdout, stderr);
    editor->history = history_init();
    if (editor->edit == NULL || editor->history == NULL) {
        line_editor_close(editor);
        return NULL;
    }
    open_history(editor);
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_PROMPT, get_prompt);
    el_set(editor->edit, EL_EDITOR, "emacs");
    el_set(editor->edit, EL_SIGNAL, 1);
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(editor->edit, NULL); // ~/.editrc
    return editor;
}

void line_editor_close(struct line_editor *editor)
{
    if (editor == NULL) return;
    if (editor->history != NULL) {
        save_history(editor);
        history_end(editor->history);
    }
    if (editor->edit != NULL) el_end(editor->edit);
    buffer_free(&editor->path);
    free(editor);
}

// ---- Reading ------------------------------------------------------------------------------------------------------

static enum line_result read_line(struct line_editor *editor, const char *prompt, const char **line, size_t *length)
{
    int count = 0;
    editor->prompt = prompt;
    errno = 0;
    *line = el_gets(editor->edit, &count);
    if (*line == NULL || count <= 0) return errno == EINTR ? LINE_INTERRUPTED : LINE_END;
    *length = (size_t)count;
    if ((*line)[*length - 1] == '\n') (*length)--;
    return LINE_READ;
}

static bool ends_with(const char *line, size_t length, const char *end)
{
    size_t n = strlen(end);
    return length >= n && memcmp(line + length - n, end, n) == 0;
}

static const char QUOTE[] = "\"\"\"";

// True if the message goes on in another line. Takes the mark away that said so, or that ended a quoted message.
static bool goes_on(const char *line, size_t *length, bool quoted)
{
    const char *mark = quoted ? QUOTE : "\\";
    bool marked = ends_with(line, *length, mark);
    if (marked) *length -= strlen(mark);
    return marked != quoted;
}

static tern_status append_line(struct buffer *text, const char *line, size_t length, bool more)
{
    TRY(buffer_append(text, line, length));
    return more ? buffer_append_string(text, "\n") : TERN_OK;
}

static void remember(struct line_editor *editor, const struct buffer *text)
{
    HistEvent event;
    if (text->length > 0) history(editor->history, &event, H_ENTER, text->data);
}

enum line_result line_editor_read(struct line_editor *editor, struct buffer *text)
{
    const char *prompt = "> ", *line;
    size_t length;
    bool quoted = false, more;
    tern_status status = TERN_OK;
    text->length = 0;
    text->limit = MESSAGE_MAX_BYTES;
    do {
        enum line_result result = read_line(editor, prompt, &line, &length);
        if (result != LINE_READ) return result;
        if (strcmp(prompt, "> ") == 0 && length >= strlen(QUOTE) && memcmp(line, QUOTE, strlen(QUOTE)) == 0) {
            quoted = true;
            line += strlen(QUOTE);
            length -= strlen(QUOTE);
        }
        more = goes_on(line, &length, quoted);
        // What is too long is read to its end all the same: the lines that are left are no messages of their own.
        if (status == TERN_OK) status = append_line(text, line, length, more);
        prompt = ". ";
    } while (more);
    if (status != TERN_OK) return LINE_TOO_LONG;
    remember(editor, text);
    return LINE_READ;
}
