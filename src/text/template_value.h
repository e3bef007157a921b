// Values of a running template, the memory they live in and what bounds them.
//
// All values of one rendering live in one arena that goes when the rendering ends: nothing is freed on the way, so
// values may share bytes and items freely (a trimmed string points into the string it came from). Lists, tuples and
// dicts are never changed once a template can see them; only namespaces are.
#ifndef TEXT_TEMPLATE_VALUE_H
#define TEXT_TEMPLATE_VALUE_H

#include <locale.h>

#include "text/template.h"

// ---- Memory -----------------------------------------------------------------------------------------------------

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; // newest first
    size_t taken;               // bytes asked of the system
    size_t limit;               // most bytes to ask for
    tern_status failure;        // why template_arena_alloc() last returned NULL
};

// Zeroed memory, aligned for any value; NULL (with a message, and the status in arena->failure) beyond the limit.
void *template_arena_alloc(struct arena *arena, size_t size);
// The same for an array; its size in bytes may not overflow.
void *template_arena_array(struct arena *arena, size_t count, size_t size);
// Moves (or extends in place) bytes that template_arena_alloc() gave out.
void *template_arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size);
void template_arena_free(struct arena *arena);

// ---- Values -----------------------------------------------------------------------------------------------------

// A range of bytes, UTF-8 as far as anyone knows. Not NUL-terminated.
struct string {
    const char *data;
    size_t length;
};

enum value_kind {
    VALUE_MISSING,   // an argument that was not given; a template never sees it
    VALUE_UNDEFINED, // Jinja's Undefined; `string` is the name that was looked up
    VALUE_NONE,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_RANGE,    // a list of integers that prints as Python's range
    VALUE_VIEW,     // what dict.keys(), .values() and .items() return: has a length, but no index
    VALUE_ITERATOR, // Python's generators: no length, can be walked once
    VALUE_DICT,
    VALUE_NAMESPACE, // a dict whose entries `set` can change
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION,
    VALUE_METHOD, // a function and the value it belongs to
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct string string;
        struct list *list; // LIST, TUPLE, RANGE, VIEW, ITERATOR
        struct dict *dict; // DICT, NAMESPACE
        struct loop *loop;
        const struct macro *macro;
        const struct builtin *function;
        const struct method *method;
    };
};

struct list {
    struct value *items; // [count]
    size_t count;
    size_t position;   // ITERATOR: how many are used up
    const char *label; // RANGE: its whole text; VIEW: the name of its Python type
};

struct dict_entry {
    uint64_t hash;
    struct value key, value;
};

// Insertion-ordered, as Python's.
struct dict {
    struct dict_entry *entries; // [capacity], the first `count` in use
    size_t count, capacity;
    uint32_t *index; // [index_size] entry number + 1, open addressing; NULL while a dict is small
    size_t index_size;
};

struct method {
    const struct builtin *function;
    struct value self;
};

// ---- The thread's locale ----------------------------------------------------------------------------------------

// Numbers and dates are read and written by the C library, whose words depend on the thread's locale: a template's are
// always those of "C".
struct c_locale {
    locale_t own, before;
};

tern_status c_locale_enter(struct c_locale *locale);
void c_locale_leave(struct c_locale *locale);

// ---- A rendering ------------------------------------------------------------------------------------------------

// A string under construction, in the arena.
struct builder {
    char *data;
    size_t length, capacity;
};

struct run {
    struct arena arena;
    struct c_locale locale;
    struct template_limits limits; // no zero fields
    int64_t steps;                 // used up
    int depth;
    size_t written;         // bytes printed, those captured by macros and blocks included
    struct builder *out;    // where printed text goes
    struct scope *scope;    // innermost variables
    struct dict *variables; // what the caller gave
    int64_t now;            // seconds since the epoch
    int line;               // of what is being evaluated
};

tern_status run_open(struct run *run, const struct template_limits *limits, int64_t now);
void run_close(struct run *run);

