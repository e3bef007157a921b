// The affinity masks of sched.h are GNU's.
#define _GNU_SOURCE
#include "base/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
// Half-float conversion, which clang's __builtin_cpu_supports does not know.
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}
#endif

struct cpu_features cpu_detect(void)
{
    struct cpu_features cpu = {0};
#if defined(__x86_64__)
    __builtin_cpu_init();
    // The compiler's run-time asks XGETBV too: a feature counts only if the system saves its registers.
    cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    cpu.neon = true;
#if defined(__linux__)
    cpu.dotprod = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
    cpu.i8mm = (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#endif
#endif
    return cpu;
}

// The whole number in a one-number file, or `missing`. "max" (no limit, in control groups) counts as missing.
static long long read_number(const char *path, long long missing)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return missing;
    long long value;
    if (fscanf(file, "%lld", &value) != 1) value = missing;
    fclose(file);
    return value;
}

// Processors that the control group's quota pays for, rounded up; 0 if there is no quota.
static int quota_cores(void)
{
    long long quota = -1, period = -1;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file != NULL) { // "QUOTA PERIOD" or "max PERIOD"
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        quota = read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1);
        period = read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", -1);
    }
    if (quota <= 0 || period <= 0) return 0;
    long long cores = (quota + period - 1) / period;
    return cores > 100000 ? 0 : (int)cores;
}

#if defined(__linux__)
// The first processor of the physical core that `processor` belongs to.
static int first_sibling(int processor)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", processor);
    return (int)read_number(path, processor); // "0,4" or "0-1": the list is ascending
}

static int allowed_cores(void)
{
    cpu_set_t *set = NULL;
    size_t size = 0;
    int n = 0;
    // The kernel refuses a set smaller than its own, so ask with a larger one until it fits.
    for (int processors = 1024; n == 0 && processors <= 1 << 20; processors *= 4) {
        CPU_FREE(set);
        set = CPU_ALLOC((size_t)processors);
        if (set == NULL) return 1;
        size = CPU_ALLOC_SIZE((size_t)processors);
        if (sched_getaffinity(0, size, set) == 0)
            n = processors;
        else if (errno != EINVAL)
            break;
    }

    // Count a core once: at the first of its allowed processors.
    char *counted = calloc(n > 0 ? (size_t)n : 1, 1);
    int cores = 0;
    for (int i = 0; counted != NULL && i < n; i++) {
        if (!CPU_ISSET_S((size_t)i, size, set)) continue;
        int core = first_sibling(i);
        if (core < 0 || core >= n) core = i;
        cores += counted[core] == 0;
        counted[core] = 1;
    }
    free(counted);
    CPU_FREE(set);
    return cores;
}
#else
static int allowed_cores(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
#endif

int cpu_cores(void)
{
    int cores = allowed_cores(), quota = quota_cores();
    if (quota > 0 && quota < cores) cores = quota;
    return cores < 1 ? 1 : cores;
}

// A line "Name:   N kB" of /proc/meminfo, in bytes; 0 if it is not there.
static uint64_t memory_line(const char *name)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) return 0;
    char line[256];
    unsigned long long kilobytes = 0;
    size_t length = strlen(name);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %llu", &kilobytes) == 1) break;
    fclose(file);
    return kilobytes * 1024;
}

static uint64_t group_limit(void)
{
    long long limit = read_number("/sys/fs/cgroup/memory.max", -1);
    if (limit < 0) limit = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", -1);
    return limit < 0 ? UINT64_MAX : (uint64_t)limit;
}

uint64_t cpu_memory_total(void)
{
    uint64_t total = memory_line("MemTotal"), limit = group_limit();
    return limit < total ? limit : total;
}

uint64_t cpu_memory_available(void)
{
    uint64_t available = memory_line("MemAvailable"), limit = group_limit();
    if (limit == UINT64_MAX) return available;
    long long used = read_number("/sys/fs/cgroup/memory.current", -1);
    if (used < 0) used = read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", 0);
    uint64_t left = (uint64_t)used < limit ? limit - (uint64_t)used : 0;
    return left < available ? left : available;
}
