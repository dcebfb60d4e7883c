// Drivers of the gradients of windows (convolutions and pools) over the micro-kernels. Everything is decided beforehand
// but the addresses, and how the work is cut depends on the shape alone, so results do not depend on the number of
// workers.
#ifndef EDGEOPT_KERNELS_TRAINING_H
#define EDGEOPT_KERNELS_TRAINING_H

#include "convolution.h"
#include "elementwise.h"
#include "gemm.h"
#include "gradients.h"

#pragma GCC visibility push(hidden)

// The gradient of a convolution by its filter, and by its bias: dw[o][tap, i] = sum over the output pixels p of
// dz[p][o] x[p, tap, i], db[o] = sum of dz[p][o], as sums of outer products straight from both images. The lines are
// cut into `strips`, each summed for itself, the sums then added in their order.
struct eo_filter_gradient {
    struct eo_window window;
    eo_f32_outer_function *_Nullable run;
    size_t depth;        // floats of a filter
    size_t pixels;       // of the output
    size_t strips;       // how the lines are cut
    size_t block_lines;  // lines summed up at a time
    size_t partial_size; // bytes for the sums of all strips; 0: there is one
    size_t slot_size;    // bytes of scratch for a worker
    bool joins_taps;     // a kernel row at a time
    bool swaps;          // partial sums are [tap, i][o]: filters fill vectors better than taps do
    const float *_Nullable input, *_Nullable dz;
    float *_Nullable dw, *_Nullable db, *_Nullable partial; // db: null if it is not wanted
    void *_Nullable scratch;
};
// Fills in everything from `window`, which may change, for a kernel whose vectors have so many lanes.
void eo_filter_gradient_plan(struct eo_filter_gradient *_Nonnull g, size_t lanes);
size_t eo_filter_gradient_units(const struct eo_filter_gradient *_Nonnull g);
// One unit; each worker has a slot of scratch memory.
void eo_filter_gradient_work(const struct eo_filter_gradient *_Nonnull g, size_t unit, size_t worker);
// Adds the strips up, for filter number `filter` of all groups'.
void eo_filter_gradient_join(const struct eo_filter_gradient *_Nonnull g, size_t filter);

// The same on tiles (float32 in parts of bfloat16, gemm.h), without groups. A tile multiplies pairs, here of the same
// pixel of two images: so each tap of a window begins a few pairs further on, and what is arranged once serves all of
// them. Where lines are short, pairs of several images lie `abreast`; what is arranged together is a set. Sets are cut
// into `strips`, each summed for itself. With strides the pixels of the input fall into phases, each of every stride-th
// line and column.
struct eo_tile_gradient {
    struct eo_window window;
    size_t x_parts, dz_parts; // 1 or 2
    eo_bf16_pairs_function *_Nullable pairs;
    eo_bf16_rows_function *_Nullable rows;
    eo_bf16_tiles_function *_Nullable run;
    size_t depth, pixels;              // as above
    size_t abreast;                    // pairs
    size_t line_phases, column_phases; // of the input
    size_t lines, pitch;               // of a phase: lines, and the pairs of one
    size_t steps;                      // of a line of dz: of 16 pairs
    size_t row, dz_block;              // pairs of a phase, numbers of 16 filters
    size_t x_set, dz_set;              // numbers of a part of a set
    size_t sets;                       // arranged at a time
    size_t strips;
    size_t strip_size, slot_size; // bytes of scratch: of the sums of a strip, for a worker
    float scale;                  // the input is a whole number times this; 1 if it is any
    const float *_Nullable input, *_Nullable dz;
    float *_Nullable dw, *_Nullable db; // db: null if it is not wanted
    void *_Nullable scratch;            // strips, then slots
};
// Fills in everything from `window`, which may change, and the numbers of parts.
void eo_tile_gradient_plan(struct eo_tile_gradient *_Nonnull g);
void eo_tile_gradient_work(const struct eo_tile_gradient *_Nonnull g, size_t strip, size_t worker);
// Adds the strips up, for 16 filters; the biases with the first.
size_t eo_tile_gradient_blocks(const struct eo_tile_gradient *_Nonnull g);
void eo_tile_gradient_join(const struct eo_tile_gradient *_Nonnull g, size_t block);

