// The texts of numbers between bounds, digit by digit.
#include <string.h>

#include "text/constraint_automaton.h"
#include "text/constraint_decimal.h"

enum { INTEGER_DIGITS = 18, DOUBLE_DIGITS = 15, MAX_DIVISOR = 20000 };

// Sizes (numbers without their sign) from `low` to `high`, of `whole` digits before the point. A state is a number of
// digits that were written, and whether they are those of a bound so far: then the next digit is bounded by it.
struct digits {
    struct nfa *nfa;
    const struct decimal *low, *high; // high: NULL if there is no bound
    bool above, below;                // the bound itself does not belong to it
    size_t whole, fraction;           // digits before the point; most digits behind it
    uint32_t *known;                  // nodes of states: [whole + fraction + 3][2][2]; 0: not made yet
};

static int digit_of(const struct decimal *d, size_t whole, size_t at)
{
    if (at < whole) return d->n_whole ? d->whole[at] - '0' : 0; // "0" is the whole part of what is below 1
    return at - whole < d->n_fraction ? d->fraction[at - whole] - '0' : 0;
}

// Whether the number may end after `at` digits behind the point.
static bool may_end(const struct digits *d, size_t at, bool on_low, bool on_high)
{
    if (on_low && (d->low->n_fraction > at || d->above)) return false;
    return !on_high || d->high->n_fraction > at || !d->below;
}

static tern_status make_state(struct digits *d, size_t at, bool on_low, bool on_high, uint32_t *out);

// A digit in first..last, all of which lead to the same kind of state.
static tern_status add_digit(struct digits *d, size_t at, int first, int last, bool on_low, bool on_high, uint32_t *all)
{
    uint32_t next, node;
    if (first > last) return TERN_OK;
    TRY(make_state(d, at + 1, on_low, on_high, &next));
    TRY(nfa_bytes(d->nfa, (uint8_t)('0' + first), (uint8_t)('0' + last), next, &node));
    return nfa_split(d->nfa, node, *all, all);
}

// All digits that may come next. `*all` is what else may.
static tern_status add_digits(struct digits *d, size_t at, bool on_low, bool on_high, uint32_t *all)
{
    int lowest = at == 0 && d->whole > 1 ? 1 : 0;
    int first = on_low ? digit_of(d->low, d->whole, at) : lowest;
    int last = on_high ? digit_of(d->high, d->whole, at) : 9;
    if (first < lowest) first = lowest;
    if (on_low && on_high && first == last) return add_digit(d, at, first, last, true, true, all);
    if (first > last) return TERN_OK;
    if (on_low) TRY(add_digit(d, at, first, first, true, false, all));
    if (on_high) TRY(add_digit(d, at, last, last, false, true, all));
    return add_digit(d, at, first + on_low, last - on_high, false, false, all);
}

static tern_status add_point(struct digits *d, bool on_low, bool on_high, uint32_t *all)
{
    uint32_t node;
    TRY(nfa_nothing(d->nfa, &node));
    TRY(add_digits(d, d->whole, on_low, on_high, &node));
    TRY(nfa_bytes(d->nfa, '.', '.', node, &node));
    return nfa_split(d->nfa, node, *all, all);
}

// After `at` digits. States depend on those with more digits only: the recursion is as deep as a number is long.
static tern_status make_state(struct digits *d, size_t at, bool on_low, bool on_high, uint32_t *out)
{
    uint32_t *known = &d->known[at * 4 + on_low * 2 + on_high], node;
    if (*known) return *out = *known, TERN_OK;
    TRY(nfa_nothing(d->nfa, &node));
    if (at >= d->whole && may_end(d, at - d->whole, on_low, on_high)) TRY(nfa_split(d->nfa, 0, node, &node));
    if (at == d->whole && d->fraction > 0) TRY(add_point(d, on_low, on_high, &node));
    if (at < d->whole || (at > d->whole && at < d->whole + d->fraction)) TRY(add_digits(d, at, on_low, on_high, &node));
    *out = *known = node;
    return TERN_OK;
}

static size_t whole_digits(const struct decimal *d)
{
    return d->n_whole ? d->n_whole : 1;
}

// How long numbers of a kind may be.
struct lengths {
    size_t whole; // most digits before the point where no bound says it
    size_t total; // most digits in all where there are some behind the point; 0: there are none
};

// Sizes in the range, whatever their length.
static tern_status add_sizes(struct nfa *nfa, const struct digits *range, struct lengths lengths, uint32_t *all)
{
    size_t shortest = whole_digits(range->low), longest = lengths.whole;
    if (range->high)
        longest = whole_digits(range->high);
    else if (shortest >= longest)
        longest = shortest + 1;
    for (size_t whole = shortest; whole <= longest; whole++) {
        struct digits d = *range;
        uint32_t node;
        d.nfa = nfa;
        d.whole = whole;
        d.fraction = lengths.total > whole ? lengths.total - whole : 0;
        TRY(arena_alloc(nfa->arena, (d.whole + d.fraction + 3) * 4, sizeof *d.known, &d.known));
        TRY(make_state(&d, 0, whole == shortest, d.high && whole == longest, &node));
        TRY(nfa_split(nfa, node, *all, all));
    }
    return TERN_OK;
}

static const struct decimal zero = {.whole = "", .fraction = ""};

// From 0 on. Nothing if the upper bound is negative.
static tern_status add_positive(struct nfa *nfa, const struct number_bounds *b, struct lengths lengths, uint32_t *all)
{
    struct digits range = {.low = &zero, .high = b->high, .below = b->below};
    if (b->high && b->high->negative) return TERN_OK;
    if (b->low && !b->low->negative) {
        range.low = b->low;
        range.above = b->above;
    }
    return add_sizes(nfa, &range, lengths, all);
}

