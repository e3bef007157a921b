// Random ways through every schema of golden/constraint: there is always an allowed token, and what comes out does not
// depend on how it is cut into tokens. With arguments VOCABULARY (a GGUF file) and OUT, the same with a real
// vocabulary; OUT gets lines "schema TAB document" for tools/check_constraint_walks.py, which asks an independent
// validator.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "../support/constraint_walk.h"
#include "base/mapped_file.h"
#include "base/status.h"

enum { WALKS = 4, MAX_STEPS = 300 };

struct walker {
    const struct constraint_vocabulary *vocabulary;
    const struct tokenizer *tokenizer;
    int32_t n_tokens;
    uint32_t *mask;
    tern_token *allowed; // [n_tokens]
    uint64_t random;     // xorshift (Marsaglia 2003)
    FILE *out;           // NULL: none
    int finished, unfinished;
};

static uint32_t next_random(struct walker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 32);
}

// Ends come often, and so do short tokens, or most texts would never end.
static tern_token draw(struct walker *w)
{
    uint32_t n = 0, n_short = 0;
    for (tern_token token = 0; token < w->n_tokens; token++) {
        size_t length;
        if (!(w->mask[token / 32] >> (token % 32) & 1)) continue;
        if (tokenizer_is_end(w->tokenizer, token) && next_random(w) % 2 == 0) return token;
        tokenizer_token_bytes(w->tokenizer, token, &length);
        w->allowed[n++] = token;
        if (length > 1) continue;
        w->allowed[n - 1] = w->allowed[n_short];
        w->allowed[n_short++] = token;
    }
    assert_true(n > 0);
    bool among_short = n_short > 0 && next_random(w) % 4 != 0;
    return w->allowed[next_random(w) % (among_short ? n_short : n)];
}

// Appends what was drawn; false if it did not come to an end.
static bool walk_randomly(struct walker *w, const struct constraint *constraint, struct buffer *text)
{
    struct constraint_state *state;
    bool ended = false;
    text->length = 0;
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    for (int step = 0; step < MAX_STEPS && !ended; step++) {
        assert_int_equal(constraint_mask(state, w->mask, w->n_tokens), TERN_OK);
        tern_token token = draw(w);
        assert_true(constraint_allows(state, token));
        assert_int_equal(constraint_accept(state, token), TERN_OK);
        ended = tokenizer_is_end(w->tokenizer, token);
        size_t length;
        const char *bytes = tokenizer_token_bytes(w->tokenizer, token, &length);
        if (!ended) assert_int_equal(buffer_append(text, bytes, length), TERN_OK);
    }
    constraint_end(state);
    return ended;
}

// Blanks may hold ends of lines; the list of results has one a line.
static void print_walk(struct walker *w, const char *schema, size_t length, const struct buffer *text)
{
    if (!w->out) return;
    fprintf(w->out, "%.*s\t", (int)length, schema);
    for (size_t i = 0; i < text->length; i++) {
        bool blank = text->data[i] == '\n' || text->data[i] == '\t';
        fputc(blank ? ' ' : text->data[i], w->out);
    }
    fputc('\n', w->out);
}

static void walk_schema(struct walker *w, const struct constraint_vocabulary *bytes, const char *schema, size_t length)
{
    struct constraint *constraint, *by_byte;
    struct buffer text = {0};
    if (constraint_open_schema(w->vocabulary, schema, length, NULL, &constraint) != TERN_OK) return;
    assert_int_equal(constraint_open_schema(bytes, schema, length, NULL, &by_byte), TERN_OK);
    for (int i = 0; i < WALKS; i++) {
        size_t at;
        bool ended = walk_randomly(w, constraint, &text);
        enum walk_result expected = ended ? WALK_COMPLETE : WALK_UNFINISHED;
        enum walk_result result = walk_text(by_byte, text.data, text.length, &at);
        if (result == WALK_REFUSED || (ended && result != expected))
            fail_msg("%.*s: by bytes refused at %zu: %.*s", (int)length, schema, at, (int)text.length, text.data);
        if (ended) print_walk(w, schema, length, &text);
        ended ? w->finished++ : w->unfinished++;
    }
    buffer_free(&text);
    constraint_close(constraint);
    constraint_close(by_byte);
}

