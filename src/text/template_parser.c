#include "text/template_syntax.h"

#include <string.h>

enum {
    PARSE_DEPTH = 200,     // nesting of blocks and expressions
    TREE_BYTES = 64 << 20, // memory of a parsed template
};

struct parser {
    struct lexer lexer;
    struct arena *arena;
    struct token current, ahead;
    int depth;
    int loops;      // for statements around, inside the innermost macro
    int macro_uses; // MACRO_*, of the innermost macro
};

// A chain of nodes under construction.
struct chain {
    struct node *first, **last;
};

static void chain_open(struct chain *chain)
{
    *chain = (struct chain){.last = &chain->first};
}

static void chain_add(struct chain *chain, struct node *node)
{
    *chain->last = node;
    chain->last = &node->next;
}

static tern_status parse_expression(struct parser *p, struct node **out);
static tern_status parse_tuple(struct parser *p, bool conditionals, bool may_be_empty, struct node **out);
static tern_status parse_body(struct parser *p, const char *const *ends, struct node **out);

// ---- Tokens -----------------------------------------------------------------------------------------------------

static tern_status next_token(struct parser *p)
{
    p->current = p->ahead;
    return lexer_next(&p->lexer, &p->ahead);
}

static tern_status parse_fail(const struct parser *p, const char *expected)
{
    char buffer[64];
    return status_fail(TERN_BAD_FILE, "template line %d: %s where %s was expected", p->current.line,
                       token_describe(&p->current, buffer), expected);
}

static bool token_is_name(const struct token *token, const char *name)
{
    return token->kind == TOKEN_NAME && string_equals(token->text, name);
}

static bool at_name(const struct parser *p, const char *name)
{
    return token_is_name(&p->current, name);
}

static tern_status expect(struct parser *p, int kind, const char *what)
{
    return p->current.kind == kind ? next_token(p) : parse_fail(p, what);
}

static tern_status expect_name(struct parser *p, const char *name, const char *what)
{
    return at_name(p, name) ? next_token(p) : parse_fail(p, what);
}

// Takes the token if it is of this kind.
static tern_status skip_if(struct parser *p, int kind, bool *skipped)
{
    *skipped = p->current.kind == kind;
    return *skipped ? next_token(p) : TERN_OK;
}

static tern_status skip_if_name(struct parser *p, const char *name, bool *skipped)
{
    *skipped = at_name(p, name);
    return *skipped ? next_token(p) : TERN_OK;
}

static tern_status enter(struct parser *p)
{
    if (++p->depth > PARSE_DEPTH)
        return status_fail(TERN_LIMIT, "template line %d: nested more than %d deep", p->current.line, PARSE_DEPTH);
    return TERN_OK;
}

static tern_status new_node(struct parser *p, enum node_kind kind, struct node **out)
{
    struct node *node = *out = template_arena_alloc(p->arena, sizeof *node);
    if (!node) return p->arena->failure;
    node->kind = kind;
    node->line = p->current.line;
    return TERN_OK;
}

// A node with one operand.
static tern_status wrap_node(struct parser *p, enum node_kind kind, struct node *left, struct node **out)
{
    TRY(new_node(p, kind, out));
    (*out)->left = left;
    if (left) (*out)->line = left->line;
    return TERN_OK;
}

// ---- Literals, names, calls -------------------------------------------------------------------------------------

static bool is_reserved(struct string name, struct value *constant)
{
    if (string_equals(name, "true") || string_equals(name, "True")) return *constant = value_boolean(true), true;
    if (string_equals(name, "false") || string_equals(name, "False")) return *constant = value_boolean(false), true;
    if (string_equals(name, "none") || string_equals(name, "None")) return *constant = value_none(), true;
    return false;
}

static void note_macro_use(struct parser *p, struct string name)
{
    if (string_equals(name, "varargs")) p->macro_uses |= MACRO_VARARGS;
    if (string_equals(name, "kwargs")) p->macro_uses |= MACRO_KWARGS;
}

