// Executing statements.
#include <string.h>

#include "text/template_run.h"

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

static tern_status exec_statements(struct run *run, const struct node *chain, enum flow *flow);

static tern_status print_bytes(struct run *run, const char *data, size_t length)
{
    if (length > run->limits.output_bytes - run->written)
        return status_fail(TERN_LIMIT, "template line %d: more than %zu bytes of output", run->line,
                           run->limits.output_bytes);
    run->written += length;
    TRY(run_charge(run, length));
    return builder_append(run, run->out, data, length);
}

static tern_status print_value(struct run *run, const struct node *node)
{
    struct value value;
    struct string text;
    TRY(eval_expression(run, node->left, &value));
    if (value.kind == VALUE_UNDEFINED) return TERN_OK;
    TRY(value_to_string(run, value, &text));
    return print_bytes(run, text.data, text.length);
}

// Statements in a scope of their own.
static tern_status exec_scoped(struct run *run, const struct node *chain, struct scope *parent, enum flow *flow)
{
    struct scope *before = run->scope;
    TRY(scope_push(run, parent));
    TRY(exec_statements(run, chain, flow));
    run->scope = before;
    return TERN_OK;
}

// The text that statements print, as a value.
static tern_status capture(struct run *run, const struct node *chain, struct value *out)
{
    struct builder text = {0}, *before = run->out;
    enum flow flow = FLOW_NEXT;
    run->out = &text;
    TRY(exec_statements(run, chain, &flow));
    run->out = before;
    *out = builder_value(&text);
    return TERN_OK;
}

static tern_status capture_scoped(struct run *run, const struct node *chain, struct value *out)
{
    struct scope *before = run->scope;
    TRY(scope_push(run, before));
    TRY(capture(run, chain, out));
    run->scope = before;
    return TERN_OK;
}

static tern_status exec_if(struct run *run, const struct node *node, enum flow *flow)
{
    for (const struct node *branch = node->children; branch; branch = branch->next) {
        struct value condition = value_boolean(true);
        if (branch->left) TRY(eval_expression(run, branch->left, &condition));
        if (value_true(condition)) return exec_statements(run, branch->children, flow);
    }
    return TERN_OK;
}

// ---- Loops ------------------------------------------------------------------------------------------------------

static tern_status loop_accepts(struct run *run, const struct loop *loop, struct value item, bool *accepts)
{
    struct scope *before = run->scope;
    struct value result;
    TRY(scope_push(run, loop->outer));
    TRY(scope_assign(run, loop->node->left, item));
    TRY(eval_expression(run, loop->node->test, &result));
    run->scope = before;
    *accepts = value_true(result);
    return TERN_OK;
}

tern_status loop_fill(struct run *run, struct loop *loop, size_t count)
{
    while (loop->n_items < count && loop->next_source < loop->n_source) {
        struct value item = loop->source[loop->next_source++];
        bool accepts = true;
        if (loop->node->test) {
            TRY(run_charge(run, 0));
            TRY(loop_accepts(run, loop, item, &accepts));
        }
        if (accepts) loop->items[loop->n_items++] = item;
    }
    return TERN_OK;
}

static tern_status loop_body(struct run *run, struct loop *loop, enum flow *flow)
{
    TRY(run_charge(run, 0));
    TRY(scope_push(run, loop->outer));
    TRY(dict_set_text(run, &run->scope->variables, "loop", (struct value){.kind = VALUE_LOOP, .loop = loop}));
    TRY(scope_assign(run, loop->node->left, loop->items[loop->index]));
    return exec_statements(run, loop->node->children, flow);
}

static tern_status loop_open(struct run *run, const struct node *node, struct loop **out)
{
    struct value walked;
    struct loop *loop = *out = template_arena_alloc(&run->arena, sizeof *loop);
    if (!loop) return run->arena.failure;
    *loop = (struct loop){.node = node, .outer = run->scope};
    TRY(eval_expression(run, node->right, &walked));
    TRY(value_items(run, walked, &loop->source, &loop->n_source));
    loop->items = template_arena_array(&run->arena, loop->n_source, sizeof *loop->items);
    return loop->items ? TERN_OK : run->arena.failure;
}

