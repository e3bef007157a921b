#include "text/template_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/template_run.h"
#include "text/utf8.h"

// ---- Memory -----------------------------------------------------------------------------------------------------

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

enum { CHUNK_BYTES = 1 << 16 };

static size_t round_up(size_t size)
{
    return (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

static void *template_arena_refuse(struct arena *arena)
{
    arena->failure = status_fail(TERN_LIMIT, "a template's values need more than %zu bytes", arena->limit);
    return NULL;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t size)
{
    if (size < CHUNK_BYTES) size = CHUNK_BYTES;
    if (size > arena->limit - arena->taken) size = arena->limit - arena->taken;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk) {
        arena->failure = status_fail(TERN_NO_MEMORY, "no memory for %zu bytes of a template", size);
        return NULL;
    }
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->taken += size;
    return arena->chunks = chunk;
}

void *template_arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->limit) return template_arena_refuse(arena);
    size = round_up(size ? size : 1);
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        if (size > arena->limit - arena->taken) return template_arena_refuse(arena);
        chunk = add_chunk(arena, size);
        if (!chunk) return NULL;
    }
    char *given = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    return memset(given, 0, size);
}

void *template_arena_array(struct arena *arena, size_t count, size_t size)
{
    if (count > arena->limit / size) return template_arena_refuse(arena);
    return template_arena_alloc(arena, count * size);
}

void *template_arena_grow(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
    struct arena_chunk *chunk = arena->chunks;
    size_t old_room = round_up(old_size), new_room = round_up(new_size);
    if (new_size > arena->limit) return template_arena_refuse(arena);
    bool is_last = old_size > 0 && chunk && (char *)old + old_room == (char *)chunk->bytes + chunk->used;
    if (is_last && new_room - old_room <= chunk->size - chunk->used) {
        chunk->used += new_room - old_room;
        return old;
    }
    void *moved = template_arena_alloc(arena, new_size);
    if (moved && old_size > 0) memcpy(moved, old, old_size);
    return moved;
}

void template_arena_free(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}

// ---- A rendering ------------------------------------------------------------------------------------------------

tern_status c_locale_enter(struct c_locale *locale)
{
    locale->own = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (locale->own == (locale_t)0) return status_fail(TERN_NO_MEMORY, "no memory for the C locale");
    locale->before = uselocale(locale->own);
    return TERN_OK;
}

void c_locale_leave(struct c_locale *locale)
{
    uselocale(locale->before);
    freelocale(locale->own);
}

tern_status run_open(struct run *run, const struct template_limits *limits, int64_t now)
{
    *run = (struct run){.now = now};
    if (limits) run->limits = *limits;
    if (!run->limits.steps) run->limits.steps = 1000000;
    if (!run->limits.output_bytes) run->limits.output_bytes = (size_t)16 << 20;
    if (!run->limits.memory_bytes) run->limits.memory_bytes = (size_t)64 << 20;
    if (!run->limits.depth) run->limits.depth = 200;
    run->arena.limit = run->limits.memory_bytes;
    return c_locale_enter(&run->locale);
}

void run_close(struct run *run)
{
    template_arena_free(&run->arena);
    c_locale_leave(&run->locale);
}

