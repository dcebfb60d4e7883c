#define _DEFAULT_SOURCE // syscall
#include "isa.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static const char *const names[ISA_COUNT] = {"scalar", "avx2", "avxvnni", "avx512", "avx512vnni",
                                             "amx",    "neon", "neondot", "i8mm"};

static uint32_t bit(enum kernels_isa isa) { return 1u << isa; }

// More than a level says: AVX-512 with permutations of bytes.
static const uint32_t byte_tables = 1u << ISA_COUNT;

#if defined(__x86_64__)
// What the processor has, by leaf of cpuid and register (Intel SDM, volume 2A; the compiler's __builtin_cpu_supports
// knows every processor there is, in 4 KB).
struct processor {
    unsigned c1, b7, c7, d7, a71;
    unsigned saved; // sets of registers that the operating system saves (XCR0)
};
enum { YMM_SAVED = 0x6, ZMM_SAVED = 0xe6 };

static bool has(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

static struct processor processor(void) {
    struct processor p = {0};
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &p.c1, &d) && has(p.c1, bit_OSXSAVE))
        __asm__("xgetbv" : "=a"(p.saved), "=d"(d) : "c"(0));
    if (__get_cpuid_count(7, 0, &a, &p.b7, &p.c7, &p.d7) && a > 0) __get_cpuid_count(7, 1, &p.a71, &b, &c, &d);
    return p;
}

// Tile registers are large, so Linux grants them to processes that ask; it refuses where a thread's signal stack would
// be too small for them.
static bool tiles_granted(const struct processor *p) {
#if defined(EDGEOPT_EMULATED_TILES) // by a test, see Tests/kernels/emulated_tiles.h
    (void)p;
    return true;
#elif defined(__linux__) && defined(SYS_arch_prctl)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return has(p->d7, bit_AMXBF16 | bit_AMXTILE | bit_AMXINT8) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
    (void)p;
    return false;
#endif
}
#endif

static uint32_t detect(uint32_t permitted) {
    uint32_t found = bit(ISA_SCALAR);
#if defined(__x86_64__)
    const struct processor p = processor();
    if (has(p.saved, YMM_SAVED) && has(p.c1, bit_FMA | bit_F16C) && has(p.b7, bit_AVX2)) {
        found |= bit(ISA_AVX2);
        if (has(p.a71, bit_AVXVNNI)) found |= bit(ISA_AVXVNNI);
        if (has(p.saved, ZMM_SAVED) && has(p.b7, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL)) {
            found |= bit(ISA_AVX512);
            if (has(p.c7, bit_AVX512VBMI)) found |= byte_tables;
            if (has(p.c7, bit_AVX512VNNI)) found |= bit(ISA_AVX512VNNI);
        }
    }
    // Not asked for if it may not be used.
    if ((found & permitted & bit(ISA_AVX512VNNI)) && (permitted & bit(ISA_AMX)) && has(p.a71, bit_AVX512BF16) &&
        tiles_granted(&p))
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
        if (strcmp(limit, names[isa]) == 0) return ((2u << isa) - 1) | byte_tables;
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

const char *kernels_isa_name(void) { return names[31 - __builtin_clz(available() & ~byte_tables)]; }

bool kernels_has_byte_tables(void) { return kernels_isa_available(ISA_AVX512) && (available() & byte_tables) != 0; }
