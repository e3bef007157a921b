#include "base/machine.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES = 16384, // what is read of a file: /proc/self/status and memory.stat are some thousands long
    PATH_BYTES = 4096,
    MAX_PROCESSORS = 16384,
    MAX_NODES = 1024,
};

// ---- Files --------------------------------------------------------------------------------------------------------

// The start of a file, NUL-terminated; false if it cannot be read.
static bool read_text(const char *path, char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    size_t length = fread(text, 1, TEXT_BYTES - 1, file);
    text[length] = '\0';
    fclose(file);
    return length > 0;
}

static bool __attribute__((format(printf, 2, 3))) read_file(char text[TEXT_BYTES], const char *format, ...)
{
    char path[PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    return length > 0 && (size_t)length < sizeof path && read_text(path, text);
}

// A file's whole number; `missing` if it has none. "max" (no limit, in control groups) is none.
static long long read_number(const char *folder, const char *name, long long missing)
{
    char text[TEXT_BYTES];
    long long value;
    return read_file(text, "%s/%s", folder, name) && sscanf(text, "%lld", &value) == 1 ? value : missing;
}

// What follows `name` at the start of a line; NULL if no line begins so.
static const char *find_line(const char *text, const char *name)
{
    size_t length = strlen(name);
    while (strncmp(text, name, length) != 0) {
        text = strchr(text, '\n');
        if (text == NULL) return NULL;
        text++;
    }
    return text + length;
}

static uint64_t number_after(const char *text, const char *name)
{
    const char *at = find_line(text, name);
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

// ---- Control groups -----------------------------------------------------------------------------------------------

// The strictest limits of the groups visited so far.
struct limits {
    double quota;           // processors; 0: none
    uint64_t memory;        // bytes; UINT64_MAX: none
    uint64_t memory_unused; // bytes up to a limit
};

static void limit_quota(struct limits *limits, long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return;
    double processors = (double)quota / (double)period;
    if (limits->quota == 0 || processors < limits->quota) limits->quota = processors;
}

// Pages that only cache files go when memory is wanted: they do not count as used.
static void limit_memory(struct limits *limits, long long limit, long long used, uint64_t cached)
{
    if (limit < 0 || used < 0) return;
    uint64_t taken = (uint64_t)used > cached ? (uint64_t)used - cached : 0;
    uint64_t unused = taken < (uint64_t)limit ? (uint64_t)limit - taken : 0;
    if ((uint64_t)limit < limits->memory) limits->memory = (uint64_t)limit;
    if (unused < limits->memory_unused) limits->memory_unused = unused;
}

static uint64_t cached_bytes(const char *folder, const char *inactive, const char *active)
{
    char text[TEXT_BYTES];
    if (!read_file(text, "%s/memory.stat", folder)) return 0;
    return number_after(text, inactive) + number_after(text, active);
}

typedef void (*group_visitor)(const char *folder, struct limits *limits);

// Version 2: "cpu.max" is "QUOTA PERIOD" or "max PERIOD". Above memory.high a group is slowed down until it stands
// still, so that it is a limit as memory.max is.
static void visit_v2(const char *folder, struct limits *limits)
{
    char text[TEXT_BYTES];
    long long quota, period;
    if (read_file(text, "%s/cpu.max", folder) && sscanf(text, "%lld %lld", &quota, &period) == 2)
        limit_quota(limits, quota, period);
    long long used = read_number(folder, "memory.current", -1);
    uint64_t cached = cached_bytes(folder, "inactive_file ", "active_file ");
    limit_memory(limits, read_number(folder, "memory.max", -1), used, cached);
    limit_memory(limits, read_number(folder, "memory.high", -1), used, cached);
}

static void visit_v1_cpu(const char *folder, struct limits *limits)
{
    limit_quota(limits, read_number(folder, "cpu.cfs_quota_us", -1), read_number(folder, "cpu.cfs_period_us", -1));
}

static void visit_v1_memory(const char *folder, struct limits *limits)
{
    limit_memory(limits, read_number(folder, "memory.limit_in_bytes", -1),
                 read_number(folder, "memory.usage_in_bytes", -1),
                 cached_bytes(folder, "total_inactive_file ", "total_active_file "));
}

// The group and all above it, where the hierarchy is mounted. In a container the mount often begins at the container's
// own group while `group` is its path on the host: folders that are not there are passed over, and the mount's own
// limits come last.
static void visit_groups(const char *mount, const char *group, group_visitor visit, struct limits *limits)
{
    char folder[PATH_BYTES];
    int length = snprintf(folder, sizeof folder, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    if (length < 0 || (size_t)length >= sizeof folder) return;
    for (size_t least = strlen(mount);;) {
        visit(folder, limits);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < least) return;
        *slash = '\0';
    }
}

static bool has_controller(const char *list, const char *wanted)
{
    size_t length = strlen(wanted);
    for (;; list++) {
        size_t n = strcspn(list, ",");
        if (n == length && strncmp(list, wanted, n) == 0) return true;
        list += n;
        if (*list == '\0') return false;
    }
}

// One line of /proc/self/cgroup, "NUMBER:CONTROLLERS:PATH"; version 2 has no controllers there. Mounts are where
// systemd and container engines put them.
static void visit_line(const char *root, char *line, struct limits *limits)
{
    char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) return;
    *group++ = '\0';
    controllers++;
    char mount[PATH_BYTES];
    if (*controllers == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        visit_groups(mount, group, visit_v2, limits);
        return;
    }
    bool memory = has_controller(controllers, "memory");
    if (!memory && !has_controller(controllers, "cpu")) return;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, memory ? "memory" : "cpu");
    visit_groups(mount, group, memory ? visit_v1_memory : visit_v1_cpu, limits);
}

