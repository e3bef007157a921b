// Keywords of a schema that hold at once, put together.
#include <string.h>

#include "text/constraint_schema.h"

typedef tern_status (*keyword_reader)(struct schema_compiler *c, const struct json *value, struct facts *f);

// ---- Values of keywords ---------------------------------------------------------------------------------------------

// A whole number of at least 0, at most GRAMMAR_MAX_REPEAT: a larger one is that.
static tern_status read_size(struct schema_compiler *c, const struct json *value, uint32_t *out)
{
    struct decimal number;
    if (value->kind != JSON_NUMBER) return schema_invalid(value, "a whole number");
    tern_status status = decimal_read(c->arena, value->text, value->length, &number);
    if (status != TERN_OK) return status_prefix(status, "schema, %s: ", json_where(value).text);
    if (number.negative || !decimal_is_whole(&number)) return schema_invalid(value, "a whole number of at least 0");
    *out = 0;
    for (size_t i = 0; i < number.n_whole; i++) {
        *out = *out > GRAMMAR_MAX_REPEAT ? *out : *out * 10 + (uint32_t)(number.whole[i] - '0');
    }
    return TERN_OK;
}

static tern_status read_least(struct schema_compiler *c, const struct json *value, uint32_t *least)
{
    uint32_t size;
    TRY(read_size(c, value, &size));
    if (size > GRAMMAR_MAX_REPEAT)
        return status_fail(TERN_LIMIT, "schema, %s: more than %d", json_where(value).text, GRAMMAR_MAX_REPEAT);
    if (size > *least) *least = size;
    return TERN_OK;
}

// An upper bound beyond what is counted is none.
static tern_status read_most(struct schema_compiler *c, const struct json *value, uint32_t *most)
{
    uint32_t size;
    TRY(read_size(c, value, &size));
    if (size <= GRAMMAR_MAX_REPEAT && size < *most) *most = size;
    return TERN_OK;
}

static tern_status read_number(struct schema_compiler *c, const struct json *value, struct decimal *out)
{
    if (value->kind != JSON_NUMBER) return schema_invalid(value, "a number");
    tern_status status = decimal_read(c->arena, value->text, value->length, out);
    return status == TERN_OK ? status : status_prefix(status, "schema, %s: ", json_where(value).text);
}

static tern_status too_many(const struct json *value)
{
    return status_fail(TERN_LIMIT, "schema, %s: more than %d such keywords for one value", json_where(value).text,
                       MAX_LISTS);
}

// ---- Any type -------------------------------------------------------------------------------------------------------

static unsigned type_of_name(const struct json *name)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (json_is(name, types[i].name)) return types[i].type;
    }
    return 0;
}

static tern_status read_types(const struct json *value, unsigned *types)
{
    static const char names[] = "a type (null, boolean, integer, number, string, array, object) or a list of some";
    *types = type_of_name(value);
    for (const struct json *name = value->kind == JSON_ARRAY ? value->first : NULL; name; name = name->next) {
        unsigned type = type_of_name(name);
        if (!type) return schema_invalid(name, names);
        *types |= type;
    }
    return *types ? TERN_OK : schema_invalid(value, names);
}

static tern_status read_type(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    unsigned types;
    (void)c;
    TRY(read_types(value, &types));
    f->types &= types;
    f->typed = true;
    return TERN_OK;
}

static tern_status add_values(const struct json *value, bool is_const, struct facts *f)
{
    if (!is_const && value->kind != JSON_ARRAY) return schema_invalid(value, "a list of values");
    if (f->n_values == MAX_LISTS) return too_many(value);
    f->is_const[f->n_values] = is_const;
    f->values[f->n_values++] = value;
    return TERN_OK;
}

static tern_status read_enum(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c;
    return add_values(value, false, f);
}

static tern_status read_const(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c;
    return add_values(value, true, f);
}

static bool is_annotation(const char *key, size_t length);

