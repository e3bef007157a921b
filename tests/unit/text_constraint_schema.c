// JSON Schema: what an independent validator says of documents (golden/constraint), and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/constraint_walk.h"
#include "base/mapped_file.h"
#include "base/status.h"

static struct tokenizer *tokenizer;
static struct constraint_vocabulary *vocabulary;

static int open_vocabulary(void **unused)
{
    (void)unused;
    tokenizer = byte_tokenizer_open(NULL, 0);
    return constraint_vocabulary_open(tokenizer, &vocabulary);
}

static int close_vocabulary(void **unused)
{
    (void)unused;
    constraint_vocabulary_close(vocabulary);
    tokenizer_close(tokenizer);
    return 0;
}

// ---- Known answers --------------------------------------------------------------------------------------------------

struct counts {
    int schemas, refused; // schemas; those that are not supported
    int impossible;       // those that no text fits
    int invalid, valid;   // documents of the others
    int accepted;         // valid ones that may be written
    int wrong;            // invalid ones that may be written: there must be none
};

static void read_schema(const char *text, size_t length, struct constraint **constraint, struct counts *counts)
{
    tern_status status = constraint_open_schema(vocabulary, text, length, NULL, constraint);
    counts->schemas++;
    if (status == TERN_UNSUPPORTED) counts->refused++;
    if (status == TERN_INVALID) counts->impossible++;
    if (getenv("CONSTRAINT_VERBOSE") && status != TERN_OK)
        printf("%.*s\n    %s\n", (int)length, text, status_message());
    assert_true(status == TERN_OK || status == TERN_UNSUPPORTED || status == TERN_INVALID);
}

static void read_document(const struct constraint *constraint, bool valid, const char *text, size_t length,
                          struct counts *counts)
{
    size_t at;
    bool accepted = walk_text(constraint, text, length, &at) == WALK_COMPLETE;
    if (valid) {
        counts->valid++;
        counts->accepted += accepted;
        if (!accepted && getenv("CONSTRAINT_VERBOSE")) printf("valid, refused at %zu: %.*s\n", at, (int)length, text);
        return;
    }
    counts->invalid++;
    if (!accepted) return;
    counts->wrong++;
    fprintf(stderr, "invalid, but it may be written: %.*s\n", (int)length, text);
}

static struct counts read_golden(const char *path)
{
    struct mapped_file file;
    struct counts counts = {0};
    struct constraint *constraint = NULL;
    assert_int_equal(mapped_file_open(path, &file), TERN_OK);
    const char *text = (const char *)file.data, *end = text + file.size;
    while (text < end) {
        const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
        text = stop + 1;
        size_t length = (size_t)(stop - line) - 2;
        if (*line == 'S') {
            constraint_close(constraint);
            constraint = NULL;
            if (getenv("CONSTRAINT_VERBOSE")) printf("%.*s\n", (int)(stop - line), line);
            read_schema(line + 2, length, &constraint, &counts);
        } else if (constraint) {
            read_document(constraint, *line == 'V', line + 2, length, &counts);
        }
    }
    constraint_close(constraint);
    mapped_file_close(&file);
    printf(
        "%s: %d schemas, %d not supported, %d impossible; %d of %d valid documents may be written, %d of %d invalid\n",
        path, counts.schemas, counts.refused, counts.impossible, counts.accepted, counts.valid, counts.wrong,
        counts.invalid);
    return counts;
}

static void own_schemas(void **unused)
{
    (void)unused;
    struct counts counts = read_golden("golden/constraint/own.txt");
    assert_int_equal(counts.wrong, 0);
    assert_int_equal(counts.refused, 2); // two oneOf whose branches overlap
    assert_int_equal(counts.impossible, 0);
    assert_int_equal(counts.accepted, 702); // of 723: docs/constraints.md says what is not written
}

static void suite(void **unused)
{
    (void)unused;
    struct counts counts = read_golden("golden/constraint/suite.txt");
    assert_int_equal(counts.wrong, 0);
    assert_int_equal(counts.refused, 102);
    assert_int_equal(counts.impossible, 13);
    assert_int_equal(counts.accepted, 438);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_schemas),
        cmocka_unit_test(suite),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