tern_status run_fail(const struct run *run, const char *format, ...)
{
    char message[STATUS_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status_fail(TERN_BAD_FILE, "template line %d: %s", run->line, message);
}

tern_status run_fail_undefined(const struct run *run, struct value undefined)
{
    int shown = undefined.string.length < 100 ? (int)undefined.string.length : 100;
    return run_fail(run, "'%.*s' is undefined", shown, undefined.string.data);
}

// Bytes that cost as much as evaluating one expression, roughly.
enum { BYTES_A_STEP = 256 };

tern_status run_charge(struct run *run, size_t bytes)
{
    run->steps += 1 + (int64_t)(bytes / BYTES_A_STEP);
    if (run->steps <= run->limits.steps) return TERN_OK;
    return status_fail(TERN_LIMIT, "template line %d: more than %lld steps", run->line, (long long)run->limits.steps);
}

tern_status run_enter(struct run *run)
{
    if (run->depth >= run->limits.depth)
        return status_fail(TERN_LIMIT, "template line %d: nested more than %d deep", run->line, run->limits.depth);
    run->depth++;
    return run_charge(run, 0);
}

void run_leave(struct run *run)
{
    run->depth--;
}

// ---- Strings under construction ---------------------------------------------------------------------------------

static tern_status builder_reserve(struct run *run, struct builder *builder, size_t more)
{
    if (more > run->arena.limit) return template_arena_refuse(&run->arena), run->arena.failure;
    size_t needed = builder->length + more;
    if (needed <= builder->capacity) return TERN_OK;
    size_t capacity = needed + builder->capacity + 64;
    if (capacity > run->arena.limit) capacity = needed;
    char *data = template_arena_grow(&run->arena, builder->data, builder->capacity, capacity);
    if (!data) return run->arena.failure;
    builder->data = data;
    builder->capacity = capacity;
    return TERN_OK;
}

tern_status builder_append(struct run *run, struct builder *builder, const char *data, size_t length)
{
    if (length == 0) return TERN_OK;
    TRY(builder_reserve(run, builder, length));
    memcpy(builder->data + builder->length, data, length);
    builder->length += length;
    return TERN_OK;
}

tern_status builder_append_string(struct run *run, struct builder *builder, const char *string)
{
    return builder_append(run, builder, string, strlen(string));
}

tern_status builder_append_character(struct run *run, struct builder *builder, uint32_t code_point)
{
    char bytes[4];
    return builder_append(run, builder, bytes, (size_t)utf8_encode(code_point, bytes));
}

tern_status builder_repeat(struct run *run, struct builder *builder, char byte, size_t count)
{
    if (count == 0) return TERN_OK;
    TRY(run_charge(run, count));
    TRY(builder_reserve(run, builder, count));
    memset(builder->data + builder->length, byte, count);
    builder->length += count;
    return TERN_OK;
}

struct value builder_value(const struct builder *builder)
{
    return value_string(builder->data ? builder->data : "", builder->length);
}

// ---- Making values ----------------------------------------------------------------------------------------------

struct value value_undefined(const char *name)
{
    return (struct value){.kind = VALUE_UNDEFINED, .string = {name, strlen(name)}};
}

struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}
struct value value_boolean(bool boolean)
{
    return (struct value){.kind = VALUE_BOOLEAN, .boolean = boolean};
}
struct value value_integer(int64_t integer)
{
    return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}
struct value value_float(double number)
{
    return (struct value){.kind = VALUE_FLOAT, .number = number};
}

struct value value_string(const char *data, size_t length)
{
    return (struct value){.kind = VALUE_STRING, .string = {data, length}};
}

struct value value_text(const char *text)
{
    return value_string(text, strlen(text));
}

tern_status value_new_list(struct run *run, enum value_kind kind, size_t count, struct value *out)
{
    struct list *list = template_arena_alloc(&run->arena, sizeof *list);
    if (!list) return run->arena.failure;
    list->items = template_arena_array(&run->arena, count, sizeof *list->items);
    if (!list->items) return run->arena.failure;
    for (size_t i = 0; i < count; i++)
        list->items[i] = value_none();
    list->count = count;
    *out = (struct value){.kind = kind, .list = list};
    return run_charge(run, count * sizeof *list->items);
}

tern_status value_new_dict(struct run *run, enum value_kind kind, struct value *out)
{
    struct dict *dict = template_arena_alloc(&run->arena, sizeof *dict);
    if (!dict) return run->arena.failure;
    *out = (struct value){.kind = kind, .dict = dict};
    return TERN_OK;
}

tern_status value_copy_string(struct run *run, const char *data, size_t length, struct value *out)
{
    char *copy = template_arena_array(&run->arena, length, 1);
    if (!copy) return run->arena.failure;
    if (length) memcpy(copy, data, length);
    *out = value_string(copy, length);
    return run_charge(run, length);
}

