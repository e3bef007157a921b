// A file that is being fetched: FILE.part beside where FILE will be, what it is in FILE.part.json, and one owner.
#ifndef HUB_PART_H
#define HUB_PART_H

#include "hub/http.h"
#include "hub/sha256.h"

#define PART_SUFFIX   ".part"      // the bytes so far; locked (flock) while somebody fetches
#define NOTE_SUFFIX   ".part.json" // what they belong to
#define SOURCE_SUFFIX ".json"      // of a complete file: where it came from

// What the bytes belong to, as the server said: a later attempt may only go on where this still holds.
struct part_identity {
    char etag[HTTP_VALUE_BYTES];   // strong ETag of the answer with the bytes; "" if none
    char sha256[SHA256_HEX_BYTES]; // of the whole file; "" if not known
    uint64_t size;                 // of the whole file; HTTP_UNKNOWN
};

struct part_file {
    char *path, *part, *note; // FILE, FILE.part, FILE.part.json; owned
    int fd;                   // of FILE.part, locked; -1 when closed
    uint64_t length;          // bytes in FILE.part
    struct part_identity identity;
};

// Makes the folders, opens FILE.part and locks it. *busy: another process has it, and nothing is open; try again later.
// Errors: IO (a read-only or full disk, in the system's words), NO_MEMORY.
tern_status part_open(const char *path, struct part_file *out, bool *busy);
void part_close(struct part_file *part); // keeps what is there; fine on a closed one

// Writes down what the bytes belong to. `url` is for the reader. Errors: IO.
tern_status part_set_identity(struct part_file *part, const struct part_identity *identity, const char *url);

// Adds the bytes that are there to a hash; tick as in http.h. Errors: IO, CANCELLED.
tern_status part_hash(const struct part_file *part, struct sha256 *hash, bool (*tick)(void *context), void *context);

// Errors: IO; a full disk is called that.
tern_status part_append(struct part_file *part, const void *data, size_t length);
tern_status part_truncate(struct part_file *part); // to nothing

// Room on the disk for `more` bytes and a little. Errors: IO, with both numbers.
tern_status part_check_space(const struct part_file *part, uint64_t more);

// Brings the bytes to the disk and gives them their name; FILE.json says where they came from. Errors: IO.
tern_status part_commit(struct part_file *part, const char *url, const char *sha256);

// Removes FILE.part and FILE.part.json.
void part_discard(struct part_file *part);

#endif
