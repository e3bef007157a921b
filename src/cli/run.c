// tern run: one answer to a prompt, or a conversation.
#include "cli/run.h"

#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/memory.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(struct run_options, field)

static const struct option options_run[] = {
    {OPTION_HEADING, .help = "model and prompt"},
    {OPTION_TEXT, "-m, --model", "FILE", AT(model),
     .help = "the model, a GGUF file or a name that 'tern list' shows; or give it as first word"},
    {OPTION_TEXT, "-p, --prompt", "TEXT", AT(prompt), .help = "the prompt; or give it as second word"},
    {OPTION_TEXT, "-f, --file", "FILE", AT(file),
     .help = "read the prompt from a file ('-': standard input), 16 MiB at most"},
    {OPTION_TEXT, "-sys, --system", "TEXT", AT(system), .help = "system prompt: how the model shall behave"},
    {OPTION_SET, "--raw", NULL, AT(raw), 1, .help = "continue the text as it is, without the chat template"},
    {OPTION_SET, "--think", NULL, AT(thinking), 1,
     .help = "ask the chat template for thinking (enable_thinking = true)"},
    {OPTION_SET, "--no-think", NULL, AT(thinking), 0, .help = "ask it for none (enable_thinking = false)"},
    {OPTION_HEADING, .help = "answer"},
    {OPTION_INTEGER, "-n, --n-predict, --predict", "N", AT(predict), -1, 1 << 30,
     "most tokens of the answer; -1 (default): until it ends or the context is full"},
    {OPTION_TEXTS, "--stop, -r", "TEXT", AT(stop),
     .help = "end the answer before this text; may be given 64 times, 1024 bytes each"},
    {OPTION_SET, "--json", NULL, AT(json), 1,
     .help = "print one JSON object: text, tokens (without the one that completed a --stop text), finish, timings"},
    {OPTION_SET, "-q, --quiet", NULL, AT(quiet), 1, .help = "no line with tokens per second on stderr"},
    {OPTION_HEADING, .help = "sampling"},
    {OPTION_FLOAT, "--temp", "T", AT(sampling.temperature), 0, 100,
     "temperature, 0 to 100, default 0.7; 0 always takes the most likely token"},
    {OPTION_INTEGER, "--top-k", "K", AT(sampling.top_k), 0, 1 << 30,
     "draw from the K most likely tokens, default 40; 0: from all"},
    {OPTION_FLOAT, "--top-p", "P", AT(sampling.top_p), 0, 1,
     "draw from the smallest set with this probability in all, default 0.95; 1: off"},
    {OPTION_FLOAT, "--min-p", "P", AT(sampling.min_p), 0, 1,
     "leave out tokens less likely than this share of the most likely one, default 0.05; 0: off"},
    {OPTION_FLOAT, "--typical", "P", AT(sampling.typical_p), 0, 1, "locally typical sampling, default 1: off"},
    {OPTION_FLOAT, "--repeat-penalty", "X", AT(sampling.repetition_penalty), 0.01, 100,
     "divide the logits of recent tokens by this, default 1: off"},
    {OPTION_FLOAT, "--presence-penalty", "X", AT(sampling.presence_penalty), -100, 100,
     "subtract from the logits of recent tokens, default 0"},
    {OPTION_FLOAT, "--frequency-penalty", "X", AT(sampling.frequency_penalty), -100, 100,
     "subtract for each time that a token came, default 0"},
    {OPTION_INTEGER, "--repeat-last-n", "N", AT(sampling.penalty_window), -1, 1 << 30,
     "how many of the last tokens are recent, default 64; -1: all"},
    {OPTION_TEXTS, "--logit-bias", "ID+X", AT(bias),
     .help = "add X (or -X: ID-X) to a token's logit, e.g. 42+1.5; -inf bans it; may be given 64 times"},
    {OPTION_SEED, "-s, --seed", "N", AT(sampling.seed),
     .help = "the same seed gives the same answer on every machine, default 0; 'random': another each time"},
    {OPTION_HEADING, .help = "machine"},
    {OPTION_INTEGER, "-c, --ctx-size, --context", "N", AT(context), 0, 1 << 30,
     "tokens that prompt and answer may take, default 0: what the model was trained for, or what memory allows"},
    {OPTION_INTEGER, "-t, --threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "compute threads, default 0: one for each physical core"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type),
     .help = "how keys and values are kept, default f16; q8_0 takes 53 % of its memory, q4_0 28 %, and both round"},
    {OPTION_CHOICE, "--tiles", LOADING_TILES, AT(tiles), .help = LOADING_TILES_HELP},
    {OPTION_SET, "--f32-activations", NULL, AT(f32_activations), 1,
     .help = "multiply unrounded activations: exact and slow"},
    {OPTION_SET, "--no-prompt-lookup", NULL, AT(no_prompt_lookup), 1,
     .help = "do not guess at coming tokens from where the text said the same before (guessing is faster on repetitive "
             "work and never changes the answer)"},
    {.help = NULL},
};