tern_status list_push(struct run *run, struct list *list, size_t *capacity, struct value item)
{
    if (list->count == *capacity) {
        size_t grown = *capacity * 2 + 4;
        struct value *items =
            template_arena_grow(&run->arena, list->items, *capacity * sizeof *items, grown * sizeof *items);
        if (!items) return run->arena.failure;
        list->items = items;
        *capacity = grown;
    }
    list->items[list->count++] = item;
    return TERN_OK;
}

// ---- Dicts ------------------------------------------------------------------------------------------------------

enum { SMALL_DICT = 8 }; // entries that are searched one by one

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * 0x9E3779B97F4A7C15u; // multiplicative hashing, Knuth vol. 3, 6.4
    return hash ^ (hash >> 29);
}

static uint64_t hash_bytes(const char *data, size_t length)
{
    uint64_t hash = 0xCBF29CE484222325u; // FNV-1a
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001B3u;
    return hash;
}

// Equal numbers have equal hashes, whatever their type.
static uint64_t hash_number(double number)
{
    uint64_t bits;
    if (number == 0) number = 0; // -0.0
    memcpy(&bits, &number, sizeof bits);
    return mix(1, bits);
}

static tern_status value_hash(struct run *run, struct value value, uint64_t *hash)
{
    *hash = (uint64_t)value.kind;
    switch (value.kind) {
    case VALUE_STRING:
        *hash = hash_bytes(value.string.data, value.string.length);
        return run_charge(run, value.string.length);
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
    case VALUE_FLOAT:
        *hash = hash_number(value_as_float(value));
        return TERN_OK;
    case VALUE_TUPLE:
        TRY(run_enter(run));
        for (size_t i = 0; i < value.list->count; i++) {
            uint64_t item;
            TRY(value_hash(run, value.list->items[i], &item));
            *hash = mix(*hash, item);
        }
        run_leave(run);
        return TERN_OK;
    case VALUE_LIST:
    case VALUE_DICT:
        return run_fail(run, "a %s cannot be a key (unhashable)", value_type(value));
    default:
        return TERN_OK;
    }
}

static tern_status find_slot(struct run *run, const struct dict *dict, struct value key, uint64_t hash, size_t *slot)
{
    size_t mask = dict->index_size - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        bool equal = false;
        *slot = i;
        if (dict->index[i] == 0) return TERN_OK;
        const struct dict_entry *entry = &dict->entries[dict->index[i] - 1];
        if (entry->hash == hash) TRY(value_equal(run, entry->key, key, &equal));
        if (equal) return TERN_OK;
        run->steps += (i & 15) == 0; // long runs of probes are paid for; the next step checks
    }
}

static tern_status find_entry(struct run *run, const struct dict *dict, struct value key, uint64_t hash,
                              struct dict_entry **found)
{
    *found = NULL;
    if (dict->index) {
        size_t slot;
        TRY(find_slot(run, dict, key, hash, &slot));
        if (dict->index[slot]) *found = &dict->entries[dict->index[slot] - 1];
        return TERN_OK;
    }
    for (size_t i = 0; i < dict->count; i++) {
        bool equal = false;
        if (dict->entries[i].hash == hash) TRY(value_equal(run, dict->entries[i].key, key, &equal));
        if (equal) {
            *found = &dict->entries[i];
            return TERN_OK;
        }
    }
    return TERN_OK;
}

// The index is kept at most half full.
static tern_status rebuild_index(struct run *run, struct dict *dict, size_t size)
{
    dict->index = template_arena_array(&run->arena, size, sizeof *dict->index);
    if (!dict->index) return run->arena.failure;
    dict->index_size = size;
    for (size_t i = 0; i < dict->count; i++) {
        size_t slot;
        TRY(find_slot(run, dict, dict->entries[i].key, dict->entries[i].hash, &slot));
        dict->index[slot] = (uint32_t)(i + 1);
    }
    return run_charge(run, size);
}

