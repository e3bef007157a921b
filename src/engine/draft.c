#include "engine/draft.h"

enum {
    MIN_MATCH = 3, // tokens that must have stood in a row before: fewer repeat by chance
    MAX_MATCH = 16,
    FIRST_LENGTH = 4,
};

static const double MOST_LOST = 0.02;

// How many tokens before `end` and before n are the same, up to MAX_MATCH.
static size_t match_length(const tern_token *tokens, size_t end, size_t n)
{
    size_t length = 0;
    while (length < end && length < MAX_MATCH && tokens[end - 1 - length] == tokens[n - 1 - length])
        length++;
    return length;
}

// The place after the longest earlier match of the text's end, the latest of equals; 0 if none is long enough.
static size_t find_match(const tern_token *tokens, size_t n)
{
    size_t best = 0, longest = MIN_MATCH - 1;
    for (size_t end = n; end-- > MIN_MATCH && longest < MAX_MATCH;) {
        size_t length = match_length(tokens, end, n);
        if (length <= longest) continue;
        longest = length;
        best = end;
    }
    return best;
}

// Twice as many after all came true, one more than came true otherwise.
static int32_t next_length(const struct draft *draft)
{
    if (draft->made == 0) return FIRST_LENGTH;
    int32_t length = draft->hit == draft->made ? 2 * draft->made : draft->hit + 1;
    return length < DRAFT_MAX ? length : DRAFT_MAX;
}

int32_t draft_propose(struct draft *draft, const tern_token *tokens, size_t n, size_t room, tern_token *out)
{
    if (draft->balance < -MOST_LOST * draft->spent || n <= MIN_MATCH) return 0;
    size_t match = find_match(tokens, n), length = (size_t)next_length(draft);
    if (match == 0) return 0;
    if (length > room) length = room;
    // Where the match reaches the text's end, the guesses go on with themselves: the text has a period.
    for (size_t i = 0; i < length; i++)
        out[i] = match + i < n ? tokens[match + i] : out[match + i - n];
    return (int32_t)length;
}

void draft_count_pass(struct draft *draft, int32_t guesses, double seconds)
{
    draft->spent += seconds;
    if (guesses == 0) {
        draft->single = draft->single == 0 ? seconds : 0.9 * draft->single + 0.1 * seconds;
        return;
    }
    draft->balance -= seconds - draft->single;
    draft->made = guesses;
    draft->hit = 0;
}

void draft_count_hit(struct draft *draft)
{
    draft->balance += draft->single;
    draft->hit++;
}
