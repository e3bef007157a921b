// tern info: what a file holds and what running it takes, without loading the weights. Files that tern cannot run are
// described as far as their header goes.
#include "cli/commands.h"
#include "cli/loading.h"
#include "cli/memory.h"

#include "device/device.h"
#include "text/template.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct info_options {
    const char *file;
    int context, kv_type, json, whole_template;
};

#define AT(field) offsetof(struct info_options, field)

static const struct option options_info[] = {
    {OPTION_TEXT, "-m, --model", "FILE", AT(file), .help = "the model, a GGUF file; or give it as first word"},
    {OPTION_INTEGER, "-c, --context", "N", AT(context), 0, 1 << 30,
     "say what memory a context of N tokens needs, default 0: what the model was trained for"},
    {OPTION_CHOICE, "--kv-type", LOADING_KV_TYPES, AT(kv_type),
     .help = "how keys and values would be kept, default f16"},
    {OPTION_SET, "--template", NULL, AT(whole_template), 1, .help = "print the chat template, whole, and nothing else"},
    {OPTION_SET, "--json", NULL, AT(json), 1, .help = "print one JSON object"},
    {.help = NULL},
};

const struct command command_info = {
    .name = "info",
    .usage = "FILE [options]",
    .summary = "describe a model file",
    .options = options_info,
    .max_arguments = 1,
    .details = "examples:\n"
               "  tern info model.gguf\n"
               "  tern info model.gguf --context 32768\n"
               "  tern info model.gguf --template",
};

// ---- Facts --------------------------------------------------------------------------------------------------------

struct type_share {
    uint64_t tensors, weights, bytes;
};

struct facts {
    const struct gguf_file *file;
    struct gguf_string architecture, name, tokenizer, pre_tokenizer, chat_template;
    struct type_share types[DTYPE_COUNT], all;
    uint64_t vocabulary; // tokens in the file's list

    bool runs;            // tern can run it; if not, `reason` says why
    char *reason;         // owned
    struct config config; // valid if has_config
    bool has_config;
    char *tokenizer_kind; // owned; NULL if it cannot be used

    struct memory_plan plan; // if `runs`
};

static void count_types(struct facts *facts)
{
    for (uint64_t i = 0; i < facts->file->n_tensors; i++) {
        const struct tensor *t = &facts->file->tensors[i];
        struct type_share *shares[] = {&facts->types[t->type], &facts->all};
        for (int s = 0; s < 2; s++) {
            shares[s]->tensors++;
            shares[s]->weights += t->rows * t->dims[0];
            shares[s]->bytes += t->bytes;
        }
    }
}

// A key whose type is wrong counts as absent: info describes broken files too.
static struct gguf_string find_string(const struct gguf_file *file, const char *key)
{
    const struct gguf_value *value = gguf_find(file, key);
    return value != NULL && value->type == GGUF_STRING ? value->string : (struct gguf_string){0};
}

static void read_strings(struct facts *facts)
{
    facts->architecture = find_string(facts->file, "general.architecture");
    facts->name = find_string(facts->file, "general.name");
    facts->tokenizer = find_string(facts->file, "tokenizer.ggml.model");
    facts->pre_tokenizer = find_string(facts->file, "tokenizer.ggml.pre");
    facts->chat_template = find_string(facts->file, "tokenizer.chat_template");
    const struct gguf_value *tokens = gguf_find(facts->file, "tokenizer.ggml.tokens");
    if (tokens != NULL && tokens->type == GGUF_ARRAY) facts->vocabulary = tokens->array.count;
}

static tern_status read_tokenizer(struct facts *facts)
{
    struct tokenizer *tokenizer;
    TRY(tokenizer_open(facts->file, &tokenizer));
    facts->tokenizer_kind = strdup(tokenizer_kind(tokenizer));
    tokenizer_close(tokenizer);
    return TERN_OK;
}

static tern_status check_runs(struct facts *facts, int32_t context, tern_kv_type kv_type)
{
    TRY(config_read(facts->file, &facts->config));
    facts->has_config = true;
    struct machine_memory memory = machine_memory("");
    if (context == 0) context = facts->config.context;
    struct memory_plan_options options = {
        .kv_type = kv_type, .context = context, .weights.unread = true, .memory = memory};
    options.weights.dense_tiles = device_prefers_dense(&(struct device_options){.kernels = getenv("TERN_CPU")}) ||
                                  memory_plan_needs_dense(facts->file, &facts->config, options);
    TRY(memory_plan_make(facts->file, &facts->config, &options, &facts->plan));
    return read_tokenizer(facts);
}