static tern_status append_entry(struct run *run, struct dict *dict, struct dict_entry entry)
{
    size_t size = sizeof entry;
    if (dict->count == dict->capacity) {
        size_t capacity = dict->capacity * 2 + 2;
        void *entries = template_arena_grow(&run->arena, dict->entries, dict->capacity * size, capacity * size);
        if (!entries) return run->arena.failure;
        dict->entries = entries;
        dict->capacity = capacity;
    }
    dict->entries[dict->count++] = entry;
    if (dict->count <= SMALL_DICT) return TERN_OK;
    if (dict->count * 2 > dict->index_size)
        return rebuild_index(run, dict, dict->index_size ? dict->index_size * 2 : 4 * SMALL_DICT);
    size_t slot;
    TRY(find_slot(run, dict, entry.key, entry.hash, &slot));
    dict->index[slot] = (uint32_t)dict->count;
    return TERN_OK;
}

tern_status dict_set(struct run *run, struct dict *dict, struct value key, struct value value)
{
    struct dict_entry *found;
    uint64_t hash;
    TRY(run_charge(run, 0));
    TRY(value_hash(run, key, &hash));
    TRY(find_entry(run, dict, key, hash, &found));
    if (!found) return append_entry(run, dict, (struct dict_entry){hash, key, value});
    found->value = value;
    return TERN_OK;
}

tern_status dict_set_text(struct run *run, struct dict *dict, const char *key, struct value value)
{
    return dict_set(run, dict, value_text(key), value);
}

tern_status dict_find(struct run *run, const struct dict *dict, struct value key, struct value **found)
{
    struct dict_entry *entry;
    uint64_t hash;
    TRY(value_hash(run, key, &hash));
    TRY(find_entry(run, dict, key, hash, &entry));
    *found = entry ? &entry->value : NULL;
    return TERN_OK;
}

// ---- Asking values ----------------------------------------------------------------------------------------------

bool string_equals(struct string string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.data, text, string.length) == 0;
}

bool value_is_number(struct value value)
{
    return value.kind == VALUE_BOOLEAN || value.kind == VALUE_INTEGER || value.kind == VALUE_FLOAT;
}

bool value_is_list(struct value value)
{
    return value.kind == VALUE_LIST || value.kind == VALUE_TUPLE;
}

int64_t value_as_integer(struct value value)
{
    return value.kind == VALUE_BOOLEAN ? value.boolean : value.integer;
}

double value_as_float(struct value value)
{
    return value.kind == VALUE_FLOAT ? value.number : (double)value_as_integer(value);
}

const char *value_type(struct value value)
{
    static const char *const names[] = {
        [VALUE_MISSING] = "missing", [VALUE_UNDEFINED] = "Undefined", [VALUE_NONE] = "NoneType",
        [VALUE_BOOLEAN] = "bool",    [VALUE_INTEGER] = "int",         [VALUE_FLOAT] = "float",
        [VALUE_STRING] = "str",      [VALUE_LIST] = "list",           [VALUE_TUPLE] = "tuple",
        [VALUE_RANGE] = "range",     [VALUE_VIEW] = "dict view",      [VALUE_ITERATOR] = "generator",
        [VALUE_DICT] = "dict",       [VALUE_NAMESPACE] = "Namespace", [VALUE_LOOP] = "LoopContext",
        [VALUE_MACRO] = "Macro",     [VALUE_FUNCTION] = "function",   [VALUE_METHOD] = "method",
    };
    return names[value.kind];
}

bool value_true(struct value value)
{
    switch (value.kind) {
    case VALUE_MISSING:
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOLEAN:
        return value.boolean;
    case VALUE_INTEGER:
        return value.integer != 0;
    case VALUE_FLOAT:
        return value.number != 0;
    case VALUE_STRING:
        return value.string.length > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_RANGE:
    case VALUE_VIEW:
        return value.list->count > 0;
    case VALUE_DICT:
        return value.dict->count > 0;
    default:
        return true;
    }
}

static tern_status lists_equal(struct run *run, const struct list *a, const struct list *b, bool *equal)
{
    *equal = a->count == b->count;
    TRY(run_enter(run));
    for (size_t i = 0; *equal && i < a->count; i++)
        TRY(value_equal(run, a->items[i], b->items[i], equal));
    run_leave(run);
    return TERN_OK;
}

