// Float convolutions with 3x3 kernels and stride 1 by Winograd's minimal filtering (Lavin and Gray, Fast Algorithms for
// Convolutional Neural Networks, 2016): tiles of m x m output pixels, m = 2 or 4, from (m + 2) x (m + 2) input pixels
// by as many products per pair of channels, where the definition takes 9 m^2. With d a tile of the input, g the
// weights:
//
//     Y = A^T [(G g G^T) * (B^T d B)] A
//
// The products over all tiles and channels are a matrix product for each element of the transformed tile. The points
// that give the matrices are 0, 1, -1 (m = 2) and 0, +-3/4, +-3/2 (m = 4), which are exact in float and lose little:
// see docs/arithmetic.md.
#ifndef EDGEOPT_KERNELS_WINOGRAD_H
#define EDGEOPT_KERNELS_WINOGRAD_H

#include "convolution.h"

#pragma GCC visibility push(hidden)

// Tiles are counted along the lines of an image, then down, then over images. Element e of the transformed tile
// number t, for e = row * (m + 2) + column, lies at e * element_stride + t * tile_stride floats.

struct eo_winograd_input {
    const struct eo_window *_Nonnull window;
    size_t m;
    const float *_Nonnull input;
    size_t first, tiles;
    float *_Nonnull transformed; // B^T d B; a tile is a vector of all input channels
    size_t element_stride, tile_stride;
};
typedef void eo_winograd_input_function(const struct eo_winograd_input *_Nonnull input);
#define EO_WINOGRAD_INPUT_ROWS(ROW)                                                                                    \
    X86_ROW(ROW, eo_winograd_input__avx512, ISA_AVX512, 0, 0)                                                          \
    X86_ROW(ROW, eo_winograd_input__avx2, ISA_AVX2, 0, 0)                                                              \
    ARM_ROW(ROW, eo_winograd_input__neon, ISA_NEON, 0, 0)                                                              \
    ROW(eo_winograd_input__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_winograd_input)

struct eo_winograd_output {
    const struct eo_window *_Nonnull window;
    size_t m;
    const float *_Nonnull transformed; // a tile is a vector of `columns` channels
    size_t element_stride, tile_stride;
    size_t first, tiles;
    size_t column, columns;     // output channels
    const float *_Nonnull bias; // of `column`
    float *_Nonnull output;     // the whole output
    struct eo_f32_gemm_parameters parameters;
};
typedef void eo_winograd_output_function(const struct eo_winograd_output *_Nonnull output);
#define EO_WINOGRAD_OUTPUT_ROWS(ROW)                                                                                   \
    X86_ROW(ROW, eo_winograd_output__avx512, ISA_AVX512, 0, 0)                                                         \
    X86_ROW(ROW, eo_winograd_output__avx2, ISA_AVX2, 0, 0)                                                             \
    ARM_ROW(ROW, eo_winograd_output__neon, ISA_NEON, 0, 0)                                                             \
    ROW(eo_winograd_output__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_winograd_output)

// How many tiles there are.
size_t eo_winograd_tiles(const struct eo_window *_Nonnull window, size_t m);

// The output pixels of some tiles.
struct eo_winograd_pixels {
    const struct eo_window *_Nonnull window;
    size_t m, first, tiles;
};
// Finishes channels `begin` to `end` of them, elements of `size` bytes.
void eo_winograd_finish(const struct eo_finish *_Nonnull finish, const struct eo_winograd_pixels *_Nonnull pixels,
                        size_t begin, size_t end, void *_Nonnull output, size_t size);

// m if the convolution is faster so than by its definition; 0 if it is not.
size_t eo_winograd_size(const struct eo_window *_Nonnull window);
// Whether m = 2 and 4 can run it.
bool eo_winograd_fits(const struct eo_window *_Nonnull window);

// Packed: float bias[channels, whole blocks of NR]; for each block of NR output channels and each element of
// G g G^T a block of eo_f32_gemm, without bias.
size_t eo_winograd_packed_size(int nr, size_t m, size_t inputs, size_t outputs);
// `weights`: [outputs][3][3][inputs]; bias: [outputs] or null. Any alignment.
void eo_winograd_pack(int nr, size_t m, size_t inputs, size_t outputs, const void *_Nonnull weights,
                      const void *_Nullable bias, void *_Nonnull packed);
// The same from weights that lie as `weights` says, 9 taps.
void eo_winograd_pack_strided(int nr, size_t m, const struct eo_strided_weights *_Nonnull weights,
                              void *_Nonnull packed);

// A convolution ready to run.
struct eo_winograd {
    struct eo_window window; // groups 1
    size_t m;
    eo_gemm_function *_Nullable run; // of eo_f32_gemm
    size_t mr, nr;
    eo_winograd_input_function *_Nullable transform_input;
    eo_winograd_output_function *_Nullable transform_output;
    size_t most_tiles; // of a unit
    size_t slot_size;  // bytes of scratch for a worker

    const float *_Nullable input;
    float *_Nullable output;
    const float *_Nullable weights;
    struct eo_f32_gemm_parameters parameters;
    void *_Nullable scratch;
    struct eo_finish finish;

    // Set by eo_winograd_start: tiles of a unit, parts of the output channels, workers there is work for.
    size_t unit_tiles, parts, workers;
};
// Sets most_tiles and slot_size from what comes before them.
void eo_winograd_plan(struct eo_winograd *_Nonnull winograd);
// As eo_convolution_start and eo_convolution_work.
size_t eo_winograd_start(struct eo_winograd *_Nonnull winograd, size_t workers);
void eo_winograd_work(const struct eo_winograd *_Nonnull winograd, size_t unit, size_t worker);

#define KERNEL_ROW(function, ...) eo_winograd_input_function function;
EO_WINOGRAD_INPUT_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_winograd_output_function function;
EO_WINOGRAD_OUTPUT_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