// `not` is understood where it takes types or listed values away.
static tern_status read_not(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    static const char why[] = "`not` is supported with type, enum or const alone";
    (void)c;
    if (value->kind == JSON_FALSE) return TERN_OK;
    const struct json *found = NULL;
    for (const struct json *m = value->kind == JSON_OBJECT ? value->first : NULL; m; m = m->next) {
        if (is_annotation(m->key, m->key_length)) continue;
        if (found) return schema_unsupported(value, why);
        found = m;
    }
    if (!found) return f->types = 0, TERN_OK;
    if (json_same_text(found->key, found->key_length, "type", 4)) {
        unsigned types;
        TRY(read_types(found, &types));
        if ((types & TYPE_NUMBER) == TYPE_INTEGER)
            return schema_unsupported(value, "`not` an integer is not supported");
        f->types &= ~types;
        return TERN_OK;
    }
    bool is_const = json_same_text(found->key, found->key_length, "const", 5);
    if (!is_const && !json_same_text(found->key, found->key_length, "enum", 4)) return schema_unsupported(value, why);
    if (!is_const && found->kind != JSON_ARRAY) return schema_invalid(found, "a list of values");
    if (f->n_excluded == MAX_LISTS) return too_many(found);
    f->is_excluded_const[f->n_excluded] = is_const;
    f->excluded[f->n_excluded++] = found;
    return TERN_OK;
}

// ---- Numbers --------------------------------------------------------------------------------------------------------

static void raise_low(struct facts *f, const struct decimal *bound, bool above)
{
    int order = f->bounds.low ? decimal_compare(bound, f->bounds.low) : 1;
    if (order < 0) return;
    f->bounds.above = above || (order == 0 && f->bounds.above);
    f->low = *bound;
    f->bounds.low = &f->low;
}

static void lower_high(struct facts *f, const struct decimal *bound, bool below)
{
    int order = f->bounds.high ? decimal_compare(bound, f->bounds.high) : -1;
    if (order > 0) return;
    f->bounds.below = below || (order == 0 && f->bounds.below);
    f->high = *bound;
    f->bounds.high = &f->high;
}

static bool is_exclusive(const struct json *bound, const char *keyword)
{
    const struct json *flag = json_get(bound->parent, keyword); // draft 4 had true and false here
    return flag && flag->kind == JSON_TRUE;
}

static tern_status read_minimum(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    struct decimal bound;
    TRY(read_number(c, value, &bound));
    raise_low(f, &bound, is_exclusive(value, "exclusiveMinimum"));
    return TERN_OK;
}

static tern_status read_maximum(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    struct decimal bound;
    TRY(read_number(c, value, &bound));
    lower_high(f, &bound, is_exclusive(value, "exclusiveMaximum"));
    return TERN_OK;
}

static tern_status read_above(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    struct decimal bound;
    if (value->kind == JSON_TRUE || value->kind == JSON_FALSE) return TERN_OK;
    TRY(read_number(c, value, &bound));
    raise_low(f, &bound, true);
    return TERN_OK;
}

static tern_status read_below(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    struct decimal bound;
    if (value->kind == JSON_TRUE || value->kind == JSON_FALSE) return TERN_OK;
    TRY(read_number(c, value, &bound));
    lower_high(f, &bound, true);
    return TERN_OK;
}

static tern_status read_multiple(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    struct decimal number;
    uint32_t divisor = 0;
    TRY(read_number(c, value, &number));
    if (number.negative || (number.n_whole == 0 && number.n_fraction == 0))
        return schema_invalid(value, "a number above 0");
    if (!decimal_is_whole(&number) || number.n_whole > 5)
        return schema_unsupported(value, "multipleOf is supported with whole numbers up to 20000");
    for (size_t i = 0; i < number.n_whole; i++) {
        divisor = divisor * 10 + (uint32_t)(number.whole[i] - '0');
    }
    if (f->n_divisors == MAX_LISTS) return too_many(value);
    f->divisors_at = value;
    f->divisors[f->n_divisors++] = divisor;
    return TERN_OK;
}

// ---- Strings --------------------------------------------------------------------------------------------------------