static tern_status dicts_equal(struct run *run, const struct dict *a, const struct dict *b, bool *equal)
{
    *equal = a->count == b->count;
    TRY(run_enter(run));
    for (size_t i = 0; *equal && i < a->count; i++) {
        struct dict_entry *other;
        TRY(find_entry(run, b, a->entries[i].key, a->entries[i].hash, &other));
        *equal = other != NULL;
        if (other) TRY(value_equal(run, a->entries[i].value, other->value, equal));
    }
    run_leave(run);
    return TERN_OK;
}

static bool numbers_equal(struct value a, struct value b)
{
    if (a.kind == VALUE_FLOAT || b.kind == VALUE_FLOAT) return value_as_float(a) == value_as_float(b);
    return value_as_integer(a) == value_as_integer(b);
}

tern_status value_equal(struct run *run, struct value a, struct value b, bool *equal)
{
    if (value_is_number(a) && value_is_number(b)) {
        *equal = numbers_equal(a, b);
        return TERN_OK;
    }
    *equal = a.kind == b.kind;
    if (!*equal) return TERN_OK;
    switch (a.kind) {
    case VALUE_STRING:
        *equal = a.string.length == b.string.length && memcmp(a.string.data, b.string.data, a.string.length) == 0;
        return run_charge(run, a.string.length);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_RANGE:
        return lists_equal(run, a.list, b.list, equal);
    case VALUE_DICT:
        return dicts_equal(run, a.dict, b.dict, equal);
    case VALUE_VIEW:
    case VALUE_ITERATOR:
        *equal = a.list == b.list;
        return TERN_OK;
    case VALUE_NAMESPACE:
        *equal = a.dict == b.dict;
        return TERN_OK;
    case VALUE_LOOP:
        *equal = a.loop == b.loop;
        return TERN_OK;
    case VALUE_MACRO:
        *equal = a.macro == b.macro;
        return TERN_OK;
    case VALUE_FUNCTION:
        *equal = a.function == b.function;
        return TERN_OK;
    case VALUE_METHOD:
        *equal = a.method == b.method;
        return TERN_OK;
    default:
        return TERN_OK;
    }
}

static int order_numbers(struct value a, struct value b)
{
    if (a.kind == VALUE_FLOAT || b.kind == VALUE_FLOAT) {
        double x = value_as_float(a), y = value_as_float(b);
        if (isnan(x) || isnan(y)) return 2;
        return (x > y) - (x < y);
    }
    int64_t x = value_as_integer(a), y = value_as_integer(b);
    return (x > y) - (x < y);
}

// Bytes of UTF-8 are ordered as their code points are.
static int order_strings(struct string a, struct string b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = memcmp(a.data, b.data, shorter);
    if (order == 0) order = (a.length > b.length) - (a.length < b.length);
    return (order > 0) - (order < 0);
}

// By the first items that differ, as Python does.
static tern_status order_lists(struct run *run, const struct list *a, const struct list *b, int *order)
{
    TRY(run_enter(run));
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool equal;
        TRY(value_equal(run, a->items[i], b->items[i], &equal));
        if (equal) continue;
        TRY(value_order(run, a->items[i], b->items[i], order));
        run_leave(run);
        return TERN_OK;
    }
    run_leave(run);
    *order = (a->count > b->count) - (a->count < b->count);
    return TERN_OK;
}

tern_status value_order(struct run *run, struct value a, struct value b, int *order)
{
    if (value_is_number(a) && value_is_number(b)) {
        *order = order_numbers(a, b);
        return TERN_OK;
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        *order = order_strings(a.string, b.string);
        return run_charge(run, a.string.length);
    }
    if (value_is_list(a) && a.kind == b.kind) return order_lists(run, a.list, b.list, order);
    return run_fail(run, "'%s' and '%s' have no order", value_type(a), value_type(b));
}

static tern_status string_contains(struct run *run, struct string text, struct value item, bool *contains)
{
    if (item.kind != VALUE_STRING)
        return run_fail(run, "'in <string>' needs a string to look for, not %s", value_type(item));
    TRY(run_charge(run, text.length));
    *contains = string_find(text, item.string) < SIZE_MAX;
    return TERN_OK;
}

