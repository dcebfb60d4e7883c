#define _DEFAULT_SOURCE // syscall
#include "isa.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static const char *const names[ISA_COUNT] = {"scalar", "avx2", "avxvnni", "avx512", "avx512vnni",
                                             "amx",    "neon", "neondot", "i8mm"};

static uint32_t bit(enum kernels_isa isa) { return 1u << isa; }

#if defined(__x86_64__)
// Tile registers are large, so Linux grants them to processes that ask; it refuses where a thread's signal stack would
// be too small for them.
static bool tiles_granted(void) {
#if defined(EDGEOPT_EMULATED_TILES) // by a test, see Tests/kernels/emulated_tiles.h
    return true;
#elif defined(__linux__) && defined(SYS_arch_prctl)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
    const unsigned all = AMX_BF16 | AMX_TILE | AMX_INT8;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & all) != all) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
    return false;
#endif
}
#endif

// __builtin_cpu_supports asks the processor and whether the operating system saves the registers.
static uint32_t detect(uint32_t permitted) {
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
    // Not asked for if it may not be used.
    if ((found & bit(ISA_AVX512VNNI)) && (permitted & bit(ISA_AMX)) && __builtin_cpu_supports("avx512bf16") &&
        tiles_granted())
        found |= bit(ISA_AMX);
#elif defined(__aarch64__)
    found |= bit(ISA_NEON); // part of the architecture
#if defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found |= bit(ISA_NEONDOT);
    if ((found & bit(ISA_NEONDOT)) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM)) found |= bit(ISA_I8MM);
#endif
#endif
    return found & permitted;
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
    mask = detect(cap());
    __atomic_store_n(&known, mask, __ATOMIC_RELAXED);
    return mask;
}

bool kernels_isa_available(enum kernels_isa isa) { return (available() & bit(isa)) != 0; }

const char *kernels_isa_name(void) { return names[31 - __builtin_clz(available())]; }

bool kernels_has_byte_tables(void) {
#if defined(__x86_64__)
    return kernels_isa_available(ISA_AVX512) && __builtin_cpu_supports("avx512vbmi");
#else
    return false;
#endif
}
