// Python's operators.
#include <math.h>
#include <string.h>

#include "text/template_run.h"

static const char *operator_name(int op)
{
    switch (op) {
    case '+':
        return "+";
    case '-':
        return "-";
    case '*':
        return "*";
    case '/':
        return "/";
    case '%':
        return "%";
    case TOKEN_FLOOR_DIVIDE:
        return "//";
    default:
        return "**";
    }
}

static tern_status beyond_64_bits(const struct run *run)
{
    return run_fail(run, "an integer beyond 64 bits");
}

// ---- Numbers ----------------------------------------------------------------------------------------------------

static tern_status power_integers(struct run *run, int64_t base, int64_t exponent, struct value *out)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) return run_fail(run, "0 to a negative power");
        *out = value_float(pow((double)base, (double)exponent));
        return TERN_OK;
    }
    while (exponent > 0) {
        if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) return beyond_64_bits(run);
        exponent /= 2;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return beyond_64_bits(run);
    }
    *out = value_integer(result);
    return TERN_OK;
}

// Python rounds quotients down, and a remainder has the sign of the divisor.
static tern_status divide_integers(struct run *run, int op, int64_t a, int64_t b, struct value *out)
{
    if (b == 0) return run_fail(run, "division by zero");
    if (op == '/') return *out = value_float((double)a / (double)b), TERN_OK;
    if (b == -1) {
        if (op == '%') return *out = value_integer(0), TERN_OK;
        if (a == INT64_MIN) return beyond_64_bits(run);
        return *out = value_integer(-a), TERN_OK;
    }
    int64_t quotient = a / b, remainder = a % b;
    if (remainder != 0 && (remainder < 0) != (b < 0)) {
        quotient--;
        remainder += b;
    }
    *out = value_integer(op == '%' ? remainder : quotient);
    return TERN_OK;
}

static tern_status apply_integers(struct run *run, int op, int64_t a, int64_t b, struct value *out)
{
    int64_t result;
    switch (op) {
    case '+':
        if (__builtin_add_overflow(a, b, &result)) return beyond_64_bits(run);
        break;
    case '-':
        if (__builtin_sub_overflow(a, b, &result)) return beyond_64_bits(run);
        break;
    case '*':
        if (__builtin_mul_overflow(a, b, &result)) return beyond_64_bits(run);
        break;
    case TOKEN_POWER:
        return power_integers(run, a, b, out);
    default:
        return divide_integers(run, op, a, b, out);
    }
    *out = value_integer(result);
    return TERN_OK;
}

static double floor_modulo(double a, double b)
{
    double remainder = fmod(a, b);
    if (remainder != 0 && (remainder < 0) != (b < 0)) return remainder + b;
    return remainder == 0 ? copysign(0, b) : remainder;
}

static tern_status power_floats(struct run *run, double a, double b, struct value *out)
{
    if (a == 0 && b < 0) return run_fail(run, "0 to a negative power");
    if (a < 0 && floor(b) != b) return run_fail(run, "a negative number to a fractional power");
    double result = pow(a, b);
    if (isinf(result) && !isinf(a) && !isinf(b)) return run_fail(run, "a power too large for a float");
    *out = value_float(result);
    return TERN_OK;
}

static tern_status apply_floats(struct run *run, int op, double a, double b, struct value *out)
{
    if ((op == '/' || op == '%' || op == TOKEN_FLOOR_DIVIDE) && b == 0) return run_fail(run, "division by zero");
    switch (op) {
    case '+':
        return *out = value_float(a + b), TERN_OK;
    case '-':
        return *out = value_float(a - b), TERN_OK;
    case '*':
        return *out = value_float(a * b), TERN_OK;
    case '/':
        return *out = value_float(a / b), TERN_OK;
    case '%':
        return *out = value_float(floor_modulo(a, b)), TERN_OK;
    case TOKEN_FLOOR_DIVIDE:
        return *out = value_float(floor((a - floor_modulo(a, b)) / b + 0.25)), TERN_OK; // exact but for rounding
    default:
        return power_floats(run, a, b, out);
    }
}

// ---- Strings and lists ------------------------------------------------------------------------------------------

