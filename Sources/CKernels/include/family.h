// The kernel table. A family of kernels is a function type plus one X-macro with a row for each kernel, fastest first,
// scalar last:
//
//     #define EO_F32_GEMM_ROWS(ROW) \
//         X86_ROW(ROW, eo_f32_gemm_14x32__avx512, ISA_AVX512, 14, 32) \
//         ROW(eo_f32_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
//
// From that the family's header makes the declarations and one C file the table:
//
//     KERNEL_FAMILY(eo_f32_gemm)                                                 // types, eo_f32_gemm_best, ..._rows
//     #define KERNEL_ROW(function, ...) eo_f32_gemm_function function;
//     EO_F32_GEMM_ROWS(KERNEL_ROW)
//     #undef KERNEL_ROW
//
//     KERNEL_FAMILY_TABLE(eo_f32_gemm, EO_F32_GEMM_ROWS)                         // in the C file
//
// Dispatch takes the first row this machine has; tests and benchmarks walk all rows. A kernel that
// is not in a table cannot be called, and one that is in a table is tested against the last row, its scalar twin.
#ifndef EDGEOPT_KERNELS_FAMILY_H
#define EDGEOPT_KERNELS_FAMILY_H

#include "isa.h"

#if defined(__x86_64__)
#define X86_ROW(ROW, ...) ROW(__VA_ARGS__)
#else
#define X86_ROW(ROW, ...)
#endif
#if defined(__aarch64__)
#define ARM_ROW(ROW, ...) ROW(__VA_ARGS__)
#else
#define ARM_ROW(ROW, ...)
#endif

// `family`_function must be a function type. `mr` x `nr` is the tile (0 where a family has none).
// `family`_rows: the whole table. `family`_best: the row to use here; never null, the scalar row always is available.
#define KERNEL_FAMILY(family)                                                                                          \
    typedef struct family##_kernel {                                                                                   \
        const char *_Nonnull name;                                                                                     \
        enum kernels_isa isa;                                                                                          \
        int mr, nr;                                                                                                    \
        family##_function *_Nonnull run;                                                                               \
    } family##_kernel;                                                                                                 \
    const family##_kernel *_Nonnull family##_rows(int *_Nonnull count);                                                \
    const family##_kernel *_Nonnull family##_best(void);

#define KERNEL_ENTRY(function, isa, mr, nr) {#function, isa, mr, nr, function},

#define KERNEL_FAMILY_TABLE(family, ROWS)                                                                              \
    static const family##_kernel family##_table[] = {ROWS(KERNEL_ENTRY)};                                              \
    const family##_kernel *family##_rows(int *count) {                                                                 \
        *count = (int)(sizeof family##_table / sizeof *family##_table);                                                \
        return family##_table;                                                                                         \
    }                                                                                                                  \
    const family##_kernel *family##_best(void) {                                                                       \
        const family##_kernel *row = family##_table;                                                                   \
        while (!kernels_isa_available(row->isa)) row++;                                                                \
        return row;                                                                                                    \
    }

#endif
