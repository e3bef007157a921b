// JSON Schema to a grammar. A value is described by a set of schemas, all of which hold for it: $ref and allOf add to
// the set, anyOf and oneOf make several sets of one, and what is then left of each schema is keywords that can be put
// together (facts). Each set becomes a rule.
#ifndef TEXT_CONSTRAINT_SCHEMA_H
#define TEXT_CONSTRAINT_SCHEMA_H

#include "text/constraint.h"
#include "text/constraint_decimal.h"
#include "text/constraint_grammar.h"
#include "text/constraint_json.h"
#include "text/constraint_regex.h"

// ---- Sets of schemas ------------------------------------------------------------------------------------------------

enum schema_part {
    SCHEMA_WHOLE,
    SCHEMA_KEYWORDS, // without $ref, allOf, anyOf, oneOf
    SCHEMA_ANY_OF,
    SCHEMA_ONE_OF,
    SCHEMA_LEFT_OUT, // it counts to some validators only
};

struct schema_item {
    const struct json *schema;
    enum schema_part part;
};

struct schema_set {
    struct schema_item *items; // [count] ascending and each once, after schema_set_sort()
    size_t count, room;
};

struct schema_rule {
    struct schema_set set;
    uint32_t rule;
};

// Strings of one pattern whose characters are counted, as a rule: they may have many states, and come often.
struct schema_counted {
    const struct regular *pattern;
    uint32_t min, max, rule;
};

enum { SCHEMA_FORMATS = 15, SCHEMA_COUNTED = 64 };

struct schema_compiler {
    struct arena *arena;
    struct grammar *g;
    const struct json *root;
    bool compact;              // no whitespace
    struct schema_rule *rules; // [n_rules] in the order of their making
    uint32_t *table;           // hash table of sets: rule + 1, 0: empty
    size_t n_rules, n_done, rules_room, table_room;
    const struct regular **patterns[2]; // [n_values] compiled, by the number of the JSON value: as written, and widest
    uint32_t n_values;
    const struct regular *formats[SCHEMA_FORMATS]; // NULL: not needed yet
    struct schema_counted counted[SCHEMA_COUNTED]; // [n_counted] the first ones
    size_t n_counted;
    struct regular any_string;                    // n_states 0: not needed yet
    uint32_t string_rule, character, blank_lines; // GRAMMAR_NONE: not needed yet
};

tern_status schema_set_add(struct schema_compiler *c, struct schema_set *set, const struct json *schema,
                           enum schema_part part);
tern_status schema_set_add_all(struct schema_compiler *c, struct schema_set *set, const struct schema_set *more);

// Follows $ref and allOf until only keywords and choices are left. *impossible: `false` is among them. widest: what
// does not count to all validators is left out.
tern_status schema_expand(struct schema_compiler *c, const struct schema_set *set, bool widest, struct schema_set *out,
                          bool *impossible);
// The first anyOf or oneOf in an expanded set; NULL if there is none.
const struct schema_item *schema_choice(const struct schema_set *set);
const struct json *schema_choice_branches(const struct schema_item *choice);
// The set with one branch of the choice in its place.
tern_status schema_choose(struct schema_compiler *c, const struct schema_set *set, const struct schema_item *choice,
                          const struct json *branch, struct schema_set *out);

// The grammar rule of a set: its node is made later.
tern_status schema_rule(struct schema_compiler *c, const struct schema_set *set, uint32_t *rule);

tern_status schema_unsupported(const struct json *where, const char *why);
tern_status schema_invalid(const struct json *where, const char *expected);

// What a JSON pointer or an anchor of the schema names.
tern_status schema_resolve(struct schema_compiler *c, const struct json *ref, const struct json **out);

// ---- Facts ----------------------------------------------------------------------------------------------------------

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_FRACTION = 8, // numbers that may be no integers
    TYPE_NUMBER = 12,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127,
};

enum { MAX_LISTS = 16 }; // enum, pattern, multipleOf: so many at once

struct facts {
    struct schema_set keywords; // where they come from: all SCHEMA_KEYWORDS of objects
    bool widest;                // what any validator accepts, not only what is written
    unsigned types, hinted;     // allowed; those that keywords speak of
    bool typed;                 // by `type`, not only by the keywords that there are