const struct command command_run = {
    .name = "run",
    .usage = "MODEL [PROMPT] [options]",
    .summary = "answer a prompt, or talk",
    .options = options_run,
    .max_arguments = 2,
    .details = "Without a prompt, on a terminal, it is a conversation; /help there lists its commands.\n"
               "What is piped in is the prompt; after a PROMPT, it follows that. Only the answer goes to stdout.\n"
               "\n"
               "examples:\n"
               "  tern run model.gguf\n"
               "  tern run ternary-bonsai-1.7b\n"
               "  tern run model.gguf \"Name three rivers.\" --temp 0 -n 100\n"
               "  git diff | tern run model.gguf \"Say in one sentence what this changes:\"\n"
               "  tern run model.gguf --raw \"Once upon a time\" -n 50 --json\n"
               "\n"
               "exit codes: 0 fine; 1 the model, a file or the system failed; 2 the command line makes no sense;\n"
               "130 interrupted with Ctrl-C",
};

// ---- Options ------------------------------------------------------------------------------------------------------

static int take_words(struct run_options *o, const struct arguments *words)
{
    int next = 0;
    if (o->model == NULL && next < words->count) o->model = words->words[next++];
    if (o->model == NULL) return options_error(&command_run, "which model? Give a GGUF file");
    if (next < words->count && o->prompt != NULL)
        return options_error(&command_run, "two prompts: '%s' and -p '%s'", words->words[next], o->prompt);
    if (next < words->count) o->prompt = words->words[next++];
    if (next < words->count)
        return options_error(&command_run, "'%s' is one word too many (quote a text of several words)",
                             words->words[next]);
    if (o->raw && o->system != NULL) return options_error(&command_run, "--raw takes no --system: it has no chat");
    return EXIT_OK;
}

// "42+1.5", "42-inf"
static bool parse_bias(const char *text, tern_token *token, float *value)
{
    char *end;
    errno = 0;
    long id = strtol(text, &end, 10);
    if (end == text || errno != 0 || id < 0 || id > INT32_MAX || (*end != '+' && *end != '-')) return false;
    const char *number = end;
    double bias = strtod(number, &end);
    if (end == number || *end != '\0' || isnan(bias)) return false;
    *token = (tern_token)id;
    *value = (float)bias;
    return true;
}

struct bias {
    tern_token tokens[TEXT_LIST_MAX];
    float values[TEXT_LIST_MAX];
};

static int take_bias(struct run_options *o, struct bias *bias)
{
    for (size_t i = 0; i < o->bias.count; i++)
        if (!parse_bias(o->bias.items[i], &bias->tokens[i], &bias->values[i]))
            return options_error(&command_run,
                                 "--logit-bias takes a token's number, a sign and a number (42+1.5), got '%s'",
                                 o->bias.items[i]);
    o->sampling.bias_tokens = bias->tokens;
    o->sampling.bias_values = bias->values;
    o->sampling.n_bias = o->bias.count;
    return EXIT_OK;
}

// ---- Prompt -------------------------------------------------------------------------------------------------------

// A pipe or a file, as opposed to a terminal or /dev/null.
static bool stdin_is_piped(void)
{
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0) return false;
    return S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode);
}

// Puts what `path` holds after what is there, an empty line between.
static tern_status append_input(struct buffer *prompt, const char *path)
{
    struct buffer part = {0};
    tern_status status = input_read(path, &part);
    if (status == TERN_OK && part.length > 0 && prompt->length > 0) status = buffer_append_string(prompt, "\n\n");
    if (status == TERN_OK) status = buffer_append(prompt, part.data, part.length);
    buffer_free(&part);
    return status;
}

// What was given, in this order: PROMPT or -p, -f, standard input.
static tern_status gather_prompt(const struct run_options *o, struct buffer *prompt)
{
    bool given = o->prompt != NULL || o->file != NULL;
    if (o->prompt != NULL) TRY(buffer_append_string(prompt, o->prompt));
    if (o->file != NULL) TRY(append_input(prompt, o->file));
    if (o->file != NULL && strcmp(o->file, "-") == 0) return TERN_OK;
    return (given ? stdin_is_piped() : !terminal_is(stdin)) ? append_input(prompt, "-") : TERN_OK;
}

