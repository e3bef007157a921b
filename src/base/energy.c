#include "base/energy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PACKAGES = 16, MAX_PARTS = 8 };

static const char FOLDER[] = "/sys/class/powercap";

// The first line of FOLDER/zone/file, without its end.
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool done = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (done) line[strcspn(line, "\n")] = '\0';
    return done;
}

static bool read_microjoules(const char *path, double *out)
{
    char line[64];
    return read_line(path, line, sizeof line) && sscanf(line, "%lf", out) == 1 && *out >= 0;
}

// A zone of this name is counted: a package holds its cores, caches and graphics; memory is beside it. The zone "psys"
// is the whole board, packages and all.
static bool is_counted(const char *root, const char *zone)
{
    char path[256], name[64];
    snprintf(path, sizeof path, "%s%s/%s/name", root, FOLDER, zone);
    if (!read_line(path, name, sizeof name)) return false;
    return strncmp(name, "package", 7) == 0 || strcmp(name, "dram") == 0;
}

static void add_zone(struct energy_meter *meter, const char *root, const char *zone)
{
    if (!is_counted(root, zone) || meter->count == ENERGY_MAX_DOMAINS) return;
    struct energy_domain *domain = &meter->domains[meter->count];
    char range[256];
    snprintf(domain->path, sizeof domain->path, "%s%s/%s/energy_uj", root, FOLDER, zone);
    snprintf(range, sizeof range, "%s%s/%s/max_energy_range_uj", root, FOLDER, zone);
    errno = 0;
    if (read_microjoules(domain->path, &domain->last) && read_microjoules(range, &domain->wraps_at))
        meter->count++;
    else if (errno == EACCES)
        snprintf(meter->why, sizeof meter->why, "%s/%s can be read by root alone", FOLDER, zone);
}

void energy_open(const char *root, struct energy_meter *out)
{
    *out = (struct energy_meter){0};
    snprintf(out->why, sizeof out->why, "this machine shows no RAPL counters in %s", FOLDER);
    for (int package = 0; package < MAX_PACKAGES; package++) {
        char zone[64];
        snprintf(zone, sizeof zone, "intel-rapl:%d", package); // AMD's bear that name too
        add_zone(out, root, zone);
        for (int part = 0; part < MAX_PARTS; part++) {
            snprintf(zone, sizeof zone, "intel-rapl:%d:%d", package, part);
            add_zone(out, root, zone);
        }
    }
}

bool energy_read(struct energy_meter *meter, double *joules)
{
    if (meter->count == 0) return false;
    for (int i = 0; i < meter->count; i++) {
        struct energy_domain *domain = &meter->domains[i];
        double now;
        if (!read_microjoules(domain->path, &now)) return false;
        double spent = now - domain->last;
        if (spent < 0) spent += domain->wraps_at;
        meter->joules += spent * 1e-6;
        domain->last = now;
    }
    *joules = meter->joules;
    return true;
}
