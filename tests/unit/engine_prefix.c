// The tree of shared blocks: what is found, what is copied, what is forgotten first. Blocks here have slabs of one
// cache line.
#include "engine/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SLAB = 64, WHOLE = DEVICE_KV_BLOCK };

static struct prefix *open_prefix(int32_t max_blocks)
{
    struct prefix *prefix;
    if (prefix_open(SLAB, max_blocks, &prefix) != TERN_OK) fail_msg("%s", status_message());
    return prefix;
}

// WHOLE tokens, counted up from `first`.
static const tern_token *count_from(tern_token first)
{
    static tern_token tokens[WHOLE];
    for (int i = 0; i < WHOLE; i++)
        tokens[i] = first + i;
    return tokens;
}

static struct prefix_block *make_block(struct prefix *prefix, struct prefix_block *parent, tern_token first, int32_t n)
{
    struct prefix_block *block = prefix_create(prefix, parent, parent->index + 1);
    if (block == NULL) return NULL;
    prefix_expect(block, count_from(first), n);
    memset(block->slab, first, SLAB);
    return prefix_fill(prefix, block, n);
}

static void whole_blocks_are_found_behind_what_they_follow(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(10);
    struct prefix_block *root = prefix_root(prefix);
    assert_null(prefix_find(prefix, root, count_from(1)));
    struct prefix_block *a = make_block(prefix, root, 1, WHOLE), *b = make_block(prefix, a, 100, WHOLE);
    assert_ptr_equal(prefix_find(prefix, root, count_from(1)), a);
    assert_ptr_equal(prefix_find(prefix, a, count_from(100)), b);
    assert_null(prefix_find(prefix, root, count_from(100))); // the same tokens elsewhere are something else
    assert_null(prefix_find(prefix, b, count_from(100)));
    assert_null(prefix_find(prefix, root, count_from(2)));

    struct prefix_block *unfinished = make_block(prefix, b, 200, WHOLE - 1);
    assert_null(prefix_find(prefix, b, count_from(200)));
    prefix_expect(unfinished, count_from(200 + WHOLE - 1), 1);
    assert_null(prefix_find(prefix, b, count_from(200))); // it is known to come, but is not there
    assert_ptr_equal(prefix_fill(prefix, unfinished, 1), unfinished);
    assert_ptr_equal(prefix_find(prefix, b, count_from(200)), unfinished);

    tern_token tokens[3 * WHOLE];
    prefix_tokens(unfinished, tokens);
    for (int i = 0; i < WHOLE; i++) {
        assert_int_equal(tokens[i], 1 + i);
        assert_int_equal(tokens[WHOLE + i], 100 + i);
        assert_int_equal(tokens[2 * WHOLE + i], 200 + i);
    }
    prefix_close(prefix);
}

static void searching_finds_the_longest_beginning(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(10);
    struct prefix_block *root = prefix_root(prefix);
    struct prefix_block *ten = make_block(prefix, root, 1, 10), *twenty = make_block(prefix, root, 1, 20);
    tern_token tokens[WHOLE];
    int32_t overlap;
    memcpy(tokens, count_from(1), sizeof tokens);
    assert_ptr_equal(prefix_search(root, tokens, WHOLE, &overlap), twenty);
    assert_int_equal(overlap, 20);
    tokens[15] = 0;
    assert_ptr_equal(prefix_search(root, tokens, WHOLE, &overlap), twenty);
    assert_int_equal(overlap, 15);
    assert_ptr_equal(prefix_search(root, tokens, 3, &overlap), twenty); // of equals the newest
    assert_int_equal(overlap, 3);
    assert_null(prefix_search(root, count_from(2), WHOLE, &overlap));

    // What is on the way counts only if somebody is at work on it.
    prefix_expect(ten, count_from(11), 30);
    assert_ptr_equal(prefix_search(root, count_from(1), WHOLE, &overlap), twenty);
    ten->busy = true;
    assert_ptr_equal(prefix_search(root, count_from(1), WHOLE, &overlap), ten);
    assert_int_equal(overlap, 40);
    prefix_release(prefix, ten); // who was at work left: only what is there remains
    assert_ptr_equal(prefix_search(root, count_from(1), WHOLE, &overlap), twenty);
    prefix_close(prefix);
}