static tern_status parse_name(struct parser *p, bool members, struct node **out)
{
    TRY(new_node(p, NODE_NAME, out));
    struct node *node = *out;
    node->text = p->current.text;
    TRY(next_token(p));
    if (is_reserved(node->text, &node->constant)) {
        node->kind = NODE_CONSTANT;
    } else if (members && p->current.kind == '.') {
        TRY(next_token(p));
        node->kind = NODE_MEMBER;
        node->name = p->current.text;
        return expect(p, TOKEN_NAME, "the name of an attribute");
    } else {
        note_macro_use(p, node->text);
    }
    return TERN_OK;
}

// Strings side by side are one string.
static tern_status parse_strings(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_CONSTANT, out));
    struct string whole = p->current.text;
    TRY(next_token(p));
    size_t capacity = 0;
    while (p->current.kind == TOKEN_STRING) {
        size_t length = whole.length + p->current.text.length;
        if (length > capacity) {
            capacity = length * 2;
            char *joined = template_arena_array(p->arena, capacity, 1);
            if (!joined) return p->arena->failure;
            memcpy(joined, whole.data, whole.length);
            whole.data = joined;
        }
        memcpy((char *)whole.data + whole.length, p->current.text.data, p->current.text.length);
        whole.length = length;
        TRY(next_token(p));
    }
    (*out)->constant = value_string(whole.data, whole.length);
    return TERN_OK;
}

static tern_status parse_number(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_CONSTANT, out));
    (*out)->constant = p->current.number;
    return next_token(p);
}

static tern_status parse_list(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_LIST, out));
    struct chain items;
    chain_open(&items);
    TRY(next_token(p));
    while (p->current.kind != ']') {
        struct node *item;
        if (items.first) TRY(expect(p, ',', "',' or ']'"));
        if (p->current.kind == ']') break;
        TRY(parse_expression(p, &item));
        chain_add(&items, item);
    }
    (*out)->children = items.first;
    return next_token(p);
}

static tern_status parse_dict(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_DICT, out));
    struct chain items;
    chain_open(&items);
    TRY(next_token(p));
    while (p->current.kind != '}') {
        struct node *key, *value;
        if (items.first) TRY(expect(p, ',', "',' or '}'"));
        if (p->current.kind == '}') break;
        TRY(parse_expression(p, &key));
        TRY(expect(p, ':', "':' after a key"));
        TRY(parse_expression(p, &value));
        chain_add(&items, key);
        chain_add(&items, value);
    }
    (*out)->children = items.first;
    return next_token(p);
}

static tern_status parse_primary(struct parser *p, bool members, struct node **out)
{
    switch (p->current.kind) {
    case TOKEN_NAME:
        return parse_name(p, members, out);
    case TOKEN_STRING:
        return parse_strings(p, out);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
        return parse_number(p, out);
    case '[':
        return parse_list(p, out);
    case '{':
        return parse_dict(p, out);
    case '(':
        TRY(next_token(p));
        TRY(parse_tuple(p, true, true, out));
        return expect(p, ')', "')'");
    default:
        return parse_fail(p, "an expression");
    }
}

static tern_status parse_argument(struct parser *p, int *strictest, struct node **out)
{
    TRY(new_node(p, NODE_ARGUMENT, out));
    struct node *argument = *out;
    argument->op = ARGUMENT_POSITIONAL;
    if (p->current.kind == '*' || p->current.kind == TOKEN_POWER) {
        argument->op = p->current.kind == '*' ? ARGUMENT_STAR : ARGUMENT_DOUBLE_STAR;
        TRY(next_token(p));
    } else if (p->current.kind == TOKEN_NAME && p->ahead.kind == '=') {
        argument->op = ARGUMENT_KEYWORD;
        argument->text = p->current.text;
        TRY(next_token(p));
        TRY(next_token(p));
    }
    // Positional arguments come before keywords, those before *list and **dict, as in Jinja.
    bool repeated = argument->op == *strictest && argument->op >= ARGUMENT_STAR;
    bool late_keyword = argument->op == ARGUMENT_KEYWORD && *strictest == ARGUMENT_STAR;
    if ((argument->op < *strictest && !late_keyword) || repeated) return parse_fail(p, "arguments in order");
    if (argument->op > *strictest) *strictest = argument->op;
    return parse_expression(p, &argument->left);
}

