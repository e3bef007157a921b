// Opening a model for a command: progress on the terminal, Ctrl-C gives up.
#ifndef CLI_LOADING_H
#define CLI_LOADING_H

#include "format/gguf.h"

// `name` is a file or what model_name.h understands. EXIT_OK, or an exit code after a message on stderr. Install
// interrupts before. `options` has no progress.
int loading_open_model(const char *name, tern_model_options options, tern_model **out);

// The same for what only reads the file; installs interrupts itself. Close with gguf_close().
int loading_open_file(const char *name, struct gguf_file **out);

// Most threads that the command line takes.
enum { LOADING_MAX_THREADS = 1024 };

// Words of --kv-type, in the order of tern_kv_type.
#define LOADING_KV_TYPES "f16|q8_0|q4_0"

// Words of --tiles, in the order of tern_tiles, and what help says of them.
#define LOADING_TILES "auto|loose|dense"
#define LOADING_TILES_HELP                                                                                             \
    "how ternary weights lie in memory: loose (2.125 bits each) or dense (1.75, the same answers; much slower on "     \
    "processors without AVX-512 VBMI); default auto: dense with AVX-512 VBMI, or where loose ones find no room"

#endif
