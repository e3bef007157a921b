// A conversation as the text that the model was trained to continue.
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/template.h"

// What the template sees: messages, tools, documents (none), add_generation_prompt, bos_token, eos_token, and the
// caller's variables, which replace others of their name. A message is a dict of role, content (none if NULL),
// reasoning_content, tool_calls and tool_call_id (each only if given; tool_calls as the JSON says, arguments are not
// parsed further). `bos` and `eos` are the names of those tokens ("" if none). strftime_now tells the present time,
// UTC. *text is malloc'd and NUL-terminated. Errors: as template_render(); INVALID names the JSON text that is broken.
tern_status chat_render(const struct template *tmpl, const char *bos, const char *eos, const tern_message *messages,
                        size_t n_messages, const tern_chat_options *options, char **text);

#endif
