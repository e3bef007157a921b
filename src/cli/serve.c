// tern serve: an HTTP server with OpenAI's API and a page to chat in.
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/model_name.h"

#include "format/gguf.h"
#include "serve/server.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct serve_options {
    struct text_list models, aliases, keys, proxies;
    const char *host, *unix_path, *certificate, *key, *key_file, *cors, *config;
    const char *kv_memory, *cache_dir, *cache_dir_size, *models_memory, *max_body;
    int port, context, parallel, queue, threads, kv_type, tiles, f32_activations;
    int connections, timeout, heartbeat, grace, log_format, verbose;
    float max_delay;
    tern_sampling sampling;
};

#define AT(field) offsetof(struct serve_options, field)

static const struct option options_serve[] = {
    {OPTION_HEADING, .help = "models"},
    {OPTION_TEXTS, "-m, --model", "FILE", AT(models),
     .help = "a model: a GGUF file or a name that 'tern list' shows; may be given 64 times. The first is loaded at "
             "start, the others when they are asked for"},
    {OPTION_TEXTS, "-a, --alias", "NAME", AT(aliases),
     .help = "what clients call a model, in the order of the models; default: the file's name without .gguf"},
    {OPTION_TEXT, "--models-memory", "SIZE", AT(models_memory),
     .help = "most bytes of model files loaded at once (16G); whichever was not used for longest is unloaded for "
             "another. Default: no bound"},
    {OPTION_HEADING, .help = "where it listens"},
    {OPTION_TEXT, "--host", "NAME", AT(host),
     .help = "name or address, default 127.0.0.1: this machine only; 0.0.0.0 or :: lets others in"},
    {OPTION_INTEGER, "--port", "N", AT(port), 0, 65535, "default 8080; 0: any free one"},
    {OPTION_TEXT, "--unix", "PATH", AT(unix_path), .help = "listen on a Unix socket instead"},
    {OPTION_TEXT, "--tls-cert", "FILE", AT(certificate), .help = "certificate (and chain) in PEM: speak HTTPS"},
    {OPTION_TEXT, "--tls-key", "FILE", AT(key), .help = "its key in PEM"},
    {OPTION_HEADING, .help = "who may ask"},
    {OPTION_TEXTS, "--api-key", "KEY", AT(keys),
     .help = "ask clients for this key; may be given 64 times. Others can see a command line: prefer a file"},
    {OPTION_TEXT, "--api-key-file", "FILE", AT(key_file), .help = "keys, one a line"},
    {OPTION_TEXTS, "--trust-proxy", "ADDRESS", AT(proxies),
     .help = "an address (10.0.0.9), a network (10.0.0.0/8), or 'unix' for the Unix socket, whose X-Forwarded-For says "
             "who asks: without keys clients take turns by their addresses; may be given 64 times"},
    {OPTION_TEXT, "--cors", "ORIGIN", AT(cors),
     .help = "let web pages of this origin (https://example.org; '*': any) use the server; default: only its own page"},
    {OPTION_HEADING, .help = "answers"},
    {OPTION_INTEGER, "-c, --ctx-size, --context", "N", AT(context), 0, 1 << 30,
     "tokens that a request may take, prompt and answer, default 0: what the model was trained for"},
    {OPTION_INTEGER, "-np, --parallel", "N", AT(parallel), 1, SCHEDULER_MAX_PARALLEL,
     "answers in progress at once, default 16"},
    {OPTION_INTEGER, "--queue", "N", AT(queue), 0, 65536,
     "requests that may wait beside those, default 64; more are answered with status 429"},
    {OPTION_FLOAT, "--max-delay", "S", AT(max_delay), 0.001, 60,
     "most seconds that new prompts may keep answers in progress waiting, default 0.25"},
    {OPTION_FLOAT, "--temp", "T", AT(sampling.temperature), 0, 100,
     "temperature where a request says none, default 0.7"},
    {OPTION_INTEGER, "--top-k", "K", AT(sampling.top_k), 0, 1 << 30, "the same for top_k, default 40"},
    {OPTION_FLOAT, "--top-p", "P", AT(sampling.top_p), 0, 1, "the same for top_p, default 0.95"},
    {OPTION_FLOAT, "--min-p", "P", AT(sampling.min_p), 0, 1, "the same for min_p, default 0.05"},
    {OPTION_HEADING, .help = "memory of prompts"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type),
     .help = "how keys and values are kept, default f16; q8_0 takes 53 % of its memory, q4_0 28 %, and both round"},
    {OPTION_TEXT, "--kv-memory", "SIZE", AT(kv_memory),
     .help = "memory for keys and values, of answers in progress and of prompts remembered (4G); default: a "
             "quarter of what is available; at least one full context"},
    {OPTION_TEXT, "--cache-dir", "FOLDER", AT(cache_dir),
     .help = "remember prompts here too, across restarts; default: nowhere"},
    {OPTION_TEXT, "--cache-dir-size", "SIZE", AT(cache_dir_size), .help = "most bytes there, default 8G"},
    {OPTION_HEADING, .help = "machine and bounds"},
    {OPTION_INTEGER, "-t, --threads", "N", AT(threads), 0, LOADING_MAX_THREADS,
     "compute threads, default 0: one for each physical core"},
    {OPTION_CHOICE, "--tiles", LOADING_TILES, AT(tiles), .help = LOADING_TILES_HELP},
    {OPTION_SET, "--f32-activations", NULL, AT(f32_activations), 1,
     .help = "multiply unrounded activations: exact and slow"},
    {OPTION_TEXT, "--max-body", "SIZE", AT(max_body), .help = "largest request, default 32M"},
    {OPTION_INTEGER, "--connections", "N", AT(connections), 1, 1 << 20,
     "most open connections, of all addresses that the host's name has together, default 4096"},
    {OPTION_INTEGER, "--timeout", "S", AT(timeout), 1, 86400,
     "seconds that a request may take to arrive (longer for large ones that keep coming), default 60"},
    {OPTION_INTEGER, "--heartbeat", "S", AT(heartbeat), 1, 86400,
     "seconds after which a silent stream gets a comment, so that no proxy thinks it dead, default 15"},
    {OPTION_INTEGER, "--grace", "S", AT(grace), 0, 86400,
     "seconds for answers in progress to end after SIGTERM or Ctrl-C, default 30; a second signal ends them"},
    {OPTION_HEADING, .help = "running it"},
    {OPTION_TEXT, "--config", "FILE", AT(config),
     .help = "options as 'key = value' lines, by their long names; the command line goes before the file"},
    {OPTION_CHOICE, "--log-format", "text|json", AT(log_format), .help = "of the lines on stderr, default text"},
    {OPTION_SET, "--verbose", NULL, AT(verbose), 1, .help = "log health checks and what the HTTP library has to say"},
    {.help = NULL},
};