tern_status value_contains(struct run *run, struct value container, struct value item, bool *contains)
{
    const struct value *items;
    struct value *found;
    size_t count;
    *contains = false;
    if (container.kind == VALUE_STRING) return string_contains(run, container.string, item, contains);
    if (container.kind == VALUE_DICT) {
        TRY(dict_find(run, container.dict, item, &found));
        *contains = found != NULL;
        return TERN_OK;
    }
    TRY(value_items(run, container, &items, &count));
    for (size_t i = 0; !*contains && i < count; i++) {
        TRY(run_charge(run, 0));
        TRY(value_equal(run, items[i], item, contains));
    }
    return TERN_OK;
}

tern_status value_length(struct run *run, struct value value, size_t *length)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
        *length = 0;
        return TERN_OK;
    case VALUE_STRING:
        *length = string_characters(value.string);
        return run_charge(run, value.string.length);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_RANGE:
    case VALUE_VIEW:
        *length = value.list->count;
        return TERN_OK;
    case VALUE_DICT:
        *length = value.dict->count;
        return TERN_OK;
    case VALUE_LOOP:
        TRY(loop_fill(run, value.loop, SIZE_MAX));
        *length = value.loop->n_items;
        return TERN_OK;
    default:
        return run_fail(run, "a value of type '%s' has no length", value_type(value));
    }
}

// ---- Items ------------------------------------------------------------------------------------------------------

bool value_is_iterable(struct value value)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_RANGE:
    case VALUE_VIEW:
    case VALUE_ITERATOR:
    case VALUE_DICT:
        return true;
    default:
        return false;
    }
}

static tern_status string_items(struct run *run, struct string text, const struct value **items, size_t *count)
{
    struct value list;
    TRY(value_new_list(run, VALUE_LIST, string_characters(text), &list));
    size_t n = 0;
    for (size_t i = 0; i < text.length;) {
        uint32_t c;
        size_t bytes = (size_t)abs(utf8_decode(text.data + i, text.length - i, &c));
        list.list->items[n++] = value_string(text.data + i, bytes);
        i += bytes;
    }
    *items = list.list->items;
    *count = n;
    return TERN_OK;
}

static tern_status dict_keys(struct run *run, const struct dict *dict, const struct value **items, size_t *count)
{
    struct value list;
    TRY(value_new_list(run, VALUE_LIST, dict->count, &list));
    for (size_t i = 0; i < dict->count; i++)
        list.list->items[i] = dict->entries[i].key;
    *items = list.list->items;
    *count = dict->count;
    return TERN_OK;
}

tern_status value_items(struct run *run, struct value value, const struct value **items, size_t *count)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
        *items = NULL;
        *count = 0;
        return TERN_OK;
    case VALUE_STRING:
        return string_items(run, value.string, items, count);
    case VALUE_DICT:
        return dict_keys(run, value.dict, items, count);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_RANGE:
    case VALUE_VIEW:
        *items = value.list->items;
        *count = value.list->count;
        return TERN_OK;
    case VALUE_ITERATOR:
        *items = value.list->items + value.list->position;
        *count = value.list->count - value.list->position;
        value.list->position = value.list->count;
        return TERN_OK;
    default:
        return run_fail(run, "a value of type '%s' cannot be walked through", value_type(value));
    }
}

// ---- Subscripts -------------------------------------------------------------------------------------------------

static tern_status list_subscript(const struct list *list, int64_t index, struct value *out)
{
    if (index < 0) index += (int64_t)list->count;
    if (index >= 0 && index < (int64_t)list->count) *out = list->items[index];
    return TERN_OK;
}

static tern_status string_subscript(struct run *run, struct string text, int64_t index, struct value *out)
{
    TRY(run_charge(run, text.length));
    if (index < 0) index += (int64_t)string_characters(text);
    if (index < 0) return TERN_OK;
    size_t offset = string_offset(text, (size_t)index);
    if (offset == text.length) return TERN_OK;
    uint32_t c;
    *out = value_string(text.data + offset, (size_t)abs(utf8_decode(text.data + offset, text.length - offset, &c)));
    return TERN_OK;
}

