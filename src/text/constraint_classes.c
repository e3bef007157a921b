#include "text/constraint_classes.h"

#include <string.h>
#include <utf8proc.h>

// ---- Categories -----------------------------------------------------------------------------------------------------

// Bits of utf8proc's categories.
enum {
    LETTER = 1 << UTF8PROC_CATEGORY_LU | 1 << UTF8PROC_CATEGORY_LL | 1 << UTF8PROC_CATEGORY_LT |
             1 << UTF8PROC_CATEGORY_LM | 1 << UTF8PROC_CATEGORY_LO,
    MARK = 1 << UTF8PROC_CATEGORY_MN | 1 << UTF8PROC_CATEGORY_MC | 1 << UTF8PROC_CATEGORY_ME,
    NUMBER = 1 << UTF8PROC_CATEGORY_ND | 1 << UTF8PROC_CATEGORY_NL | 1 << UTF8PROC_CATEGORY_NO,
    PUNCTUATION = 1 << UTF8PROC_CATEGORY_PC | 1 << UTF8PROC_CATEGORY_PD | 1 << UTF8PROC_CATEGORY_PS |
                  1 << UTF8PROC_CATEGORY_PE | 1 << UTF8PROC_CATEGORY_PI | 1 << UTF8PROC_CATEGORY_PF |
                  1 << UTF8PROC_CATEGORY_PO,
    SYMBOL =
        1 << UTF8PROC_CATEGORY_SM | 1 << UTF8PROC_CATEGORY_SC | 1 << UTF8PROC_CATEGORY_SK | 1 << UTF8PROC_CATEGORY_SO,
    SEPARATOR = 1 << UTF8PROC_CATEGORY_ZS | 1 << UTF8PROC_CATEGORY_ZL | 1 << UTF8PROC_CATEGORY_ZP,
};

enum { N_CATEGORIES = UTF8PROC_CATEGORY_CO + 1, N_CODES = 0x110000 };

// The characters of each category. Looking at all of them takes milliseconds, and a pattern may name thousands of
// classes: it is done once a compilation.
static tern_status find_categories(struct arena *arena)
{
    struct character_set *sets;
    uint32_t from = 0;
    TRY(arena_charge(arena, N_CODES / 8)); // each is an eighth of a step of other kinds
    TRY(arena_alloc(arena, N_CATEGORIES, sizeof *sets, &sets));
    for (uint32_t code = 1; code <= N_CODES; code++) {
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)from);
        if (code < N_CODES && utf8proc_category((utf8proc_int32_t)code) == category) continue;
        TRY(character_set_add(arena, &sets[category], from, code - 1));
        from = code;
    }
    arena->categories = sets;
    return TERN_OK;
}

static tern_status add_categories(struct arena *arena, unsigned categories, struct character_set *out)
{
    if (!arena->categories) TRY(find_categories(arena));
    for (int i = 0; i < N_CATEGORIES; i++) {
        if (!(categories >> i & 1)) continue;
        TRY(arena_charge(arena, arena->categories[i].count));
        TRY(character_set_add_all(arena, out, &arena->categories[i]));
    }
    return TERN_OK;
}

static const struct {
    const char *name, *long_name;
    unsigned categories;
} properties[] = {
    {"L", "Letter", LETTER},
    {"Lu", "Uppercase_Letter", 1 << UTF8PROC_CATEGORY_LU},
    {"Ll", "Lowercase_Letter", 1 << UTF8PROC_CATEGORY_LL},
    {"Lt", "Titlecase_Letter", 1 << UTF8PROC_CATEGORY_LT},
    {"Lm", "Modifier_Letter", 1 << UTF8PROC_CATEGORY_LM},
    {"Lo", "Other_Letter", 1 << UTF8PROC_CATEGORY_LO},
    {"M", "Mark", MARK},
    {"Mn", "Nonspacing_Mark", 1 << UTF8PROC_CATEGORY_MN},
    {"N", "Number", NUMBER},
    {"Nd", "Decimal_Number", 1 << UTF8PROC_CATEGORY_ND},
    {"Nl", "Letter_Number", 1 << UTF8PROC_CATEGORY_NL},
    {"No", "Other_Number", 1 << UTF8PROC_CATEGORY_NO},
    {"P", "Punctuation", PUNCTUATION},
    {"S", "Symbol", SYMBOL},
    {"Sc", "Currency_Symbol", 1 << UTF8PROC_CATEGORY_SC},
    {"Sm", "Math_Symbol", 1 << UTF8PROC_CATEGORY_SM},
    {"Z", "Separator", SEPARATOR},
    {"Zs", "Space_Separator", 1 << UTF8PROC_CATEGORY_ZS},
};

static bool is_name(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && memcmp(name, wanted, length) == 0;
}

tern_status class_of_property(struct arena *arena, const char *name, size_t length, struct character_set *out,
                              bool *known)
{
    *known = false;
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (!is_name(name, length, properties[i].name) && !is_name(name, length, properties[i].long_name)) continue;
        *known = true;
        return add_categories(arena, properties[i].categories, out);
    }
    return TERN_OK;
}

// ---- Letters --------------------------------------------------------------------------------------------------------

static tern_status add_ranges(struct arena *arena, const struct code_range *ranges, size_t count,
                              struct character_set *out)
{
    struct character_set set = {.ranges = (struct code_range *)(uintptr_t)ranges, .count = count};
    return character_set_add_all(arena, out, &set);
}

static tern_status add_digits(struct arena *arena, bool widest, struct character_set *out)
{
    return widest ? add_categories(arena, 1 << UTF8PROC_CATEGORY_ND, out) : character_set_add(arena, out, '0', '9');
}

static tern_status add_word(struct arena *arena, bool widest, struct character_set *out)
{
    static const struct code_range ascii[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    if (widest)
        TRY(add_categories(arena, LETTER | MARK | NUMBER | 1 << UTF8PROC_CATEGORY_PC | 1 << UTF8PROC_CATEGORY_CF, out));
    return add_ranges(arena, ascii, sizeof ascii / sizeof ascii[0], out);
}

static tern_status add_space(struct arena *arena, bool widest, struct character_set *out)
{
    static const struct code_range agreed[] = {{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},
                                               {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                                               {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
    static const struct code_range others[] = {{0x1C, 0x1F}, {0x85, 0x85}, {0x180E, 0x180E}, {0xFEFF, 0xFEFF}};
    if (widest) TRY(add_ranges(arena, others, sizeof others / sizeof others[0], out));
    return add_ranges(arena, agreed, sizeof agreed / sizeof agreed[0], out);
}

static tern_status invert(struct arena *arena, struct character_set *set)
{
    struct character_set inverse;
    TRY(character_set_invert(arena, set, &inverse));
    *set = inverse;
    return TERN_OK;
}

tern_status class_of_escape(struct arena *arena, char letter, bool widest, struct character_set *out, bool *known)
{
    *out = (struct character_set){0};
    *known = true;
    switch (letter) {
    case 'd':
        return add_digits(arena, widest, out);
    case 'w':
        return add_word(arena, widest, out);
    case 's':
        return add_space(arena, widest, out);
    case 'D': // the widest opposite is that of the narrowest class
        TRY(add_digits(arena, !widest, out));
        return invert(arena, out);
    case 'W':
        TRY(add_word(arena, !widest, out));
        return invert(arena, out);
    case 'S':
        TRY(add_space(arena, !widest, out));
        return invert(arena, out);
    default:
        return *known = false, TERN_OK;
    }
}