static tern_status read_min_length(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    return read_least(c, value, &f->min_length);
}

static tern_status read_max_length(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    return read_most(c, value, &f->max_length);
}

static tern_status add_pattern(const struct json *value, const struct regular *pattern, struct facts *f)
{
    if (f->n_patterns == MAX_LISTS) return too_many(value);
    f->patterns[f->n_patterns++] = pattern;
    return TERN_OK;
}

static tern_status read_pattern(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    const struct regular *pattern;
    if (value->kind != JSON_STRING) return schema_invalid(value, "a string");
    TRY(schema_pattern(c, value, value->text, value->length, f->widest, &pattern));
    return add_pattern(value, pattern, f);
}

// OpenAPI's. All integers that are written fit 64 bits, unless a bound is beyond them.
static void read_int64(struct facts *f)
{
    f->hinted |= TYPE_NUMBER;
    if (!f->widest) f->types &= ~(unsigned)TYPE_FRACTION;
}

static void read_int32(struct facts *f)
{
    static const struct decimal least = {.whole = "2147483648", .fraction = "", .n_whole = 10, .negative = true};
    static const struct decimal most = {.whole = "2147483647", .fraction = "", .n_whole = 10};
    read_int64(f);
    if (f->widest) return;
    raise_low(f, &least, false);
    lower_high(f, &most, false);
}

// To most validators a format is a remark: nothing that is valid is left out by it.
static tern_status read_format(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    const struct regular *pattern;
    if (value->kind != JSON_STRING) return schema_invalid(value, "a string");
    if (json_is(value, "int32")) return read_int32(f), TERN_OK;
    if (json_is(value, "int64")) return read_int64(f), TERN_OK;
    if (json_is(value, "float") || json_is(value, "double"))
        return f->hinted |= TYPE_NUMBER, TERN_OK; // all numbers that are written fit them
    TRY(schema_format(c, value, &pattern));
    f->hinted |= TYPE_STRING;
    return pattern && !f->widest ? add_pattern(value, pattern, f) : TERN_OK;
}

tern_status schema_pattern(struct schema_compiler *c, const struct json *where, const char *text, size_t length,
                           bool widest, const struct regular **out)
{
    struct regular *compiled;
    *out = c->patterns[widest][where->number];
    if (*out) return TERN_OK;
    TRY(arena_alloc(c->arena, 1, sizeof *compiled, &compiled));
    tern_status status = regex_compile(c->arena, text, length, widest, compiled);
    if (status != TERN_OK) return status_prefix(status, "schema, %s: ", json_where(where).text);
    *out = c->patterns[widest][where->number] = compiled;
    return TERN_OK;
}

// ---- Arrays ---------------------------------------------------------------------------------------------------------

static tern_status check_schema(const struct json *value)
{
    bool is_schema = value->kind == JSON_OBJECT || value->kind == JSON_TRUE || value->kind == JSON_FALSE;
    return is_schema ? TERN_OK : schema_invalid(value, "a schema (an object, true or false)");
}

static tern_status check_schemas(const struct json *value, enum json_kind kind, const char *what)
{
    if (value->kind != kind) return schema_invalid(value, what);
    for (const struct json *schema = value->first; schema; schema = schema->next) {
        TRY(check_schema(schema));
    }
    return TERN_OK;
}

static tern_status read_items(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    return value->kind == JSON_ARRAY ? check_schemas(value, JSON_ARRAY, "") : check_schema(value);
}

static tern_status read_prefix_items(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    return check_schemas(value, JSON_ARRAY, "a list of schemas");
}

static tern_status read_one_schema(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    return check_schema(value);
}

static tern_status read_min_items(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    return read_least(c, value, &f->min_items);
}

static tern_status read_max_items(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    return read_most(c, value, &f->max_items);
}

static tern_status read_unique(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c;
    if (value->kind != JSON_TRUE && value->kind != JSON_FALSE) return schema_invalid(value, "true or false");
    if (value->kind == JSON_TRUE) f->unique = value;
    return TERN_OK;
}

