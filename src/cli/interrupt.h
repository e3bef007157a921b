// Ctrl-C: stops what runs instead of the program.
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <tern/tern.h>

enum interrupt_mode {
    INTERRUPT_ONCE,  // the first Ctrl-C is noted, a second one ends the program
    INTERRUPT_ALWAYS // each one is noted; blocking reads return with EINTR
};

void interrupt_install(enum interrupt_mode mode);

// The session that Ctrl-C cancels from now on; NULL: none.
void interrupt_watch(tern_session *session);

bool interrupt_seen(void); // since the last interrupt_forget()
void interrupt_forget(void);

#endif
