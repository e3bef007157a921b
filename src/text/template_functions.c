// The functions that templates find without asking, and the methods of dicts, lists and loops.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text/template_run.h"

// ---- Functions --------------------------------------------------------------------------------------------------

enum { LONGEST_RANGE = 100000 }; // Jinja's sandbox has the same bound

// How many numbers start, start + step, ... there are before stop; -1 if too many.
static int64_t range_count(int64_t start, int64_t stop, int64_t step)
{
    int64_t distance;
    if (step > 0 ? start >= stop : start <= stop) return 0;
    if (__builtin_sub_overflow(step > 0 ? stop : start, step > 0 ? start : stop, &distance)) return -1;
    if (step == INT64_MIN) return 1;
    int64_t stride = step > 0 ? step : -step, count = (distance - 1) / stride + 1;
    return count > LONGEST_RANGE ? -1 : count;
}

static tern_status range_label(struct run *run, const int64_t bounds[3], const char **out)
{
    char text[96];
    int length = bounds[2] == 1
                     ? snprintf(text, sizeof text, "range(%lld, %lld)", (long long)bounds[0], (long long)bounds[1])
                     : snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)bounds[0],
                                (long long)bounds[1], (long long)bounds[2]);
    struct value copy;
    TRY(value_copy_string(run, text, (size_t)length + 1, &copy));
    *out = copy.string.data;
    return TERN_OK;
}

static tern_status function_range(struct run *run, const struct call *call, struct value *out)
{
    int64_t bounds[3] = {0, 0, 1};
    bool one = call->argument[1].kind == VALUE_MISSING;
    TRY(argument_integer(run, call->argument[0], "range: a bound", &bounds[one ? 1 : 0]));
    if (!one) TRY(argument_integer(run, call->argument[1], "range: a bound", &bounds[1]));
    if (call->argument[2].kind != VALUE_MISSING)
        TRY(argument_integer(run, call->argument[2], "range: step", &bounds[2]));
    if (bounds[2] == 0) return run_fail(run, "range: the step cannot be zero");
    int64_t count = range_count(bounds[0], bounds[1], bounds[2]);
    if (count < 0) return run_fail(run, "range: more than %d numbers", LONGEST_RANGE);
    TRY(value_new_list(run, VALUE_RANGE, (size_t)count, out));
    for (int64_t i = 0; i < count; i++)
        out->list->items[i] = value_integer(bounds[0] + i * bounds[2]);
    return range_label(run, bounds, &out->list->label);
}

static tern_status set_pairs(struct run *run, struct value source, struct dict *dict)
{
    const struct value *pairs, *pair;
    size_t n_pairs, n;
    if (source.kind == VALUE_DICT) {
        for (size_t i = 0; i < source.dict->count; i++)
            TRY(dict_set(run, dict, source.dict->entries[i].key, source.dict->entries[i].value));
        return TERN_OK;
    }
    TRY(value_items(run, source, &pairs, &n_pairs));
    for (size_t i = 0; i < n_pairs; i++) {
        TRY(value_items(run, pairs[i], &pair, &n));
        if (n != 2) return run_fail(run, "dict: an item of length %zu, not 2", n);
        TRY(dict_set(run, dict, pair[0], pair[1]));
    }
    return TERN_OK;
}

static tern_status new_dict(struct run *run, const struct call *call, enum value_kind kind, struct value *out)
{
    const struct arguments *all = call->all;
    if (all->n_values > 1) return run_fail(run, "dict: %zu arguments, at most 1 is taken", all->n_values);
    TRY(value_new_dict(run, kind, out));
    if (all->n_values == 1) TRY(set_pairs(run, all->values[0], out->dict));
    for (size_t i = 0; i < all->n_keywords; i++) {
        struct string name = all->keywords[i].name;
        TRY(dict_set(run, out->dict, value_string(name.data, name.length), all->keywords[i].value));
    }
    return TERN_OK;
}

static tern_status function_dict(struct run *run, const struct call *call, struct value *out)
{
    return new_dict(run, call, VALUE_DICT, out);
}

static tern_status function_namespace(struct run *run, const struct call *call, struct value *out)
{
    TRY(new_dict(run, call, VALUE_NAMESPACE, out));
    for (size_t i = 0; i < out->dict->count; i++) {
        struct value key = out->dict->entries[i].key;
        if (key.kind == VALUE_STRING && key.string.length > 0 && key.string.data[0] == '_')
            return run_fail(run, "a namespace's attributes may not begin with '_'");
    }
    return TERN_OK;
}

static tern_status function_raise(struct run *run, const struct call *call, struct value *out)
{
    struct string message;
    (void)out;
    TRY(value_to_string(run, call->argument[0], &message));
    int shown = message.length < STATUS_MESSAGE_BYTES ? (int)message.length : STATUS_MESSAGE_BYTES;
    return run_fail(run, "%.*s", shown, message.data);
}

