// A file that appears under its name only when it is complete and on the disk.
#ifndef CONVERT_OUTPUT_FILE_H
#define CONVERT_OUTPUT_FILE_H

#include "base/status.h"

#include <sys/types.h>

struct output_file {
    int fd;          // -1 when closed
    char *path;      // where it will appear
    char *temporary; // a name beside it
    bool named;      // the bytes lie under `temporary` until then; otherwise in a file that has no name yet
    bool replace;    // what is at `path` may be replaced
};

// Opens a new file in the folder of `path`. Where the system can (Linux's O_TMPFILE), it has no name before
// output_file_commit(), so that not even a killed process leaves anything behind; otherwise it is PATH.part.
// `mode` is as for open(): the umask takes away what the user does not want to share.
// An existing file is an error unless `replace`. Errors: IO, INVALID (exists), NO_MEMORY.
tern_status output_file_open(const char *path, bool replace, mode_t mode, struct output_file *out);

// Errors: IO (a full disk, in the system's words).
tern_status output_file_write(struct output_file *file, const void *data, size_t length);

// Brings everything to the disk and gives the file its name, in one step. The file stays to be closed.
tern_status output_file_commit(struct output_file *file);

// Closes the file; what was not committed is gone. Fine on a closed one.
void output_file_close(struct output_file *file);

#endif