// Functions that belong to values of a kind; NULL if it has none.
static const struct builtin *methods_of(struct value value)
{
    switch (value.kind) {
    case VALUE_STRING:
        return template_string_methods;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return template_list_methods;
    case VALUE_DICT:
        return template_dict_methods;
    case VALUE_LOOP:
        return template_loop_methods;
    default:
        return NULL;
    }
}

static tern_status find_method(struct run *run, struct value object, struct string name, struct value *out)
{
    const struct builtin *table = methods_of(object);
    const struct builtin *function = table ? builtin_find(table, name) : NULL;
    if (!function) return TERN_OK;
    struct method *method = template_arena_alloc(&run->arena, sizeof *method);
    if (!method) return run->arena.failure;
    *method = (struct method){function, object};
    *out = (struct value){.kind = VALUE_METHOD, .method = method};
    return TERN_OK;
}

static tern_status loop_attribute(struct run *run, struct loop *loop, struct string name, struct value *out)
{
    int64_t index = (int64_t)loop->index;
    if (string_equals(name, "index")) return *out = value_integer(index + 1), TERN_OK;
    if (string_equals(name, "index0")) return *out = value_integer(index), TERN_OK;
    if (string_equals(name, "first")) return *out = value_boolean(index == 0), TERN_OK;
    // Levels count recursive loops only, of which there are none.
    if (string_equals(name, "depth")) return *out = value_integer(1), TERN_OK;
    if (string_equals(name, "depth0")) return *out = value_integer(0), TERN_OK;
    if (string_equals(name, "previtem")) {
        if (index > 0) *out = loop->items[index - 1];
        return TERN_OK;
    }
    if (string_equals(name, "last") || string_equals(name, "nextitem")) {
        TRY(loop_fill(run, loop, loop->index + 2));
        bool last = loop->n_items < loop->index + 2;
        if (string_equals(name, "last"))
            *out = value_boolean(last);
        else if (!last)
            *out = loop->items[index + 1];
        return TERN_OK;
    }
    bool is_length = string_equals(name, "length"), is_reverse = string_equals(name, "revindex");
    if (!is_length && !is_reverse && !string_equals(name, "revindex0")) return TERN_OK;
    TRY(loop_fill(run, loop, SIZE_MAX));
    int64_t length = (int64_t)loop->n_items;
    *out = value_integer(is_length ? length : is_reverse ? length - index : length - index - 1);
    return TERN_OK;
}

// What Python's getattr would find.
static tern_status native_attribute(struct run *run, struct value object, struct string name, struct value *out)
{
    if (object.kind == VALUE_LOOP) TRY(loop_attribute(run, object.loop, name, out));
    if (object.kind == VALUE_NAMESPACE) {
        struct value *found;
        TRY(dict_find(run, object.dict, value_string(name.data, name.length), &found));
        if (found) *out = *found;
    }
    if (object.kind == VALUE_MACRO && string_equals(name, "name"))
        *out = value_string(object.macro->node->text.data, object.macro->node->text.length);
    return out->kind == VALUE_UNDEFINED ? find_method(run, object, name, out) : TERN_OK;
}

// What Python's object[key] would find.
static tern_status native_item(struct run *run, struct value object, struct value key, struct value *out)
{
    bool is_index = key.kind == VALUE_INTEGER || key.kind == VALUE_BOOLEAN;
    if (object.kind == VALUE_DICT && key.kind != VALUE_LIST && key.kind != VALUE_DICT) {
        struct value *found;
        TRY(dict_find(run, object.dict, key, &found));
        if (found) *out = *found;
    } else if ((value_is_list(object) || object.kind == VALUE_RANGE) && is_index) {
        return list_subscript(object.list, value_as_integer(key), out);
    } else if (object.kind == VALUE_STRING && is_index) {
        return string_subscript(run, object.string, value_as_integer(key), out);
    }
    return TERN_OK;
}

tern_status value_subscript(struct run *run, struct value object, struct value key, struct value *out)
{
    if (object.kind == VALUE_UNDEFINED) return run_fail_undefined(run, object);
    *out = value_undefined("an item");
    TRY(native_item(run, object, key, out));
    if (key.kind != VALUE_STRING || out->kind != VALUE_UNDEFINED) return TERN_OK;
    out->string = key.string;
    return native_attribute(run, object, key.string, out);
}