static tern_status exec_for(struct run *run, const struct node *node, enum flow *flow)
{
    struct loop *loop;
    TRY(loop_open(run, node, &loop));
    for (;; loop->index++) {
        enum flow inside = FLOW_NEXT;
        TRY(loop_fill(run, loop, loop->index + 1));
        if (loop->index == loop->n_items) break;
        TRY(loop_body(run, loop, &inside));
        run->scope = loop->outer;
        if (inside == FLOW_BREAK) break;
    }
    if (loop->n_items > 0 || !node->other) return TERN_OK;
    return exec_scoped(run, node->other, loop->outer, flow);
}

// ---- Assignments, macros, blocks --------------------------------------------------------------------------------

static tern_status exec_set(struct run *run, const struct node *node)
{
    struct value value;
    TRY(eval_expression(run, node->right, &value));
    return scope_assign(run, node->left, value);
}

static tern_status exec_set_block(struct run *run, const struct node *node)
{
    struct value text;
    TRY(capture_scoped(run, node->children, &text));
    if (node->right) TRY(eval_filters(run, node->right, text, &text));
    return scope_assign(run, node->left, text);
}

static tern_status exec_macro(struct run *run, const struct node *node)
{
    struct macro *macro = template_arena_alloc(&run->arena, sizeof *macro);
    if (!macro) return run->arena.failure;
    *macro = (struct macro){node, run->scope};
    struct value value = {.kind = VALUE_MACRO, .macro = macro};
    return dict_set(run, &run->scope->variables, value_string(node->text.data, node->text.length), value);
}

static tern_status exec_filter_block(struct run *run, const struct node *node)
{
    struct value text;
    struct string printed;
    TRY(capture_scoped(run, node->children, &text));
    TRY(eval_filters(run, node->right, text, &text));
    TRY(value_to_string(run, text, &printed));
    return print_bytes(run, printed.data, printed.length);
}

// All values are evaluated before any name is set.
static tern_status exec_with(struct run *run, const struct node *node, enum flow *flow)
{
    struct scope *outer = run->scope, *inner;
    TRY(scope_push(run, outer));
    inner = run->scope;
    for (const struct node *set = node->other; set; set = set->next) {
        struct value value;
        run->scope = outer;
        TRY(eval_expression(run, set->right, &value));
        run->scope = inner;
        TRY(scope_assign(run, set->left, value));
    }
    run->scope = inner;
    TRY(exec_statements(run, node->children, flow));
    run->scope = outer;
    return TERN_OK;
}

static const struct value *find_keyword(const struct arguments *arguments, struct string name)
{
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        struct string given = arguments->keywords[i].name;
        if (given.length == name.length && memcmp(given.data, name.data, name.length) == 0)
            return &arguments->keywords[i].value;
    }
    return NULL;
}

static bool is_parameter(const struct node *macro, size_t first, struct string name)
{
    size_t i = 0;
    for (const struct node *parameter = macro->other; parameter; parameter = parameter->next, i++)
        if (i >= first && parameter->text.length == name.length &&
            memcmp(parameter->text.data, name.data, name.length) == 0)
            return true;
    return false;
}

static tern_status bind_varargs(struct run *run, const struct node *macro, const struct arguments *arguments,
                                size_t n_parameters)
{
    struct value rest;
    size_t count = arguments->n_values > n_parameters ? arguments->n_values - n_parameters : 0;
    if (!(macro->op & MACRO_VARARGS)) {
        return count == 0 ? TERN_OK
                          : run_fail(run, "macro '%.*s' takes at most %zu arguments, not %zu", (int)macro->text.length,
                                     macro->text.data, n_parameters, arguments->n_values);
    }
    TRY(value_new_list(run, VALUE_TUPLE, count, &rest));
    for (size_t i = 0; i < count; i++)
        rest.list->items[i] = arguments->values[n_parameters + i];
    return dict_set_text(run, &run->scope->variables, "varargs", rest);
}