static tern_status parse_arguments(struct parser *p, struct node **out)
{
    struct chain arguments;
    chain_open(&arguments);
    int strictest = ARGUMENT_POSITIONAL;
    TRY(expect(p, '(', "'('"));
    while (p->current.kind != ')') {
        struct node *argument;
        if (arguments.first) TRY(expect(p, ',', "',' or ')'"));
        if (p->current.kind == ')') break;
        TRY(parse_argument(p, &strictest, &argument));
        chain_add(&arguments, argument);
    }
    *out = arguments.first;
    return next_token(p);
}

static tern_status none_node(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_CONSTANT, out));
    (*out)->constant = value_none();
    return TERN_OK;
}

static bool at_slice_end(const struct parser *p)
{
    return p->current.kind == ':' || p->current.kind == ']' || p->current.kind == ',';
}

// What stands between [ and ]: an index, or start:stop:step with any of them left out.
static tern_status parse_index(struct parser *p, struct node **out)
{
    struct node *bound;
    if (p->current.kind == ':') {
        TRY(none_node(p, &bound));
    } else {
        TRY(parse_expression(p, &bound));
    }
    *out = bound;
    if (p->current.kind != ':') return TERN_OK;
    TRY(new_node(p, NODE_SLICE, out));
    struct chain bounds;
    chain_open(&bounds);
    chain_add(&bounds, bound);
    for (int i = 1; i < 3; i++) {
        bool more;
        TRY(skip_if(p, ':', &more));
        if (!more || at_slice_end(p)) {
            TRY(none_node(p, &bound));
        } else {
            TRY(parse_expression(p, &bound));
        }
        chain_add(&bounds, bound);
    }
    (*out)->children = bounds.first;
    return TERN_OK;
}

static tern_status parse_subscript(struct parser *p, struct node **node)
{
    struct node *subscript;
    TRY(wrap_node(p, NODE_SUBSCRIPT, *node, &subscript));
    TRY(next_token(p));
    TRY(parse_index(p, &subscript->right));
    *node = subscript;
    return expect(p, ']', "']'");
}

static tern_status parse_attribute(struct parser *p, struct node **node)
{
    struct node *attribute;
    TRY(wrap_node(p, NODE_ATTRIBUTE, *node, &attribute));
    *node = attribute;
    TRY(next_token(p));
    if (p->current.kind == TOKEN_INTEGER) {
        attribute->kind = NODE_SUBSCRIPT;
        return parse_number(p, &attribute->right);
    }
    attribute->text = p->current.text;
    return expect(p, TOKEN_NAME, "a name or number after '.'");
}

static tern_status parse_call(struct parser *p, struct node **node)
{
    struct node *call;
    TRY(wrap_node(p, NODE_CALL, *node, &call));
    *node = call;
    return parse_arguments(p, &call->children);
}

// The number of links in one chain a.b.c()... counts as nesting: each holds the one before.
static tern_status parse_postfix(struct parser *p, struct node **node)
{
    int depth = p->depth;
    for (;;) {
        TRY(enter(p));
        if (p->current.kind == '.') {
            TRY(parse_attribute(p, node));
        } else if (p->current.kind == '[') {
            TRY(parse_subscript(p, node));
        } else if (p->current.kind == '(') {
            TRY(parse_call(p, node));
        } else {
            break;
        }
    }
    p->depth = depth;
    return TERN_OK;
}

// ---- Filters and tests ------------------------------------------------------------------------------------------

// Filter and test names may be dotted; no known one is, so the first part is enough to say that it is unknown.
static tern_status parse_filter_name(struct parser *p, struct node *node)
{
    node->text = p->current.text;
    TRY(expect(p, TOKEN_NAME, "a name"));
    return p->current.kind == '.' ? parse_fail(p, "a name without dots") : TERN_OK;
}

// One filter, its "|" already taken.
static tern_status parse_one_filter(struct parser *p, struct node **node)
{
    struct node *filter;
    TRY(wrap_node(p, NODE_FILTER, *node, &filter));
    filter->line = p->current.line;
    *node = filter;
    TRY(parse_filter_name(p, filter));
    return p->current.kind == '(' ? parse_arguments(p, &filter->children) : TERN_OK;
}