static void walk_file(struct walker *w, const struct constraint_vocabulary *bytes, const char *path)
{
    struct mapped_file file;
    assert_int_equal(mapped_file_open(path, &file), TERN_OK);
    const char *text = (const char *)file.data, *end = text + file.size;
    while (text < end) {
        const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
        text = stop + 1;
        if (*line == 'S') walk_schema(w, bytes, line + 2, (size_t)(stop - line) - 2);
    }
    mapped_file_close(&file);
}

static void walk_all(const struct tokenizer *tokenizer, FILE *out)
{
    struct tokenizer *byte_tokenizer = byte_tokenizer_open(NULL, 0);
    struct constraint_vocabulary *vocabulary, *bytes;
    assert_int_equal(constraint_vocabulary_open(tokenizer, &vocabulary), TERN_OK);
    assert_int_equal(constraint_vocabulary_open(byte_tokenizer, &bytes), TERN_OK);
    int32_t n = tokenizer_vocabulary(tokenizer);
    struct walker w = {
        .vocabulary = vocabulary, .tokenizer = tokenizer, .n_tokens = n, .random = 88172645463325252u, .out = out};
    w.mask = malloc(((size_t)n + 31) / 32 * sizeof *w.mask);
    w.allowed = malloc((size_t)n * sizeof *w.allowed);
    assert_true(w.mask && w.allowed);
    walk_file(&w, bytes, "golden/constraint/own.txt");
    walk_file(&w, bytes, "golden/constraint/suite.txt");
    printf("%d walks came to an end, %d were cut off after %d tokens\n", w.finished, w.unfinished, MAX_STEPS);
    assert_true(w.finished > w.unfinished * 4);
    free(w.mask);
    free(w.allowed);
    constraint_vocabulary_close(vocabulary);
    constraint_vocabulary_close(bytes);
    tokenizer_close(byte_tokenizer);
}

static void small_vocabulary(void **unused)
{
    (void)unused;
    static const char *const extra[] = {"{\"", "\":",      "\": ",     "\": \"", "\",", "\", \"", "\"}", "}]",
                                        "},",  " {",       "true",     "null",   "00",  "12",     ".5",  "-1",
                                        "e+",  "\xC3\xA9", "\xE6\x97", "\xA5\"", "\\n", "\\u00",  "20",  "--"};
    struct tokenizer *tokenizer = byte_tokenizer_open(extra, sizeof extra / sizeof extra[0]);
    walk_all(tokenizer, NULL);
    tokenizer_close(tokenizer);
}

static int walk_real(const char *vocabulary, const char *path)
{
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    FILE *out = fopen(path, "w");
    if (!out || gguf_open(vocabulary, &file) != TERN_OK || tokenizer_open(file, &tokenizer) != TERN_OK) {
        fprintf(stderr, "%s: %s\n", vocabulary, status_message());
        return 1;
    }
    gguf_close(file);
    walk_all(tokenizer, out);
    tokenizer_close(tokenizer);
    return fclose(out);
}

// ---- Cost -----------------------------------------------------------------------------------------------------------