static tern_status join_strings(struct run *run, struct string a, struct string b, struct value *out)
{
    struct builder builder = {0};
    TRY(run_charge(run, a.length + b.length));
    TRY(builder_append(run, &builder, a.data, a.length));
    TRY(builder_append(run, &builder, b.data, b.length));
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status join_lists(struct run *run, struct value a, struct value b, struct value *out)
{
    size_t n = a.list->count, m = b.list->count;
    const struct list *left = a.list, *right = b.list;
    TRY(value_new_list(run, a.kind, n + m, out));
    if (n) memcpy(out->list->items, left->items, n * sizeof *left->items);
    if (m) memcpy(out->list->items + n, right->items, m * sizeof *right->items);
    return TERN_OK;
}

static tern_status too_long(const struct run *run)
{
    return status_fail(TERN_LIMIT, "template line %d: a repetition longer than the memory allowed", run->line);
}

static tern_status repeat_string(struct run *run, struct string text, size_t times, struct value *out)
{
    struct builder builder = {0};
    if (text.length == 0) times = 0;
    if (text.length > 0 && times > run->arena.limit / text.length) return too_long(run);
    TRY(run_charge(run, text.length * times + times));
    for (size_t i = 0; i < times; i++)
        TRY(builder_append(run, &builder, text.data, text.length));
    *out = builder_value(&builder);
    return TERN_OK;
}

static tern_status repeat_list(struct run *run, struct value value, size_t times, struct value *out)
{
    const struct list *list = value.list;
    if (list->count == 0) times = 0;
    if (list->count > 0 && times > run->arena.limit / sizeof *list->items / list->count) return too_long(run);
    TRY(value_new_list(run, value.kind, list->count * times, out));
    for (size_t i = 0; i < out->list->count; i++)
        out->list->items[i] = list->items[i % list->count];
    return TERN_OK;
}

static bool is_integer(struct value value)
{
    return value.kind == VALUE_INTEGER || value.kind == VALUE_BOOLEAN;
}

static tern_status repeat(struct run *run, struct value value, struct value times, struct value *out)
{
    int64_t count = value_as_integer(times);
    if (count < 0) count = 0;
    if (value.kind == VALUE_STRING) return repeat_string(run, value.string, (size_t)count, out);
    return repeat_list(run, value, (size_t)count, out);
}

static bool can_repeat(struct value value)
{
    return value.kind == VALUE_STRING || value_is_list(value);
}

static tern_status percent(struct run *run, struct string format, struct value value, struct value *out)
{
    struct arguments arguments = {.values = &value, .n_values = 1};
    if (value.kind == VALUE_TUPLE) {
        arguments.values = value.list->items;
        arguments.n_values = value.list->count;
    }
    return format_percent(run, format, &arguments, out);
}

tern_status operator_apply(struct run *run, int op, struct value a, struct value b, struct value *out)
{
    if (a.kind == VALUE_UNDEFINED) return run_fail_undefined(run, a);
    if (b.kind == VALUE_UNDEFINED && !(op == '%' && a.kind == VALUE_STRING)) return run_fail_undefined(run, b);
    if (is_integer(a) && is_integer(b)) return apply_integers(run, op, value_as_integer(a), value_as_integer(b), out);
    if (value_is_number(a) && value_is_number(b))
        return apply_floats(run, op, value_as_float(a), value_as_float(b), out);
    if (op == '+' && a.kind == VALUE_STRING && b.kind == VALUE_STRING)
        return join_strings(run, a.string, b.string, out);
    if (op == '+' && value_is_list(a) && a.kind == b.kind) return join_lists(run, a, b, out);
    if (op == '*' && can_repeat(a) && is_integer(b)) return repeat(run, a, b, out);
    if (op == '*' && is_integer(a) && can_repeat(b)) return repeat(run, b, a, out);
    if (op == '%' && a.kind == VALUE_STRING) return percent(run, a.string, b, out);
    return run_fail(run, "'%s' between '%s' and '%s'", operator_name(op), value_type(a), value_type(b));
}

// ---- Comparisons ------------------------------------------------------------------------------------------------

static tern_status compare_order(struct run *run, int op, struct value a, struct value b, bool *out)
{
    int order;
    if (a.kind == VALUE_UNDEFINED) return run_fail_undefined(run, a);
    if (b.kind == VALUE_UNDEFINED) return run_fail_undefined(run, b);
    TRY(value_order(run, a, b, &order));
    bool less = order == -1, greater = order == 1, equal = order == 0;
    *out = op == '<' ? less : op == '>' ? greater : op == TOKEN_LESS_EQUAL ? less || equal : greater || equal;
    return TERN_OK;
}

tern_status operator_compare(struct run *run, int op, struct value a, struct value b, bool *out)
{
    TRY(run_charge(run, 0));
    switch (op) {
    case TOKEN_EQUAL:
        return value_equal(run, a, b, out);
    case TOKEN_NOT_EQUAL:
        TRY(value_equal(run, a, b, out));
        break;
    case OPERATOR_IN:
        return value_contains(run, b, a, out);
    case OPERATOR_NOT_IN:
        TRY(value_contains(run, b, a, out));
        break;
    default:
        return compare_order(run, op, a, b, out);
    }
    *out = !*out;
    return TERN_OK;
}