static tern_status parse_filters(struct parser *p, struct node **node)
{
    int depth = p->depth;
    while (p->current.kind == '|') {
        TRY(enter(p));
        TRY(next_token(p));
        TRY(parse_one_filter(p, node));
    }
    p->depth = depth;
    return TERN_OK;
}

// A test may have one argument without brackets: "x is divisibleby 3".
static bool at_bare_argument(const struct parser *p)
{
    switch (p->current.kind) {
    case TOKEN_NAME:
        return !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and");
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
    case '[':
    case '{':
        return true;
    default:
        return false;
    }
}

static tern_status parse_test(struct parser *p, struct node **node)
{
    struct node *test, *argument;
    bool negated;
    TRY(next_token(p));
    TRY(skip_if_name(p, "not", &negated));
    TRY(wrap_node(p, NODE_TEST, *node, &test));
    TRY(parse_filter_name(p, test));
    if (p->current.kind == '(') {
        TRY(parse_arguments(p, &test->children));
    } else if (at_bare_argument(p)) {
        if (at_name(p, "is")) return parse_fail(p, "one test (tests cannot be chained)");
        TRY(new_node(p, NODE_ARGUMENT, &argument));
        argument->op = ARGUMENT_POSITIONAL;
        TRY(parse_primary(p, false, &argument->left));
        TRY(parse_postfix(p, &argument->left));
        test->children = argument;
    }
    *node = test;
    return negated ? wrap_node(p, NODE_NOT, test, node) : TERN_OK;
}

static tern_status parse_filters_and_tests(struct parser *p, struct node **node)
{
    int depth = p->depth;
    for (;;) {
        TRY(enter(p));
        if (p->current.kind == '|') {
            TRY(parse_filters(p, node));
        } else if (at_name(p, "is")) {
            TRY(parse_test(p, node));
        } else if (p->current.kind == '(') {
            TRY(parse_call(p, node));
        } else {
            break;
        }
    }
    p->depth = depth;
    return TERN_OK;
}

// ---- Operators, from the tightest to the loosest ----------------------------------------------------------------

static tern_status parse_unary(struct parser *p, bool with_filters, struct node **out)
{
    TRY(enter(p));
    if (p->current.kind == '-' || p->current.kind == '+') {
        struct node *sign;
        TRY(new_node(p, p->current.kind == '-' ? NODE_NEGATE : NODE_PLUS, &sign));
        TRY(next_token(p));
        TRY(parse_unary(p, false, &sign->left));
        *out = sign;
    } else {
        TRY(parse_primary(p, false, out));
    }
    TRY(parse_postfix(p, out));
    if (with_filters) TRY(parse_filters_and_tests(p, out));
    p->depth--;
    return TERN_OK;
}

static tern_status parse_operand(struct parser *p, struct node **out)
{
    return parse_unary(p, true, out);
}

// Operands of one precedence. The chain is evaluated from left to right, which is how Jinja nests all its operators
// (2 ** 3 ** 2 is 64).
struct precedence {
    enum node_kind kind;
    int operators[5]; // token kinds; 0 ends them
    tern_status (*operand)(struct parser *p, struct node **out);
};

static bool is_operator(const struct precedence *level, int kind)
{
    for (int i = 0; i < 5 && level->operators[i]; i++)
        if (level->operators[i] == kind) return true;
    return false;
}

static tern_status parse_chain(struct parser *p, const struct precedence *level, struct node **out)
{
    struct node *operand;
    TRY(level->operand(p, &operand));
    *out = operand;
    if (!is_operator(level, p->current.kind)) return TERN_OK;
    TRY(wrap_node(p, level->kind, NULL, out));
    struct chain operands;
    chain_open(&operands);
    chain_add(&operands, operand);
    while (is_operator(level, p->current.kind)) {
        int op = p->current.kind;
        TRY(next_token(p));
        TRY(level->operand(p, &operand));
        operand->op = op;
        chain_add(&operands, operand);
    }
    (*out)->children = operands.first;
    return TERN_OK;
}

