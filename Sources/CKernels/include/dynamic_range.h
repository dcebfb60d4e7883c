// Dynamic range quantization: float activations become uint8 (their int8 values plus 128) while the model runs, each
// row with its own scale.
#ifndef EDGEOPT_KERNELS_DYNAMIC_RANGE_H
#define EDGEOPT_KERNELS_DYNAMIC_RANGE_H

#include "gemm.h"

#pragma GCC visibility push(hidden)

// The least and the greatest of `count` numbers and 0. `check` becomes NaN if a number is not finite.
struct eo_range {
    float low, high, check;
};
typedef struct eo_range eo_f32_range_function(const float *_Nonnull x, size_t count);
#define EO_F32_RANGE_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_f32_range__avx512, ISA_AVX512, 0, 0)                                                               \
    X86_ROW(ROW, eo_f32_range__avx2, ISA_AVX2, 0, 0)                                                                   \
    ARM_ROW(ROW, eo_f32_range__neon, ISA_NEON, 0, 0)                                                                   \
    ROW(eo_f32_range__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_f32_range)

// q = 128 + limited(rounded(offset + x * inverse)) with ties away from zero, limited to low...127. Gives NaN if a
// number is not finite, else 0.
struct eo_grid {
    float inverse, offset, low;
};
typedef float eo_f32_to_u8_function(const struct eo_grid *_Nonnull grid, const float *_Nonnull x, uint8_t *_Nonnull q,
                                    size_t count);
#define EO_F32_TO_U8_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_f32_to_u8__avx512, ISA_AVX512, 0, 0)                                                               \
    X86_ROW(ROW, eo_f32_to_u8__avx2, ISA_AVX2, 0, 0)                                                                   \
    ARM_ROW(ROW, eo_f32_to_u8__neon, ISA_NEON, 0, 0)                                                                   \
    ROW(eo_f32_to_u8__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_f32_to_u8)

// Rows of `length` floats to uint8, and what each row was quantized with (its zero point is that of the uint8). As
// LiteRT does: asymmetric spreads the range over 256 steps and takes the zero point from the end with the smaller
// error; symmetric has 127 steps to each side. A row with a number that is not finite gets scale NaN, one of zeros 0.
struct eo_dynamic_range {
    const float *_Nonnull x;
    uint8_t *_Nonnull q;
    struct eo_hybrid_row *_Nonnull rows;
    size_t length, cut; // floats of a row, and of the pieces in which it is worked on
    bool asymmetric;
    eo_f32_range_function *_Nonnull range;
    eo_f32_to_u8_function *_Nonnull quantize;
    struct eo_range *_Nonnull ranges; // a place for each piece
    struct eo_grid *_Nonnull grids;   // a place for each row
    float *_Nullable rounded;         // where wanted: (q - zero point) * scale
};
// In this order: pieces are counted through all rows.
void eo_dynamic_range_survey(const struct eo_dynamic_range *_Nonnull dynamic, size_t piece);
void eo_dynamic_range_spread(const struct eo_dynamic_range *_Nonnull dynamic, size_t row);
void eo_dynamic_range_quantize(const struct eo_dynamic_range *_Nonnull dynamic, size_t piece);

#define KERNEL_ROW(function, ...) eo_f32_range_function function;
EO_F32_RANGE_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_f32_to_u8_function function;
EO_F32_TO_U8_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
