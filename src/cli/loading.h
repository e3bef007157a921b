// Opening a model for a command: progress on the terminal, Ctrl-C gives up.
#ifndef CLI_LOADING_H
#define CLI_LOADING_H

#include "format/gguf.h"

// `name` is a file or what model_name.h understands. EXIT_OK, or an exit code after a message on stderr. Install
// interrupts before.
int loading_open_model(const char *name, int threads, bool f32_activations, tern_model **out);

// The same for what only reads the file; installs interrupts itself. Close with gguf_close().
int loading_open_file(const char *name, struct gguf_file **out);

// Most threads that the command line takes.
enum { LOADING_MAX_THREADS = 1024 };

// Words of --kv-type, in the order of tern_kv_type.
#define LOADING_KV_TYPES "f16|q8_0|q4_0"

#endif