static tern_status parse_power(struct parser *p, struct node **out)
{
    static const struct precedence level = {NODE_ARITHMETIC, {TOKEN_POWER}, parse_operand};
    return parse_chain(p, &level, out);
}

static tern_status parse_product(struct parser *p, struct node **out)
{
    static const struct precedence level = {NODE_ARITHMETIC, {'*', '/', TOKEN_FLOOR_DIVIDE, '%'}, parse_power};
    return parse_chain(p, &level, out);
}

static tern_status parse_concat(struct parser *p, struct node **out)
{
    static const struct precedence level = {NODE_CONCAT, {'~'}, parse_product};
    return parse_chain(p, &level, out);
}

static tern_status parse_sum(struct parser *p, struct node **out)
{
    static const struct precedence level = {NODE_ARITHMETIC, {'+', '-'}, parse_concat};
    return parse_chain(p, &level, out);
}

// Takes a comparison operator; 0 if there is none.
static tern_status take_comparison(struct parser *p, int *op)
{
    *op = 0;
    if (at_name(p, "in")) {
        *op = OPERATOR_IN;
    } else if (at_name(p, "not") && token_is_name(&p->ahead, "in")) {
        *op = OPERATOR_NOT_IN;
        TRY(next_token(p));
    } else if (p->current.kind == '<' || p->current.kind == '>' || p->current.kind == TOKEN_EQUAL ||
               p->current.kind == TOKEN_NOT_EQUAL || p->current.kind == TOKEN_LESS_EQUAL ||
               p->current.kind == TOKEN_GREATER_EQUAL) {
        *op = p->current.kind;
    }
    return *op ? next_token(p) : TERN_OK;
}

static tern_status parse_comparison(struct parser *p, struct node **out)
{
    struct node *operand;
    struct chain operands;
    int op;
    TRY(parse_sum(p, &operand));
    *out = operand;
    TRY(take_comparison(p, &op));
    if (!op) return TERN_OK;
    TRY(wrap_node(p, NODE_COMPARE, NULL, out));
    chain_open(&operands);
    chain_add(&operands, operand);
    while (op) {
        TRY(parse_sum(p, &operand));
        operand->op = op;
        chain_add(&operands, operand);
        TRY(take_comparison(p, &op));
    }
    (*out)->children = operands.first;
    return TERN_OK;
}

static tern_status parse_not(struct parser *p, struct node **out)
{
    if (!at_name(p, "not")) return parse_comparison(p, out);
    TRY(enter(p));
    TRY(new_node(p, NODE_NOT, out));
    TRY(next_token(p));
    TRY(parse_not(p, &(*out)->left));
    p->depth--;
    return TERN_OK;
}

// Operands with a word between them: "and" or "or".
static tern_status parse_logical(struct parser *p, const char *word, enum node_kind kind,
                                 tern_status (*parse)(struct parser *, struct node **), struct node **out)
{
    struct node *operand;
    struct chain operands;
    bool more;
    TRY(parse(p, &operand));
    *out = operand;
    if (!at_name(p, word)) return TERN_OK;
    TRY(wrap_node(p, kind, NULL, out));
    chain_open(&operands);
    chain_add(&operands, operand);
    TRY(skip_if_name(p, word, &more));
    while (more) {
        TRY(parse(p, &operand));
        chain_add(&operands, operand);
        TRY(skip_if_name(p, word, &more));
    }
    (*out)->children = operands.first;
    return TERN_OK;
}

static tern_status parse_and(struct parser *p, struct node **out)
{
    return parse_logical(p, "and", NODE_AND, parse_not, out);
}

static tern_status parse_or(struct parser *p, struct node **out)
{
    return parse_logical(p, "or", NODE_OR, parse_and, out);
}

