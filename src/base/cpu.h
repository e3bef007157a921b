// What this machine's processor can do and how many cores the process may use.
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_features {
    bool sse41;
    bool avx2;    // with FMA and F16C, and the operating system saving the registers
    bool avxvnni; // AVX-VNNI, on top of avx2
    bool avx512;  // F, BW, DQ, VL and VNNI, on top of avx2
    bool neon;    // AArch64: always
    bool dotprod;
    bool i8mm;
};

struct cpu_features cpu_detect(void);

// Threads to compute with: physical cores this process may run on, affinity mask and control-group quota counted,
// hyperthreads not (machine.h has the parts). >= 1.
int cpu_cores(void);

// Bytes of memory this process could still take (control-group limit counted); 0 if unknown.
uint64_t cpu_memory_available(void);

// Bytes of memory of the machine or of the control group's limit; 0 if unknown.
uint64_t cpu_memory_total(void);

#endif
