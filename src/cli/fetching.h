// Fetching models for commands: where they come from and go to, what is shown meanwhile.
#ifndef CLI_FETCHING_H
#define CLI_FETCHING_H

#include "base/buffer.h"
#include "hub/source.h"

struct fetching {
    const char *sha256; // as struct pull_options
    int retries, timeout, force, quiet;
};

enum { FETCHING_RETRIES = 4, FETCHING_TIMEOUT = 30 };

// Reads what a user calls a model, for the hub that HF_ENDPOINT names (https://huggingface.co). Errors: INVALID.
tern_status fetching_parse(const char *text, struct hub_source *out);

// Fetches it into the cache with progress on stderr, with HF_TOKEN. EXIT_OK, or an exit code after a message on stderr.
// Install interrupts before.
int fetching_run(const struct fetching *fetching, struct hub_source *source);

// Appends the file's path in the cache. Errors: NO_MEMORY, INVALID.
tern_status fetching_append_path(const struct hub_source *source, struct buffer *out);

// "1.07 GB", "23.4 MB": decimal, as servers and disks count.
void fetching_format_bytes(uint64_t bytes, char *out, size_t size);

// "tern: " and this thread's last error on stderr; what servers and files may have put into it does not steer the
// terminal. Returns `code`.
int fetching_error(int code);

#endif
