// Whether a model fits this machine, asked before it is loaded.
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "model/memory_plan.h"

enum { MEMORY_HELP_BYTES = 256 };

// What would help where a plan does not fit: a shorter context, smaller keys and values, a smaller model. Returns
// `out`.
const char *memory_help(const struct memory_plan *plan, const struct config *config, char out[MEMORY_HELP_BYTES]);

// What was asked for, and then what the plan chose.
struct memory_choice {
    tern_kv_type kv_type;
    int context; // 0: what the model was trained for; becomes the longest that fits
    bool f32_activations;
    tern_tiles tiles; // AUTO becomes DENSE if that is as fast or nothing else fits, else LOOSE
};

// Plans the model `name` (a file or what model_name.h understands). stderr says where the context became shorter or
// tiles dense. A plan that does not fit is refused with its figures. A terminal is told what is needed, unless `quiet`.
// EXIT_OK, or an exit code after a message on stderr. Files that cannot be planned pass: loading them says what is
// wrong.
int memory_prepare(const char *name, bool quiet, struct memory_choice *choice);

#endif