tern_status value_attribute(struct run *run, struct value object, struct string name, struct value *out)
{
    if (object.kind == VALUE_UNDEFINED) return run_fail_undefined(run, object);
    *out = (struct value){.kind = VALUE_UNDEFINED, .string = name};
    TRY(native_attribute(run, object, name, out));
    if (out->kind != VALUE_UNDEFINED) return TERN_OK;
    return native_item(run, object, value_string(name.data, name.length), out);
}

// ---- Slices -----------------------------------------------------------------------------------------------------

static int64_t clamp_bound(int64_t bound, int64_t length, int64_t step)
{
    if (bound < 0) bound += length;
    int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? length - 1 : length;
    return bound < lowest ? lowest : bound > highest ? highest : bound;
}

// Python's slice.indices(): the first index, the step and how many items.
static tern_status resolve_slice(struct run *run, const struct value bounds[3], int64_t length, int64_t *start,
                                 int64_t *step, int64_t *count)
{
    for (int i = 0; i < 3; i++)
        if (bounds[i].kind != VALUE_NONE && bounds[i].kind != VALUE_INTEGER && bounds[i].kind != VALUE_BOOLEAN)
            return run_fail(run, "slice bounds must be integers or none, not %s", value_type(bounds[i]));
    *step = bounds[2].kind == VALUE_NONE ? 1 : value_as_integer(bounds[2]);
    if (*step == 0) return run_fail(run, "a slice's step cannot be zero");
    if (*step < -length - 1) *step = -length - 1; // beyond the whole length, all steps are the same
    if (*step > length + 1) *step = length + 1;
    bool back = *step < 0;
    *start = bounds[0].kind == VALUE_NONE ? (back ? length - 1 : 0)
                                          : clamp_bound(value_as_integer(bounds[0]), length, *step);
    int64_t stop =
        bounds[1].kind == VALUE_NONE ? (back ? -1 : length) : clamp_bound(value_as_integer(bounds[1]), length, *step);
    int64_t distance = back ? *start - stop : stop - *start, stride = back ? -*step : *step;
    *count = distance > 0 ? (distance + stride - 1) / stride : 0;
    return TERN_OK;
}

static tern_status slice_string(struct run *run, struct string text, const struct value bounds[3], struct value *out)
{
    int64_t start, step, count;
    const struct value *items;
    struct builder builder = {0};
    size_t n_items;
    TRY(run_charge(run, text.length));
    TRY(resolve_slice(run, bounds, (int64_t)string_characters(text), &start, &step, &count));
    if (step == 1) {
        size_t first = string_offset(text, (size_t)start);
        struct string rest = {text.data + first, text.length - first};
        *out = value_string(rest.data, string_offset(rest, (size_t)count));
        return TERN_OK;
    }
    TRY(string_items(run, text, &items, &n_items));
    for (int64_t i = 0; i < count; i++) {
        struct string item = items[start + i * step].string;
        TRY(builder_append(run, &builder, item.data, item.length));
    }
    *out = builder_value(&builder);
    return TERN_OK;
}

tern_status value_slice(struct run *run, struct value object, const struct value bounds[3], struct value *out)
{
    int64_t start, step, count;
    if (object.kind == VALUE_UNDEFINED) return run_fail_undefined(run, object);
    if (object.kind == VALUE_STRING) return slice_string(run, object.string, bounds, out);
    if (!value_is_list(object) && object.kind != VALUE_RANGE)
        return run_fail(run, "a value of type '%s' cannot be sliced", value_type(object));
    TRY(resolve_slice(run, bounds, (int64_t)object.list->count, &start, &step, &count));
    TRY(value_new_list(run, object.kind == VALUE_TUPLE ? VALUE_TUPLE : VALUE_LIST, (size_t)count, out));
    for (int64_t i = 0; i < count; i++)
        out->list->items[i] = object.list->items[start + i * step];
    return TERN_OK;
}
