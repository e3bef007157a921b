// Decimal numbers of any size, exactly as a schema writes them, and the texts of the numbers between two of them.
#ifndef TEXT_CONSTRAINT_DECIMAL_H
#define TEXT_CONSTRAINT_DECIMAL_H

#include "text/constraint_json.h"
#include "text/constraint_regular.h"

struct decimal {
    const char *whole;    // [n_whole] digits without leading zeros
    const char *fraction; // [n_fraction] digits without trailing zeros
    size_t n_whole, n_fraction;
    bool negative;
};

// The text must be a number of JSON. Errors: UNSUPPORTED (it cannot be compared exactly by those who read numbers as
// doubles: too many digits, or too large), NO_MEMORY, LIMIT.
tern_status decimal_read(struct arena *arena, const char *text, size_t length, struct decimal *out);

int decimal_compare(const struct decimal *a, const struct decimal *b); // -1, 0 or 1
bool decimal_is_whole(const struct decimal *a);

struct number_bounds {
    const struct decimal *low, *high; // NULL: none
    bool above, below;                // the bound itself does not belong to them
};

// Integers without exponent or fraction: of at most 18 digits, or one more than the bound has if there is only one.
tern_status number_integers(struct arena *arena, const struct number_bounds *bounds, struct regular *out);

// Numbers of at most 15 digits, which doubles keep apart, without exponent; without bounds, up to 15 digits before and
// behind the point, and an exponent of up to two digits.
tern_status number_decimals(struct arena *arena, const struct number_bounds *bounds, struct regular *out);

// Integers, of any length, that are multiples of the divisor (at least 1).
tern_status number_multiples(struct arena *arena, uint32_t divisor, struct regular *out);

#endif