// ---- Objects --------------------------------------------------------------------------------------------------------

static tern_status read_schemas_by_name(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    return check_schemas(value, JSON_OBJECT, "an object of schemas");
}

static tern_status read_required(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    if (value->kind != JSON_ARRAY) return schema_invalid(value, "a list of names");
    for (const struct json *name = value->first; name; name = name->next) {
        if (name->kind != JSON_STRING) return schema_invalid(name, "a string");
    }
    return TERN_OK;
}

static tern_status read_min_members(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    f->min_members_at = value;
    return read_least(c, value, &f->min_members);
}

static tern_status read_max_members(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    return read_most(c, value, &f->max_members);
}

// Only what is written beside it is looked at: then it says the same as additionalProperties.
static tern_status read_unevaluated(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    static const char *const combining[] = {"$ref", "allOf", "anyOf", "oneOf"};
    (void)c, (void)f;
    if (value->kind == JSON_TRUE) return TERN_OK;
    for (size_t i = 0; i < sizeof combining / sizeof combining[0]; i++) {
        if (json_get(value->parent, combining[i]))
            return schema_unsupported(value, "this keyword is not supported beside $ref, allOf, anyOf or oneOf");
    }
    return check_schema(value);
}

// ---- The table ------------------------------------------------------------------------------------------------------

// What does not bear on validity. (nullable is OpenAPI's: an answer that is not null is valid with it and without.)
static tern_status pass_over(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)value, (void)f;
    return TERN_OK;
}

static tern_status refuse(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)c, (void)f;
    return schema_unsupported(value, "this keyword is not supported");
}

// Without an `if` these say nothing, and without `then` and `else` an `if` says nothing.
static tern_status read_condition(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    const struct json *schema = value->parent;
    bool complete = json_get(schema, "if") && (json_get(schema, "then") || json_get(schema, "else"));
    return complete ? refuse(c, value, f) : TERN_OK;
}

// $id of an inner schema changes what $ref means there.
static tern_status read_id(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    (void)f;
    return value->parent == c->root ? TERN_OK
                                    : schema_unsupported(value, "$id is supported in the outermost schema only");
}

static const struct keyword {
    const char *name;
    keyword_reader read; // NULL: it was read by schema_expand()
    unsigned type;       // that it speaks of
} keywords[] = {
    {"$anchor", pass_over, 0},
    {"$comment", pass_over, 0},
    {"$defs", read_schemas_by_name, 0},
    {"$dynamicRef", refuse, 0},
    {"$id", read_id, 0},
    {"$recursiveRef", refuse, 0},
    {"$ref", NULL, 0},
    {"$schema", pass_over, 0},
    {"$vocabulary", pass_over, 0},
    {"additionalItems", read_one_schema, TYPE_ARRAY},
    {"additionalProperties", read_one_schema, TYPE_OBJECT},
    {"allOf", NULL, 0},
    {"anyOf", NULL, 0},
    {"const", read_const, 0},
    {"contains", refuse, 0},
    {"contentEncoding", pass_over, 0},
    {"contentMediaType", pass_over, 0},
    {"contentSchema", pass_over, 0},
    {"default", pass_over, 0},
    {"definitions", read_schemas_by_name, 0},
    {"dependencies", refuse, 0},
    {"dependentRequired", refuse, 0},
    {"dependentSchemas", refuse, 0},
    {"deprecated", pass_over, 0},
    {"description", pass_over, 0},
    {"discriminator", pass_over, 0},
    {"else", read_condition, 0},
    {"enum", read_enum, 0},
    {"example", pass_over, 0},
    {"examples", pass_over, 0},
    {"exclusiveMaximum", read_below, TYPE_NUMBER},
    {"exclusiveMinimum", read_above, TYPE_NUMBER},
    {"externalDocs", pass_over, 0},
    {"format", read_format, 0},
    {"id", read_id, 0}, // $id in draft 4
    {"if", read_condition, 0},
    {"items", read_items, TYPE_ARRAY},
    {"maxContains", refuse, 0},
    {"maxItems", read_max_items, TYPE_ARRAY},
    {"maxLength", read_max_length, TYPE_STRING},
    {"maxProperties", read_max_members, TYPE_OBJECT},
    {"maximum", read_maximum, TYPE_NUMBER},
    {"minContains", refuse, 0},
    {"minItems", read_min_items, TYPE_ARRAY},
    {"minLength", read_min_length, TYPE_STRING},
    {"minProperties", read_min_members, TYPE_OBJECT},
    {"minimum", read_minimum, TYPE_NUMBER},
    {"multipleOf", read_multiple, TYPE_NUMBER},
    {"not", read_not, 0},
    {"nullable", pass_over, 0},
    {"oneOf", NULL, 0},
    {"pattern", read_pattern, TYPE_STRING},
    {"patternProperties", read_schemas_by_name, TYPE_OBJECT},
    {"prefixItems", read_prefix_items, TYPE_ARRAY},
    {"properties", read_schemas_by_name, TYPE_OBJECT},
    {"propertyNames", read_one_schema, TYPE_OBJECT},
    {"readOnly", pass_over, 0},
    {"required", read_required, TYPE_OBJECT},
    {"strict", pass_over, 0},
    {"then", read_condition, 0},
    {"title", pass_over, 0},
    {"type", read_type, 0},
    {"unevaluatedItems", refuse, 0},
    {"unevaluatedProperties", read_unevaluated, TYPE_OBJECT},
    {"uniqueItems", read_unique, TYPE_ARRAY},
    {"writeOnly", pass_over, 0},
    {"xml", pass_over, 0},
};