// ---- One answer ---------------------------------------------------------------------------------------------------

tern_generation run_generation(const struct run_options *o)
{
    return (tern_generation){.max_tokens = o->predict, .stop = o->stop.items, .n_stop = o->stop.count};
}

static double rate(int32_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

void run_print_rates(const tern_result *r)
{
    fprintf(stderr, "%s%d tokens read (%.1f/s), %d written (%.1f/s)%s\n", terminal_style(stderr, STYLE_DIM),
            (int)r->n_prompt, rate(r->n_prompt, r->prompt_seconds), (int)r->n_generated,
            rate(r->n_generated, r->generate_seconds), terminal_style(stderr, STYLE_PLAIN));
}

// Plain continuation, its start token put first if the model wants one.
static tern_status continue_text(tern_session *session, const tern_model *model, const struct buffer *prompt,
                                 const tern_generation *generation, FILE *stream, struct answer *answer,
                                 tern_result *result)
{
    tern_token *tokens;
    size_t count;
    TRY(tern_tokenize(model, prompt->data, prompt->length, TERN_TOKENIZE_SPECIAL | TERN_TOKENIZE_BOS, &tokens, &count));
    answer_begin(answer, stream, false);
    tern_generation g = *generation;
    g.on_text = answer_write;
    g.context = answer;
    tern_status status = answer_end(answer, tern_session_generate(session, tokens, count, &g, result));
    tern_free(tokens);
    return status;
}

static tern_status answer_chat(const struct run_options *o, tern_model *model, tern_session *session,
                               const struct buffer *prompt, const tern_generation *generation, FILE *stream,
                               struct answer *answer, tern_result *result)
{
    struct conversation chat;
    size_t text_length = strlen(prompt->data);
    if (text_length != prompt->length)
        return status_fail(TERN_INVALID, "the prompt has a zero byte at offset %zu; a chat takes text", text_length);
    conversation_begin(&chat, model, session, o->thinking);
    tern_status status = conversation_set_system(&chat, o->system);
    if (status == TERN_OK) status = conversation_add_user(&chat, prompt->data);
    if (status == TERN_OK) status = conversation_answer(&chat, generation, stream, answer, result);
    conversation_end(&chat);
    return status;
}

// NULL without memory.
static json_t *tokens_to_json(const tern_session *session, int32_t n_prompt)
{
    json_t *list = json_array();
    const tern_token *tokens = tern_session_tokens(session);
    for (size_t i = (size_t)n_prompt; i < tern_session_length(session); i++) {
        if (json_array_append_new(list, json_integer(tokens[i])) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static int print_json(const struct run_options *o, const tern_model *model, const tern_session *session,
                      const struct answer *answer, const tern_result *r)
{
    static const char *const finishes[] = {"end", "stop", "length", "cancelled"};
    json_t *object = json_pack(
        "{s:s, s:s%, s:o, s:s, s:i, s:i, s:I, s:{s:f, s:f, s:f, s:f}}", "model", tern_model_name(model), "text",
        answer->text.length > 0 ? answer->text.data : "", answer->text.length, "tokens",
        tokens_to_json(session, r->n_prompt), "finish", finishes[r->finish], "prompt_tokens", (int)r->n_prompt,
        "generated_tokens", (int)r->n_generated, "seed", (json_int_t)o->sampling.seed, "timings", "prompt_seconds",
        r->prompt_seconds, "prompt_tokens_per_second", rate(r->n_prompt, r->prompt_seconds), "generate_seconds",
        r->generate_seconds, "generated_tokens_per_second", rate(r->n_generated, r->generate_seconds));
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (text == NULL) return terminal_error(EXIT_FAILED, "no memory for the JSON object");
    puts(text);
    free(text);
    return EXIT_OK;
}

// Ends the output after an answer that came to `status`.
static int finish_answer(const struct run_options *o, const tern_model *model, const tern_session *session,
                         const struct answer *answer, const tern_result *result, tern_status status)
{
    if (answer->write_error != 0) {
        if (answer->write_error == EPIPE) return EXIT_FAILED;
        return terminal_error(EXIT_FAILED, "standard output: %s", strerror(answer->write_error));
    }
    int code = status == TERN_OK ? EXIT_OK : status == TERN_CANCELLED ? EXIT_INTERRUPTED : EXIT_FAILED;
    if (code == EXIT_FAILED) {
        if (answer->text.length > 0 && !o->json) fputc('\n', stdout);
        fflush(stdout);
        return terminal_error(code, "%s", tern_last_error());
    }
    if (!o->json)
        fputc('\n', stdout);
    else if (print_json(o, model, session, answer, result) != EXIT_OK)
        return EXIT_FAILED;
    int written = terminal_finish_output();
    if (written != EXIT_OK) return written;
    if (!o->quiet && !o->json) run_print_rates(result);
    return code;
}

// A base model has no chat template; a broken one is an error that rendering will tell.
static bool falls_back_to_raw(const struct run_options *o, const tern_model *model)
{
    const tern_message hello = {.role = "user", .content = "hello"};
    char *text = NULL;
    if (o->system != NULL || tern_model_has_chat_template(model)) return false;
    if (tern_chat_render(model, &hello, 1, NULL, &text) != TERN_UNSUPPORTED) return false;
    fprintf(stderr, "tern: %s: continuing the text, as with --raw\n", tern_last_error());
    return true;
}

static int answer_once(const struct run_options *o, tern_model *model, tern_session *session,
                       const struct buffer *prompt)
{
    tern_generation generation = run_generation(o);
    FILE *stream = o->json ? NULL : stdout;
    struct answer answer = {0};
    tern_result result = {0};
    bool raw = o->raw || falls_back_to_raw(o, model);
    interrupt_watch(session);
    tern_status status = raw ? continue_text(session, model, prompt, &generation, stream, &answer, &result)
                             : answer_chat(o, model, session, prompt, &generation, stream, &answer, &result);
    interrupt_watch(NULL);
    int code = finish_answer(o, model, session, &answer, &result, status);
    answer_close(&answer);
    return code;
}

// ---- Command ------------------------------------------------------------------------------------------------------

static int with_session(const struct run_options *o, tern_model *model, const struct buffer *prompt)
{
    tern_session *session;
    tern_session_options options = {.context = o->context,
                                    .sampling = &o->sampling,
                                    .no_prompt_lookup = o->no_prompt_lookup != 0,
                                    .kv_type = (tern_kv_type)o->kv_type};
    if (tern_session_open(model, &options, &session) != TERN_OK)
        return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    int code = prompt != NULL ? answer_once(o, model, session, prompt) : chat_main(o, model, session);
    tern_session_close(session);
    return code;
}

static int with_model(struct run_options *o, const struct buffer *prompt)
{
    tern_model *model;
    struct memory_choice choice = {(tern_kv_type)o->kv_type, o->context, o->f32_activations != 0, (tern_tiles)o->tiles};
    int code = memory_prepare(o->model, o->quiet != 0, &choice);
    o->context = choice.context;
    tern_model_options options = {
        .threads = o->threads, .f32_activations = o->f32_activations != 0, .tiles = choice.tiles};
    interrupt_install(prompt != NULL ? INTERRUPT_ONCE : INTERRUPT_ALWAYS);
    if (code == EXIT_OK) code = loading_open_model(o->model, options, &model);
    if (code != EXIT_OK) return code;
    code = with_session(o, model, prompt);
    tern_model_close(model);
    return code;
}

static bool wants_conversation(const struct run_options *o)
{
    return o->prompt == NULL && o->file == NULL && !o->raw && !o->json && terminal_is(stdin) && terminal_is(stdout);
}

static int run_with_prompt(struct run_options *o)
{
    struct buffer prompt = {0};
    if (o->prompt == NULL && o->file == NULL && terminal_is(stdin))
        return options_error(&command_run, "no prompt: give it as second word, with -p or -f, or pipe it in");
    int code = EXIT_FAILED;
    if (gather_prompt(o, &prompt) != TERN_OK)
        terminal_error(code, "%s", tern_last_error());
    else if (prompt.length == 0)
        code = options_error(&command_run, "the prompt is empty");
    else
        code = with_model(o, &prompt);
    buffer_free(&prompt);
    return code;
}

int run_main(int argc, char **argv)
{
    struct run_options o = {.predict = -1, .thinking = -1, .sampling = tern_sampling_default()};
    struct arguments words;
    struct bias bias;
    enum parse_result parsed = options_parse(&command_run, argc, argv, &o, &words);
    if (parsed == PARSE_HELP) {
        options_print_help(&command_run, stdout);
        return terminal_finish_output();
    }
    if (parsed == PARSE_ERROR || take_words(&o, &words) != EXIT_OK || take_bias(&o, &bias) != EXIT_OK)
        return EXIT_USAGE;
    return wants_conversation(&o) ? with_model(&o, NULL) : run_with_prompt(&o);
}