static void copies_have_their_own_memory(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(10);
    struct prefix_block *a = make_block(prefix, prefix_root(prefix), 1, 40), *b = prefix_copy(prefix, a, 30);
    assert_int_equal(b->filled, 30);
    assert_int_equal(b->n_tokens, 30);
    assert_int_equal(b->users, 1);
    assert_int_equal(a->users, 1);
    assert_ptr_equal(b->parent, a->parent);
    assert_ptr_not_equal(a->slab, b->slab);
    assert_memory_equal(a->slab, b->slab, SLAB);
    assert_memory_equal(a->tokens, b->tokens, 30 * sizeof *a->tokens);
    prefix_close(prefix);
}

static void new_blocks_are_zeros(void **state)
{
    (void)state;
    static const uint8_t zeros[SLAB];
    struct prefix *prefix = open_prefix(1);
    struct prefix_block *block = make_block(prefix, prefix_root(prefix), 1, WHOLE);
    prefix_release(prefix, block);
    block = prefix_create(prefix, prefix_root(prefix), 0);
    assert_memory_equal(block->slab, zeros, SLAB);
    prefix_close(prefix);
}

static void the_least_recently_used_makes_room(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(3);
    struct prefix_block *root = prefix_root(prefix);
    struct prefix_block *a = make_block(prefix, root, 1, WHOLE), *b = make_block(prefix, a, 100, WHOLE);
    struct prefix_block *c = make_block(prefix, root, 200, WHOLE);
    assert_null(make_block(prefix, root, 300, WHOLE)); // all are in use
    assert_int_equal(prefix_available(prefix), 0);
    prefix_release(prefix, c);
    prefix_release(prefix, b);
    prefix_release(prefix, a);
    assert_int_equal(prefix_remembered(prefix), 3);
    assert_int_equal(prefix_available(prefix), 3);
    prefix_use(prefix, prefix_find(prefix, root, count_from(200))); // c is used again, and so becomes the most recent
    prefix_release(prefix, c);

    // b goes before a, which it depends on, and both before c.
    assert_non_null(make_block(prefix, root, 300, WHOLE));
    assert_null(prefix_find(prefix, a, count_from(100)));
    assert_ptr_equal(prefix_find(prefix, root, count_from(1)), a);
    assert_non_null(make_block(prefix, root, 400, WHOLE));
    assert_null(prefix_find(prefix, root, count_from(1)));
    assert_ptr_equal(prefix_find(prefix, root, count_from(200)), c);
    assert_int_equal(prefix_blocks(prefix), 3);
    assert_int_equal(prefix_remembered(prefix), 1);
    prefix_close(prefix);
}

static void a_copy_is_not_made_in_place_of_its_source(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(1);
    struct prefix_block *a = make_block(prefix, prefix_root(prefix), 1, 40);
    prefix_release(prefix, a);
    assert_null(prefix_copy(prefix, a, 40));
    assert_int_equal(prefix_remembered(prefix), 1);
    prefix_close(prefix);
}

static void nothing_of_an_empty_or_private_block_is_remembered(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(4);
    struct prefix_block *empty = prefix_create(prefix, prefix_root(prefix), 0);
    prefix_expect(empty, count_from(1), WHOLE);
    prefix_release(prefix, empty);
    struct prefix_block *secret = prefix_create(prefix, NULL, 0);
    prefix_expect(secret, count_from(1), WHOLE);
    assert_ptr_equal(prefix_fill(prefix, secret, WHOLE), secret);
    assert_null(prefix_find(prefix, prefix_root(prefix), count_from(1)));
    assert_int_equal(prefix_blocks(prefix), 1);
    prefix_release(prefix, secret);
    assert_int_equal(prefix_blocks(prefix), 0);
    prefix_close(prefix);
}

// Two answers that say the same end up with one block.
static void twins_become_one(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(4);
    struct prefix_block *root = prefix_root(prefix), *a = make_block(prefix, root, 1, WHOLE - 1);
    struct prefix_block *b = make_block(prefix, root, 1, WHOLE - 1);
    prefix_expect(a, count_from(WHOLE), 1);
    prefix_expect(b, count_from(WHOLE), 1);
    assert_ptr_equal(prefix_fill(prefix, a, 1), a);
    assert_ptr_equal(prefix_fill(prefix, b, 1), a);
    assert_int_equal(a->users, 2);
    assert_int_equal(prefix_blocks(prefix), 1);
    prefix_close(prefix);
}