const struct command command_serve = {
    .name = "serve",
    .usage = "MODEL [MODEL...] [options]",
    .summary = "answer over HTTP: OpenAI's API, and a page to chat in",
    .options = options_serve,
    .max_arguments = 4,
    .details =
        "Endpoints: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages (Anthropic's), /v1/embeddings,\n"
        "/v1/models, /tokenize, /detokenize, /apply-template, /health, /metrics, /props, /slots, and the page at /.\n"
        "A server with one model answers whatever model a client names. SIZE is a number of bytes, or with K, M, G, "
        "T.\n"
        "docs/serving.md has the details.\n"
        "\n"
        "examples:\n"
        "  tern serve ternary-bonsai-4b\n"
        "  tern serve model.gguf --host 0.0.0.0 --api-key-file keys.txt --cache-dir ~/.cache/tern/prompts\n"
        "  curl http://127.0.0.1:8080/v1/chat/completions \\\n"
        "       -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Name three rivers.\"}]}'\n"
        "\n"
        "exit codes: 0 stopped by a signal; 1 the model, a file or the system failed; 2 the command line makes no "
        "sense",
};

// ---- Options ------------------------------------------------------------------------------------------------------

// "512", "32M", "16G"
static int take_size(const char *name, const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    if (text == NULL) return EXIT_OK;
    double value = strtod(text, &end);
    const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    if (end == text || (unit == NULL && *end != '\0') || (unit != NULL && end[1] != '\0') || !(value >= 1) ||
        value > 0x1p60 / (double)(1ull << shift))
        return options_error(&command_serve, "%s takes a size such as 512M or 16G, got '%s'", name, text);
    *out = (uint64_t)(value * (double)(1ull << shift));
    return EXIT_OK;
}

