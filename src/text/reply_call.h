// The JSON of tool calls, read byte by byte as it comes: {"name": ..., "arguments": ...}, or a list of such objects.
#ifndef TEXT_REPLY_CALL_H
#define TEXT_REPLY_CALL_H

#include "base/buffer.h"

// A JSON string on its way from escapes to text.
struct json_string {
    char escape[6]; // what was read of one, the backslash first
    int n_escape;   // bytes of it; 0: none
    uint32_t code;  // of \uXXXX, so far
    uint32_t high;  // a high surrogate that waits for its other half; 0: none
};

enum call_place {
    CALL_START,        // of the first object, or of the list
    CALL_KEY_OR_CLOSE, // behind {
    CALL_KEY,          // behind a comma
    CALL_IN_KEY,
    CALL_COLON,
    CALL_VALUE, // behind a colon
    CALL_IN_NAME,
    CALL_IN_STRING,      // arguments that are written as a string
    CALL_IN_VALUE,       // any other value
    CALL_COMMA_OR_CLOSE, // behind a value
    CALL_NEXT_OR_CLOSE,  // behind an object of a list
    CALL_NEXT,           // behind the comma after that
};

enum call_step {
    CALL_GOES_ON,
    CALL_OBJECT_ENDS, // one call is complete; in a list others may follow: begin it with reply_call_next()
    CALL_LIST_ENDS,
    CALL_IS_NONE, // this byte cannot be; it was not taken
};

// All zero (but for the first two) is the beginning.
struct reply_call {
    const char *name_key, *arguments_key;
    bool in_list;
    enum call_place place;
    struct json_string string;
    struct buffer key;
    struct buffer name;
    struct buffer arguments; // text that was read and not yet fetched
    bool named;              // the name is complete
    bool argued, argued_out; // the arguments have begun; they are complete
    bool to_arguments;       // the value that is being read is the arguments
    // Of a value that is no string:
    uint32_t depth; // open brackets
    bool quoted, escaped;
};

void reply_call_free(struct reply_call *call);

// Forgets what was read of the last object (or before); the list, if there is one, goes on.
void reply_call_next(struct reply_call *call);

// Errors: NO_MEMORY, LIMIT of the buffers.
tern_status reply_call_push(struct reply_call *call, char byte, enum call_step *step);

#endif
