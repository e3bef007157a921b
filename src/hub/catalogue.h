// The models that tern knows by name.
#ifndef HUB_CATALOGUE_H
#define HUB_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

struct hub_model {
    const char *name;       // what is typed: "ternary-bonsai-4b"
    const char *repository; // "OWNER/NAME" on the hub; NULL: it does not come from there, see `about`
    const char *file;       // path in the repository (without one: in the cache folder)
    uint64_t bytes;         // of the file; 0: not known for certain
    const char *about;      // one line
};

const struct hub_model *hub_catalogue(size_t *count);

// NULL if there is none; letters count without case.
const struct hub_model *hub_find_model(const char *name);

#endif
