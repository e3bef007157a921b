// A folder that stands for the root of a file system: /proc and /sys of machines that are not at hand.
#ifndef SUPPORT_FAKE_TREE_H
#define SUPPORT_FAKE_TREE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fake_tree {
    char root[64];
};

static inline void fake_tree_make(struct fake_tree *tree)
{
    snprintf(tree->root, sizeof tree->root, "/tmp/tern-tree-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
}

static inline void fake_tree_remove(const struct fake_tree *tree)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", tree->root);
    assert_int_equal(system(command), 0);
}

// Writes a file, its folders made on the way.
static inline void fake_tree_write(const struct fake_tree *tree, const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", tree->root, path);
    for (char *at = strchr(whole + strlen(tree->root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(whole, 0700);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// The tree of one test, its set-up and its end.
static struct fake_tree tree;

static inline int make_tree(void **state)
{
    (void)state;
    fake_tree_make(&tree);
    return 0;
}

static inline int remove_tree(void **state)
{
    (void)state;
    fake_tree_remove(&tree);
    return 0;
}

#endif