    const struct json *values[MAX_LISTS]; // [n_values] each an enum's array or a const's value
    bool is_const[MAX_LISTS];
    const struct json *excluded[MAX_LISTS]; // [n_excluded] the same, of `not`
    bool is_excluded_const[MAX_LISTS];
    size_t n_values, n_excluded;

    struct decimal low, high;
    struct number_bounds bounds; // of which low and high point here
    uint32_t divisors[MAX_LISTS];
    size_t n_divisors;
    const struct json *divisors_at;

    uint32_t min_length, max_length; // in characters; GRAMMAR_MANY: no bound
    const struct regular *patterns[MAX_LISTS];
    size_t n_patterns;

    uint32_t min_items, max_items;
    const struct json *unique; // uniqueItems: true

    uint32_t min_members, max_members;
    const struct json *min_members_at;
};

// Puts the keywords of an expanded set without choices together: what is written for them or, if `widest` is set, what
// any validator accepts. `f` must not be copied.
tern_status schema_read_facts(struct schema_compiler *c, const struct schema_set *set, bool widest, struct facts *f);
unsigned schema_written_types(const struct facts *f); // keywords decide where no `type` does

// The value of a key, or of an item, by all schemas at once.
tern_status schema_member_set(struct schema_compiler *c, const struct facts *f, const char *key, size_t length,
                              struct schema_set *out);
tern_status schema_item_set(struct schema_compiler *c, const struct facts *f, uint32_t index, struct schema_set *out);
bool schema_describes_items(const struct facts *f);                 // those behind a prefix
uint32_t schema_prefix_count(const struct facts *f);                // items from this one on are described alike
const struct json *schema_other_members(const struct json *schema); // additionalProperties; NULL: anything

// The text of a regular expression that belongs to the value `where`, compiled once. `widest` as in regex_compile().
tern_status schema_pattern(struct schema_compiler *c, const struct json *where, const char *text, size_t length,
                           bool widest, const struct regular **out);
// Errors: UNSUPPORTED for a format that is not known, naming the known ones.
tern_status schema_format(struct schema_compiler *c, const struct json *format, const struct regular **out);

// ---- Languages ------------------------------------------------------------------------------------------------------

tern_status schema_any_string(struct schema_compiler *c, struct regular *out); // bodies of all strings
// Bodies of strings, and texts of numbers, that the facts allow.
tern_status schema_strings(struct schema_compiler *c, const struct facts *f, struct regular *out);
tern_status schema_numbers(struct schema_compiler *c, const struct facts *f, struct regular *out);
// Bodies of all strings that the set allows (propertyNames).
tern_status schema_set_strings(struct schema_compiler *c, const struct schema_set *set, int depth, struct regular *out);

// Values that enum and const leave: *list is [*count].
tern_status schema_list_values(struct schema_compiler *c, const struct facts *f, const struct json ***list,
                               size_t *count);
// Text that is the same for equal values, and for no others.
tern_status schema_canonical(struct schema_compiler *c, const struct json *value, struct buffer *out);

// Whether it is certain that no value fits both. False: it could not be shown.
tern_status schema_disjoint(struct schema_compiler *c, const struct schema_set *a, const struct schema_set *b,
                            int depth, bool *disjoint);

// ---- Nodes ----------------------------------------------------------------------------------------------------------
// All of them end in `next`, from back to front.

tern_status emit_blank(struct schema_compiler *c, uint32_t next, uint32_t *out); // whitespace, or nothing
tern_status emit_value(struct schema_compiler *c, const struct json *value, uint32_t next, uint32_t *out);
// What is between the brackets of an array without repetitions; `close` has the closing one.
tern_status emit_unique_items(struct schema_compiler *c, const struct facts *f, uint32_t close, uint32_t *out);
tern_status emit_object(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out);
tern_status emit_facts(struct schema_compiler *c, const struct facts *f, uint32_t next, uint32_t *out);

// ---- All ------------------------------------------------------------------------------------------------------------

// Adds the rules of a schema to `g`, with what constraint_open_schema() has of the options (which may be NULL). Errors
// as there.
tern_status schema_compile(struct grammar *g, const char *text, size_t length, const struct constraint_options *options,
                           uint32_t *root);

#endif
