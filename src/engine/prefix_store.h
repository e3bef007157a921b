// Blocks of keys and values on disk, so that prompts are remembered across runs: a folder with one file for each block,
// named after the model and the tokens up to the block's end. Threads of its own read and write; a file is whole or not
// there (it is written under another name first), is checked when it is read, and the folder is bounded: the least
// recently used files go first. Several processes may share a folder.
//
// File: struct header (prefix_store.c), all tokens from the start to the block's end, the slab; in this machine's byte
// order, which the magic number tells.
#ifndef ENGINE_PREFIX_STORE_H
#define ENGINE_PREFIX_STORE_H

#include "base/status.h"

struct prefix_store;

struct prefix_store_options {
    const char *folder;   // made if it is not there, and those above it; nobody else may write to it
    uint64_t max_bytes;   // of all files of this kind in the folder, other models' included
    uint64_t fingerprint; // of everything but the tokens that keys and values depend on
    size_t slab_bytes;
    // Called from the store's threads when something was read, or there is room to write again. Must not block.
    void (*notify)(void *context);
    void *context;
};

// Errors: IO (the folder cannot be made or read, or others may write to it), NO_MEMORY.
tern_status prefix_store_open(const struct prefix_store_options *options, struct prefix_store **out);
// Writes what was taken, then closes. NULL is fine. Reads must have been taken back.
void prefix_store_close(struct prefix_store *store);

// Whether a block of this hash was there when the folder was last looked at.
bool prefix_store_has(struct prefix_store *store, uint64_t hash);

// Consecutive blocks of one sequence to be read.
struct prefix_read {
    int32_t first, n;   // block indices first .. first + n
    uint64_t *hashes;   // [n]
    uint8_t **slabs;    // [n] to be filled
    tern_token *tokens; // [(first + n) * 64] from the start: a file that has others is passed over
    int32_t n_good;     // set when it is taken back: so many, from the first, were read
    void *context;      // of the caller
    struct prefix_read *next;
};

// Reads in the background. The request and all it points to belong to the store until prefix_store_take() returns it.
void prefix_store_read(struct prefix_store *store, struct prefix_read *read);
struct prefix_read *prefix_store_take(struct prefix_store *store); // one that is done; NULL if none is

// Writes a block in the background from a copy of `slab`. tokens[(index + 1) * 64] from the start. False: too much is
// being written already (notify() will tell when not); nothing was taken. While the disk refuses, blocks are taken and
// dropped.
bool prefix_store_write(struct prefix_store *store, uint64_t hash, int32_t index, const tern_token *tokens,
                        const uint8_t *slab);
// A block was used again: its file becomes recent, the more so the nearer it is to the start.
void prefix_store_touch(struct prefix_store *store, uint64_t hash, int32_t index);

struct prefix_store_stats {
    uint64_t bytes;        // of all files, when last looked at, and of those written since
    uint64_t hits, writes; // blocks read, and written
    uint64_t errors;       // refused writes, files that are broken or could not be read for want of memory
};
void prefix_store_get_stats(struct prefix_store *store, struct prefix_store_stats *out);

// A 64-bit hash of bytes, for checksums and fingerprints: fast, and not made against somebody who wants collisions.
uint64_t prefix_store_hash(uint64_t seed, const void *data, size_t size);

#endif
