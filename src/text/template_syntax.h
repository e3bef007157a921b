// A template's source as tokens and as a tree.
#ifndef TEXT_TEMPLATE_SYNTAX_H
#define TEXT_TEMPLATE_SYNTAX_H

#include "text/template_value.h"

// ---- Tokens -----------------------------------------------------------------------------------------------------

// Operators of one character are their own kind: '+', '(', ...
enum token_kind {
    TOKEN_END = 256,
    TOKEN_DATA, // text between tags; `text`
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_NAME,    // `text`
    TOKEN_STRING,  // `text`, escapes resolved
    TOKEN_INTEGER, // `number`
    TOKEN_FLOAT,   // `number`
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER_EQUAL,
    TOKEN_FLOOR_DIVIDE,
    TOKEN_POWER,
};

struct token {
    int kind;
    int line;
    struct string text;
    struct value number;
};

enum { LEXER_BRACKETS = 256 }; // nesting of ( [ { in one tag

struct lexer {
    struct arena *arena; // for strings with escapes
    struct string source;
    size_t position;
    int line;
    bool line_starting; // what came before ended with a newline (or there was nothing)
    int tag;            // the kind of tag we are in: TOKEN_BLOCK_BEGIN, TOKEN_VARIABLE_BEGIN, or 0 in text
    int pending;        // a tag of this kind begins at position
    size_t pending_length;
    char brackets[LEXER_BRACKETS]; // closing brackets awaited
    int n_brackets;
};

// Copies the source with newlines as Jinja normalises them, without its last one.
tern_status lexer_open(struct lexer *lexer, struct arena *arena, const char *source, size_t length);
tern_status lexer_next(struct lexer *lexer, struct token *token);
// The words for a token in a message; `buffer` is used for some.
const char *token_describe(const struct token *token, char buffer[64]);

// ---- The tree ---------------------------------------------------------------------------------------------------

// Beside each kind, the fields it uses.
enum node_kind {
    // expressions
    NODE_CONSTANT,    // constant
    NODE_NAME,        // text
    NODE_MEMBER,      // text (name of a namespace) . name (attribute): only as a target of set
    NODE_LIST,        // children
    NODE_TUPLE,       // children
    NODE_DICT,        // children: key, value, key, value, ...
    NODE_ATTRIBUTE,   // left . text
    NODE_SUBSCRIPT,   // left [right]
    NODE_SLICE,       // left [children: start, stop, step; NODE_CONSTANT none for one left out]
    NODE_CALL,        // left (arguments in children)
    NODE_FILTER,      // left | text (arguments in children); left is NULL at the head of a filter block
    NODE_TEST,        // left is text (arguments in children)
    NODE_NOT,         // left
    NODE_NEGATE,      // left
    NODE_PLUS,        // left
    NODE_ARITHMETIC,  // children, each but the first with the operator before it in op; from left to right
    NODE_CONCAT,      // children
    NODE_AND,         // children
    NODE_OR,          // children
    NODE_COMPARE,     // children, each but the first with the operator before it in op
    NODE_CONDITIONAL, // left if right else other (which may be NULL)
    NODE_ARGUMENT,    // left; op: enum argument_kind; text: keyword
    // statements
    NODE_TEXT,         // text
    NODE_OUTPUT,       // left
    NODE_IF,           // children: NODE_BRANCH
    NODE_BRANCH,       // left (NULL: else), children
    NODE_FOR,          // left: target, right: what to walk, test: filter or NULL, children; other: chain after else
    NODE_SET,          // left: target, right: value
    NODE_SET_BLOCK,    // left: target, right: filters or NULL, children
    NODE_MACRO,        // text: name, other: chain of NODE_ARGUMENT (left: default or NULL), children; op: MACRO_*
    NODE_FILTER_BLOCK, // right: filters, children
    NODE_WITH,         // other: chain of NODE_SET, children
    NODE_GENERATION,   // children
    NODE_BREAK,
    NODE_CONTINUE,
};

enum argument_kind { ARGUMENT_POSITIONAL, ARGUMENT_KEYWORD, ARGUMENT_STAR, ARGUMENT_DOUBLE_STAR };

// The operators "in" and "not in", beside token kinds.
enum { OPERATOR_IN = 512, OPERATOR_NOT_IN };

// What a macro's body asks for beyond its parameters.
enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2 };

struct node {
    enum node_kind kind;
    int op;
    int line;
    struct string text, name;
    struct value constant;
    struct node *left, *right, *other, *test;
    struct node *children; // first of a chain
    struct node *next;     // in the chain this node is part of
};

struct template
{
    struct arena arena; // of all nodes and their strings
    struct node *body;  // chain of statements
};

// Fills tmpl->body. Errors: BAD_FILE (line and what was expected), LIMIT, NO_MEMORY.
tern_status parser_parse(struct template *tmpl, const char *source, size_t length);

#endif
