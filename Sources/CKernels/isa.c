#include "isa.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[ISA_COUNT] = {"scalar", "avx2", "avxvnni", "avx512", "avx512vnni",
                                             "amx",    "neon", "neondot", "i8mm"};

static uint32_t bit(enum kernels_isa isa) { return 1u << isa; }

// __builtin_cpu_supports asks the processor and whether the operating system saves the registers.
static uint32_t detect(void) {
    uint32_t found = bit(ISA_SCALAR);
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        found |= bit(ISA_AVX2);
        if (__builtin_cpu_supports("avxvnni")) found |= bit(ISA_AVXVNNI);
    }
    if ((found & bit(ISA_AVX2)) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        found |= bit(ISA_AVX512);
        if (__builtin_cpu_supports("avx512vnni")) found |= bit(ISA_AVX512VNNI);
    }
#endif
    return found;
}

static uint32_t cap(void) {
    const char *limit = getenv("EDGEOPT_ISA");
    for (int isa = 0; limit && isa < ISA_COUNT; isa++)
        if (strcmp(limit, names[isa]) == 0) return (2u << isa) - 1;
    return ~0u;
}

// Every thread computes the same value, so a race only computes it twice. The scalar bit is always set: 0 is "not yet".
static uint32_t available(void) {
    static uint32_t known;
    uint32_t mask = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (mask) return mask;
    mask = detect() & cap();
    __atomic_store_n(&known, mask, __ATOMIC_RELAXED);
    return mask;
}

bool kernels_isa_available(enum kernels_isa isa) { return (available() & bit(isa)) != 0; }

const char *kernels_isa_name(void) { return names[31 - __builtin_clz(available())]; }
