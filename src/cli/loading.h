// Opening a model for a command: progress on the terminal, Ctrl-C gives up.
#ifndef CLI_LOADING_H
#define CLI_LOADING_H

#include <tern/tern.h>

// EXIT_OK, or an exit code after a message on stderr. Install interrupts before.
int loading_open_model(const char *path, int threads, bool f32_activations, tern_model **out);

// Most threads that the command line takes.
enum { LOADING_MAX_THREADS = 1024 };

#endif
