// Matrix product micro-kernels: rows of activations times packed weights. Convolution, fully connected layers and
// matrix products all come down to these; convolution.h says how rows of activations are made from an image.
#ifndef EDGEOPT_KERNELS_GEMM_H
#define EDGEOPT_KERNELS_GEMM_H

#include "family.h"

#pragma GCC visibility push(hidden)

// One call computes `rows` x `columns` results, each the sum over `depth` products, for 1 <= rows <= MR and any number
// of columns. Strides count bytes. Nothing outside the stated rows and columns of `input` and `output` is touched.
//
// Packed weights lie in blocks of NR columns; the last block is filled up with zeros. One element of a result always
// sums in the order bias, k = 0, 1, 2, ..., so its bits depend neither on its tile nor on who computes it.
struct eo_gemm_tile {
    size_t rows, columns, depth;
    const void *_Nonnull input;
    size_t input_stride;
    const void *_Nonnull weights;
    void *_Nonnull output;
    size_t output_stride;
    const void *_Nonnull parameters;      // struct of the family
    const void *_Nullable row_parameters; // of families with numbers for each row: those of the first row
};
typedef void eo_gemm_function(const struct eo_gemm_tile *_Nonnull tile);

// ---------------------------------------------------------------------------------------------------------- float32

// Block: float bias[NR]; float weights[depth][NR].
typedef eo_gemm_function eo_f32_gemm_function;
struct eo_f32_gemm_parameters {
    float minimum, maximum;
};
#define EO_F32_GEMM_ROWS(ROW)                                                                                          \
    X86_ROW(ROW, eo_f32_gemm_14x32__avx512, ISA_AVX512, 14, 32)                                                        \
    X86_ROW(ROW, eo_f32_gemm_6x16__avx2, ISA_AVX2, 6, 16)                                                              \
    ROW(eo_f32_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_f32_gemm)

size_t eo_f32_gemm_packed_size(int nr, size_t depth, size_t columns);
// `weights` [columns][depth] (a row for each output channel); bias [columns] or null. Any alignment.
void eo_f32_gemm_pack(int nr, size_t depth, size_t columns, const void *_Nonnull weights, const void *_Nullable bias,
                      void *_Nonnull packed);
// The same from `weights` [depth][columns], no bias.
void eo_f32_gemm_pack_transposed(int nr, size_t depth, size_t columns, const float *_Nonnull weights,
                                 void *_Nonnull packed);

#define KERNEL_ROW(function, ...) eo_gemm_function function;
EO_F32_GEMM_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
