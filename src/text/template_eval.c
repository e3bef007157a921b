// Evaluating expressions.
#include <stdlib.h>
#include <string.h>

#include "text/template_run.h"

// ---- Variables --------------------------------------------------------------------------------------------------

tern_status scope_push(struct run *run, struct scope *parent)
{
    struct scope *scope = template_arena_alloc(&run->arena, sizeof *scope);
    if (!scope) return run->arena.failure;
    scope->parent = parent;
    run->scope = scope;
    return TERN_OK;
}

// From the innermost block outwards, then the caller's variables, then the functions that Jinja offers.
static tern_status scope_find(struct run *run, struct string name, struct value *out)
{
    struct value key = value_string(name.data, name.length), *found = NULL;
    for (const struct scope *scope = run->scope; scope && !found; scope = scope->parent)
        TRY(dict_find(run, &scope->variables, key, &found));
    if (!found) TRY(dict_find(run, run->variables, key, &found));
    if (found) return *out = *found, TERN_OK;
    const struct builtin *function = builtin_find(template_functions, name);
    *out = function ? (struct value){.kind = VALUE_FUNCTION, .function = function}
                    : (struct value){.kind = VALUE_UNDEFINED, .string = name};
    return TERN_OK;
}

static tern_status assign_member(struct run *run, const struct node *target, struct value value)
{
    struct value space;
    TRY(scope_find(run, target->text, &space));
    if (space.kind != VALUE_NAMESPACE)
        return run_fail(run, "'%.*s' is no namespace: its attributes cannot be set", (int)target->text.length,
                        target->text.data);
    if (target->name.data[0] == '_') return run_fail(run, "a namespace's attributes may not begin with '_'");
    return dict_set(run, space.dict, value_string(target->name.data, target->name.length), value);
}

static tern_status assign_tuple(struct run *run, const struct node *target, struct value value)
{
    const struct value *items;
    size_t count, i = 0;
    TRY(value_items(run, value, &items, &count));
    for (const struct node *name = target->children; name; name = name->next, i++) {
        if (i == count) return run_fail(run, "%zu values for more names than that", count);
        TRY(scope_assign(run, name, items[i]));
    }
    return i == count ? TERN_OK : run_fail(run, "%zu values for %zu names", count, i);
}

tern_status scope_assign(struct run *run, const struct node *target, struct value value)
{
    if (target->kind == NODE_TUPLE) return assign_tuple(run, target, value);
    if (target->kind == NODE_MEMBER) return assign_member(run, target, value);
    return dict_set(run, &run->scope->variables, value_string(target->text.data, target->text.length), value);
}

// ---- Calls ------------------------------------------------------------------------------------------------------

static tern_status push_value(struct run *run, struct arguments *arguments, size_t *capacity, struct value value)
{
    struct list list = {.items = arguments->values, .count = arguments->n_values};
    TRY(list_push(run, &list, capacity, value));
    arguments->values = list.items;
    arguments->n_values = list.count;
    return TERN_OK;
}

static tern_status push_keyword(struct run *run, struct arguments *arguments, size_t *capacity, struct string name,
                                struct value value)
{
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        struct string other = arguments->keywords[i].name;
        if (other.length == name.length && memcmp(other.data, name.data, name.length) == 0)
            return run_fail(run, "two values for the argument '%.*s'", (int)name.length, name.data);
    }
    TRY(run_charge(run, arguments->n_keywords * sizeof(struct keyword)));
    if (arguments->n_keywords == *capacity) {
        size_t size = sizeof(struct keyword), grown = *capacity * 2 + 2;
        void *moved = template_arena_grow(&run->arena, arguments->keywords, *capacity * size, grown * size);
        if (!moved) return run->arena.failure;
        arguments->keywords = moved;
        *capacity = grown;
    }
    arguments->keywords[arguments->n_keywords++] = (struct keyword){name, value};
    return TERN_OK;
}

static tern_status push_all(struct run *run, struct arguments *arguments, size_t *capacity, struct value value)
{
    const struct value *items;
    size_t count;
    TRY(value_items(run, value, &items, &count));
    for (size_t i = 0; i < count; i++)
        TRY(push_value(run, arguments, capacity, items[i]));
    return run_charge(run, count * sizeof *items);
}

static tern_status push_all_keywords(struct run *run, struct arguments *arguments, size_t *capacity, struct value value)
{
    if (value.kind != VALUE_DICT) return run_fail(run, "'**' needs a dict, not %s", value_type(value));
    for (size_t i = 0; i < value.dict->count; i++) {
        const struct dict_entry *entry = &value.dict->entries[i];
        if (entry->key.kind != VALUE_STRING) return run_fail(run, "names of arguments must be strings");
        TRY(push_keyword(run, arguments, capacity, entry->key.string, entry->value));
    }
    return TERN_OK;
}

