// Continues a text with a model, by tern.h alone:  complete MODEL.gguf "Once upon a time"
#include <tern/tern.h>

#include <stdio.h>
#include <string.h>

static bool print_text(void *context, const char *text, size_t length)
{
    (void)context;
    return fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0;
}

static tern_status complete(tern_model *model, tern_session *session, const char *text)
{
    tern_token *tokens;
    size_t count;
    tern_status status = tern_tokenize(model, text, strlen(text), TERN_TOKENIZE_BOS, &tokens, &count);
    if (status != TERN_OK) return status;

    const char *stop[] = {"\n\n"};
    tern_generation generation = {.max_tokens = 100, .stop = stop, .n_stop = 1, .on_text = print_text};
    tern_result result;
    status = tern_session_generate(session, tokens, count, &generation, &result);
    tern_free(tokens);
    if (status == TERN_OK) fprintf(stderr, "\n%d tokens in %.2f s\n", (int)result.n_generated, result.generate_seconds);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: complete MODEL.gguf TEXT\n");
        return 2;
    }
    tern_model *model = NULL;
    tern_session *session = NULL;
    tern_status status = tern_model_open(argv[1], NULL, &model);
    if (status == TERN_OK) status = tern_session_open(model, NULL, &session);
    if (status == TERN_OK) status = complete(model, session, argv[2]);
    if (status != TERN_OK) fprintf(stderr, "%s\n", tern_last_error());
    tern_session_close(session);
    tern_model_close(model);
    return status == TERN_OK ? 0 : 1;
}