static tern_status bind_kwargs(struct run *run, const struct node *macro, const struct arguments *arguments)
{
    struct value rest;
    TRY(value_new_dict(run, VALUE_DICT, &rest));
    for (size_t i = 0; i < arguments->n_keywords; i++) {
        struct string name = arguments->keywords[i].name;
        TRY(run_charge(run, 0));
        if (is_parameter(macro, arguments->n_values, name)) continue;
        if (!(macro->op & MACRO_KWARGS))
            return run_fail(run, "macro '%.*s' takes no argument '%.*s'", (int)macro->text.length, macro->text.data,
                            (int)name.length, name.data);
        TRY(dict_set(run, rest.dict, value_string(name.data, name.length), arguments->keywords[i].value));
    }
    if (!(macro->op & MACRO_KWARGS)) return TERN_OK;
    return dict_set_text(run, &run->scope->variables, "kwargs", rest);
}

// Defaults may use the parameters before them.
static tern_status bind_parameters(struct run *run, const struct node *macro, const struct arguments *arguments)
{
    size_t i = 0;
    for (const struct node *parameter = macro->other; parameter; parameter = parameter->next, i++) {
        struct value value = {.kind = VALUE_UNDEFINED, .string = parameter->text};
        const struct value *keyword = i < arguments->n_values ? NULL : find_keyword(arguments, parameter->text);
        if (i < arguments->n_values) {
            value = arguments->values[i];
        } else if (keyword) {
            value = *keyword;
        } else if (parameter->left) {
            TRY(eval_expression(run, parameter->left, &value));
        }
        TRY(dict_set(run, &run->scope->variables, value_string(parameter->text.data, parameter->text.length), value));
    }
    TRY(bind_varargs(run, macro, arguments, i));
    return bind_kwargs(run, macro, arguments);
}

tern_status eval_macro(struct run *run, const struct macro *macro, const struct arguments *arguments, struct value *out)
{
    struct scope *before = run->scope;
    TRY(run_enter(run));
    TRY(scope_push(run, macro->scope));
    TRY(bind_parameters(run, macro->node, arguments));
    TRY(capture(run, macro->node->children, out));
    run->scope = before;
    run_leave(run);
    return TERN_OK;
}

static tern_status exec_statement(struct run *run, const struct node *node, enum flow *flow)
{
    switch (node->kind) {
    case NODE_TEXT:
        return print_bytes(run, node->text.data, node->text.length);
    case NODE_OUTPUT:
        return print_value(run, node);
    case NODE_IF:
        return exec_if(run, node, flow);
    case NODE_FOR:
        return exec_for(run, node, flow);
    case NODE_SET:
        return exec_set(run, node);
    case NODE_SET_BLOCK:
        return exec_set_block(run, node);
    case NODE_MACRO:
        return exec_macro(run, node);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(run, node);
    case NODE_WITH:
        return exec_with(run, node, flow);
    case NODE_GENERATION:
        return exec_scoped(run, node->children, run->scope, flow);
    case NODE_BREAK:
        *flow = FLOW_BREAK;
        return TERN_OK;
    case NODE_CONTINUE:
        *flow = FLOW_CONTINUE;
        return TERN_OK;
    default:
        return run_fail(run, "a value where a statement was expected");
    }
}

static tern_status exec_statements(struct run *run, const struct node *chain, enum flow *flow)
{
    TRY(run_enter(run));
    for (const struct node *node = chain; node && *flow == FLOW_NEXT; node = node->next) {
        run->line = node->line;
        TRY(run_charge(run, 0));
        TRY(exec_statement(run, node, flow));
    }
    run_leave(run);
    return TERN_OK;
}

tern_status template_execute(struct run *run, const struct template *tmpl, struct dict *variables, struct buffer *out)
{
    struct builder text = {0};
    enum flow flow = FLOW_NEXT;
    run->variables = variables;
    run->out = &text;
    TRY(scope_push(run, NULL));
    TRY(exec_statements(run, tmpl->body, &flow));
    return buffer_append(out, text.data ? text.data : "", text.length);
}