// value if condition else other
static tern_status parse_expression(struct parser *p, struct node **out)
{
    int depth = p->depth;
    bool more;
    TRY(enter(p));
    TRY(parse_or(p, out));
    TRY(skip_if_name(p, "if", &more));
    while (more) {
        struct node *conditional;
        TRY(enter(p));
        TRY(wrap_node(p, NODE_CONDITIONAL, *out, &conditional));
        TRY(parse_or(p, &conditional->right));
        TRY(skip_if_name(p, "else", &more));
        if (more) TRY(parse_expression(p, &conditional->other));
        *out = conditional;
        TRY(skip_if_name(p, "if", &more));
    }
    p->depth = depth;
    return TERN_OK;
}

static bool at_tuple_end(const struct parser *p)
{
    return p->current.kind == TOKEN_VARIABLE_END || p->current.kind == TOKEN_BLOCK_END || p->current.kind == ')';
}

static tern_status parse_tuple_item(struct parser *p, bool conditionals, struct node **out)
{
    return conditionals ? parse_expression(p, out) : parse_or(p, out);
}

// One expression, or a tuple if there are commas. `conditionals`: whether "a if b else c" may stand here.
static tern_status parse_tuple(struct parser *p, bool conditionals, bool may_be_empty, struct node **out)
{
    struct chain items;
    struct node *item;
    bool comma;
    if (may_be_empty && at_tuple_end(p)) return new_node(p, NODE_TUPLE, out);
    TRY(parse_tuple_item(p, conditionals, &item));
    *out = item;
    if (p->current.kind != ',') return TERN_OK;
    TRY(wrap_node(p, NODE_TUPLE, NULL, out));
    chain_open(&items);
    chain_add(&items, item);
    for (;;) {
        TRY(skip_if(p, ',', &comma));
        if (!comma || at_tuple_end(p)) break;
        TRY(parse_tuple_item(p, conditionals, &item));
        chain_add(&items, item);
    }
    (*out)->children = items.first;
    return TERN_OK;
}

// ---- Targets of assignments -------------------------------------------------------------------------------------

static bool can_assign(const struct node *node)
{
    if (node->kind != NODE_TUPLE) return node->kind == NODE_NAME || node->kind == NODE_MEMBER;
    for (const struct node *item = node->children; item; item = item->next)
        if (!can_assign(item)) return false;
    return true;
}

static bool at_target_end(const struct parser *p)
{
    return at_tuple_end(p) || p->current.kind == '=' || at_name(p, "in");
}

// A name or several; `members`: also attributes of namespaces.
static tern_status parse_target(struct parser *p, bool members, struct node **out)
{
    struct chain items;
    struct node *item;
    bool comma;
    TRY(parse_primary(p, members, &item));
    *out = item;
    TRY(skip_if(p, ',', &comma));
    if (comma) {
        TRY(wrap_node(p, NODE_TUPLE, NULL, out));
        chain_open(&items);
        chain_add(&items, item);
        while (comma && !at_target_end(p)) {
            TRY(parse_primary(p, members, &item));
            chain_add(&items, item);
            TRY(skip_if(p, ',', &comma));
        }
        (*out)->children = items.first;
    }
    if (can_assign(*out)) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "template line %d: assignment to something that is no name", (*out)->line);
}

static tern_status parse_new_name(struct parser *p, struct string *out)
{
    struct value constant;
    if (p->current.kind != TOKEN_NAME || is_reserved(p->current.text, &constant)) return parse_fail(p, "a name");
    *out = p->current.text;
    return next_token(p);
}

// ---- Statements -------------------------------------------------------------------------------------------------

// The block's own end tag, whose word is current; the "%}" after it is left to parse_body().
static tern_status parse_block(struct parser *p, const char *end, struct node **children)
{
    const char *const ends[] = {end, NULL};
    TRY(parse_body(p, ends, children));
    return next_token(p);
}

static tern_status parse_for_parts(struct parser *p, struct node *node)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    TRY(parse_target(p, false, &node->left));
    TRY(expect_name(p, "in", "'in'"));
    TRY(parse_tuple(p, false, false, &node->right));
    bool has_test;
    TRY(skip_if_name(p, "if", &has_test));
    if (has_test) TRY(parse_expression(p, &node->test));
    if (at_name(p, "recursive"))
        return status_fail(TERN_BAD_FILE, "template line %d: recursive loops are not supported", p->current.line);
    p->loops++;
    TRY(parse_body(p, ends, &node->children));
    p->loops--;
    bool has_else = at_name(p, "else");
    TRY(next_token(p));
    return has_else ? parse_block(p, "endfor", &node->other) : TERN_OK;
}

