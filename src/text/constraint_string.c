// The characters of JSON strings in bytes.
#include <stdio.h>
#include <string.h>

#include "text/constraint_regex.h"
#include "text/utf8.h"

// How a character must be escaped: written to out[8], its length returned; 0: it stands for itself.
static size_t escape_of(uint32_t code, char *out)
{
    static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
    const char *meaning = code && code < 0x80 ? strchr(meanings, (int)code) : NULL;
    if (meaning) {
        out[0] = '\\';
        out[1] = letters[meaning - meanings];
        return 2;
    }
    if (code >= 0x20) return 0;
    return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)code);
}

tern_status json_escape(struct buffer *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char escape[8];
        size_t n = escape_of((uint8_t)text[i], escape);
        TRY(buffer_append(out, n ? escape : text + i, n ? n : 1));
    }
    return TERN_OK;
}

// Ends of sequences that were made already, of one class of characters.
struct tails {
    uint32_t nodes[32];
    size_t count;
};

static tern_status find_tail(struct nfa *nfa, struct tails *tails, uint8_t low, uint8_t high, uint32_t next,
                             uint32_t *out)
{
    for (size_t i = 0; i < tails->count; i++) {
        const struct nfa_node *node = &nfa->nodes[tails->nodes[i]];
        if (node->low == low && node->high == high && node->a == next) return *out = tails->nodes[i], TERN_OK;
    }
    TRY(nfa_bytes(nfa, low, high, next, out));
    if (tails->count < sizeof tails->nodes / sizeof tails->nodes[0]) tails->nodes[tails->count++] = *out;
    return TERN_OK;
}

static tern_status add_run(struct nfa *nfa, struct tails *tails, const struct utf8_run *run, uint32_t next,
                           uint32_t *all)
{
    for (int i = run->length - 1; i > 0; i--) {
        TRY(find_tail(nfa, tails, run->low[i], run->high[i], next, &next));
    }
    TRY(nfa_bytes(nfa, run->low[0], run->high[0], next, &next));
    return nfa_split(nfa, next, *all, all);
}

// Characters low..high that stand for themselves.
static tern_status add_plain(struct nfa *nfa, struct tails *tails, uint32_t low, uint32_t high, uint32_t next,
                             uint32_t *all)
{
    struct utf8_run run;
    while (utf8_next_run(&low, high, &run)) {
        TRY(add_run(nfa, tails, &run, next, all));
    }
    return TERN_OK;
}

// Up to 0x7F one by one, as some need an escape.
static tern_status add_ascii(struct nfa *nfa, uint32_t low, uint32_t high, uint32_t next, uint32_t *all)
{
    for (uint32_t code = low ? low : 1; code <= high; code++) {
        char escape[8];
        uint32_t node;
        size_t n = escape_of(code, escape);
        uint32_t last = code;
        while (n == 0 && last < high && escape_of(last + 1, escape) == 0) {
            last++;
        }
        if (n)
            TRY(nfa_literal(nfa, escape, n, next, &node));
        else
            TRY(nfa_bytes(nfa, (uint8_t)code, (uint8_t)last, next, &node));
        TRY(nfa_split(nfa, node, *all, all));
        code = last;
    }
    return TERN_OK;
}

tern_status nfa_characters(struct nfa *nfa, const struct character_set *set, uint32_t next, uint32_t *out)
{
    struct tails tails = {.count = 0};
    TRY(nfa_nothing(nfa, out));
    for (size_t i = 0; i < set->count; i++) {
        struct code_range range = set->ranges[i];
        if (range.low < 0x80) TRY(add_ascii(nfa, range.low, range.high < 0x7F ? range.high : 0x7F, next, out));
        if (range.high >= 0x80) TRY(add_plain(nfa, &tails, range.low < 0x80 ? 0x80 : range.low, range.high, next, out));
    }
    return TERN_OK;
}

tern_status regex_any(struct arena *arena, struct regular *out)
{
    struct code_range everything = {0, 0x10FFFF};
    struct character_set any = {.ranges = &everything, .count = 1};
    struct nfa nfa;
    uint32_t again, node;
    TRY(nfa_begin(arena, &nfa));
    TRY(nfa_split(&nfa, 0, 0, &again));
    TRY(nfa_characters(&nfa, &any, again, &node));
    nfa.nodes[again].a = node;
    return regular_from_nfa(&nfa, again, out);
}
