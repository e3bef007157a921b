// Prompt lookup: guesses at the next tokens, taken from where the text has said the same before. A pass of the decoder
// over a token and some guesses costs little more than one over the token alone, and every guess that comes true saves
// a pass. The answer is the same with and without: a guess is used only where the token that was fed is the one
// guessed, and a row's logits do not depend on what else is in its batch. Source: Saxena, "Prompt Lookup Decoding",
// 2023.
#ifndef ENGINE_DRAFT_H
#define ENGINE_DRAFT_H

#include "base/status.h"

enum { DRAFT_MAX = 15 }; // guesses at a time: 16 rows with the token before them

// Books of what guessing cost and saved, in seconds: it may lose 2 % of the time spent, then it stops until it has won.
// All zero is the beginning.
struct draft {
    double single;     // of a pass over one token, smoothed
    double spent;      // of all passes
    double balance;    // saved less lost
    int32_t made, hit; // of the last guesses: their number (0: none yet), and how many came true
};

// Guesses at what follows tokens[0 .. n): at most `room`, written to out[DRAFT_MAX]. Returns their number, 0 if the
// text has not been here before or guessing does not pay at present. Time is linear in n.
int32_t draft_propose(struct draft *draft, const tern_token *tokens, size_t n, size_t room, tern_token *out);

// After a pass over one token and `guesses` guesses that took `seconds`.
void draft_count_pass(struct draft *draft, int32_t guesses, double seconds);

// After a guess came true.
void draft_count_hit(struct draft *draft);

#endif
