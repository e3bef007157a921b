// A file of options: "key = value" lines that mean "--key value". "key = true" means "--key" alone, "key = false"
// nothing; empty lines and those that begin with # are skipped.
#ifndef CLI_CONFIG_FILE_H
#define CLI_CONFIG_FILE_H

#include "base/status.h"

enum { CONFIG_FILE_MAX_LINES = 256 };

struct config_file {
    char *words[CONFIG_FILE_MAX_LINES]; // [count] "--key=value", owned
    int count;
};

// Errors: IO, INVALID (which line), LIMIT, NO_MEMORY; the message names the file. Close after an error too. What was
// read of it stays valid until then.
tern_status config_file_open(const char *path, struct config_file *out);
void config_file_close(struct config_file *file);

#endif
