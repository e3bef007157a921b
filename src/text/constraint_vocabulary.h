// The tokens of a vocabulary in the order in which a machine can try them all: a trie of their bytes, laid out depth
// first. Control tokens and tokens without bytes are not in it.
#ifndef TEXT_CONSTRAINT_VOCABULARY_H
#define TEXT_CONSTRAINT_VOCABULARY_H

#include "text/constraint.h"
#include "text/constraint_grammar.h"

struct trie_node {
    uint32_t skip;    // the node after all those below this one
    tern_token token; // that ends here, -1: none. More of the same bytes: constraint_vocabulary.same
    uint16_t depth;   // bytes before this one
    uint8_t byte;
};

struct constraint_vocabulary {
    const struct tokenizer *tokenizer;
    struct trie_node *nodes; // [n_nodes]
    size_t n_nodes;
    tern_token *same; // [n_tokens] the next token with the same bytes, -1: none
    tern_token *ends; // [n_ends]
    size_t n_ends;
    tern_token *controls; // [n_controls] control tokens that end nothing
    size_t n_controls;
    int32_t n_tokens;
    uint32_t longest;          // bytes of the longest token in the trie
    struct byte_set available; // bytes that are tokens by themselves
};

#endif
