#include "hub/split.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char form[] = "-ddddd-of-ddddd.gguf"; // d: a digit

enum { TAIL = sizeof form - 1, PART_AT = 1, COUNT_AT = 10, DIGITS = 5 };

static bool has_form(const char *tail)
{
    for (size_t i = 0; i < TAIL; i++) {
        bool digit = form[i] == 'd';
        if (digit ? !isdigit((unsigned char)tail[i]) : tolower((unsigned char)tail[i]) != form[i]) return false;
    }
    return true;
}

bool split_read(const char *path, struct split_name *out)
{
    size_t length = strlen(path);
    if (length <= TAIL || !has_form(path + length - TAIL)) return false;
    out->stem = length - TAIL;
    out->part = (int)strtol(path + out->stem + PART_AT, NULL, 10);
    out->count = (int)strtol(path + out->stem + COUNT_AT, NULL, 10);
    return true;
}

void split_set_part(char *path, int part)
{
    struct split_name name;
    char digits[8];
    if (!split_read(path, &name)) return;
    snprintf(digits, sizeof digits, "%05d", part % 100000);
    memcpy(path + name.stem + PART_AT, digits, DIGITS);
}