static void gather_facts(struct facts *facts, const struct gguf_file *file, const struct info_options *o)
{
    *facts = (struct facts){.file = file};
    count_types(facts);
    read_strings(facts);
    facts->runs = check_runs(facts, o->context, (tern_kv_type)o->kv_type) == TERN_OK;
    if (!facts->runs) facts->reason = strdup(tern_last_error());
}

static void free_facts(struct facts *facts)
{
    free(facts->reason);
    free(facts->tokenizer_kind);
}

static const char *scaling_name(enum rope_scaling scaling)
{
    static const char *const names[] = {"none", "linear", "YaRN"};
    return names[scaling];
}

// ---- Text ---------------------------------------------------------------------------------------------------------

static void print_label(const char *label)
{
    printf("%-14s ", label);
}

static void print_string(const char *label, struct gguf_string string)
{
    if (string.data == NULL) return;
    print_label(label);
    terminal_write(stdout, string.data, string.length < 200 ? string.length : 200);
    putchar('\n');
}

static void print_bytes(uint64_t bytes)
{
    const double mib = 1024.0 * 1024.0;
    double size = (double)bytes;
    if (size >= 1024 * mib)
        printf("%.2f GiB", size / (1024 * mib));
    else if (size >= mib)
        printf("%.1f MiB", size / mib);
    else
        printf("%.1f KiB", size / 1024);
}

static double bits_per_weight(const struct type_share *share)
{
    return share->weights > 0 ? (double)share->bytes * 8 / (double)share->weights : 0;
}

static void print_file(const struct facts *f)
{
    print_label("file");
    terminal_write(stdout, f->file->path, strlen(f->file->path));
    printf(" (GGUF %" PRIu32 ", ", f->file->version);
    print_bytes(f->file->file_bytes);
    if (f->file->n_parts > 1) printf(" in %" PRIu32 " parts", f->file->n_parts);
    puts(")");
    print_string("name", f->name);
    print_string("architecture", f->architecture);
}

static void print_types(const struct facts *f)
{
    print_label("parameters");
    printf("%.1f million in %" PRIu64 " tensors, %.3f bits each\n", (double)f->all.weights / 1e6, f->all.tensors,
           bits_per_weight(&f->all));
    for (enum dtype type = 0; type < DTYPE_COUNT; type++) {
        const struct type_share *s = &f->types[type];
        if (s->tensors == 0) continue;
        print_label("");
        printf("%-11s %4" PRIu64 " tensors  %5.1f %% of the weights  %7.3f bits each  ", dtype_info(type)->name,
               s->tensors, 100 * (double)s->weights / (double)f->all.weights, bits_per_weight(s));
        print_bytes(s->bytes);
        putchar('\n');
    }
}

static void print_rope(const struct config *c)
{
    print_label("RoPE");
    printf("base %g, %d of %d dimensions of a head, %s pairs", (double)c->rope_base, (int)c->rope_dims,
           (int)c->head_size, c->rope_interleaved ? "interleaved" : "split");
    if (c->rope_scaling == ROPE_LINEAR) printf(", linear scaling by %g", (double)c->rope_factor);
    if (c->rope_scaling == ROPE_YARN)
        printf(", YaRN scaling by %g from %d tokens", (double)c->rope_factor, (int)c->rope_original);
    putchar('\n');
}

static void print_shape(const struct facts *f)
{
    const struct config *c = &f->config;
    print_label("shape");
    printf("%d layers, width %d, feed-forward %d (%s)%s%s%s\n", (int)c->n_layers, (int)c->width, (int)c->n_ffn,
           c->relu2 ? "squared ReLU" : "SwiGLU", c->qk_norm ? ", q/k norms" : "", c->sub_norm ? ", sub-norms" : "",
           c->tied_head ? ", tied head" : "");
    print_label("attention");
    printf("%d heads, %d for keys and values, %d wide\n", (int)c->n_heads, (int)c->n_kv_heads, (int)c->head_size);
    print_label("vocabulary");
    printf("%d tokens\n", (int)c->n_vocabulary);
    print_label("context");
    printf("%d tokens\n", (int)c->context);
    print_rope(c);
}