// Gradients of DEPTHWISE_CONV_2D; window.output_channels is a multiple of window.input_channels, groups are 1.
struct eo_depthwise_gradient {
    struct eo_window window;
    const struct eo_gradients *_Nullable kernels;
    size_t strips;            // of output lines, each with its own sums
    const float *_Nullable a; // filter: the input; input: the filter
    const float *_Nullable dz;
    float *_Nullable result;
    float *_Nullable partial; // strips x taps x output channels
};
void eo_depthwise_filter_gradient(const struct eo_depthwise_gradient *_Nonnull g, size_t strip);
void eo_depthwise_filter_gradient_join(const struct eo_depthwise_gradient *_Nonnull g);
// One line of one image of the input.
void eo_depthwise_input_gradient(const struct eo_depthwise_gradient *_Nonnull g, size_t line);

// Batch normalization over the channels, which are the last dimension: y = clamp((x - mean) factor + beta), factor =
// gamma / sqrt(variance + epsilon) (Ioffe and Szegedy, Batch Normalization, 2015), and its gradient. The numbers are
// cut into pieces by their count alone, and the sums of those added in their order.
struct eo_batch_normalization {
    size_t count, channels; // numbers of x
    float low, high, epsilon;
    size_t row, piece; // numbers that have their constants side by side; of a piece: whole rows
    const float *_Nullable x, *_Nullable gamma, *_Nullable beta;
    const float *_Nullable dy; // null: forward
    // Of x; forward: null, or what is taken instead of the statistics of x.
    const float *_Nullable mean, *_Nullable variance;
    // Forward: y, mean and variance of x; else the gradients of x, which may be dy, gamma and beta.
    float *_Nullable results[3];
    float *_Nullable scratch; // eo_batch_normalization_scratch numbers
};
// Fills in `row` and `piece` from `count` and `channels`.
void eo_batch_normalization_plan(struct eo_batch_normalization *_Nonnull n);
size_t eo_batch_normalization_pieces(const struct eo_batch_normalization *_Nonnull n);
size_t eo_batch_normalization_scratch(const struct eo_batch_normalization *_Nonnull n);
// In this order: begin, the sums of all pieces, what follows from them, all pieces.
void eo_batch_normalization_begin(const struct eo_batch_normalization *_Nonnull n);
void eo_batch_normalization_sum(const struct eo_batch_normalization *_Nonnull n, size_t piece);
void eo_batch_normalization_settle(const struct eo_batch_normalization *_Nonnull n);
void eo_batch_normalization_apply(const struct eo_batch_normalization *_Nonnull n, size_t piece);

// MAX_POOL_2D that keeps `place`, the pixel of each window that its maximum comes from (see elementwise.h), and its
// gradient.
struct eo_max_pool {
    struct eo_window window;
    const struct eo_elementwise *_Nullable kernels;
    float low, high;
    const float *_Nullable x, *_Nullable dy;
    float *_Nullable y, *_Nullable dx;
    uint16_t *_Nullable place;
};
// One line of one image of the output.
void eo_max_pool(const struct eo_max_pool *_Nonnull pool, size_t line);
// One image.
void eo_max_pool_gradient(const struct eo_max_pool *_Nonnull pool, size_t image);

// The gradient of AVERAGE_POOL_2D for one image.
struct eo_pool_gradient {
    struct eo_window window;
    const struct eo_gradients *_Nullable kernels;
    const float *_Nullable dy;
    float *_Nullable dx;
};
void eo_average_pool_gradient(const struct eo_pool_gradient *_Nonnull g, size_t image);

#pragma GCC visibility pop
#endif
