// What an answer must look like: a JSON Schema or a grammar (GBNF), as a machine that says which tokens may come next.
// A constraint is compiled once, is never changed after and may be shared by threads; a constraint_state is one
// answer's way through it.
//
// An answer may begin free: thinking before JSON, words before a tool call. Then `triggers` name the strings that end
// the free part; the constrained part begins right behind the one found, and when it is complete the answer ends (or,
// if `repeat` is set, goes on with another trigger and another such part). Control tokens are no text and may come only
// in a free part; but one that is called like a trigger, prefix, suffix or `behind` is that mark.
#ifndef TEXT_CONSTRAINT_H
#define TEXT_CONSTRAINT_H

#include "text/tokenizer.h"

struct constraint;
struct constraint_state;
struct constraint_vocabulary; // the tokens' bytes as a trie, once for each model

// The tokenizer is borrowed and must outlive it. Close with constraint_vocabulary_close().
tern_status constraint_vocabulary_open(const struct tokenizer *tokenizer, struct constraint_vocabulary **out);
void constraint_vocabulary_close(struct constraint_vocabulary *vocabulary); // NULL is fine

struct constraint_options {
    const char *const *triggers; // [n_triggers] UTF-8; none: constrained from the first byte
    size_t n_triggers;
    bool repeat;        // after the constrained part: the end, or few blanks, a trigger and another. Otherwise: the end
    bool must_trigger;  // the answer may not end before a trigger was found (tool_choice "required")
    const char *suffix; // must follow the constrained part ("</tool_call>"); NULL: nothing
    const char *prefix; // must come first of all, before the free part or the constrained part; NULL: nothing
    bool begins;        // the constrained part follows the prefix at once; triggers only begin it again
    const char *behind; // before even the prefix: free, up to and with this string ("</think>"); NULL: nothing
    // There is no free part: the answer is JSON of this schema unless it begins with a trigger. NULL: a free part
    const char *otherwise;
    // An answer that begins with "{", behind nothing but blanks, is the constrained part too. Needs a trigger
    bool bare;
    bool no_whitespace; // JSON as compact as can be; otherwise little whitespace, bounded
    // Steps that schemas took to compile, added to: several compilations share what one may take. NULL: this one alone
    size_t *effort;
};

// `schema`: JSON text. What the dialect cannot enforce is refused, never ignored in silence: UNSUPPORTED names the
// keyword and where it stands (a JSON pointer). Other errors: INVALID (broken JSON or schema: where), LIMIT (size,
// depth, number of rules), NO_MEMORY. `options` may be NULL. The vocabulary is borrowed. Close with constraint_close().
tern_status constraint_open_schema(const struct constraint_vocabulary *vocabulary, const char *schema, size_t length,
                                   const struct constraint_options *options, struct constraint **out);
// Any JSON object (response_format json_object).
tern_status constraint_open_json(const struct constraint_vocabulary *vocabulary,
                                 const struct constraint_options *options, struct constraint **out);
// GBNF as llama.cpp documents it; begins at the rule `root`. Errors name line and column.
tern_status constraint_open_grammar(const struct constraint_vocabulary *vocabulary, const char *grammar, size_t length,
                                    const struct constraint_options *options, struct constraint **out);
void constraint_close(struct constraint *constraint); // NULL is fine; all its states must be closed before

tern_status constraint_begin(const struct constraint *constraint, struct constraint_state **out);
void constraint_end(struct constraint_state *state); // NULL is fine

// Whether the token may come next: much cheaper than the mask of all, so it is asked first. End tokens may come where
// constraint_may_end() says so. False without memory too: then constraint_lost() tells.
bool constraint_allows(struct constraint_state *state, tern_token token);

// True if a token may have been refused for want of memory: whatever was taken in its place is not to be trusted.
bool constraint_lost(const struct constraint_state *state);

// True if any token is allowed now (the free part): no mask is needed.
bool constraint_is_free(const struct constraint_state *state);

// Bit t of mask[t / 32] tells whether token t may come next; [ceil(n_vocabulary / 32)]. End tokens included. At least
// one bit is set as long as only allowed tokens were taken. Errors: NO_MEMORY, LIMIT.
tern_status constraint_mask(struct constraint_state *state, uint32_t *mask, int32_t n_vocabulary);

// Goes on by an allowed token. Errors: INVALID (it is not allowed; nothing is changed), NO_MEMORY, LIMIT.
tern_status constraint_accept(struct constraint_state *state, tern_token token);

bool constraint_may_end(const struct constraint_state *state);  // the answer would be complete
bool constraint_must_end(const struct constraint_state *state); // ... and nothing else can follow

#endif