static void print_tokenizer(const struct facts *f)
{
    if (f->tokenizer_kind != NULL) {
        print_label("tokenizer");
        puts(f->tokenizer_kind);
        return;
    }
    print_string("tokenizer", f->tokenizer);
    print_string("pre-tokenizer", f->pre_tokenizer);
}

enum { TEMPLATE_LINES = 4, TEMPLATE_COLUMNS = 90 };

// The first lines, cut where they are too long for the eye.
static void print_template_start(struct gguf_string source)
{
    const char *at = source.data, *end = source.data + source.length;
    for (int line = 0; line < TEMPLATE_LINES && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline != NULL ? newline : end) - at);
        size_t shown = length < TEMPLATE_COLUMNS ? length : TEMPLATE_COLUMNS;
        while (shown > 0 && shown < length && ((unsigned char)at[shown] & 0xc0) == 0x80)
            shown--; // not inside a character
        print_label("");
        terminal_write(stdout, at, shown);
        puts(shown < length ? "..." : "");
        at += length + 1;
    }
    if (at < end) {
        print_label("");
        puts("... (--template prints it whole)");
    }
}

static void print_template(const struct facts *f)
{
    print_label("chat template");
    if (f->chat_template.data == NULL) {
        puts("none");
        return;
    }
    struct template *parsed;
    tern_status status = template_parse(f->chat_template.data, f->chat_template.length, &parsed);
    printf("%zu bytes%s%s\n", f->chat_template.length,
           status == TERN_OK ? "" : ", cannot be used: ", status == TERN_OK ? "" : tern_last_error());
    if (status == TERN_OK) template_free(parsed);
    print_template_start(f->chat_template);
}

static void print_part(const char *before, uint64_t bytes, const char *after)
{
    fputs(before, stdout);
    print_bytes(bytes);
    fputs(after, stdout);
}

static void print_verdict(const struct facts *f)
{
    char help[MEMORY_HELP_BYTES];
    if (f->plan.memory.total == 0) return;
    print_label("");
    print_part("this machine can spare ", memory_spare(&f->plan.memory), ": ");
    if (!memory_plan_fits(&f->plan))
        printf("not enough. %s\n", memory_help(&f->plan, &f->config, help));
    else if (memory_plan_from_disk(&f->plan) > 0)
        print_part("enough to run, but ", memory_plan_from_disk(&f->plan),
                   " of the weights will be read from disk for every token\n");
    else
        puts("enough");
}

static void print_memory(const struct facts *f)
{
    const struct memory_plan *plan = &f->plan;
    print_label("memory");
    print_part("", memory_plan_total(plan), "");
    printf(" with a context of %d tokens: ", (int)plan->context);
    print_part("weights ", plan->copied + plan->mapped, ", ");
    print_part("keys and values ", plan->cache, ", ");
    print_part("working space about ", plan->working, "\n");
    if (plan->context > f->config.context) {
        print_label("");
        printf("the model was trained for %d tokens only, tern takes no more\n", (int)f->config.context);
    }
    print_verdict(f);
}

static void print_text(const struct facts *f)
{
    print_file(f);
    print_types(f);
    if (f->has_config)
        print_shape(f);
    else if (f->vocabulary > 0)
        printf("%-14s %" PRIu64 " tokens\n", "vocabulary", f->vocabulary);
    print_tokenizer(f);
    print_template(f);
    if (f->runs) {
        print_memory(f);
    } else {
        print_label("tern");
        fputs("cannot run this file: ", stdout);
        const char *reason = f->reason != NULL ? f->reason : "";
        terminal_write(stdout, reason, strlen(reason));
        putchar('\n');
    }
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

// A string of a file, in which anything may stand: null if it is absent or no UTF-8.
static json_t *string_to_json(struct gguf_string string)
{
    if (string.data == NULL || !utf8_valid(string.data, string.length)) return json_null();
    return json_stringn(string.data, string.length);
}

static json_t *share_to_json(const struct type_share *share)
{
    return json_pack("{s:I, s:I, s:I, s:f}", "tensors", (json_int_t)share->tensors, "weights",
                     (json_int_t)share->weights, "bytes", (json_int_t)share->bytes, "bits_per_weight",
                     bits_per_weight(share));
}

static json_t *types_to_json(const struct facts *f)
{
    json_t *types = json_object();
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        if (f->types[type].tensors > 0)
            json_object_set_new(types, dtype_info(type)->name, share_to_json(&f->types[type]));
    return types;
}

static json_t *shape_to_json(const struct config *c)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "layers", (int)c->n_layers, "width",
                     (int)c->width, "feed_forward", (int)c->n_ffn, "heads", (int)c->n_heads, "kv_heads",
                     (int)c->n_kv_heads, "head_size", (int)c->head_size, "vocabulary", (int)c->n_vocabulary, "context",
                     (int)c->context, "tied_head", (int)c->tied_head);
}

