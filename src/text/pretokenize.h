// Cutting a text into the words that byte-level BPE works in, with the regular expressions of the models.
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include "base/status.h"

// What tokenizer.ggml.pre says about a vocabulary.
struct pretokenizer_kind {
    const char *name;
    const char *patterns[2]; // applied one after the other, the second to each piece that the first leaves; NULL: none
    bool nfc;                // the text is brought to Unicode's normal form C before
    bool whole_words;        // a word that is a token is taken as it is, whatever the merges say (ignore_merges)
    bool adds_bos;           // unless the file says otherwise
};

// By name; NULL if unknown.
const struct pretokenizer_kind *pretokenizer_kind_find(const char *name, size_t length);
// All known names, separated by ", ".
const char *pretokenizer_kind_names(void);

struct pretokenizer;

// Errors: UNSUPPORTED (PCRE2 refuses a pattern), NO_MEMORY. Close with pretokenizer_close().
tern_status pretokenizer_open(const struct pretokenizer_kind *kind, struct pretokenizer **out);
void pretokenizer_close(struct pretokenizer *pretokenizer); // NULL is fine

// Called for each word, in order; a status other than OK ends the walk.
typedef tern_status (*pretokenizer_sink)(void *context, const char *word, size_t length);

// Cuts well-formed UTF-8. Every byte is in exactly one word: what no pattern matches is a word too.
// Errors: NO_MEMORY, LIMIT (PCRE2's match limits), or the sink's. Thread-safe.
tern_status pretokenizer_split(const struct pretokenizer *pretokenizer, const char *text, size_t length,
                               pretokenizer_sink sink, void *context);

#endif
