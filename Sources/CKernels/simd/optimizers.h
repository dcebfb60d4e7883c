// The kernels of optimizers, compiled once for each instruction set: the including file defines K(name) as the name
// with the instruction set's suffix, TABLE as the table to fill, and ISA as its level.
#include "../include/optimizers.h"
#include <math.h>

typedef const struct eo_optimizer_params *params;

static void K(sgd)(size_t n, float *restrict w, const float *restrict g, float *m, float *v, params p) {
    (void)m, (void)v;
    const float rate = p->rate;
    for (size_t i = 0; i < n; i++) w[i] -= rate * g[i];
}

static void K(momentum)(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *v, params p) {
    (void)v;
    const float rate = p->rate, momentum = p->momentum;
    for (size_t i = 0; i < n; i++) {
        m[i] = momentum * m[i] - rate * g[i];
        w[i] += m[i];
    }
}

static void K(nesterov)(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *v, params p) {
    (void)v;
    const float rate = p->rate, momentum = p->momentum;
    for (size_t i = 0; i < n; i++) {
        m[i] = momentum * m[i] - rate * g[i];
        w[i] += momentum * m[i] - rate * g[i];
    }
}

static void K(adam)(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                    params p) {
    const float rate = p->rate, epsilon = p->epsilon;
    const float new1 = 1.0f - p->beta1, new2 = 1.0f - p->beta2;
    for (size_t i = 0; i < n; i++) {
        m[i] += (g[i] - m[i]) * new1;
        v[i] += (g[i] * g[i] - v[i]) * new2;
        w[i] -= (m[i] * rate) / (sqrtf(v[i]) + epsilon);
    }
}

static void K(rmsprop)(size_t n, float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
                       params p) {
    const float rate = p->rate, momentum = p->momentum, old2 = p->beta2, new2 = 1.0f - p->beta2, epsilon = p->epsilon;
    for (size_t i = 0; i < n; i++) v[i] = old2 * v[i] + new2 * (g[i] * g[i]);
    if (m) {
        for (size_t i = 0; i < n; i++) {
            m[i] = momentum * m[i] + (rate * g[i]) / sqrtf(v[i] + epsilon);
            w[i] -= m[i];
        }
    } else {
        for (size_t i = 0; i < n; i++) w[i] -= (rate * g[i]) / sqrtf(v[i] + epsilon);
    }
}

static void K(blend)(size_t n, const float *restrict x, float *restrict y, float share) {
    const float rest = 1.0f - share;
    for (size_t i = 0; i < n; i++) y[i] = share * y[i] + rest * x[i];
}

static void K(decay)(size_t n, float *restrict w, float amount) {
    for (size_t i = 0; i < n; i++) w[i] -= w[i] * amount;
}

const struct eo_optimizers TABLE = {ISA, K(sgd), K(momentum), K(nesterov), K(adam), K(rmsprop), K(blend), K(decay)};