static json_t *rope_to_json(const struct config *c)
{
    json_t *rope = json_pack("{s:f, s:i, s:b, s:s}", "base", (double)c->rope_base, "dimensions", (int)c->rope_dims,
                             "interleaved", (int)c->rope_interleaved, "scaling", scaling_name(c->rope_scaling));
    if (rope != NULL && c->rope_scaling != ROPE_NONE)
        json_object_set_new(rope, "factor", json_real((double)c->rope_factor));
    if (rope != NULL && c->rope_scaling == ROPE_YARN)
        json_object_set_new(rope, "original_context", json_integer(c->rope_original));
    return rope;
}

static json_t *memory_to_json(const struct facts *f)
{
    const struct memory_plan *p = &f->plan;
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "context", (int)p->context, "weights",
                     (json_int_t)(p->copied + p->mapped), "weights_in_file", (json_int_t)p->mapped, "keys_and_values",
                     (json_int_t)p->cache, "working_space", (json_int_t)p->working, "total",
                     (json_int_t)memory_plan_total(p), "available", (json_int_t)p->memory.available, "fits",
                     (int)memory_plan_fits(p));
}

static int print_json(const struct facts *f)
{
    json_t *object =
        json_pack("{s:s%, s:i, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:b}", "file", f->file->path, strlen(f->file->path),
                  "gguf_version", (int)f->file->version, "bytes", (json_int_t)f->file->file_bytes, "parts",
                  (int)f->file->n_parts, "name", string_to_json(f->name), "architecture",
                  string_to_json(f->architecture), "parameters", share_to_json(&f->all), "types", types_to_json(f),
                  "chat_template", string_to_json(f->chat_template), "runs", (int)f->runs);
    if (object == NULL) return terminal_error(EXIT_FAILED, "the facts cannot be put in JSON");
    if (f->tokenizer_kind != NULL) json_object_set_new(object, "tokenizer", json_string(f->tokenizer_kind));
    if (f->has_config) {
        json_object_set_new(object, "shape", shape_to_json(&f->config));
        json_object_set_new(object, "rope", rope_to_json(&f->config));
    }
    if (f->runs)
        json_object_set_new(object, "memory", memory_to_json(f));
    else if (f->reason != NULL)
        json_object_set_new(object, "reason", json_string(f->reason));
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
    return EXIT_OK;
}

// ---- Command ------------------------------------------------------------------------------------------------------

static int print_whole_template(const struct facts *f)
{
    if (f->chat_template.data == NULL) return terminal_error(EXIT_FAILED, "%s has no chat template", f->file->path);
    terminal_write(stdout, f->chat_template.data, f->chat_template.length);
    putchar('\n');
    return EXIT_OK;
}

static int print_facts(const struct info_options *o, const struct facts *facts)
{
    if (o->whole_template) return print_whole_template(facts);
    if (o->json) return print_json(facts);
    print_text(facts);
    return EXIT_OK;
}

static int describe_file(const struct info_options *o)
{
    struct gguf_file *file;
    int code = loading_open_file(o->file, &file);
    if (code != EXIT_OK) return code;
    struct facts facts;
    gather_facts(&facts, file, o);
    code = print_facts(o, &facts);
    if (code == EXIT_OK) code = terminal_finish_output();
    free_facts(&facts);
    gguf_close(file);
    return code;
}

int info_main(int argc, char **argv)
{
    struct info_options o = {0};
    struct arguments words;
    enum parse_result parsed = options_parse(&command_info, argc, argv, &o, &words);
    if (parsed == PARSE_ERROR) return EXIT_USAGE;
    if (parsed == PARSE_HELP) {
        options_print_help(&command_info, stdout);
        return terminal_finish_output();
    }
    if (o.file != NULL && words.count > 0)
        return options_error(&command_info, "two files: '%s' and -m '%s'", words.words[0], o.file);
    if (words.count > 0) o.file = words.words[0];
    if (o.file == NULL) return options_error(&command_info, "which file? Give a GGUF file");
    return describe_file(&o);
}
