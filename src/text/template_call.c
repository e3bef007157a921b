// Calling built-in functions: which parameter each argument belongs to.
#include <string.h>

#include "text/template_run.h"

const struct builtin *builtin_find(const struct builtin *table, struct string name)
{
    for (; table->name; table++)
        if (string_equals(name, table->name)) return table;
    return NULL;
}

// The next name in "a b | c d"; false at the end. *optional becomes true at the bar.
static bool next_parameter(const char **parameters, struct string *name, bool *optional)
{
    const char *p = *parameters;
    while (*p == ' ' || *p == '|')
        if (*p++ == '|') *optional = true;
    *name = (struct string){p, strcspn(p, " |")};
    *parameters = p + name->length;
    return name->length > 0;
}

static tern_status bind_keyword(struct run *run, const struct builtin *function, const struct keyword *keyword,
                                struct call *call)
{
    const char *parameters = function->parameters;
    struct string name;
    bool optional = false;
    for (int i = 0; next_parameter(&parameters, &name, &optional); i++) {
        if (name.length != keyword->name.length || memcmp(name.data, keyword->name.data, name.length) != 0) continue;
        if (call->argument[i].kind != VALUE_MISSING)
            return run_fail(run, "%s: two values for '%.*s'", function->name, (int)name.length, name.data);
        call->argument[i] = keyword->value;
        return TERN_OK;
    }
    return run_fail(run, "%s: no parameter is called '%.*s'", function->name, (int)keyword->name.length,
                    keyword->name.data);
}

static tern_status bind_arguments(struct run *run, const struct builtin *function, struct call *call)
{
    const char *parameters = function->parameters;
    struct string name;
    bool optional = false;
    size_t i = 0;
    while (next_parameter(&parameters, &name, &optional)) {
        if (i < call->all->n_values) call->argument[i] = call->all->values[i];
        i++;
    }
    if (call->all->n_values > i)
        return run_fail(run, "%s: %zu arguments, at most %zu are taken", function->name, call->all->n_values, i);
    for (size_t k = 0; k < call->all->n_keywords; k++)
        TRY(bind_keyword(run, function, &call->all->keywords[k], call));
    parameters = function->parameters;
    optional = false;
    for (i = 0; next_parameter(&parameters, &name, &optional) && !optional; i++)
        if (call->argument[i].kind == VALUE_MISSING)
            return run_fail(run, "%s: the argument '%.*s' is missing", function->name, (int)name.length, name.data);
    return TERN_OK;
}

tern_status builtin_call(struct run *run, const struct builtin *function, struct value self,
                         const struct arguments *arguments, struct value *out)
{
    struct call call = {.self = self, .all = arguments};
    TRY(run_charge(run, 0));
    if (function->parameters) TRY(bind_arguments(run, function, &call));
    return function->call(run, &call, out);
}

tern_status filter_apply(struct run *run, struct string name, struct value value, const struct arguments *arguments,
                         struct value *out)
{
    const struct builtin *filter = builtin_find(template_filters, name);
    if (!filter) return run_fail(run, "there is no filter '%.*s'", (int)name.length, name.data);
    return builtin_call(run, filter, value, arguments, out);
}

tern_status test_apply(struct run *run, struct string name, struct value value, const struct arguments *arguments,
                       bool *result)
{
    struct value out;
    const struct builtin *test = builtin_find(template_tests, name);
    if (!test) return run_fail(run, "there is no test '%.*s'", (int)name.length, name.data);
    TRY(builtin_call(run, test, value, arguments, &out));
    *result = value_true(out);
    return TERN_OK;
}

tern_status argument_string(struct run *run, struct value value, const char *what, struct string *out)
{
    if (value.kind != VALUE_STRING) return run_fail(run, "%s must be a string, not %s", what, value_type(value));
    *out = value.string;
    return TERN_OK;
}

tern_status argument_integer(struct run *run, struct value value, const char *what, int64_t *out)
{
    if (value.kind != VALUE_INTEGER && value.kind != VALUE_BOOLEAN)
        return run_fail(run, "%s must be an integer, not %s", what, value_type(value));
    *out = value_as_integer(value);
    return TERN_OK;
}
