// Names of the parts of a split model: STEM-00001-of-00003.gguf, as llama.cpp's gguf-split writes them.
#ifndef HUB_SPLIT_H
#define HUB_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

struct split_name {
    size_t stem;     // bytes before "-00001-of-00003.gguf"
    int part, count; // 0..99999 each: what the name says, however little sense it makes
};

// False if the path does not end so.
bool split_read(const char *path, struct split_name *out);

// Makes it the name of another part, 1..99999; other names stay as they are.
void split_set_part(char *path, int part);

#endif