static tern_status parse_for(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_FOR, out));
    TRY(next_token(p));
    return parse_for_parts(p, *out);
}

static tern_status parse_branch(struct parser *p, bool has_condition, struct node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    TRY(new_node(p, NODE_BRANCH, out));
    TRY(next_token(p));
    if (has_condition) TRY(parse_tuple(p, false, false, &(*out)->left));
    return parse_body(p, has_condition ? ends : last, &(*out)->children);
}

static tern_status parse_if(struct parser *p, struct node **out)
{
    struct chain branches;
    struct node *branch;
    TRY(new_node(p, NODE_IF, out));
    chain_open(&branches);
    do {
        bool has_condition = !at_name(p, "else");
        TRY(parse_branch(p, has_condition, &branch));
        chain_add(&branches, branch);
    } while (!at_name(p, "endif"));
    (*out)->children = branches.first;
    return next_token(p);
}

static tern_status parse_set(struct parser *p, struct node **out)
{
    bool has_value;
    TRY(new_node(p, NODE_SET, out));
    TRY(next_token(p));
    TRY(parse_target(p, true, &(*out)->left));
    TRY(skip_if(p, '=', &has_value));
    if (has_value) return parse_tuple(p, true, false, &(*out)->right);
    (*out)->kind = NODE_SET_BLOCK;
    TRY(parse_filters(p, &(*out)->right));
    return parse_block(p, "endset", &(*out)->children);
}

static tern_status parse_parameters(struct parser *p, struct node **out)
{
    struct chain parameters;
    struct node *parameter;
    bool has_default = false, had_default = false;
    chain_open(&parameters);
    TRY(expect(p, '(', "'('"));
    while (p->current.kind != ')') {
        if (parameters.first) TRY(expect(p, ',', "',' or ')'"));
        TRY(new_node(p, NODE_ARGUMENT, &parameter));
        TRY(parse_new_name(p, &parameter->text));
        TRY(skip_if(p, '=', &has_default));
        if (!has_default && had_default) return parse_fail(p, "'=' (parameters before this one have defaults)");
        if (has_default) TRY(parse_expression(p, &parameter->left));
        had_default = has_default;
        chain_add(&parameters, parameter);
    }
    *out = parameters.first;
    return next_token(p);
}

static tern_status parse_macro(struct parser *p, struct node **out)
{
    int loops = p->loops, uses = p->macro_uses;
    p->loops = p->macro_uses = 0;
    TRY(new_node(p, NODE_MACRO, out));
    TRY(next_token(p));
    TRY(parse_new_name(p, &(*out)->text));
    TRY(parse_parameters(p, &(*out)->other));
    TRY(parse_block(p, "endmacro", &(*out)->children));
    (*out)->op = p->macro_uses;
    p->loops = loops;
    p->macro_uses = uses;
    return TERN_OK;
}

static tern_status parse_filter_block(struct parser *p, struct node **out)
{
    TRY(new_node(p, NODE_FILTER_BLOCK, out));
    TRY(next_token(p));
    TRY(parse_one_filter(p, &(*out)->right));
    TRY(parse_filters(p, &(*out)->right));
    return parse_block(p, "endfilter", &(*out)->children);
}

static tern_status parse_with(struct parser *p, struct node **out)
{
    struct chain assignments;
    struct node *assignment;
    chain_open(&assignments);
    TRY(new_node(p, NODE_WITH, out));
    TRY(next_token(p));
    while (p->current.kind != TOKEN_BLOCK_END) {
        if (assignments.first) TRY(expect(p, ',', "',' or '%}'"));
        TRY(new_node(p, NODE_SET, &assignment));
        TRY(parse_primary(p, false, &assignment->left));
        if (!can_assign(assignment->left)) return parse_fail(p, "a name before it");
        TRY(expect(p, '=', "'='"));
        TRY(parse_expression(p, &assignment->right));
        chain_add(&assignments, assignment);
    }
    (*out)->other = assignments.first;
    return parse_block(p, "endwith", &(*out)->children);
}