static int take_sizes(const struct serve_options *o, struct server_options *server)
{
    int code = take_size("--models-memory", o->models_memory, &server->models.memory);
    if (code == EXIT_OK) code = take_size("--kv-memory", o->kv_memory, &server->models.scheduler.kv_bytes);
    if (code == EXIT_OK) code = take_size("--max-body", o->max_body, &server->http.max_body);
    if (code == EXIT_OK)
        code = take_size("--cache-dir-size", o->cache_dir_size, &server->models.scheduler.cache_dir_bytes);
    return code;
}

static int take_keys(const struct serve_options *o, struct server_options *server)
{
    tern_status status = TERN_OK;
    for (size_t i = 0; i < o->keys.count && status == TERN_OK; i++)
        status = access_add_key(&server->keys, o->keys.items[i]);
    if (status == TERN_OK && o->key_file != NULL) status = access_add_file(&server->keys, o->key_file);
    return status == TERN_OK ? EXIT_OK : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

static int take_proxies(const struct serve_options *o, struct server_options *server)
{
    for (size_t i = 0; i < o->proxies.count; i++)
        if (client_add_proxy(&server->http.proxies, o->proxies.items[i]) != TERN_OK)
            return options_error(&command_serve, "--trust-proxy: %s", tern_last_error());
    return EXIT_OK;
}

static void set_options(const struct serve_options *o, struct server_options *server)
{
    server->http = (struct http_server_options){
        .host = o->host,
        .port = o->port,
        .unix_path = o->unix_path,
        .max_body = 32 << 20,
        .max_connections = o->connections,
        .timeout = o->timeout,
        .heartbeat = o->heartbeat,
        .cors = o->cors,
    };
    server->models.waiting = o->queue;
    server->models.model = (tern_model_options){
        .threads = o->threads, .f32_activations = o->f32_activations != 0, .tiles = (tern_tiles)o->tiles};
    server->models.scheduler = (struct scheduler_options){
        .context = o->context,
        .parallel = o->parallel,
        .queue = o->queue > 0 ? o->queue : -1,
        .max_delay = (double)o->max_delay,
        .kv_type = (tern_kv_type)o->kv_type,
        .cache_dir = o->cache_dir,
    };
    server->log = (struct log){.json = o->log_format == 1, .verbose = o->verbose != 0};
    server->grace = o->grace;
    server->sampling = o->sampling;
}

// ---- Models -------------------------------------------------------------------------------------------------------

// "dir/model-00001-of-00002.gguf", "hf:OWNER/REPO:model.gguf" are called "model". Allocated.
static char *plain_name(const char *model)
{
    const char *start = model;
    for (const char *c = model; *c != '\0'; c++)
        if (*c == '/' || (*c == ':' && c[1] != '\0')) start = c + 1;
    char *name = strdup(start);
    if (name == NULL) return NULL;
    char *end = strstr(name, ".gguf");
    if (end != NULL && end != name && end[5] == '\0') *end = '\0';
    char *part = strstr(name, "-00001-of-");
    if (part != NULL && part != name) *part = '\0';
    return name;
}

static int add_model(const struct serve_options *o, struct models_options *models, const char *model)
{
    size_t i = models->n_sources;
    char *path;
    if (i == MODELS_MAX) return options_error(&command_serve, "more than %d models", MODELS_MAX);
    int code = model_name_find(model, &path);
    if (code != EXIT_OK) return code;
    char *name = i < o->aliases.count ? strdup(o->aliases.items[i]) : plain_name(model);
    models->sources[models->n_sources++] = (struct models_source){name, path};
    if (name == NULL) return terminal_error(EXIT_FAILED, "out of memory");
    for (size_t k = 0; k < i; k++)
        if (strcmp(models->sources[k].name, name) == 0)
            return options_error(&command_serve, "two models are called '%s': give each its --alias", name);
    return EXIT_OK;
}

static int take_models(const struct serve_options *o, const struct arguments *words, struct models_options *models)
{
    int code = EXIT_OK;
    for (int i = 0; i < words->count && code == EXIT_OK; i++)
        code = add_model(o, models, words->words[i]);
    for (size_t i = 0; i < o->models.count && code == EXIT_OK; i++)
        code = add_model(o, models, o->models.items[i]);
    if (code == EXIT_OK && models->n_sources == 0)
        code = options_error(&command_serve, "which model? Give a GGUF file or the name of a model");
    if (code == EXIT_OK && o->aliases.count > models->n_sources)
        code = options_error(&command_serve, "more names (--alias) than models");
    return code;
}

// A first model that is no model is told before the server says where it listens. Loading finds what else is wrong.
static int look_at_first(const struct models_options *models)
{
    struct gguf_file *file;
    if (gguf_open(models->sources[0].path, &file) != TERN_OK)
        return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    gguf_close(file);
    return EXIT_OK;
}

static void free_models(struct models_options *models)
{
    for (size_t i = 0; i < models->n_sources; i++) {
        free((char *)(uintptr_t)models->sources[i].name);
        free((char *)(uintptr_t)models->sources[i].path);
    }
}

// ---- Signals ------------------------------------------------------------------------------------------------------

static volatile sig_atomic_t stopping, hurry;

static void note_signal(int number)
{
    (void)number;
    if (stopping) hurry = 1;
    stopping = 1;
}

// The main thread alone shall get signals: those that start later inherit that they are blocked.
static void catch_signals(sigset_t *before)
{
    struct sigaction action = {.sa_handler = note_signal};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

// ---- Running ------------------------------------------------------------------------------------------------------

// A connection is a file descriptor, and the usual bound of 1024 is soon reached.
static void allow_connections(int connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = (rlim_t)connections + 256;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void print_address(const struct serve_options *o, const struct server *server, char *out, size_t size)
{
    bool is_v6 = strchr(o->host, ':') != NULL;
    const char *host = strcmp(o->host, "0.0.0.0") == 0 || strcmp(o->host, "::") == 0 ? "localhost" : o->host;
    const char *scheme = o->certificate != NULL ? "https" : "http";
    if (o->unix_path != NULL)
        snprintf(out, size, "%s", o->unix_path);
    else
        snprintf(out, size, is_v6 && host == o->host ? "%s://[%s]:%d" : "%s://%s:%d", scheme, host,
                 http_server_port(server->http));
}

static void say_hello(const struct serve_options *o, const struct server *server)
{
    char address[1200];
    print_address(o, server, address, sizeof address);
    if (server->options.log.json) {
        log_facts(&server->options.log, "listening",
                  json_pack("{s:s, s:s}", "address", address, "version", tern_version()));
        return;
    }
    fprintf(stderr, "tern %s listens at %s%s\n", tern_version(), address,
            server->options.keys.count > 0 ? " and asks for an API key" : "");
    if (o->unix_path != NULL)
        fprintf(stderr, "  try: curl --unix-socket %s http://localhost/v1/models\n", address);
    else
        fprintf(
            stderr,
            "  the page to chat in: %s/\n"
            "  or: curl %s/v1/chat/completions%s -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
            address, address, server->options.keys.count > 0 ? " -H 'Authorization: Bearer KEY'" : "");
}

// Until a signal comes, or the first model turns out not to load.
static int wait_for_the_end(struct server *server, const sigset_t *unblocked)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    while (!stopping && models_state(server->models, 0) == MODELS_LOADING) {
        pthread_sigmask(SIG_SETMASK, unblocked, NULL);
        nanosleep(&moment, NULL);
    }
    if (!stopping && models_state(server->models, 0) == MODELS_FAILED) {
        char words[1024];
        models_error(server->models, 0, words, sizeof words);
        return terminal_error(EXIT_FAILED, "%s", words);
    }
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, unblocked, &blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    while (!stopping)
        sigsuspend(unblocked);
    pthread_sigmask(SIG_SETMASK, unblocked, NULL);
    return EXIT_OK;
}

static int run_server(const struct serve_options *o, const struct server_options *options)
{
    struct server *server;
    sigset_t before;
    allow_connections(o->connections);
    catch_signals(&before);
    if (server_open(options, &server) != TERN_OK) return terminal_error(EXIT_FAILED, "%s", tern_last_error());
    say_hello(o, server);
    int code = wait_for_the_end(server, &before);
    if (code == EXIT_OK && http_server_requests(server->http) > 0)
        log_say(&server->options.log, "stopping: %d requests in progress may end", http_server_requests(server->http));
    if (code == EXIT_OK) server_finish(server, &hurry);
    if (code == EXIT_OK) log_say(&server->options.log, "stopped");
    server_close(server);
    return code;
}

static int with_tls(const struct serve_options *o, struct server_options *options)
{
    struct buffer certificate = {0}, key = {0};
    int code = EXIT_OK;
    if ((o->certificate == NULL) != (o->key == NULL))
        return options_error(&command_serve, "--tls-cert and --tls-key go together");
    if (o->certificate != NULL) {
        if (input_read(o->certificate, &certificate) != TERN_OK || input_read(o->key, &key) != TERN_OK)
            code = terminal_error(EXIT_FAILED, "%s", tern_last_error());
        options->http.certificate = certificate.length > 0 ? certificate.data : "";
        options->http.key = key.length > 0 ? key.data : "";
    }
    if (code == EXIT_OK) code = run_server(o, options);
    buffer_free(&certificate);
    buffer_free(&key);
    return code;
}

static int with_options(const struct serve_options *o, const struct arguments *words)
{
    struct server_options options = {0};
    set_options(o, &options);
    interrupt_install(INTERRUPT_ONCE); // of a download
    int code = take_sizes(o, &options);
    if (code == EXIT_OK) code = take_proxies(o, &options);
    if (code == EXIT_OK) code = take_keys(o, &options);
    if (code == EXIT_OK) code = take_models(o, words, &options.models);
    if (code == EXIT_OK) code = look_at_first(&options.models);
    if (code == EXIT_OK) code = with_tls(o, &options);
    free_models(&options.models);
    access_free(&options.keys);
    return code;
}

// The command line goes before the file: the file is read first, then the command line once more.
static enum parse_result parse(int argc, char **argv, struct serve_options *o, struct config_file *config,
                               struct arguments *words)
{
    struct serve_options defaults = *o;
    enum parse_result parsed = options_parse(&command_serve, argc, argv, o, words);
    if (parsed != PARSE_OK || o->config == NULL) return parsed;
    if (config_file_open(o->config, config) != TERN_OK) {
        terminal_error(EXIT_FAILED, "%s", tern_last_error());
        return PARSE_ERROR;
    }
    struct serve_options given = *o;
    *o = defaults;
    parsed = options_parse(&command_serve, config->count, config->words, o, words);
    if (parsed != PARSE_OK) return parsed;
    // Lists of the command line stand instead of the file's, not behind them.
    if (given.models.count > 0) o->models.count = 0;
    if (given.aliases.count > 0) o->aliases.count = 0;
    if (given.keys.count > 0) o->keys.count = 0;
    if (given.proxies.count > 0) o->proxies.count = 0;
    parsed = options_parse(&command_serve, argc, argv, o, words);
    if (words->count > 0 && given.models.count == 0) o->models.count = 0;
    return parsed;
}

int serve_main(int argc, char **argv)
{
    const struct scheduler_options usual = scheduler_options_default();
    struct serve_options o = {
        .host = "127.0.0.1",
        .port = 8080,
        .parallel = usual.parallel,
        .queue = usual.queue,
        .max_delay = (float)usual.max_delay,
        .connections = 4096,
        .timeout = 60,
        .heartbeat = 15,
        .grace = 30,
        .sampling = tern_sampling_default(),
    };
    struct config_file config = {0};
    struct arguments words;
    enum parse_result parsed = parse(argc, argv, &o, &config, &words);
    int code = EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_serve, stdout);
        code = terminal_finish_output();
    } else if (parsed == PARSE_OK) {
        code = with_options(&o, &words);
    }
    config_file_close(&config);
    return code;
}
