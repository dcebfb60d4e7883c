// Kernels of training: what the gradients of operators are computed by, besides matrix products.
//
// Written once (simd/gradients.h), compiled for each instruction set. No fused multiply-add is used and sums have a
// fixed order, so all instruction sets give the same bits. Runs of different arguments must not overlap, unless it is
// said.
#ifndef EDGEOPT_GRADIENTS_H
#define EDGEOPT_GRADIENTS_H

#include "isa.h"

#pragma GCC visibility push(hidden)

// Batch normalization, y = clamp(x factors + shifts), seen from its gradient g: dy where the clamp lets it pass, else
// 0. Rows of constants, and of sums.
struct eo_normalization {
    float *_Nonnull center, *_Nonnull factors, *_Nonnull shifts, *_Nonnull slopes, *_Nonnull offsets;
    float *_Nonnull sums, *_Nonnull products;
    float low, high;
};

struct eo_gradients {
    enum kernels_isa isa;
    // dx[i] = dy[i] where low < y[i] < high, else 0. dx may be dy or y.
    void (*_Nonnull clamp)(size_t n, const float *_Nonnull dy, const float *_Nonnull y, float *_Nonnull dx, float low,
                           float high);
    // y[i] += factor x[i]
    void (*_Nonnull add_scaled)(size_t n, const float *_Nonnull x, float factor, float *_Nonnull y);
    // sum[c] += a[p * step_a + c] b[p * step_b + c], over the pixels p; steps count elements.
    void (*_Nonnull add_products)(size_t pixels, size_t channels, const float *_Nonnull a, size_t step_a,
                                  const float *_Nonnull b, size_t step_b, float *_Nonnull sum);
    // y[c] = sum of a[t][c] b[t][c] over the taps t.
    void (*_Nonnull sum_products)(size_t taps, size_t channels, const float *_Nonnull const *_Nonnull a,
                                  const float *_Nonnull const *_Nonnull b, float *_Nonnull y);
    // dx[i] = dy[i] times the derivative of GELU at x[i]: Phi(x) + x phi(x), or that of its form by tanh. dx may be dy
    // or x.
    void (*_Nonnull gelu)(size_t n, const float *_Nonnull dy, const float *_Nonnull x, float *_Nonnull dx, int by_tanh);
    // sums[i] += g[i], products[i] += g[i] (x[i] - center[i])
    void (*_Nonnull normalization_sums)(size_t n, const float *_Nonnull dy, const float *_Nonnull x,
                                        const struct eo_normalization *_Nonnull p);
    // dx[i] = g[i] factors[i] + (x[i] - center[i]) slopes[i] + offsets[i]. dx may be dy.
    void (*_Nonnull normalization)(size_t n, const float *_Nonnull dy, const float *_Nonnull x, float *_Nonnull dx,
                                   const struct eo_normalization *_Nonnull p);
};

extern const struct eo_gradients eo_gradients_scalar;
#if defined(__x86_64__)
extern const struct eo_gradients eo_gradients_avx2;
#elif defined(__aarch64__)
extern const struct eo_gradients eo_gradients_neon;
#endif

// All of them, richest first, the scalar one last; and the one to use on this machine.
const struct eo_gradients *_Nonnull const *_Nonnull eo_gradients_rows(int *_Nonnull count);
const struct eo_gradients *_Nonnull eo_gradients_best(void);

#pragma GCC visibility pop
#endif
