#include "text/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_STEPS = 2,
    STEPS_PER_BYTE = 16, // backtracking steps that one match may take; the patterns need one or two a character
    STEPS_FOR_ALL = 1000,
    HEAP_LIMIT_KIB = 20000,
};

// \s in these patterns is Unicode's White_Space. PCRE2's own \s differs in one character (U+180E).
#define SPACE "\\t-\\r\\x{85}\\p{Z}"

#define SUFFIXES "'s|'t|'re|'ve|'m|'ll|'d"
#define SPACES   "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

// From the tokenizer.json files of GPT-2, Llama 3 and Qwen2, with \s written out.
static const char gpt2_pattern[] = SUFFIXES "| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES;
#define LLAMA3_PATTERN(digits)                                                                                         \
    "(?i:" SUFFIXES ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|"                 \
    "[" SPACE "]*[\\r\\n]+|" SPACES
static const char llama3_pattern[] = LLAMA3_PATTERN("\\p{N}{1,3}");
static const char qwen2_pattern[] = LLAMA3_PATTERN("\\p{N}");
static const char digit_pattern[] = "\\p{N}";

// The names are those that llama.cpp's converter writes; which share a pattern is its knowledge too (llama-vocab.cpp).
// Files from before tokenizer.ggml.pre existed count as "default".
static const struct pretokenizer_kind kinds[] = {
    {"default", {gpt2_pattern}, false, false, false},
    {"gpt-2", {gpt2_pattern}, false, false, false},
    {"olmo", {gpt2_pattern}, true, false, false}, // GPT-NeoX's vocabulary, which TriLM has
    {"smollm", {digit_pattern, gpt2_pattern}, false, false, false},
    {"qwen2", {qwen2_pattern}, true, false, false},
    {"deepseek-r1-qwen", {qwen2_pattern}, true, false, false},
    {"llama-bpe", {llama3_pattern}, false, true, true},
    {"llama-v3", {llama3_pattern}, false, true, true},
    {"llama3", {llama3_pattern}, false, true, true},
    {"falcon3", {llama3_pattern}, false, true, true},
    {"falcon_e", {llama3_pattern}, false, true, true},
};

enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const struct pretokenizer_kind *pretokenizer_kind_find(const char *name, size_t length)
{
    for (int i = 0; i < N_KINDS; i++) {
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0) return &kinds[i];
    }
    return NULL;
}

const char *pretokenizer_kind_names(void)
{
    return "default, gpt-2, olmo, smollm, qwen2, deepseek-r1-qwen, llama-bpe, llama-v3, llama3, falcon3, falcon_e";
}

struct pretokenizer {
    int n_steps;
    pcre2_code *steps[MAX_STEPS];
};

static tern_status compile(const char *pattern, pcre2_code **out)
{
    int error;
    PCRE2_SIZE offset;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    if (!*out) {
        char words[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof words);
        return status_fail(TERN_UNSUPPORTED, "PCRE2 cannot compile the pre-tokenizer (%s at %zu of %s)", words, offset,
                           pattern);
    }
    // Where PCRE2 was built without its compiler to machine code, matching is slower and no different.
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
    return TERN_OK;
}

static tern_status open_steps(const struct pretokenizer_kind *kind, struct pretokenizer *pretokenizer)
{
    for (int i = 0; i < MAX_STEPS && kind->patterns[i]; i++) {
        TRY(compile(kind->patterns[i], &pretokenizer->steps[i]));
        pretokenizer->n_steps++;
    }
    return TERN_OK;
}

tern_status pretokenizer_open(const struct pretokenizer_kind *kind, struct pretokenizer **out)
{
    *out = NULL;
    struct pretokenizer *pretokenizer = calloc(1, sizeof *pretokenizer);
    if (!pretokenizer) return status_fail(TERN_NO_MEMORY, "no memory for a pre-tokenizer");
    tern_status status = open_steps(kind, pretokenizer);
    if (status == TERN_OK)
        *out = pretokenizer;
    else
        pretokenizer_close(pretokenizer);
    return status;
}

void pretokenizer_close(struct pretokenizer *pretokenizer)
{
    if (!pretokenizer) return;
    for (int i = 0; i < MAX_STEPS; i++) {
        pcre2_code_free(pretokenizer->steps[i]);
    }
    free(pretokenizer);
}

// One walk over a text: what all its steps share.
struct walk {
    const struct pretokenizer *pretokenizer;
    pcre2_match_context *limits;
    pcre2_match_data *matches[MAX_STEPS];
    pretokenizer_sink sink;
    void *context;
};

// The first match at or after `from`; *start and *end are left alone if there is none.
static tern_status find_match(const struct walk *walk, int step, const char *text, size_t length, size_t from,
                              size_t *start, size_t *end)
{
    int count = pcre2_match(walk->pretokenizer->steps[step], (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK,
                            walk->matches[step], walk->limits);
    if (count == PCRE2_ERROR_NOMATCH) return TERN_OK;
    if (count < 0)
        return status_fail(TERN_LIMIT, "the pre-tokenizer gave up on a text at byte %zu (PCRE2 error %d)", from, count);
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(walk->matches[step]);
    *start = bounds[0];
    *end = bounds[1];
    return TERN_OK;
}

// Gives one piece to the next step, the last step's pieces to the sink. As deep as there are steps.
static tern_status split(const struct walk *walk, int step, const char *text, size_t length)
{
    if (length == 0) return TERN_OK;
    if (step == MAX_STEPS || step == walk->pretokenizer->n_steps) return walk->sink(walk->context, text, length);
    for (size_t at = 0; at < length;) {
        size_t start = length, end = length;
        TRY(find_match(walk, step, text, length, at, &start, &end));
        TRY(split(walk, step + 1, text + at, start - at));
        TRY(split(walk, step + 1, text + start, end - start));
        at = end;
    }
    return TERN_OK;
}

static tern_status open_walk(struct walk *walk, size_t length)
{
    size_t most = (UINT32_MAX - STEPS_FOR_ALL) / STEPS_PER_BYTE;
    size_t steps = STEPS_PER_BYTE * (length < most ? length : most) + STEPS_FOR_ALL;
    walk->limits = pcre2_match_context_create(NULL);
    bool complete = walk->limits != NULL;
    for (int i = 0; i < walk->pretokenizer->n_steps; i++) {
        walk->matches[i] = pcre2_match_data_create(1, NULL);
        complete = complete && walk->matches[i];
    }
    if (!complete) return status_fail(TERN_NO_MEMORY, "no memory for a pre-tokenizer");
    pcre2_set_match_limit(walk->limits, (uint32_t)steps);
    pcre2_set_heap_limit(walk->limits, HEAP_LIMIT_KIB);
    return TERN_OK;
}

static void close_walk(struct walk *walk)
{
    for (int i = 0; i < MAX_STEPS; i++) {
        pcre2_match_data_free(walk->matches[i]);
    }
    pcre2_match_context_free(walk->limits);
}

tern_status pretokenizer_split(const struct pretokenizer *pretokenizer, const char *text, size_t length,
                               pretokenizer_sink sink, void *context)
{
    struct walk walk = {.pretokenizer = pretokenizer, .sink = sink, .context = context};
    tern_status status = open_walk(&walk, length);
    if (status == TERN_OK) status = split(&walk, 0, text, length);
    close_walk(&walk);
    return status;
}
