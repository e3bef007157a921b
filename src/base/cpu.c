#include "base/cpu.h"

#include "base/machine.h"

#include <stddef.h>
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

// VPDPBUSD without AVX-512, which clang 14's __builtin_cpu_supports does not know.
static bool has_avx_vnni(void)
{
    enum { AVX_VNNI = 1 << 4 };
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & AVX_VNNI) != 0;
}
#endif

struct cpu_features cpu_detect(void)
{
    struct cpu_features cpu = {0};
#if defined(__x86_64__)
    __builtin_cpu_init();
    // The compiler's run-time asks XGETBV too: a feature counts only if the system saves its registers.
    cpu.sse41 = __builtin_cpu_supports("sse4.1");
    cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    cpu.avxvnni = cpu.avx2 && has_avx_vnni();
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

int cpu_cores(void)
{
    struct machine_processors processors = machine_processors("");
    if (processors.allowed == 0) processors.cores = (int)sysconf(_SC_NPROCESSORS_ONLN); // no Linux, or no /proc
    return machine_threads(&processors);
}

uint64_t cpu_memory_total(void)
{
    return machine_memory("").total;
}

uint64_t cpu_memory_available(void)
{
    return machine_memory("").available;
}