// BAD_FILE with the line, for mistakes of the template.
tern_status run_fail(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
// One step, and more for work that grows with the length of what is worked on.
tern_status run_charge(struct run *run, size_t bytes);
// Around everything that recurses.
tern_status run_enter(struct run *run);
void run_leave(struct run *run);
// For the use of an undefined value where one is needed.
tern_status run_fail_undefined(const struct run *run, struct value undefined);

tern_status builder_append(struct run *run, struct builder *builder, const char *data, size_t length);
tern_status builder_append_string(struct run *run, struct builder *builder, const char *string);
tern_status builder_append_character(struct run *run, struct builder *builder, uint32_t code_point);
tern_status builder_repeat(struct run *run, struct builder *builder, char byte, size_t count);
struct value builder_value(const struct builder *builder);

// ---- Making values ----------------------------------------------------------------------------------------------

struct value value_undefined(const char *name);
struct value value_none(void);
struct value value_boolean(bool boolean);
struct value value_integer(int64_t integer);
struct value value_float(double number);
struct value value_string(const char *data, size_t length);
struct value value_text(const char *text); // NUL-terminated, must outlive the value

// A list-like value with room for `count` items, all NONE.
tern_status value_new_list(struct run *run, enum value_kind kind, size_t count, struct value *out);
tern_status value_new_dict(struct run *run, enum value_kind kind, struct value *out);
tern_status value_copy_string(struct run *run, const char *data, size_t length, struct value *out);

// Appends to a list that no template has seen yet; `capacity` is the caller's, 0 at first.
tern_status list_push(struct run *run, struct list *list, size_t *capacity, struct value item);

// Keys are anything hashable. A key already there keeps its place.
tern_status dict_set(struct run *run, struct dict *dict, struct value key, struct value value);
tern_status dict_set_text(struct run *run, struct dict *dict, const char *key, struct value value);
// *found is NULL if there is none. Charges for probes, so that chosen collisions cannot make it slow.
tern_status dict_find(struct run *run, const struct dict *dict, struct value key, struct value **found);

// A copy with its entries in the order of their keys.
tern_status dict_sorted(struct run *run, const struct dict *dict, const struct dict **out);

// ---- Asking values ----------------------------------------------------------------------------------------------

bool string_equals(struct string string, const char *text);
bool value_is_number(struct value value);     // integer, float or boolean, as in Python
bool value_is_list(struct value value);       // LIST or TUPLE
int64_t value_as_integer(struct value value); // of a boolean or integer
double value_as_float(struct value value);    // of a number
const char *value_type(struct value value);   // Python's name for it
bool value_true(struct value value);

tern_status value_equal(struct run *run, struct value a, struct value b, bool *equal);
// Negative, 0 or positive in *order. Fails for what Python cannot order. NaN compares as neither: *order is 2.
tern_status value_order(struct run *run, struct value a, struct value b, int *order);
// Python's `item in container`.
tern_status value_contains(struct run *run, struct value container, struct value item, bool *contains);
// Python's len(); fails for what has none.
tern_status value_length(struct run *run, struct value value, size_t *length);

// All items that a for loop would see; an iterator is used up. *items may be shared: not to be written to.
tern_status value_items(struct run *run, struct value value, const struct value **items, size_t *count);
bool value_is_iterable(struct value value);

// object[key] and object.name by Jinja's rules: undefined if there is none, an error only for undefined objects.
tern_status value_subscript(struct run *run, struct value object, struct value key, struct value *out);
tern_status value_attribute(struct run *run, struct value object, struct string name, struct value *out);
// object[start:stop:step]; NONE for a bound left out.
tern_status value_slice(struct run *run, struct value object, const struct value bounds[3], struct value *out);

// Python's str() and repr(), and json.dumps as transformers' tojson calls it.
tern_status value_print(struct run *run, struct value value, struct builder *out);
tern_status value_repr(struct run *run, struct value value, struct builder *out);
tern_status value_to_string(struct run *run, struct value value, struct string *out);
// Python's repr of a float: the shortest digits that read back as the same number. Returns the length.
int value_format_float(double number, char out[32]);

// JSON text (RFC 8259) as a value. Errors: INVALID (what, at which byte), LIMIT.
tern_status json_parse(struct run *run, const char *text, size_t length, struct value *out);

struct json_style {
    bool ascii; // escape everything beyond ASCII
    bool sort_keys;
    bool lines; // one item a line, indented by `indent` a level
    struct string indent, item_separator, key_separator;
};
tern_status json_write(struct run *run, struct value value, const struct json_style *style, struct builder *out);

// ---- Characters -------------------------------------------------------------------------------------------------

bool character_is_space(uint32_t code_point); // Python's str.isspace
// Length in characters; equals the bytes if all are ASCII.
size_t string_characters(struct string string);
// Byte offset of the character with this number; the string's length beyond its end.
size_t string_offset(struct string string, size_t character);
// Byte offset of the first `part` in a string; SIZE_MAX if there is none. Takes linear time.
size_t string_find(struct string string, struct string part);

#endif