static const struct keyword *find_keyword(const char *key, size_t length)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (json_same_text(keywords[i].name, strlen(keywords[i].name), key, length)) return &keywords[i];
    }
    return NULL;
}

static bool is_annotation(const char *key, size_t length)
{
    const struct keyword *keyword = find_keyword(key, length);
    return keyword ? keyword->read == pass_over : length > 1 && memcmp(key, "x-", 2) == 0;
}

static tern_status read_keyword(struct schema_compiler *c, const struct json *value, struct facts *f)
{
    const struct keyword *keyword = find_keyword(value->key, value->key_length);
    if (!keyword)
        return is_annotation(value->key, value->key_length)
                   ? TERN_OK
                   : schema_unsupported(value, "this keyword is unknown (names that begin with x- are let pass)");
    f->hinted |= keyword->type;
    return keyword->read ? keyword->read(c, value, f) : TERN_OK;
}

// Keywords that speak of objects only, say, let anything pass that is no object: hardly what was meant.
unsigned schema_written_types(const struct facts *f)
{
    bool decided = f->typed || f->n_values > 0 || !f->hinted;
    return decided ? f->types : f->types & f->hinted;
}

// Whether more types might be written by what is left out.
static bool is_more_than_ref(const struct json *schema)
{
    for (const struct json *m = schema->first; m; m = m->next) {
        bool is_ref = json_same_text(m->key, m->key_length, "$ref", 4);
        if (!is_ref && !is_annotation(m->key, m->key_length)) return true;
    }
    return false;
}

tern_status schema_read_facts(struct schema_compiler *c, const struct schema_set *set, bool widest, struct facts *f)
{
    *f = (struct facts){
        .types = TYPE_ANY, .max_length = GRAMMAR_MANY, .max_items = GRAMMAR_MANY, .max_members = GRAMMAR_MANY};
    f->widest = widest;
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].part == SCHEMA_LEFT_OUT && is_more_than_ref(set->items[i].schema)) f->hinted = TYPE_ANY;
        if (set->items[i].part == SCHEMA_LEFT_OUT) continue;
        TRY(schema_set_add(c, &f->keywords, set->items[i].schema, set->items[i].part));
        for (const struct json *m = set->items[i].schema->first; m; m = m->next) {
            TRY(read_keyword(c, m, f));
        }
    }
    if (!widest) f->types = schema_written_types(f);
    return TERN_OK;
}
