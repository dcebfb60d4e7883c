// 8-bit convolutions with 3x3 kernels and stride 1 by Winograd's minimal filtering (see winograd.h), m = 4, exactly: in
// whole numbers modulo 2^32. The points are 0, 1, -1, 2 and -2; rows of G are multiplied by up to 24, which makes
// transformed inputs and weights numbers of 16 bits and results 576 = 2^6 9 times as large. 9 has an inverse modulo
// 2^32, so what is left of a sum are 26 bits, and those must be enough for it (eo_u8_winograd_fits).
//
// A product of 16 bits is what processors without dot products of bytes make of one of 8 bits anyway, and there is a
// quarter of them. Weights are transformed while they are multiplied: in memory they would be 8 times as large.
#ifndef EDGEOPT_KERNELS_U8_WINOGRAD_H
#define EDGEOPT_KERNELS_U8_WINOGRAD_H

#include "convolution.h"
#include "gemm.h"

#pragma GCC visibility push(hidden)

enum { EO_U8_WINOGRAD_TILE = 4, EO_U8_WINOGRAD_ELEMENTS = 36, EO_U8_WINOGRAD_CHANNELS = 16, EO_U8_WINOGRAD_LINE = 64 };

// Tiles of 4 x 4 output pixels are counted along the lines of an image, then down, then over images. Results are those
// of eo_u8_gemm; with a `grid`, in which all of the input was quantized, those of eo_hybrid_gemm. Block, for 16 output
// channels: int32 bias[16]; float scale[16]; int8 weights[channels / 2][9][16][2]. With a grid: int32 sums[16]; float
// scale[16]; float bias[16]; weights.
struct eo_u8_winograd_unit {
    const struct eo_window *_Nonnull window;
    const uint8_t *_Nonnull input;
    uint8_t padding, flip; // padding: after the flip, which is xored into every byte
    const char *_Nonnull weights;
    size_t block_size;
    const struct eo_hybrid_row *_Nullable grid;
    const void *_Nonnull parameters; // eo_u8_gemm_parameters or, with a grid, eo_hybrid_gemm_parameters
    void *_Nonnull output;
    size_t first, tiles;    // tiles computed
    size_t begin, end;      // and blocks
    void *_Nonnull scratch; // of eo_u8_winograd_scratch, aligned to 64 bytes
};
typedef void eo_u8_winograd_function(const struct eo_u8_winograd_unit *_Nonnull unit);
#define EO_U8_WINOGRAD_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_u8_winograd__avx2, ISA_AVX2, 0, 0)                                                                 \
    ROW(eo_u8_winograd__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_u8_winograd)

// Bytes for a unit of so many tiles: the transformed input, a block's transformed weights, their products.
static inline size_t eo_u8_winograd_channels(const struct eo_window *_Nonnull window) {
    return (window->input_channels + 15) / 16 * 16;
}
// Elements lie a cache line more apart than they are large: at a multiple of 4096 bytes they would share a set.
static inline size_t eo_u8_winograd_scratch(const struct eo_window *_Nonnull window, size_t tiles) {
    const size_t channels = eo_u8_winograd_channels(window);
    return EO_U8_WINOGRAD_ELEMENTS * (sizeof(int16_t) * channels * (tiles + EO_U8_WINOGRAD_CHANNELS) +
                                      sizeof(int32_t) * EO_U8_WINOGRAD_CHANNELS * tiles + 3 * EO_U8_WINOGRAD_LINE);
}

// Whether the sums of such weights fit, and they have no zero point. `weights`: as the file has them, of 9 taps.
bool eo_u8_winograd_fits(const struct eo_window *_Nonnull window, const struct eo_u8_gemm_weights *_Nonnull weights);
// Whether that is faster than eo_u8_gemm on a machine of this richest instruction set.
bool eo_u8_winograd_is_faster(const struct eo_window *_Nonnull window, enum kernels_isa isa);

// `bias`: [columns], for a grid, and then that of `weights` and the input's zero point do not matter; null: for none.
size_t eo_u8_winograd_packed_size(size_t inputs, size_t outputs, bool has_grid);
void eo_u8_winograd_pack(size_t inputs, const struct eo_u8_gemm_weights *_Nonnull weights, const float *_Nullable bias,
                         void *_Nonnull packed);

// A convolution ready to run.
struct eo_u8_winograd {
    struct eo_window window;
    eo_u8_winograd_function *_Nullable run;
    uint8_t padding, flip;
    size_t most_tiles; // of a unit
    size_t slot_size;  // bytes of scratch for a worker

    const void *_Nullable input, *_Nullable weights, *_Nullable parameters;
    const struct eo_hybrid_row *_Nullable grid; // its zero point is that of the padding
    void *_Nullable output, *_Nullable scratch;
    struct eo_finish finish;

    // Set by eo_u8_winograd_start.
    size_t unit_tiles, parts, workers;
};
// Sets most_tiles and slot_size from the window.
void eo_u8_winograd_plan(struct eo_u8_winograd *_Nonnull winograd);
// As eo_convolution_start and eo_convolution_work.
size_t eo_u8_winograd_start(struct eo_u8_winograd *_Nonnull winograd, size_t workers);
void eo_u8_winograd_work(const struct eo_u8_winograd *_Nonnull winograd, size_t unit, size_t worker);

#define KERNEL_ROW(function, ...) eo_u8_winograd_function function;
EO_U8_WINOGRAD_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
