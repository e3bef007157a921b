#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>

static _Atomic(tern_session *) watched;
static atomic_bool seen;

static void note_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&seen, true);
    tern_session *session = atomic_load(&watched);
    if (session != NULL) tern_session_cancel(session);
}

void interrupt_install(enum interrupt_mode mode)
{
    struct sigaction action = {.sa_handler = note_interrupt};
    sigemptyset(&action.sa_mask);
    action.sa_flags = mode == INTERRUPT_ONCE ? (int)SA_RESETHAND | SA_RESTART : 0;
    sigaction(SIGINT, &action, NULL);
}

void interrupt_watch(tern_session *session)
{
    atomic_store(&watched, session);
}

bool interrupt_seen(void)
{
    return atomic_load(&seen);
}

void interrupt_forget(void)
{
    atomic_store(&seen, false);
}
