// What the operating system lets this process use: processors and memory, with the limits of control groups (Linux;
// versions 1 and 2, the process's own group and all above it).
//
// `root` is put before every path that is read (/proc, /sys): "" for the machine itself, a folder for tests.
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

struct machine_processors {
    int allowed;  // logical processors this process may run on: online and in its affinity mask; 0: not known
    int cores;    // physical cores among them: hyperthreads of one core count once
    int nodes;    // NUMA nodes among them; 1 where the system does not say
    double quota; // processors whose time control groups grant; 0: no limit
};

struct machine_processors machine_processors(const char *root);

// Threads to compute with: a core each, and not more than the quota pays for in whole processors: one thread too many
// and all wait, in every loop, for the one whose time is spent. >= 1.
int machine_threads(const struct machine_processors *processors);

struct machine_memory {
    uint64_t total; // bytes: the machine's, or a control group's limit if that is less; 0: not known
    uint64_t
        available; // bytes that could still be taken without swapping, what only caches files included; 0: not known
};

struct machine_memory machine_memory(const char *root);

#endif