static tern_status eval_arguments(struct run *run, const struct node *chain, struct arguments *out)
{
    size_t values = 0, keywords = 0;
    *out = (struct arguments){0};
    for (const struct node *node = chain; node; node = node->next) {
        struct value value;
        TRY(eval_expression(run, node->left, &value));
        switch ((enum argument_kind)node->op) {
        case ARGUMENT_POSITIONAL:
            TRY(push_value(run, out, &values, value));
            break;
        case ARGUMENT_KEYWORD:
            TRY(push_keyword(run, out, &keywords, node->text, value));
            break;
        case ARGUMENT_STAR:
            TRY(push_all(run, out, &values, value));
            break;
        case ARGUMENT_DOUBLE_STAR:
            TRY(push_all_keywords(run, out, &keywords, value));
            break;
        }
    }
    return TERN_OK;
}

static tern_status call_value(struct run *run, struct value callee, const struct arguments *arguments,
                              struct value *out)
{
    struct value nothing = {.kind = VALUE_MISSING};
    switch (callee.kind) {
    case VALUE_FUNCTION:
        return builtin_call(run, callee.function, nothing, arguments, out);
    case VALUE_METHOD:
        return builtin_call(run, callee.method->function, callee.method->self, arguments, out);
    case VALUE_MACRO:
        return eval_macro(run, callee.macro, arguments, out);
    case VALUE_UNDEFINED:
        return run_fail_undefined(run, callee);
    default:
        return run_fail(run, "a value of type '%s' cannot be called", value_type(callee));
    }
}

static tern_status eval_call(struct run *run, const struct node *node, struct value *out)
{
    struct value callee;
    struct arguments arguments;
    TRY(eval_expression(run, node->left, &callee));
    TRY(eval_arguments(run, node->children, &arguments));
    run->line = node->line;
    return call_value(run, callee, &arguments, out);
}

tern_status eval_filters(struct run *run, const struct node *filter, struct value value, struct value *out)
{
    struct arguments arguments;
    TRY(run_enter(run));
    if (filter->left) TRY(eval_filters(run, filter->left, value, &value));
    TRY(eval_arguments(run, filter->children, &arguments));
    TRY(filter_apply(run, filter->text, value, &arguments, out));
    run_leave(run);
    return TERN_OK;
}

static tern_status eval_filter(struct run *run, const struct node *node, struct value *out)
{
    struct value value;
    struct arguments arguments;
    TRY(eval_expression(run, node->left, &value));
    TRY(eval_arguments(run, node->children, &arguments));
    run->line = node->line;
    return filter_apply(run, node->text, value, &arguments, out);
}

static tern_status eval_test(struct run *run, const struct node *node, struct value *out)
{
    struct value value;
    struct arguments arguments;
    bool result;
    TRY(eval_expression(run, node->left, &value));
    TRY(eval_arguments(run, node->children, &arguments));
    TRY(test_apply(run, node->text, value, &arguments, &result));
    *out = value_boolean(result);
    return TERN_OK;
}

// ---- Literals and subscripts ------------------------------------------------------------------------------------

static tern_status eval_list(struct run *run, const struct node *node, struct value *out)
{
    size_t capacity = 0;
    TRY(value_new_list(run, node->kind == NODE_TUPLE ? VALUE_TUPLE : VALUE_LIST, 0, out));
    for (const struct node *item = node->children; item; item = item->next) {
        struct value value;
        TRY(eval_expression(run, item, &value));
        TRY(list_push(run, out->list, &capacity, value));
    }
    return TERN_OK;
}

static tern_status eval_dict(struct run *run, const struct node *node, struct value *out)
{
    TRY(value_new_dict(run, VALUE_DICT, out));
    for (const struct node *item = node->children; item; item = item->next->next) {
        struct value key, value;
        TRY(eval_expression(run, item, &key));
        TRY(eval_expression(run, item->next, &value));
        TRY(dict_set(run, out->dict, key, value));
    }
    return TERN_OK;
}

static tern_status eval_slice(struct run *run, const struct node *slice, struct value object, struct value *out)
{
    struct value bounds[3];
    int i = 0;
    for (const struct node *bound = slice->children; bound; bound = bound->next)
        TRY(eval_expression(run, bound, &bounds[i++]));
    return value_slice(run, object, bounds, out);
}

static tern_status eval_subscript(struct run *run, const struct node *node, struct value *out)
{
    struct value object, key;
    TRY(eval_expression(run, node->left, &object));
    if (node->right->kind == NODE_SLICE) return eval_slice(run, node->right, object, out);
    TRY(eval_expression(run, node->right, &key));
    return value_subscript(run, object, key, out);
}

static tern_status eval_attribute(struct run *run, const struct node *node, struct value *out)
{
    struct value object;
    TRY(eval_expression(run, node->left, &object));
    run->line = node->line;
    return value_attribute(run, object, node->text, out);
}

