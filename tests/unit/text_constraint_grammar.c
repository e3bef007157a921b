// GBNF: what each construct means, and where a broken grammar is broken.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/constraint_fixture.h"
#include "../support/constraint_walk.h"

static struct constraint *open_grammar(const char *grammar)
{
    struct constraint *constraint;
    if (constraint_open_grammar(vocabulary, grammar, strlen(grammar), NULL, &constraint) != TERN_OK)
        fail_msg("%s: %s", grammar, status_message());
    return constraint;
}

// Lists of texts end with NULL.
static void check(const char *grammar, const char *const *complete, const char *const *refused)
{
    struct constraint *constraint = open_grammar(grammar);
    size_t at;
    for (; *complete; complete++) {
        if (walk_text(constraint, *complete, strlen(*complete), &at) != WALK_COMPLETE)
            fail_msg("%s: \"%s\" should be complete (stopped at %zu)", grammar, *complete, at);
    }
    for (; *refused; refused++) {
        if (walk_text(constraint, *refused, strlen(*refused), &at) == WALK_COMPLETE)
            fail_msg("%s: \"%s\" should not be complete", grammar, *refused);
    }
    constraint_close(constraint);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void literals_and_classes(void **unused)
{
    (void)unused;
    check("root ::= \"a\\x41\\t\\\\\\\"\\u00e9\\U0001F600\"\n", TEXTS("aA\t\\\"\u00e9\U0001F600"),
          TEXTS("a", "aA", ""));
    check("root ::= [a-c_0-9.-]", TEXTS("a", "b", "c", "_", "5", ".", "-"), TEXTS("d", "", "ab"));
    check("root ::= [^a-z\\n]", TEXTS("A", "\u00e9", "\U0001F600", " "), TEXTS("a", "\n", "\xC3", "\xFF"));
    check("root ::= [\\u0400-\\u04FF]+", TEXTS("\u043F\u0440"), TEXTS("p", "\u0500", "\u03FF"));
    check("root ::= [\\]\\[^]", TEXTS("]", "[", "^"), TEXTS("a"));
    check("root ::= .", TEXTS("a", "\u00e9", "\n", "\U0010FFFF"),
          TEXTS("", "ab", "\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"));
    check("root ::= [\\u00e9-\\u20ac]", TEXTS("\u00e9", "\u00ff", "\u0100", "\u07ff", "\u0800", "\u20ac"),
          TEXTS("\u00e8", "\u20ad", "\U00010000"));
}

static void repetition(void **unused)
{
    (void)unused;
    check("root ::= \"a\"?", TEXTS("", "a"), TEXTS("aa", "b"));
    check("root ::= \"ab\"*", TEXTS("", "ab", "abab"), TEXTS("a", "aba"));
    check("root ::= [0-9]+", TEXTS("0", "12345"), TEXTS("", "a"));
    check("root ::= \"a\"{3}", TEXTS("aaa"), TEXTS("aa", "aaaa"));
    check("root ::= \"a\"{2,}", TEXTS("aa", "aaaaaa"), TEXTS("", "a"));
    check("root ::= \"a\"{1,3} \"b\"{0,1}", TEXTS("a", "aaa", "ab", "aaab"), TEXTS("b", "aaaa", "abb", ""));
    check("root ::= \"a\"{ , 2}", TEXTS("", "a", "aa"), TEXTS("aaa"));
    check("root ::= \"a\"{0}", TEXTS(""), TEXTS("a"));
    check("root ::= (\"a\"{2}){2}", TEXTS("aaaa"), TEXTS("aa", "aaa", "aaaaaa"));
    check("root ::= \"a\"{2}{3}", TEXTS("aaaaaa"), TEXTS("aaa", "aaaaa"));
    check("root ::= (\"a\"? \"b\"?){2,3} \"c\"", TEXTS("c", "abc", "abababc", "bbbc", "aaac"),
          TEXTS("bbbbc", "ab", "ababababc"));
    check("root ::= ((\"a\" | \"aa\"){3,4} \"b\")+", TEXTS("aaab", "aaaaaaaab", "aaabaaaab"),
          TEXTS("aab", "aaaaaaaaab"));
}

// What may be empty repeats without end at one place, and two ways may differ in nothing but how often they repeated.
static void repetition_of_nothing(void **unused)
{
    (void)unused;
    check("root ::= (\"a\"?){100000} \"b\"", TEXTS("b", "aab"), TEXTS("", "a", "ba"));
    check("root ::= (\"a\"? \"b\"?){0,100000} \"c\"", TEXTS("c", "abbac"), TEXTS("ca"));
    check("root ::= ((\"a\"*)* \"b\"*)* \"c\"", TEXTS("c", "abbac"), TEXTS("ca"));
    check("root ::= (\"a\" | \"a\" \"a\"){0,100000}",
          TEXTS("", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), TEXTS("b"));
}

static void rules(void **unused)
{
    (void)unused;
    check("# arithmetic\n"
          "root  ::= (expr \"=\" term \"\\n\")+ # many\n"
          "expr  ::= term ([-+*/] term)*\n"
          "term  ::= num | \"(\" expr \")\"\n"
          "num   ::= [0-9]+\n",
          TEXTS("1=2\n", "(1+2)*3=9\n1=1\n"), TEXTS("1+=2\n", "(1=2\n", "1=2", ""));
    check("root ::= item\n  | root2 # goes on\nitem ::= \"- \" [^\\n]+ \"\\n\"\nroot2 ::=\n  \"x\"",
          TEXTS("- a b\n", "x"), TEXTS("-\n", "y"));
    check("root ::= a a\na ::= \"\" | \"x\"", TEXTS("", "x", "xx"), TEXTS("xxx"));
    check("root ::= \"(\" root \")\" | \"\"", TEXTS("", "()", "((()))"), TEXTS("(", "(()", ")"));
    check("root ::= \"a\" root | \"b\"", TEXTS("b", "aaaaaaaaab"), TEXTS("a", "ba"));
    // A piece and a square: as in llama.cpp's example of chess.
    check("root ::= \"1. \" move \" \" move\nmove ::= (pawn | piece | castle) [+#]?\n"
          "piece ::= [NBKQR] [a-h]? [1-8]? \"x\"? [a-h] [1-8]\npawn ::= ([a-h] \"x\")? [a-h] [1-8] (\"=\" [NBKQR])?\n"
          "castle ::= \"O-O\" \"-O\"?\n",
          TEXTS("1. e4 e5", "1. Nf3 O-O-O", "1. exd5 Qh4#", "1. Nbd7 Raxb1+"),
          TEXTS("1. e9 e5", "1. e4", "1. Nf33 e5"));
}

static void broken_grammars(void **unused)
{
    (void)unused;
    static const struct {
        const char *grammar, *message;
        tern_status status;
    } cases[] = {
        {"root ::= \"a", "grammar, line 1, column 12: the grammar ends within a literal or a class", TERN_INVALID},
        {"root ::= [a", "grammar, line 1, column 12: the grammar ends within", TERN_INVALID},
        {"root ::= [z-a]", "grammar, line 1, column 11: a range that ends before it begins", TERN_INVALID},
        {"root ::= (\"a\"", "grammar, line 1, column 14: ')' expected", TERN_INVALID},
        {"root ::= \"a\" )", "grammar, line 1, column 14: a literal, a class", TERN_INVALID},
        {"root = \"a\"", "grammar, line 1, column 6: '::=' expected", TERN_INVALID},
        {"root ::= \"a\"\n  \n*", "grammar, line 3, column 1: a name of a rule expected", TERN_INVALID},
        {"root ::= b\n", "grammar, line 1, column 10: this rule is defined nowhere", TERN_INVALID},
        {"root ::= \"a\"\nroot ::= \"b\"", "grammar, line 2, column 1: a rule of this name was there before",
         TERN_INVALID},
        {"a ::= \"a\"", "grammar: there is no rule named root", TERN_INVALID},
        {"", "grammar: there is no rule named root", TERN_INVALID},
        {"root ::= \"\\q\"", "grammar, line 1, column 12: an escape expected", TERN_INVALID},
        {"root ::= \"\\uD800\"", "not a character of Unicode", TERN_INVALID},
        {"root ::= \"a\"{3,2}", "grammar, line 1, column 13: counts that end before they begin", TERN_INVALID},
        {"root ::= \"a\"{9999999}", "more than 1048576 repetitions", TERN_INVALID},
        {"root ::= \"a\"{", "grammar, line 1, column 14: a number expected", TERN_INVALID},
        {"root ::= \"\xFF\"", "grammar, line 1, column 11: not valid UTF-8", TERN_INVALID},
        {"root ::= x\nx ::= x \"a\" | \"b\"", "line 1, column 10: left recursion: the rule x begins with itself",
         TERN_UNSUPPORTED},
        {"root ::= a\na ::= \"x\"? b\nb ::= a \"y\"", "left recursion: the rule", TERN_UNSUPPORTED},
        {"root ::= \"a\" root", "no text at all is allowed", TERN_INVALID},
        {"root ::= []", "no text at all is allowed", TERN_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct constraint *constraint;
        tern_status status =
            constraint_open_grammar(vocabulary, cases[i].grammar, strlen(cases[i].grammar), NULL, &constraint);
        if (status != cases[i].status || !strstr(status_message(), cases[i].message))
            fail_msg("%s: status %d, \"%s\"", cases[i].grammar, (int)status, status_message());
        assert_null(constraint);
    }
}

static void deep_nesting_is_bounded(void **unused)
{
    (void)unused;
    struct buffer grammar = {0};
    struct constraint *constraint;
    assert_int_equal(buffer_append_string(&grammar, "root ::= "), TERN_OK);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buffer_append_string(&grammar, "("), TERN_OK);
    }
    assert_int_equal(constraint_open_grammar(vocabulary, grammar.data, grammar.length, NULL, &constraint),
                     TERN_INVALID);
    assert_non_null(strstr(status_message(), "nested more than 100 deep"));
    buffer_free(&grammar);
}

// A stack as deep as the text is long, thousands of states, more than are kept at a time.
static void long_texts(void **unused)
{
    (void)unused;
    enum { N = 200000 };
    struct constraint *constraint = open_grammar("root ::= \"(\" root \")\" | [a-z]{1000,300000}");
    char *text = malloc(2 * N + 1);
    size_t at;
    assert_non_null(text);
    memset(text, '(', N);
    memset(text + N, ')', N);
    assert_int_equal(walk_text(constraint, text, N, &at), WALK_UNFINISHED);
    memset(text, 'a', N);
    assert_int_equal(walk_text(constraint, text, 999, &at), WALK_UNFINISHED);
    assert_int_equal(walk_text(constraint, text, N, &at), WALK_COMPLETE);
    assert_int_equal(walk_text(constraint, text, N + 1, &at), WALK_REFUSED);
    free(text);
    constraint_close(constraint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_classes),
        cmocka_unit_test(repetition),
        cmocka_unit_test(repetition_of_nothing),
        cmocka_unit_test(rules),
        cmocka_unit_test(broken_grammars),
        cmocka_unit_test(deep_nesting_is_bounded),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