// Below 0: a sign, and sizes above 0.
static tern_status add_negative(struct nfa *nfa, const struct number_bounds *b, struct lengths lengths, uint32_t *all)
{
    struct digits range = {.low = &zero, .above = true, .high = b->low, .below = b->above};
    uint32_t node;
    if (b->low && !b->low->negative) return TERN_OK;
    if (b->high && b->high->negative) {
        range.low = b->high;
        range.above = b->below;
    }
    TRY(nfa_nothing(nfa, &node));
    TRY(add_sizes(nfa, &range, lengths, &node));
    TRY(nfa_bytes(nfa, '-', '-', node, &node));
    return nfa_split(nfa, node, *all, all);
}

static tern_status between(struct arena *arena, const struct number_bounds *bounds, struct lengths lengths,
                           struct regular *out)
{
    struct nfa nfa;
    uint32_t node;
    if (bounds->low && bounds->high && decimal_compare(bounds->low, bounds->high) > 0)
        return *out = (struct regular){.n_states = 0}, TERN_OK;
    TRY(nfa_begin(arena, &nfa));
    TRY(nfa_nothing(&nfa, &node));
    TRY(add_positive(&nfa, bounds, lengths, &node));
    TRY(add_negative(&nfa, bounds, lengths, &node));
    return regular_from_nfa(&nfa, node, out);
}

tern_status number_integers(struct arena *arena, const struct number_bounds *bounds, struct regular *out)
{
    return between(arena, bounds, (struct lengths){.whole = INTEGER_DIGITS, .total = 0}, out);
}

// Up to `most` digits, at least one, then `next`.
static tern_status add_digits_up_to(struct nfa *nfa, uint8_t first, int most, uint32_t next, uint32_t *out)
{
    uint32_t node = next;
    for (int i = 1; i < most; i++) {
        TRY(nfa_bytes(nfa, '0', '9', node, &node));
        TRY(nfa_split(nfa, node, next, &node));
    }
    return nfa_bytes(nfa, first, '9', node, out);
}

// -?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?
static tern_status any_number(struct arena *arena, struct regular *out)
{
    struct nfa nfa;
    uint32_t node, exponent, fraction, nought, sign;
    TRY(nfa_begin(arena, &nfa));
    TRY(add_digits_up_to(&nfa, '0', 2, 0, &exponent));
    TRY(nfa_bytes(&nfa, '+', '+', exponent, &sign));
    TRY(nfa_split(&nfa, sign, exponent, &node));
    TRY(nfa_bytes(&nfa, '-', '-', exponent, &sign));
    TRY(nfa_split(&nfa, sign, node, &node));
    TRY(nfa_bytes(&nfa, 'e', 'e', node, &exponent));
    TRY(nfa_bytes(&nfa, 'E', 'E', node, &node));
    TRY(nfa_split(&nfa, exponent, node, &node));
    TRY(nfa_split(&nfa, node, 0, &exponent));
    TRY(add_digits_up_to(&nfa, '0', DOUBLE_DIGITS, exponent, &fraction));
    TRY(nfa_bytes(&nfa, '.', '.', fraction, &fraction));
    TRY(nfa_split(&nfa, fraction, exponent, &fraction));
    TRY(add_digits_up_to(&nfa, '1', DOUBLE_DIGITS, fraction, &node));
    TRY(nfa_bytes(&nfa, '0', '0', fraction, &nought));
    TRY(nfa_split(&nfa, nought, node, &node));
    TRY(nfa_bytes(&nfa, '-', '-', node, &sign));
    TRY(nfa_split(&nfa, sign, node, &node));
    return regular_from_nfa(&nfa, node, out);
}

tern_status number_decimals(struct arena *arena, const struct number_bounds *bounds, struct regular *out)
{
    if (!bounds->low && !bounds->high) return any_number(arena, out);
    return between(arena, bounds, (struct lengths){.whole = DOUBLE_DIGITS, .total = DOUBLE_DIGITS}, out);
}

// States: before any digit, behind the sign, and each remainder of what was read so far.
static tern_status add_remainders(struct automaton *a, uint32_t divisor)
{
    uint32_t state;
    TRY(automaton_state(a, false, &state));
    TRY(automaton_state(a, false, &state));
    for (uint32_t i = 0; i < divisor; i++) {
        TRY(automaton_state(a, i == 0, &state));
    }
    TRY(automaton_edge(a, 0, '-', '-', 1));
    for (uint32_t from = 0; from < divisor + 2; from++) {
        uint32_t remainder = from < 2 ? 0 : from - 2;
        for (uint32_t digit = 0; digit < 10; digit++) {
            uint32_t to = (remainder * 10 + digit) % divisor + 2;
            TRY(automaton_edge(a, from, (uint8_t)('0' + digit), (uint8_t)('0' + digit), to));
        }
    }
    return TERN_OK;
}

tern_status number_multiples(struct arena *arena, uint32_t divisor, struct regular *out)
{
    struct automaton a = {.n_states = 0};
    if (divisor > MAX_DIVISOR)
        return status_fail(TERN_UNSUPPORTED, "multiples of more than %d are not supported", MAX_DIVISOR);
    tern_status status = add_remainders(&a, divisor);
    if (status == TERN_OK) status = automaton_trim(&a, arena, out);
    automaton_free(&a);
    return status;
}
