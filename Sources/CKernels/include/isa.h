// Which instruction sets this machine has, found out once.
#ifndef EDGEOPT_KERNELS_ISA_H
#define EDGEOPT_KERNELS_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

// Fusing a * b + c unasked, which C permits, would make the bits depend on the instruction set: aarch64 can fuse
// everywhere. Kernels that fuse say so.
#pragma clang fp contract(off)

// Ordered from plain to rich within each architecture. A level stands for all its instructions; it does not imply the
// levels before it (a server without AVX-VNNI has AVX-512 VNNI).
enum kernels_isa {
    ISA_SCALAR,
    ISA_AVX2,       // AVX2, FMA, F16C
    ISA_AVXVNNI,    // 256-bit VNNI, with AVX2
    ISA_AVX512,     // F, BW, VL, DQ
    ISA_AVX512VNNI, // 512-bit VNNI, with AVX512
    ISA_AMX,        // tiles: int8, bf16; with AVX512VNNI and AVX-512 BF16
    ISA_NEON,       // what every aarch64 has
    ISA_NEONDOT,    // dot products of four bytes
    ISA_I8MM,       // 2 x 2 matrix products of bytes
    ISA_COUNT
};

// Does this machine have it, and does EDGEOPT_ISA permit it? EDGEOPT_ISA names the richest level that may be used:
// scalar, avx2, avxvnni, avx512, avx512vnni, amx, neon, neondot, i8mm. It is read once. Any thread.
bool kernels_isa_available(enum kernels_isa isa);

// Does an AVX-512 machine look bytes up in tables of 128 (VBMI)? It is no level of its own: it only makes AVX-512
// kernels of byte tables faster. Any thread.
bool kernels_has_byte_tables(void);

// Name of the richest level available, as EDGEOPT_ISA spells it. A constant string.
const char *_Nonnull kernels_isa_name(void);

#pragma GCC visibility pop
#endif
