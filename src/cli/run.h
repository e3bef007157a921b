// What `tern run` was asked for; shared by its two ways, one answer and a conversation.
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/options.h"

#include <tern/tern.h>

struct run_options {
    const char *model, *prompt, *file, *system;
    int predict, context, threads;
    int raw, json, quiet, f32_activations, no_prompt_lookup, kv_type, tiles;
    int thinking; // -1: as the template likes
    struct text_list stop, bias;
    tern_sampling sampling;
};

// The bounds of one answer, from the options. Borrows the stop strings.
tern_generation run_generation(const struct run_options *options);

// "12 tokens read (310/s), 45 written (23.1/s)" on stderr, dimmed there.
void run_print_rates(const tern_result *result);

// The conversation: chat.c. Returns an exit code.
int chat_main(const struct run_options *options, tern_model *model, tern_session *session);

#endif
