// Evaluating a template's tree, and the functions that templates can call.
#ifndef TEXT_TEMPLATE_RUN_H
#define TEXT_TEMPLATE_RUN_H

#include "text/template_syntax.h"

// Variables of a block; those further out are reached through parents.
struct scope {
    struct scope *parent;
    struct dict variables;
};

struct macro {
    const struct node *node;
    struct scope *scope; // where it was defined
};

// The `loop` of a for statement. Items that its filter lets through are found only when they are needed, because the
// filter may depend on what the body did before.
struct loop {
    const struct node *node;
    struct scope *outer;
    const struct value *source; // [n_source]
    size_t n_source, next_source;
    struct value *items; // [n_items] let through so far
    size_t n_items;
    size_t index;         // of the item that the body sees
    struct value changed; // what loop.changed() was last called with; MISSING before
};

// Lets items through until there are `count` of them or the source has no more.
tern_status loop_fill(struct run *run, struct loop *loop, size_t count);

// ---- Calls ------------------------------------------------------------------------------------------------------

struct keyword {
    struct string name;
    struct value value;
};

struct arguments {
    struct value *values; // [n_values]
    size_t n_values;
    struct keyword *keywords; // [n_keywords]
    size_t n_keywords;
};

enum { MAX_PARAMETERS = 5 };

// A call as a built-in function sees it.
struct call {
    struct value self;                     // what a method, filter or test is applied to; MISSING for functions
    struct value argument[MAX_PARAMETERS]; // by parameter; MISSING if not given
    const struct arguments *all;           // as they were written
};

// `parameters`: their names, separated by spaces, the optional ones after a "|"; NULL: any number, not bound.
struct builtin {
    const char *name;
    tern_status (*call)(struct run *run, const struct call *call, struct value *out);
    const char *parameters;
};

// In a table that ends with an entry without a name. NULL if there is none.
const struct builtin *builtin_find(const struct builtin *table, struct string name);
tern_status builtin_call(struct run *run, const struct builtin *function, struct value self,
                         const struct arguments *arguments, struct value *out);

extern const struct builtin template_filters[];
extern const struct builtin template_tests[];
extern const struct builtin template_functions[];
extern const struct builtin template_string_methods[];
extern const struct builtin template_dict_methods[];
extern const struct builtin template_list_methods[];
extern const struct builtin template_loop_methods[];

tern_status filter_apply(struct run *run, struct string name, struct value value, const struct arguments *arguments,
                         struct value *out);
tern_status test_apply(struct run *run, struct string name, struct value value, const struct arguments *arguments,
                       bool *result);

// Arguments with their checks; `what` names the parameter in the message.
tern_status argument_string(struct run *run, struct value value, const char *what, struct string *out);
tern_status argument_integer(struct run *run, struct value value, const char *what, int64_t *out);

// Python's operators on values; `op` is a token kind.
tern_status operator_apply(struct run *run, int op, struct value a, struct value b, struct value *out);
tern_status operator_compare(struct run *run, int op, struct value a, struct value b, bool *out);

// Python's "%" and str.format.
tern_status format_percent(struct run *run, struct string format, const struct arguments *arguments, struct value *out);
tern_status format_braces(struct run *run, struct string format, const struct arguments *arguments, struct value *out);
// Python's str.strip family: sides is a mask.
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
struct string string_strip(struct string string, const struct string *characters, int sides);
tern_status string_replace(struct run *run, struct string string, struct string old, struct string with, int64_t count,
                           struct value *out);
enum letter_case { CASE_UPPER, CASE_LOWER, CASE_CAPITALIZE, CASE_SWAP, CASE_TITLE, CASE_TITLE_FILTER };
tern_status string_change_case(struct run *run, struct string string, enum letter_case which, struct value *out);
// All cased characters are of that case, and there is at least one.
bool string_is_case(struct string string, bool upper);

// ---- Evaluation -------------------------------------------------------------------------------------------------

tern_status eval_expression(struct run *run, const struct node *node, struct value *out);
// Applies the filters in `filter` (innermost has no left side) to a value.
tern_status eval_filters(struct run *run, const struct node *filter, struct value value, struct value *out);
tern_status eval_macro(struct run *run, const struct macro *macro, const struct arguments *arguments,
                       struct value *out);

tern_status scope_push(struct run *run, struct scope *parent);
tern_status scope_assign(struct run *run, const struct node *target, struct value value);

// Renders with `variables` (a dict in the run's arena) and appends to `out`; nothing is appended on failure.
tern_status template_execute(struct run *run, const struct template *tmpl, struct dict *variables, struct buffer *out);

#endif