static struct limits read_limits(const char *root)
{
    struct limits limits = {.memory = UINT64_MAX, .memory_unused = UINT64_MAX};
    char text[TEXT_BYTES];
    if (!read_file(text, "%s/proc/self/cgroup", root)) return limits;
    for (char *line = text, *end; line != NULL; line = end) {
        end = strchr(line, '\n');
        if (end != NULL) *end++ = '\0';
        visit_line(root, line, &limits);
    }
    return limits;
}

// ---- Processors ---------------------------------------------------------------------------------------------------

struct processor_set {
    uint64_t bits[MAX_PROCESSORS / 64];
};

static bool set_has(const struct processor_set *set, int i)
{
    return (set->bits[i / 64] >> i % 64 & 1) != 0;
}

static void set_add(struct processor_set *set, int i)
{
    set->bits[i / 64] |= (uint64_t)1 << i % 64;
}

// "0-3,8,10-11" as the kernel writes sets. False if the text does not begin with a number.
static bool parse_set(const char *text, struct processor_set *out)
{
    *out = (struct processor_set){0};
    bool any = false;
    for (;;) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (end == text) return any;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        for (long i = first < 0 ? 0 : first; i <= last && i < MAX_PROCESSORS; i++)
            set_add(out, (int)i);
        any = true;
        if (*end != ',') return true;
        text = end + 1;
    }
}

static bool read_set(const char *path, const char *root, struct processor_set *out)
{
    char text[TEXT_BYTES];
    return read_file(text, "%s%s", root, path) && parse_set(text, out);
}

// The affinity mask of the calling thread, which threads inherit. A mask may name processors that are not there.
static bool read_allowed(const char *root, struct processor_set *out)
{
    char text[TEXT_BYTES];
    const char *list = NULL;
    if (read_file(text, "%s/proc/thread-self/status", root)) list = find_line(text, "Cpus_allowed_list:");
    if (list == NULL && read_file(text, "%s/proc/self/status", root)) list = find_line(text, "Cpus_allowed_list:");
    if (list == NULL || !parse_set(list, out)) return false;
    struct processor_set online;
    if (!read_set("/sys/devices/system/cpu/online", root, &online)) return true;
    for (size_t i = 0; i < MAX_PROCESSORS / 64; i++)
        out->bits[i] &= online.bits[i];
    return true;
}

// The first processor of the core that `processor` belongs to; itself if the system does not say.
static int first_sibling(const char *root, int processor)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/sys/devices/system/cpu/cpu%d/topology", root, processor);
    long long first = read_number(folder, "thread_siblings_list", processor); // ascending
    return first >= 0 && first < MAX_PROCESSORS ? (int)first : processor;
}

static void count_cores(const char *root, const struct processor_set *allowed, struct machine_processors *out)
{
    struct processor_set counted = {0};
    for (int i = 0; i < MAX_PROCESSORS; i++) {
        if (!set_has(allowed, i)) continue;
        int core = first_sibling(root, i);
        out->allowed++;
        out->cores += !set_has(&counted, core);
        set_add(&counted, core);
    }
}

static bool sets_meet(const struct processor_set *a, const struct processor_set *b)
{
    for (size_t i = 0; i < MAX_PROCESSORS / 64; i++)
        if ((a->bits[i] & b->bits[i]) != 0) return true;
    return false;
}

static int count_nodes(const char *root, const struct processor_set *allowed)
{
    struct processor_set nodes, processors;
    int count = 0;
    if (!read_set("/sys/devices/system/node/online", root, &nodes)) return 1;
    for (int node = 0; node < MAX_NODES; node++) {
        char path[64];
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
        if (set_has(&nodes, node) && read_set(path, root, &processors) && sets_meet(&processors, allowed)) count++;
    }
    return count > 0 ? count : 1;
}

struct machine_processors machine_processors(const char *root)
{
    struct machine_processors out = {.nodes = 1, .quota = read_limits(root).quota};
    struct processor_set allowed;
    if (!read_allowed(root, &allowed)) return out;
    count_cores(root, &allowed, &out);
    out.nodes = count_nodes(root, &allowed);
    return out;
}

int machine_threads(const struct machine_processors *processors)
{
    int threads = processors->cores;
    if (processors->quota > 0 && processors->quota < threads) threads = (int)processors->quota;
    return threads > 1 ? threads : 1;
}

// ---- Memory -------------------------------------------------------------------------------------------------------

struct machine_memory machine_memory(const char *root)
{
    char text[TEXT_BYTES];
    struct machine_memory out = {0};
    if (!read_file(text, "%s/proc/meminfo", root)) return out;
    out.total = number_after(text, "MemTotal:") * 1024;
    out.available = number_after(text, "MemAvailable:") * 1024;
    if (find_line(text, "MemAvailable:") == NULL) // before Linux 3.14
        out.available = (number_after(text, "MemFree:") + number_after(text, "Cached:")) * 1024;
    struct limits limits = read_limits(root);
    if (limits.memory < out.total) out.total = limits.memory;
    if (limits.memory_unused < out.available) out.available = limits.memory_unused;
    return out;
}