static tern_status function_strftime(struct run *run, const struct call *call, struct value *out)
{
    char format[256], text[1024];
    struct string wanted;
    struct tm parts;
    time_t now = (time_t)run->now;
    TRY(argument_string(run, call->argument[0], "strftime_now: the format", &wanted));
    if (wanted.length >= sizeof format) return run_fail(run, "strftime_now: a format of more than 255 bytes");
    memcpy(format, wanted.data, wanted.length);
    format[wanted.length] = '\0';
    if (!gmtime_r(&now, &parts)) return run_fail(run, "strftime_now: no date for %lld", (long long)run->now);
    size_t length = strftime(text, sizeof text, format, &parts);
    return value_copy_string(run, text, length, out);
}

const struct builtin template_functions[] = {
    {"range", function_range, "start | stop step"}, {"dict", function_dict, NULL},
    {"namespace", function_namespace, NULL},        {"raise_exception", function_raise, "message"},
    {"strftime_now", function_strftime, "format"},  {NULL, NULL, NULL},
};

// ---- Dicts ------------------------------------------------------------------------------------------------------

static tern_status new_view(struct run *run, const struct dict *dict, const char *label, struct value *out)
{
    TRY(value_new_list(run, VALUE_VIEW, dict->count, out));
    out->list->label = label;
    return TERN_OK;
}

static tern_status method_keys(struct run *run, const struct call *call, struct value *out)
{
    const struct dict *dict = call->self.dict;
    TRY(new_view(run, dict, "dict_keys", out));
    for (size_t i = 0; i < dict->count; i++)
        out->list->items[i] = dict->entries[i].key;
    return TERN_OK;
}

static tern_status method_values(struct run *run, const struct call *call, struct value *out)
{
    const struct dict *dict = call->self.dict;
    TRY(new_view(run, dict, "dict_values", out));
    for (size_t i = 0; i < dict->count; i++)
        out->list->items[i] = dict->entries[i].value;
    return TERN_OK;
}

static tern_status method_items(struct run *run, const struct call *call, struct value *out)
{
    const struct dict *dict = call->self.dict;
    TRY(new_view(run, dict, "dict_items", out));
    for (size_t i = 0; i < dict->count; i++) {
        struct value *pair = &out->list->items[i];
        TRY(value_new_list(run, VALUE_TUPLE, 2, pair));
        pair->list->items[0] = dict->entries[i].key;
        pair->list->items[1] = dict->entries[i].value;
    }
    return TERN_OK;
}

static tern_status method_get(struct run *run, const struct call *call, struct value *out)
{
    struct value *found;
    TRY(dict_find(run, call->self.dict, call->argument[0], &found));
    *out = found ? *found : call->argument[1].kind == VALUE_MISSING ? value_none() : call->argument[1];
    return TERN_OK;
}

// Values never change, so a copy is the value itself.
static tern_status method_copy(struct run *run, const struct call *call, struct value *out)
{
    (void)run;
    *out = call->self;
    return TERN_OK;
}

const struct builtin template_dict_methods[] = {
    {"keys", method_keys, ""},   {"values", method_values, ""},
    {"items", method_items, ""}, {"get", method_get, "key | default"},
    {"copy", method_copy, ""},   {NULL, NULL, NULL},
};

// ---- Lists ------------------------------------------------------------------------------------------------------

static tern_status method_list_count(struct run *run, const struct call *call, struct value *out)
{
    int64_t count = 0;
    for (size_t i = 0; i < call->self.list->count; i++) {
        bool equal;
        TRY(run_charge(run, 0));
        TRY(value_equal(run, call->self.list->items[i], call->argument[0], &equal));
        count += equal;
    }
    *out = value_integer(count);
    return TERN_OK;
}

static tern_status method_list_index(struct run *run, const struct call *call, struct value *out)
{
    for (size_t i = 0; i < call->self.list->count; i++) {
        bool equal;
        TRY(run_charge(run, 0));
        TRY(value_equal(run, call->self.list->items[i], call->argument[0], &equal));
        if (equal) return *out = value_integer((int64_t)i), TERN_OK;
    }
    return run_fail(run, "index: the value is not in the list");
}

const struct builtin template_list_methods[] = {
    {"count", method_list_count, "value"},
    {"index", method_list_index, "value"},
    {"copy", method_copy, ""},
    {NULL, NULL, NULL},
};

// ---- Loops ------------------------------------------------------------------------------------------------------

static tern_status method_cycle(struct run *run, const struct call *call, struct value *out)
{
    if (call->all->n_values == 0) return run_fail(run, "loop.cycle: no values");
    *out = call->all->values[call->self.loop->index % call->all->n_values];
    return TERN_OK;
}

static tern_status method_changed(struct run *run, const struct call *call, struct value *out)
{
    struct value now;
    bool equal = false;
    TRY(value_new_list(run, VALUE_TUPLE, call->all->n_values, &now));
    if (call->all->n_values > 0) memcpy(now.list->items, call->all->values, call->all->n_values * sizeof now);
    if (call->self.loop->changed.kind != VALUE_MISSING) TRY(value_equal(run, now, call->self.loop->changed, &equal));
    call->self.loop->changed = now;
    *out = value_boolean(!equal);
    return TERN_OK;
}

const struct builtin template_loop_methods[] = {
    {"cycle", method_cycle, NULL},
    {"changed", method_changed, NULL},
    {NULL, NULL, NULL},
};
