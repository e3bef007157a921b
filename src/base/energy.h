// Energy that the processors of this machine took, from the counters of RAPL (running average power limit), which
// Linux shows in /sys/class/powercap for Intel's and AMD's processors. They count whole packages: whatever else the
// machine does is in them.
#ifndef BASE_ENERGY_H
#define BASE_ENERGY_H

#include <stdbool.h>

enum { ENERGY_MAX_DOMAINS = 32 };

struct energy_domain {
    char path[256];        // of its energy_uj
    double last, wraps_at; // microjoules: the last reading, and where the counter begins again
};

struct energy_meter {
    int count; // of domains; 0: nothing can be measured, `why` says why
    struct energy_domain domains[ENERGY_MAX_DOMAINS];
    double joules; // since energy_open(), by the last energy_read()
    char why[160];
};

// Packages, and the memory beside them where it is counted apart. `root` is put before the path: "" for the machine
// itself, a folder for tests.
void energy_open(const char *root, struct energy_meter *out);

// Joules since energy_open(). Call it every few minutes at least: counters begin again after 65 to 262 kilojoules.
// False if there is no meter, or it can no longer be read.
bool energy_read(struct energy_meter *meter, double *joules);

#endif
