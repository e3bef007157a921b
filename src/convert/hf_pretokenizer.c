#include "convert/hf_pretokenizer.h"

#include <string.h>

// The regular expressions of the tokenizer.json files of Llama 3 and Qwen 2 and 3, but for how digits are taken.
#define BEFORE_DIGITS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define AFTER_DIGITS  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

// What splits a text before ByteLevel has its turn.
enum splitter { SPLIT_NONE, SPLIT_DIGITS, SPLIT_QWEN2, SPLIT_LLAMA3, SPLIT_UNKNOWN };

static const struct {
    const char *name;
    enum splitter splitter;
    bool byte_level_regex; // ByteLevel splits too, by GPT-2's expression
    bool nfc;
    bool whole_words; // model.ignore_merges: a piece that is a token is taken without merging
} kinds[] = {
    {"gpt-2", SPLIT_NONE, true, false, false},       {"olmo", SPLIT_NONE, true, true, false},
    {"smollm", SPLIT_DIGITS, true, false, false},    {"qwen2", SPLIT_QWEN2, false, true, false},
    {"llama-bpe", SPLIT_LLAMA3, false, false, true},
};

static bool equals(const json_t *value, const char *text)
{
    const char *string = json_string_value(value);
    return string != NULL && strcmp(string, text) == 0;
}

static bool has_type(const json_t *object, const char *type)
{
    return equals(json_object_get(object, "type"), type);
}

static enum splitter find_splitter(const json_t *step)
{
    if (has_type(step, "Digits"))
        return json_is_true(json_object_get(step, "individual_digits")) ? SPLIT_DIGITS : SPLIT_UNKNOWN;
    const json_t *regex = json_object_get(json_object_get(step, "pattern"), "Regex");
    if (!has_type(step, "Split") || !equals(json_object_get(step, "behavior"), "Isolated") ||
        json_is_true(json_object_get(step, "invert")))
        return SPLIT_UNKNOWN;
    if (equals(regex, BEFORE_DIGITS "\\p{N}" AFTER_DIGITS)) return SPLIT_QWEN2;
    if (equals(regex, BEFORE_DIGITS "\\p{N}{1,3}" AFTER_DIGITS)) return SPLIT_LLAMA3;
    return SPLIT_UNKNOWN;
}

// A ByteLevel that puts no blank before a text; *regex is set.
static bool read_byte_level(const json_t *step, bool *regex)
{
    const json_t *use = json_object_get(step, "use_regex");
    *regex = use == NULL || json_is_true(use); // files from before the flag split always
    return has_type(step, "ByteLevel") && !json_is_true(json_object_get(step, "add_prefix_space"));
}

static bool read_steps(const json_t *pre, enum splitter *splitter, bool *regex)
{
    *splitter = SPLIT_NONE;
    if (!has_type(pre, "Sequence")) return read_byte_level(pre, regex);
    const json_t *steps = json_object_get(pre, "pretokenizers");
    size_t n = json_array_size(steps);
    if (n != 1 && n != 2) return false;
    if (n == 2) *splitter = find_splitter(json_array_get(steps, 0));
    return read_byte_level(json_array_get(steps, n - 1), regex);
}

// False for a normalizer that changes texts in a way that GGUF has no name for.
static bool read_normalizer(const json_t *normalizer, bool *nfc)
{
    *nfc = has_type(normalizer, "NFC");
    return *nfc || normalizer == NULL || json_is_null(normalizer);
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type != NULL ? type : "none";
}

tern_status hf_pretokenizer_find(const char *path, const json_t *tokenizer, const char **out)
{
    const json_t *normalizer = json_object_get(tokenizer, "normalizer");
    const json_t *pre = json_object_get(tokenizer, "pre_tokenizer");
    bool whole_words = json_is_true(json_object_get(json_object_get(tokenizer, "model"), "ignore_merges"));
    enum splitter splitter = SPLIT_UNKNOWN;
    bool regex = false, nfc = false, known = read_normalizer(normalizer, &nfc) && read_steps(pre, &splitter, &regex);
    for (size_t i = 0; known && i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].splitter != splitter || kinds[i].byte_level_regex != regex || kinds[i].nfc != nfc ||
            kinds[i].whole_words != whole_words)
            continue;
        *out = kinds[i].name;
        return TERN_OK;
    }
    return status_fail(TERN_UNSUPPORTED,
                       "%s: the pre-tokenizer (%.40s with normalizer %.40s%s) is none of gpt-2, olmo, smollm, qwen2, "
                       "llama-bpe; name it with --pre",
                       path, type_of(pre), type_of(normalizer), whole_words ? " and ignore_merges" : "");
}
