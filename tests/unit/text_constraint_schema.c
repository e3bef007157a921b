// JSON Schema: what an independent validator says of documents (golden/constraint), and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "../support/constraint_fixture.h"
#include "../support/constraint_walk.h"
#include "base/mapped_file.h"
#include "base/status.h"

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
    assert_int_equal(counts.refused, 14);   // oneOf whose branches overlap
    assert_int_equal(counts.impossible, 1); // six different ones of five
    assert_int_equal(counts.accepted, 745); // of 779: docs/constraints.md says what is not written
}

static void suite(void **unused)
{
    (void)unused;
    struct counts counts = read_golden("golden/constraint/suite.txt");
    assert_int_equal(counts.wrong, 0);
    assert_int_equal(counts.refused, 100);
    assert_int_equal(counts.impossible, 13);
    assert_int_equal(counts.accepted, 440);
}

// ---- What is refused ------------------------------------------------------------------------------------------------

static void messages(void **unused)
{
    (void)unused;
    static const struct {
        const char *schema, *message;
        tern_status status;
    } cases[] = {
        {"", "JSON, line 1, column 1: a value expected", TERN_INVALID},
        {"{\"type\": \"object\",\n}", "JSON, line 2, column 1: a key in '\"' expected", TERN_INVALID},
        {"{\"a\": 1, \"a\": 2}", "the key \"a\" is twice in the object at /", TERN_INVALID},
        {"{\"x\": \"\\ud800\"}", "the two halves of a surrogate pair expected", TERN_INVALID},
        {"{} {}", "JSON, line 1, column 4: the end expected", TERN_INVALID},
        {"3", "schema, /: a schema (an object, true or false) expected", TERN_INVALID},
        {"false", "no text at all is allowed", TERN_INVALID},
        {"{\"type\": \"text\"}", "schema, /type: a type (null,", TERN_INVALID},
        {"{\"type\": []}", "schema, /type: a type (null,", TERN_INVALID},
        {"{\"properties\": {\"a\": {\"minimum\": \"1\"}}}", "schema, /properties/a/minimum: a number expected",
         TERN_INVALID},
        {"{\"minLength\": -1}", "schema, /minLength: a whole number of at least 0 expected", TERN_INVALID},
        {"{\"minItems\": 1.5}", "schema, /minItems: a whole number of at least 0 expected", TERN_INVALID},
        {"{\"minItems\": 99999999999}", "schema, /minItems: more than 1048576", TERN_LIMIT},
        {"{\"enum\": 1}", "schema, /enum: a list of values expected", TERN_INVALID},
        {"{\"required\": \"a\"}", "schema, /required: a list of names expected", TERN_INVALID},
        {"{\"properties\": {\"a\": {\"required\": true}}}", "schema, /properties/a/required: a list of names expected",
         TERN_INVALID},
        {"{\"items\": {\"$id\": \"x\"}}", "schema, /items/$id: $id is supported in the outermost schema only",
         TERN_UNSUPPORTED},
        {"{\"$ref\": \"#/$defs/a/not/b\", \"$defs\": {\"a\": {\"$id\": \"x\", \"not\": {\"b\": {\"$ref\": "
         "\"#/$defs/c\"}}}, \"c\": {}}}",
         "schema, /$defs/a/$id: $id is supported in the outermost schema only", TERN_UNSUPPORTED},
        {"{\"properties\": {\"id\": {\"$ref\": \"#/$defs/c\"}, \"$id\": {}}, \"$defs\": {\"c\": {}}}", NULL, TERN_OK},
        {"{\"anyOf\": []}", "schema, /anyOf: a list of schemas expected", TERN_INVALID},
        {"{\"$ref\": \"#/$defs/a\"}", "schema, /$ref: a reference to something in the schema expected", TERN_INVALID},
        {"{\"$ref\": \"http://x/y\"}", "schema, /$ref: only references within the schema", TERN_UNSUPPORTED},
        {"{\"type\": \"array\", \"prefixItems\": [true, {\"if\": true, \"then\": false}], \"minItems\": 2}",
         "schema, /prefixItems/1/if: this keyword is not supported", TERN_UNSUPPORTED},
        {"{\"dependentRequired\": {}}", "schema, /dependentRequired: this keyword is not supported", TERN_UNSUPPORTED},
        {"{\"maxLenght\": 3}", "schema, /maxLenght: this keyword is unknown", TERN_UNSUPPORTED},
        {"{\"format\": \"colour\"}", "schema, /format: the format \"colour\" is not supported (known: date-time,",
         TERN_UNSUPPORTED},
        {"{\"pattern\": \"(?=a)b\"}", "schema, /pattern: pattern: a lookahead is not supported", TERN_UNSUPPORTED},
        {"{\"pattern\": \"(?<!a)b\"}", "pattern: a lookbehind is not supported", TERN_UNSUPPORTED},
        {"{\"pattern\": \"(a)\\\\1\"}", "pattern: a back-reference is not supported", TERN_UNSUPPORTED},
        {"{\"pattern\": \"\\\\bx\"}", "pattern: a word boundary (\\b) is not supported", TERN_UNSUPPORTED},
        {"{\"pattern\": \"\\\\p{Greek}\"}", "pattern: \\p{Greek} is not supported", TERN_UNSUPPORTED},
        {"{\"pattern\": \"(a\"}", "pattern: ')' expected at byte 2", TERN_INVALID},
        {"{\"pattern\": \"a)\"}", "pattern: no ')' expected at byte 1", TERN_INVALID},
        {"{\"pattern\": \"[b-a]\"}", "a range that ends behind its beginning expected", TERN_INVALID},
        {"{\"pattern\": \"*\"}", "something to repeat expected at byte 0", TERN_INVALID},
        {"{\"pattern\": \"a.{14}b\"}", "takes too long", TERN_LIMIT},
        {"{\"properties\": {\"a\": {\"anyOf\": [{\"type\": \"null\"}, {\"format\": \"uri\", \"maxLength\": 65536}]}}}",
         "schema, /properties/a/anyOf/1: constraint: more than 60000 states of a pattern", TERN_LIMIT},
        {"{\"multipleOf\": 0.01}", "schema, /multipleOf: multipleOf is supported with whole numbers", TERN_UNSUPPORTED},
        {"{\"multipleOf\": 3, \"minimum\": 1e20}", "schema, /multipleOf: multipleOf is supported for numbers of up to",
         TERN_UNSUPPORTED},
        {"{\"type\": \"number\", \"minimum\": 0.1234567890123456789}", "cannot be compared exactly", TERN_UNSUPPORTED},
        {"{\"type\": \"array\", \"uniqueItems\": true}", "schema, /uniqueItems: uniqueItems is", TERN_UNSUPPORTED},
        {"{\"oneOf\": [{\"type\": \"string\"}, {\"minLength\": 2}]}", "schema, /oneOf/1: oneOf is not supported where",
         TERN_UNSUPPORTED},
        {"{\"oneOf\": [{\"$ref\": \"#/$defs/n\", \"maximum\": 5}, {\"$ref\": \"#/$defs/n\", \"allOf\": [{\"minimum\": "
         "6}]}], "
         "\"$defs\": {\"n\": {\"type\": \"integer\"}}}",
         NULL, TERN_OK},
        // Before 2019-09 what stands beside $ref tells nothing apart: both branches would fit every integer.
        {"{\"oneOf\": [{\"$ref\": \"#/$defs/n\", \"maximum\": 5}, {\"$ref\": \"#/$defs/n\", \"allOf\": [{\"minimum\": "
         "6}]}], "
         "\"$defs\": {\"n\": {\"type\": \"integer\"}}, \"$schema\": \"http://json-schema.org/draft-07/schema#\"}",
         "schema, /oneOf/1: oneOf is not supported where", TERN_UNSUPPORTED},
        {"{\"oneOf\": [{\"$ref\": \"#/$defs/n\", \"minimum\": 5}, {\"minProperties\": 1}], \"$defs\": {\"n\": "
         "{\"maxProperties\": 0}}, "
         "\"$schema\": \"http://json-schema.org/draft-07/schema#\"}",
         "schema, /oneOf/1: oneOf is not supported where", TERN_UNSUPPORTED}, // 7 would be written, and fit both
        {"{\"oneOf\": [{\"$ref\": \"#/$defs/n\", \"title\": \"x\"}, {\"type\": \"string\"}], \"$defs\": {\"n\": "
         "{\"type\": \"null\"}}, "
         "\"$schema\": \"http://json-schema.org/draft-07/schema#\"}",
         NULL, TERN_OK},
        {"{\"not\": {\"minimum\": 3}}", "schema, /not: `not` is supported with type, enum or const alone",
         TERN_UNSUPPORTED},
        {"{\"type\": \"object\", \"minProperties\": 2}", "schema, /minProperties: minProperties is supported up to",
         TERN_UNSUPPORTED},
        {"{\"type\": \"string\", \"minLength\": 3, \"maxLength\": 2}", "no text at all is allowed", TERN_INVALID},
        {"{\"$ref\": \"#\"}", NULL, TERN_OK}, // says nothing: anything
        {"{\"anyOf\": [{\"$ref\": \"#\"}, {\"type\": \"null\"}]}", NULL, TERN_OK},
        {"{\"properties\": {\"a\": {\"$ref\": \"#\"}}, \"required\": [\"a\"]}", "no text at all is allowed",
         TERN_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct constraint *constraint;
        tern_status status =
            constraint_open_schema(vocabulary, cases[i].schema, strlen(cases[i].schema), NULL, &constraint);
        if (status != cases[i].status || (cases[i].message && !strstr(status_message(), cases[i].message)))
            fail_msg("%s: status %d, \"%s\"", cases[i].schema, (int)status, status_message());
        constraint_close(constraint);
    }
}

// Valid to some readers only, or valid to all.
static void readers_agree(void **unused)
{
    (void)unused;
    static const struct {
        const char *schema, *text;
        bool written;
    } cases[] = {
        // Who reads doubles finds 105898421253648208 here, and a remainder.
        {"{\"type\": \"integer\", \"multipleOf\": 100}", "105898421253648200", false},
        {"{\"multipleOf\": 100, \"minimum\": 3, \"maximum\": 1e20}", "105898421253648200", false},
        {"{\"type\": \"integer\", \"multipleOf\": 100}", "105898421253600", true},
        {"{\"type\": \"integer\", \"multipleOf\": 100}", "-105898421253600", true},
        {"{\"type\": \"integer\", \"multipleOf\": 7, \"exclusiveMaximum\": 1e15}", "999999999999994", true},
        // int32 and int64 are integers, say those who look at formats of numbers.
        {"{\"format\": \"int32\"}", "200.5", false},
        {"{\"format\": \"int32\"}", "200", true},
        {"{\"type\": \"number\", \"format\": \"int64\"}", "2.5e-1", false},
        {"{\"type\": \"number\", \"format\": \"int64\"}", "-3000000000", true},
        {"{\"type\": \"number\", \"format\": \"double\"}", "200.5", true},
        {"{\"type\": \"integer\"}", "105898421253648200", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct constraint *constraint;
        size_t at;
        assert_int_equal(
            constraint_open_schema(vocabulary, cases[i].schema, strlen(cases[i].schema), NULL, &constraint), TERN_OK);
        enum walk_result result = walk_text(constraint, cases[i].text, strlen(cases[i].text), &at);
        if ((result == WALK_COMPLETE) != cases[i].written) fail_msg("%s: %s", cases[i].schema, cases[i].text);
        constraint_close(constraint);
    }
}

// However deep, wide or repetitive: an answer within bounds, or LIMIT.
static void hostile_schemas(void **unused)
{
    (void)unused;
    static const struct {
        const char *before, *repeated, *after;
        int count;
        tern_status status;
    } cases[] = {
        {"", "[", "", 1000000, TERN_LIMIT},
        {"{\"a\": ", "{\"not\":", "", 1000000, TERN_LIMIT},
        {"{\"enum\": [", "\"abcdefgh\",", "1]}", 20000, TERN_OK},
        {"{\"anyOf\": [", "{\"type\": \"string\", \"maxLength\": 3},", "true]}", 5000, TERN_OK},
        {"{\"allOf\": [", "{\"anyOf\": [{\"minimum\": 1}, {\"maximum\": 2}]},", "true]}", 40, TERN_LIMIT},
        {"{\"required\": [", "\"a\",", "\"b\"]}", 100000, TERN_OK},
        {"{\"pattern\": \"", "(a|", "b\"}", 101, TERN_LIMIT},
        {"{\"pattern\": \"", "(a?){50}", "\"}", 5000, TERN_LIMIT},
        {"{\"prefixItems\": [", "{\"format\": \"uri\", \"minLength\": 1, \"maxLength\": 2083},", "true]}", 40, TERN_OK},
        {"{\"oneOf\": [", "{\"enum\": [1, 2]},", "{\"const\": 3}]}", 1, TERN_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer schema = {0};
        struct constraint *constraint;
        assert_int_equal(buffer_append_string(&schema, cases[i].before), TERN_OK);
        for (int k = 0; k < cases[i].count; k++) {
            assert_int_equal(buffer_append_string(&schema, cases[i].repeated), TERN_OK);
        }
        assert_int_equal(buffer_append_string(&schema, cases[i].after), TERN_OK);
        tern_status status = constraint_open_schema(vocabulary, schema.data, schema.length, NULL, &constraint);
        if (status != cases[i].status)
            fail_msg("%s%s...: status %d, \"%s\"", cases[i].before, cases[i].repeated, (int)status, status_message());
        constraint_close(constraint);
        buffer_free(&schema);
    }
}

static clock_t time_of_classes(int count)
{
    struct buffer schema = {0};
    struct constraint *constraint;
    assert_int_equal(buffer_append_string(&schema, "{\"pattern\": \"["), TERN_OK);
    for (int i = 0; i < count; i++) {
        assert_int_equal(buffer_append_string(&schema, "\\\\p{Zs}"), TERN_OK);
    }
    assert_int_equal(buffer_append_string(&schema, "]\"}"), TERN_OK);
    clock_t start = clock();
    assert_int_equal(constraint_open_schema(vocabulary, schema.data, schema.length, NULL, &constraint), TERN_OK);
    clock_t taken = clock() - start;
    constraint_close(constraint);
    buffer_free(&schema);
    return taken;
}

// Finding a category among all characters takes milliseconds: as often as a pattern names it would be minutes.
static void categories_are_found_once(void **unused)
{
    (void)unused;
    clock_t once = time_of_classes(1);
    assert_true(time_of_classes(1000) < 20 * once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_schemas),   cmocka_unit_test(suite),           cmocka_unit_test(messages),
        cmocka_unit_test(readers_agree), cmocka_unit_test(hostile_schemas), cmocka_unit_test(categories_are_found_once),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
