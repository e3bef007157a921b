// The sockets that the server listens on.
#ifndef SERVE_LISTEN_H
#define SERVE_LISTEN_H

#include "base/status.h"

enum { LISTEN_BACKLOG = 1024 };

// Binds every address that `host` has (at most `most`). *port: 0 takes any free one; becomes that of the first.
// Errors: IO, with what the system says. Close the sockets with close().
tern_status listen_tcp(const char *host, int *port, int *sockets, int most, int *count, bool *loopback);

// A socket in the file system that its owner and group may use; one that nobody listens on any more is replaced.
tern_status listen_unix(const char *path, int *out);

#endif