// ---- Operators --------------------------------------------------------------------------------------------------

static tern_status eval_arithmetic(struct run *run, const struct node *node, struct value *out)
{
    const struct node *operand = node->children;
    TRY(eval_expression(run, operand, out));
    while ((operand = operand->next)) {
        struct value right;
        TRY(eval_expression(run, operand, &right));
        TRY(operator_apply(run, operand->op, *out, right, out));
    }
    return TERN_OK;
}

static tern_status eval_concat(struct run *run, const struct node *node, struct value *out)
{
    struct builder builder = {0};
    size_t n = 0, capacity = 0;
    struct list values = {0};
    for (const struct node *operand = node->children; operand; operand = operand->next, n++) {
        struct value value;
        TRY(eval_expression(run, operand, &value));
        TRY(list_push(run, &values, &capacity, value));
    }
    for (size_t i = 0; i < n; i++)
        TRY(value_print(run, values.items[i], &builder));
    *out = builder_value(&builder);
    return TERN_OK;
}

// The first operand that settles the question, as in Python.
static tern_status eval_logical(struct run *run, const struct node *node, struct value *out)
{
    bool settles = node->kind == NODE_OR;
    for (const struct node *operand = node->children; operand; operand = operand->next) {
        TRY(eval_expression(run, operand, out));
        if (value_true(*out) == settles) break;
    }
    return TERN_OK;
}

// a < b < c is a < b and b < c, each evaluated once.
static tern_status eval_comparison(struct run *run, const struct node *node, struct value *out)
{
    const struct node *operand = node->children;
    struct value left, right;
    bool holds = true;
    TRY(eval_expression(run, operand, &left));
    while (holds && (operand = operand->next)) {
        TRY(eval_expression(run, operand, &right));
        TRY(operator_compare(run, operand->op, left, right, &holds));
        left = right;
    }
    *out = value_boolean(holds);
    return TERN_OK;
}

static tern_status eval_sign(struct run *run, const struct node *node, struct value *out)
{
    struct value value;
    TRY(eval_expression(run, node->left, &value));
    if (value.kind == VALUE_UNDEFINED) return run_fail_undefined(run, value);
    if (!value_is_number(value)) return run_fail(run, "a value of type '%s' has no sign", value_type(value));
    if (node->kind == NODE_NEGATE && value.kind == VALUE_FLOAT) return *out = value_float(-value.number), TERN_OK;
    return operator_apply(run, node->kind == NODE_NEGATE ? '-' : '+', value_integer(0), value, out);
}

static tern_status eval_not(struct run *run, const struct node *node, struct value *out)
{
    TRY(eval_expression(run, node->left, out));
    *out = value_boolean(!value_true(*out));
    return TERN_OK;
}

static tern_status eval_conditional(struct run *run, const struct node *node, struct value *out)
{
    TRY(eval_expression(run, node->right, out));
    if (value_true(*out)) return eval_expression(run, node->left, out);
    if (node->other) return eval_expression(run, node->other, out);
    *out = value_undefined("the 'else' of an inline 'if'");
    return TERN_OK;
}

static tern_status eval_inside(struct run *run, const struct node *node, struct value *out)
{
    switch (node->kind) {
    case NODE_CONSTANT:
        return *out = node->constant, TERN_OK;
    case NODE_NAME:
        return scope_find(run, node->text, out);
    case NODE_LIST:
    case NODE_TUPLE:
        return eval_list(run, node, out);
    case NODE_DICT:
        return eval_dict(run, node, out);
    case NODE_ATTRIBUTE:
        return eval_attribute(run, node, out);
    case NODE_SUBSCRIPT:
        return eval_subscript(run, node, out);
    case NODE_CALL:
        return eval_call(run, node, out);
    case NODE_FILTER:
        return eval_filter(run, node, out);
    case NODE_TEST:
        return eval_test(run, node, out);
    case NODE_NOT:
        return eval_not(run, node, out);
    case NODE_NEGATE:
    case NODE_PLUS:
        return eval_sign(run, node, out);
    case NODE_ARITHMETIC:
        return eval_arithmetic(run, node, out);
    case NODE_CONCAT:
        return eval_concat(run, node, out);
    case NODE_AND:
    case NODE_OR:
        return eval_logical(run, node, out);
    case NODE_COMPARE:
        return eval_comparison(run, node, out);
    case NODE_CONDITIONAL:
        return eval_conditional(run, node, out);
    default:
        return run_fail(run, "a statement where a value was expected");
    }
}

tern_status eval_expression(struct run *run, const struct node *node, struct value *out)
{
    TRY(run_enter(run));
    run->line = node->line;
    TRY(eval_inside(run, node, out));
    run_leave(run);
    return TERN_OK;
}