static tern_status parse_generation(struct parser *p, struct node **out)
{
    int loops = p->loops;
    p->loops = 0; // like a macro, it cannot leave the loop around it
    TRY(new_node(p, NODE_GENERATION, out));
    TRY(next_token(p));
    TRY(parse_block(p, "endgeneration", &(*out)->children));
    p->loops = loops;
    return TERN_OK;
}

static tern_status parse_jump(struct parser *p, struct node **out)
{
    if (p->loops == 0) return parse_fail(p, "something else (there is no loop to leave)");
    TRY(new_node(p, at_name(p, "break") ? NODE_BREAK : NODE_CONTINUE, out));
    return next_token(p);
}

static tern_status parse_statement(struct parser *p, struct node **out)
{
    static const struct {
        const char *name;
        tern_status (*parse)(struct parser *, struct node **);
    } statements[] = {
        {"for", parse_for},     {"if", parse_if},         {"set", parse_set},
        {"macro", parse_macro}, {"with", parse_with},     {"filter", parse_filter_block},
        {"break", parse_jump},  {"continue", parse_jump}, {"generation", parse_generation},
    };
    static const char *const refused[] = {"call",   "block", "extends", "include",
                                          "import", "from",  "print",   "autoescape"};
    if (p->current.kind != TOKEN_NAME) return parse_fail(p, "the name of a tag");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (at_name(p, statements[i].name)) return statements[i].parse(p, out);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (at_name(p, refused[i]))
            return status_fail(TERN_BAD_FILE, "template line %d: the tag '%s' is not supported in chat templates",
                               p->current.line, refused[i]);
    return parse_fail(p, "a tag that chat templates may use");
}

static bool at_any(const struct parser *p, const char *const *names)
{
    for (; names && *names; names++)
        if (at_name(p, *names)) return true;
    return false;
}

// Text, output and statements up to a tag whose word is one of `ends` (left as the current token), or up to the end
// of the template if `ends` is NULL.
static tern_status parse_statements(struct parser *p, const char *const *ends, struct node **out)
{
    struct chain body;
    struct node *node;
    chain_open(&body);
    while (p->current.kind != TOKEN_END) {
        if (p->current.kind == TOKEN_DATA) {
            TRY(new_node(p, NODE_TEXT, &node));
            node->text = p->current.text;
            TRY(next_token(p));
        } else if (p->current.kind == TOKEN_VARIABLE_BEGIN) {
            TRY(new_node(p, NODE_OUTPUT, &node));
            TRY(next_token(p));
            TRY(parse_tuple(p, true, false, &node->left));
            TRY(expect(p, TOKEN_VARIABLE_END, "'}}'"));
        } else {
            TRY(expect(p, TOKEN_BLOCK_BEGIN, "'{%'"));
            if (at_any(p, ends)) {
                *out = body.first;
                return TERN_OK;
            }
            TRY(parse_statement(p, &node));
            TRY(expect(p, TOKEN_BLOCK_END, "'%}'"));
        }
        chain_add(&body, node);
    }
    *out = body.first;
    if (!ends) return TERN_OK;
    return status_fail(TERN_BAD_FILE, "template line %d: the template ends where '%s' was expected", p->current.line,
                       ends[0]);
}

// The body of a statement, from the end of its tag.
static tern_status parse_body(struct parser *p, const char *const *ends, struct node **out)
{
    bool colon;
    TRY(enter(p));
    TRY(skip_if(p, ':', &colon));
    TRY(expect(p, TOKEN_BLOCK_END, "'%}'"));
    TRY(parse_statements(p, ends, out));
    p->depth--;
    return TERN_OK;
}

tern_status parser_parse(struct template *tmpl, const char *source, size_t length)
{
    tmpl->arena.limit = TREE_BYTES;
    struct parser parser = {.arena = &tmpl->arena};
    TRY(lexer_open(&parser.lexer, &tmpl->arena, source, length));
    TRY(next_token(&parser));
    TRY(next_token(&parser));
    return parse_statements(&parser, NULL, &tmpl->body);
}
