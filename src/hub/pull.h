// Fetching a model into the cache: goes on where it broke off, is checked, and appears when it is complete.
#ifndef HUB_PULL_H
#define HUB_PULL_H

#include "hub/source.h"

#include <stdint.h>

// How the caller sees what happens and can end it. All are called from the pulling thread; none may be NULL.
struct pull_events {
    void *context;
    bool (*tick)(void *context);                                    // at least once a second; false: give up
    void (*progress)(void *context, uint64_t done, uint64_t total); // bytes of this file; total UINT64_MAX: not known
    void (*note)(void *context, const char *text);                  // something the user may want to know
};

struct pull_options {
    const char *endpoint; // the hub's address, without a slash at its end
    const char *token;    // sent to the hub alone; NULL: none
    const char *ca_file;  // certificates (PEM) to trust instead of the system's; NULL: the system's
    const char *cache;    // folder
    const char *sha256;   // what a single file must have, 64 hexadecimal digits; NULL: what the hub states
    int retries;          // further attempts after failures that may pass, 0..100; progress of a MiB starts anew
    long timeout;         // seconds without a kilobyte a second before an attempt counts as failed
    bool force;           // fetch it even if it is there
    struct pull_events events;
};

// Fetches all parts of a model that are not there yet. A source without a file gets the repository's only one.
// Errors: INVALID (several files to choose from; no such thing), IO (network, disk, an answer that says no),
// BAD_FILE (other bytes than the hub states; they are thrown away), CANCELLED (what came is kept).
tern_status pull_model(const struct pull_options *options, struct hub_source *source);

#endif
