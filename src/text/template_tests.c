// What may stand after "is".
#include "text/template_run.h"

static tern_status answer(struct value *out, bool result)
{
    *out = value_boolean(result);
    return TERN_OK;
}

#define TEST(name, result)                                                                                             \
    static tern_status name(struct run *run, const struct call *call, struct value *out)                               \
    {                                                                                                                  \
        (void)run, (void)call;                                                                                         \
        return answer(out, result);                                                                                    \
    }

TEST(test_defined, call->self.kind != VALUE_UNDEFINED)
TEST(test_undefined, call->self.kind == VALUE_UNDEFINED)
TEST(test_none, call->self.kind == VALUE_NONE)
TEST(test_boolean, call->self.kind == VALUE_BOOLEAN)
TEST(test_true, call->self.kind == VALUE_BOOLEAN && call->self.boolean)
TEST(test_false, call->self.kind == VALUE_BOOLEAN && !call->self.boolean)
TEST(test_integer, call->self.kind == VALUE_INTEGER)
TEST(test_float, call->self.kind == VALUE_FLOAT)
TEST(test_number, value_is_number(call->self))
TEST(test_string, call->self.kind == VALUE_STRING)
TEST(test_mapping, call->self.kind == VALUE_DICT)
TEST(test_iterable, value_is_iterable(call->self) || call->self.kind == VALUE_LOOP)
TEST(test_escaped, false)
TEST(test_callable,
     call->self.kind >= VALUE_MACRO || call->self.kind == VALUE_LOOP || call->self.kind == VALUE_UNDEFINED)
#undef TEST

static tern_status test_sequence(struct run *run, const struct call *call, struct value *out)
{
    enum value_kind kind = call->self.kind;
    (void)run;
    return answer(out, kind == VALUE_UNDEFINED || kind == VALUE_STRING || kind == VALUE_DICT || kind == VALUE_RANGE ||
                           value_is_list(call->self));
}

static tern_status remainder_of(struct run *run, const struct call *call, struct value divisor, struct value *out)
{
    return operator_apply(run, '%', call->self, divisor, out);
}

static tern_status test_remainder(struct run *run, const struct call *call, struct value divisor, int64_t expected,
                                  struct value *out)
{
    struct value remainder;
    bool equal;
    TRY(remainder_of(run, call, divisor, &remainder));
    TRY(value_equal(run, remainder, value_integer(expected), &equal));
    return answer(out, equal);
}

static tern_status test_odd(struct run *run, const struct call *call, struct value *out)
{
    return test_remainder(run, call, value_integer(2), 1, out);
}

static tern_status test_even(struct run *run, const struct call *call, struct value *out)
{
    return test_remainder(run, call, value_integer(2), 0, out);
}

static tern_status test_divisible(struct run *run, const struct call *call, struct value *out)
{
    return test_remainder(run, call, call->argument[0], 0, out);
}

static tern_status test_case(struct run *run, const struct call *call, bool upper, struct value *out)
{
    struct string text;
    TRY(value_to_string(run, call->self, &text));
    TRY(run_charge(run, text.length));
    return answer(out, string_is_case(text, upper));
}

static tern_status test_lower(struct run *run, const struct call *call, struct value *out)
{
    return test_case(run, call, false, out);
}

static tern_status test_upper(struct run *run, const struct call *call, struct value *out)
{
    return test_case(run, call, true, out);
}

static tern_status test_compare(struct run *run, const struct call *call, int op, struct value *out)
{
    bool result;
    TRY(operator_compare(run, op, call->self, call->argument[0], &result));
    return answer(out, result);
}

#define COMPARISON(name, op)                                                                                           \
    static tern_status name(struct run *run, const struct call *call, struct value *out)                               \
    {                                                                                                                  \
        return test_compare(run, call, op, out);                                                                       \
    }

COMPARISON(test_equal, TOKEN_EQUAL)
COMPARISON(test_not_equal, TOKEN_NOT_EQUAL)
COMPARISON(test_less, '<')
COMPARISON(test_less_equal, TOKEN_LESS_EQUAL)
COMPARISON(test_greater, '>')
COMPARISON(test_greater_equal, TOKEN_GREATER_EQUAL)
COMPARISON(test_in, OPERATOR_IN)
#undef COMPARISON

// Python's `is`: for the values that a template can compare so, the same kind and equal.
static tern_status test_same(struct run *run, const struct call *call, struct value *out)
{
    struct value a = call->self, b = call->argument[0];
    bool equal = false;
    if (value_is_list(a) || a.kind == VALUE_RANGE) return answer(out, a.kind == b.kind && a.list == b.list);
    if (a.kind == VALUE_DICT) return answer(out, b.kind == VALUE_DICT && a.dict == b.dict);
    if (a.kind == b.kind) TRY(value_equal(run, a, b, &equal));
    return answer(out, equal);
}

static tern_status test_named(struct run *run, const struct call *call, const struct builtin *table, struct value *out)
{
    (void)run;
    return answer(out, call->self.kind == VALUE_STRING && builtin_find(table, call->self.string));
}

static tern_status test_filter(struct run *run, const struct call *call, struct value *out)
{
    return test_named(run, call, template_filters, out);
}

static tern_status test_test(struct run *run, const struct call *call, struct value *out)
{
    return test_named(run, call, template_tests, out);
}

const struct builtin template_tests[] = {
    {"defined", test_defined, ""},
    {"undefined", test_undefined, ""},
    {"none", test_none, ""},
    {"boolean", test_boolean, ""},
    {"true", test_true, ""},
    {"false", test_false, ""},
    {"integer", test_integer, ""},
    {"float", test_float, ""},
    {"number", test_number, ""},
    {"string", test_string, ""},
    {"mapping", test_mapping, ""},
    {"iterable", test_iterable, ""},
    {"sequence", test_sequence, ""},
    {"escaped", test_escaped, ""},
    {"callable", test_callable, ""},
    {"odd", test_odd, ""},
    {"even", test_even, ""},
    {"divisibleby", test_divisible, "num"},
    {"lower", test_lower, ""},
    {"upper", test_upper, ""},
    {"eq", test_equal, "other"},
    {"equalto", test_equal, "other"},
    {"==", test_equal, "other"},
    {"ne", test_not_equal, "other"},
    {"!=", test_not_equal, "other"},
    {"lt", test_less, "other"},
    {"lessthan", test_less, "other"},
    {"<", test_less, "other"},
    {"le", test_less_equal, "other"},
    {"<=", test_less_equal, "other"},
    {"gt", test_greater, "other"},
    {"greaterthan", test_greater, "other"},
    {">", test_greater, "other"},
    {"ge", test_greater_equal, "other"},
    {">=", test_greater_equal, "other"},
    {"in", test_in, "seq"},
    {"sameas", test_same, "other"},
    {"filter", test_filter, ""},
    {"test", test_test, ""},
    {NULL, NULL, NULL},
};
