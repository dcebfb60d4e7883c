// A convolution of few products for each result, and the maxima of windows of its results, which are not kept: the
// first layer of many networks. The maxima remember where they were, so the gradient of the filters needs only those
// results that are one: what all others hand back is zero.
#ifndef EDGEOPT_KERNELS_POOLED_H
#define EDGEOPT_KERNELS_POOLED_H

#include "convolution.h"
#include "family.h"

#pragma GCC visibility push(hidden)

// Channels that kernels take at once. Weights and their gradients are float [1 + products][EO_POOLED_CHANNELS], first
// the bias; products are counted by kernel row, kernel column, input channel.
enum { EO_POOLED_CHANNELS = 16 };
// The least number of windows in a line.
enum { EO_POOLED_WINDOWS = 7 };

// A line of windows, up to EO_POOLED_CHANNELS channels. Steps count floats. `place`: number of the maximum in its
// window, the first of equals, EO_POOLED_CHANNELS for each window.
struct eo_pooled_line {
    const float *_Nonnull x;                      // first product of the first result of the first window
    size_t kernel_rows, row_products, image_line; // the first two: multiples of 3
    size_t rows, columns;                         // of a window
    size_t row_step, column_step, window_step;    // between results, and windows
    size_t windows;
    size_t channels, pixel; // of the block; of y and dy in all
    float low, high;        // of y
    const float *_Nullable weights;
    float *_Nullable y;
    float *_Nonnull place;
    const float *_Nullable dy; // null: y is wanted, otherwise dy's products are added to `sums`
    float *_Nullable sums;
};
// Without one of the vector kernels a convolution and a pool are faster.
typedef void eo_f32_pooled_function(const struct eo_pooled_line *_Nonnull line);
#define EO_F32_POOLED_ROWS(ROW)                                                                                        \
    X86_ROW(ROW, eo_f32_pooled__avx512, ISA_AVX512, 0, 16)                                                             \
    ARM_ROW(ROW, eo_f32_pooled__neon, ISA_NEON, 0, 4)                                                                  \
    ROW(eo_f32_pooled__scalar, ISA_SCALAR, 0, 1)
KERNEL_FAMILY(eo_f32_pooled)

// All of it. Windows lie side by side and are whole. How the work is cut depends on the shape alone.
struct eo_pooled {
    struct eo_window window; // of the convolution, without groups and dilation
    size_t rows, columns;    // of the maxima's windows
    eo_f32_pooled_function *_Nullable run;
    float low, high;
    const float *_Nullable input, *_Nullable weights, *_Nullable bias, *_Nullable dy;
    float *_Nullable y, *_Nullable dw, *_Nullable db; // bias, db: null if there is none
    float *_Nullable place;                           // EO_POOLED_CHANNELS for each window and block of channels
    float *_Nullable scratch;                         // packed weights, sums of strips, images of workers
    // What follows is planned.
    size_t depth, blocks, block_size, packed; // of weights
    size_t lines, line_windows;
    size_t strips; // of images, each with sums of its own
    size_t width, height, framed;
    size_t scratch_size; // bytes
};
void eo_pooled_plan(struct eo_pooled *_Nonnull p, size_t workers);
// To be called before images are done, by one thread.
void eo_pooled_pack(const struct eo_pooled *_Nonnull p);
void eo_pooled_image(const struct eo_pooled *_Nonnull p, size_t image, size_t worker);
// The gradient: all strips, then their sum.
void eo_pooled_gradient(const struct eo_pooled *_Nonnull p, size_t strip, size_t worker);
void eo_pooled_join(const struct eo_pooled *_Nonnull p);

#define KERNEL_ROW(function, ...) eo_f32_pooled_function function;
EO_F32_POOLED_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