static const struct {
    const char *name, *schema, *text;
} measured[] = {
    {"any object", "{\"type\": \"object\"}",
     "{\"title\": \"A walk in the park\", \"tags\": [\"slow\", \"green\"], \"where\": {\"lat\": 52.51, \"long\": "
     "13.38}, "
     "\"notes\": \"It rained a little, but nobody minded; the caf\u00e9 was open.\", \"again\": true}"},
    {"person",
     "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 200}, "
     "\"age\": {\"type\": "
     "\"integer\", \"minimum\": 0, \"maximum\": 150}, \"born\": {\"type\": \"string\", \"format\": \"date\"}, "
     "\"role\": {\"enum\": "
     "[\"admin\", \"author\", \"reader\"]}, \"bio\": {\"type\": \"string\"}}, \"required\": [\"name\", \"age\", "
     "\"role\", \"bio\"], "
     "\"additionalProperties\": false}",
     "{\"name\": \"Ada Lovelace\", \"age\": 36, \"born\": \"1815-12-10\", \"role\": \"author\", \"bio\": \"She wrote "
     "about an engine that "
     "was never built, and what it might do with more than numbers.\"}"},
    {"list of shapes",
     "{\"type\": \"array\", \"maxItems\": 50, \"items\": {\"anyOf\": [{\"type\": \"object\", \"properties\": "
     "{\"kind\": {\"const\": "
     "\"circle\"}, \"r\": {\"type\": \"number\", \"exclusiveMinimum\": 0}}, \"required\": [\"kind\", \"r\"], "
     "\"additionalProperties\": false}, "
     "{\"type\": \"object\", \"properties\": {\"kind\": {\"const\": \"box\"}, \"w\": {\"type\": \"integer\"}, \"h\": "
     "{\"type\": "
     "\"integer\"}}, \"required\": [\"kind\", \"w\", \"h\"], \"additionalProperties\": false}]}}",
     "[{\"kind\": \"circle\", \"r\": 1.5}, {\"kind\": \"box\", \"w\": 3, \"h\": 40}, {\"kind\": \"circle\", \"r\": "
     "22}]"},
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct cost {
    double token, mask, longest_mask; // seconds, the first two in all
    size_t n_tokens;
};

static void add_cost(struct constraint_state *state, tern_token token, uint32_t *mask, int32_t n, struct cost *cost)
{
    double start = seconds();
    bool allowed = constraint_allows(state, token);
    double asked = seconds();
    assert_int_equal(constraint_mask(state, mask, n), TERN_OK);
    double masked = seconds();
    assert_true(allowed);
    assert_int_equal(constraint_accept(state, token), TERN_OK);
    cost->token += asked - start + seconds() - masked;
    cost->mask += masked - asked;
    if (masked - asked > cost->longest_mask) cost->longest_mask = masked - asked;
    cost->n_tokens++;
}

static void measure(const struct tokenizer *tokenizer, const struct constraint_vocabulary *vocabulary, size_t i)
{
    int32_t n = tokenizer_vocabulary(tokenizer);
    uint32_t *mask = malloc(((size_t)n + 31) / 32 * sizeof *mask);
    struct constraint *constraint;
    struct constraint_state *state;
    struct cost cost = {.n_tokens = 0};
    tern_token *tokens;
    size_t count;
    double start = seconds();
    assert_int_equal(
        constraint_open_schema(vocabulary, measured[i].schema, strlen(measured[i].schema), NULL, &constraint), TERN_OK);
    double opened = seconds() - start;
    assert_int_equal(constraint_begin(constraint, &state), TERN_OK);
    assert_int_equal(tokenizer_encode(tokenizer, measured[i].text, strlen(measured[i].text), 0, &tokens, &count),
                     TERN_OK);
    for (size_t k = 0; k < count; k++) {
        add_cost(state, tokens[k], mask, n, &cost);
    }
    assert_true(constraint_may_end(state));
    printf(
        "%-15s opened in %.2f ms; %zu tokens, each %.2f us asked and taken, its mask %.0f us (the longest %.0f us)\n",
        measured[i].name, 1e3 * opened, count, 1e6 * cost.token / (double)count, 1e6 * cost.mask / (double)count,
        1e6 * cost.longest_mask);
    free(tokens);
    free(mask);
    constraint_end(state);
    constraint_close(constraint);
}

static int measure_all(const char *path)
{
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    struct constraint_vocabulary *vocabulary;
    if (gguf_open(path, &file) != TERN_OK || tokenizer_open(file, &tokenizer) != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    gguf_close(file);
    double start = seconds();
    assert_int_equal(constraint_vocabulary_open(tokenizer, &vocabulary), TERN_OK);
    printf("%d tokens, ordered in %.0f ms\n", tokenizer_vocabulary(tokenizer), 1e3 * (seconds() - start));
    for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++) {
        measure(tokenizer, vocabulary, i);
    }
    constraint_vocabulary_close(vocabulary);
    tokenizer_close(tokenizer);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_vocabulary)};
    if (argc == 2) return measure_all(argv[1]);
    if (argc == 3) return walk_real(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
