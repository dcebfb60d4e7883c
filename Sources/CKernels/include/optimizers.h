// Kernels of training: one step of an optimizer over a run of parameters, with the formulas of Keras.
//
// Written once (simd/optimizers.h), compiled for each instruction set. No fused multiply-add is used and every element
// stands for itself, so all instruction sets, and any cut of a run into pieces, give the same bits. Runs of different
// arguments must not overlap.
#ifndef EDGEOPT_OPTIMIZERS_H
#define EDGEOPT_OPTIMIZERS_H

#include "isa.h"

#pragma GCC visibility push(hidden)

// `rate` is the learning rate of this step; for Adam with its correction for the step, sqrt(1 - beta2^t) / (1 -
// beta1^t) (Kingma and Ba, 2015, end of section 2).
struct eo_optimizer_params {
    float rate, momentum, beta1, beta2, epsilon;
};

// w: parameters; g: gradient; m, v: the optimizer's own values of each parameter.
typedef void eo_optimizer_kernel(size_t n, float *_Nonnull w, const float *_Nonnull g, float *_Nullable m,
                                 float *_Nullable v, const struct eo_optimizer_params *_Nonnull params);

struct eo_optimizers {
    enum kernels_isa isa;
    // w -= rate g
    eo_optimizer_kernel *_Nonnull sgd;
    // m = momentum m - rate g, w += m (Polyak, 1964)
    eo_optimizer_kernel *_Nonnull momentum;
    // m = momentum m - rate g, w += momentum m - rate g (Sutskever et al., 2013)
    eo_optimizer_kernel *_Nonnull nesterov;
    // m += (1 - beta1) (g - m), v += (1 - beta2) (g^2 - v), w -= rate m / (sqrt(v) + epsilon)
    eo_optimizer_kernel *_Nonnull adam;
    // v = beta2 v + (1 - beta2) g^2, m = momentum m + rate g / sqrt(v + epsilon), w -= m (Tieleman and Hinton, 2012).
    // Without momentum m is NULL.
    eo_optimizer_kernel *_Nonnull rmsprop;
    // y = share y + (1 - share) x
    void (*_Nonnull blend)(size_t n, const float *_Nonnull x, float *_Nonnull y, float share);
    // w -= w amount
    void (*_Nonnull decay)(size_t n, float *_Nonnull w, float amount);
};

extern const struct eo_optimizers eo_optimizers_scalar;
#if defined(__x86_64__)
extern const struct eo_optimizers eo_optimizers_avx2;
#elif defined(__aarch64__)
extern const struct eo_optimizers eo_optimizers_neon;
#endif

// All of them, richest first, the scalar one last; and the one to use on this machine.
const struct eo_optimizers *_Nonnull const *_Nonnull eo_optimizers_rows(int *_Nonnull count);
const struct eo_optimizers *_Nonnull eo_optimizers_best(void);

#pragma GCC visibility pop
#endif