// Random use against a list of what must be there: nothing in use is ever forgotten, nothing dangles.
static void what_another_block_covers_is_not_remembered(void **state)
{
    (void)state;
    struct prefix *prefix = open_prefix(4);
    struct prefix_block *root = prefix_root(prefix);
    for (int i = 0; i < 100; i++) // one prompt, again and again
        prefix_release(prefix, make_block(prefix, root, 1, 21));
    assert_int_equal(prefix_remembered(prefix), 1);
    prefix_release(prefix, make_block(prefix, root, 1, 9)); // less of it
    assert_int_equal(prefix_remembered(prefix), 1);
    prefix_release(prefix, make_block(prefix, root, 1, 30)); // more of it
    assert_int_equal(prefix_remembered(prefix), 1);
    prefix_release(prefix, make_block(prefix, root, 2, 9)); // something else
    assert_int_equal(prefix_remembered(prefix), 2);

    tern_token tokens[WHOLE];
    int32_t overlap;
    memcpy(tokens, count_from(1), sizeof tokens);
    struct prefix_block *found = prefix_search(root, tokens, WHOLE, &overlap);
    assert_int_equal(overlap, 30);

    // One in use is covered by nobody's going, and what covered a block was used last.
    prefix_use(prefix, found);
    prefix_release(prefix, make_block(prefix, root, 1, WHOLE));
    assert_int_equal(prefix_blocks(prefix), 3);
    prefix_release(prefix, found);
    assert_int_equal(prefix_blocks(prefix), 2);
    prefix_release(prefix, make_block(prefix, root, 2, 9));
    prefix_release(prefix, make_block(prefix, root, 100, 1));
    prefix_release(prefix, make_block(prefix, root, 200, 1));
    prefix_release(prefix, make_block(prefix, root, 300, 1));
    assert_int_equal(prefix_remembered(prefix), 4);
    assert_null(prefix_find(prefix, root, count_from(1)));
    assert_ptr_equal(prefix_search(root, count_from(2), 9, &overlap)->parent, root);
    assert_int_equal(overlap, 9);
    prefix_close(prefix);
}

static void whatever_happens_blocks_in_use_stay(void **state)
{
    (void)state;
    enum { CHAINS = 6, DEPTH = 4, MOST = 12 };
    struct prefix *prefix = open_prefix(MOST);
    struct prefix_block *chain[CHAINS][DEPTH];
    int32_t length[CHAINS] = {0};
    uint32_t random = 1;
    for (int turn = 0; turn < 20000; turn++) {
        random = random * 1664525 + 1013904223;
        int c = (int)(random >> 16) % CHAINS, *n = &length[c];
        if (random >> 30 == 0 || *n == DEPTH) {
            while (*n > 0)
                prefix_release(prefix, chain[c][--*n]);
            continue;
        }
        struct prefix_block *parent = *n > 0 ? chain[c][*n - 1] : prefix_root(prefix);
        tern_token first = (tern_token)(random >> 20) % 3;
        struct prefix_block *block = prefix_find(prefix, parent, count_from(first));
        if (block != NULL)
            prefix_use(prefix, block);
        else
            block = make_block(prefix, parent, first, WHOLE);
        if (block == NULL) {
            assert_int_equal(prefix_available(prefix), 0);
            continue;
        }
        assert_memory_equal(block->tokens, count_from(first), sizeof block->tokens);
        assert_int_equal(block->slab[0], first);
        chain[c][(*n)++] = block;
        assert_true(prefix_blocks(prefix) <= MOST);
    }
    prefix_close(prefix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_blocks_are_found_behind_what_they_follow),
        cmocka_unit_test(searching_finds_the_longest_beginning),
        cmocka_unit_test(copies_have_their_own_memory),
        cmocka_unit_test(new_blocks_are_zeros),
        cmocka_unit_test(the_least_recently_used_makes_room),
        cmocka_unit_test(a_copy_is_not_made_in_place_of_its_source),
        cmocka_unit_test(nothing_of_an_empty_or_private_block_is_remembered),
        cmocka_unit_test(twins_become_one),
        cmocka_unit_test(what_another_block_covers_is_not_remembered),
        cmocka_unit_test(whatever_happens_blocks_in_use_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
