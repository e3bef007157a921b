// A conversation as the text that the model was trained to continue.
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/template.h"

// What the template sees: messages, tools, add_generation_prompt, bos_token, eos_token, and the caller's variables.
// `bos` and `eos` are the names of those tokens ("" if none). *text is malloc'd and NUL-terminated.
tern_status chat_render(const struct template *tmpl, const char *bos, const char *eos, const tern_message *messages,
                        size_t n_messages, const tern_chat_options *options, char **text);

#endif
