// The kernels of gradients, compiled once for each instruction set: the including file defines K(name) as the name with
// the instruction set's suffix, TABLE as the table to fill, and ISA as its level. INDEPENDENT: of a loop whose outputs
// may be its inputs, element by element.
#include "../include/gradients.h"
#include <math.h>
#include <string.h>

static void K(clamp)(size_t n, const float *dy, const float *y, float *dx, float low, float high) {
    INDEPENDENT
    for (size_t i = 0; i < n; i++) dx[i] = ((low < y[i]) & (y[i] < high)) ? dy[i] : 0.0f;
}

static void K(add_scaled)(size_t n, const float *restrict x, float factor, float *restrict y) {
    for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

// Sums of a block of channels stay in registers.
enum { BLOCK = 16 };

static inline __attribute__((always_inline)) void K(products)(size_t pixels, size_t channels, const float *restrict a,
                                                              size_t step_a, const float *restrict b, size_t step_b,
                                                              float *restrict sum) {
    float s[BLOCK];
    memcpy(s, sum, channels * sizeof *s);
    for (size_t p = 0; p < pixels; p++, a += step_a, b += step_b)
        for (size_t c = 0; c < channels; c++) s[c] += a[c] * b[c];
    memcpy(sum, s, channels * sizeof *s);
}

static void K(add_products)(size_t pixels, size_t channels, const float *a, size_t step_a, const float *b,
                            size_t step_b, float *sum) {
    size_t c = 0;
    for (; c + BLOCK <= channels; c += BLOCK) K(products)(pixels, BLOCK, a + c, step_a, b + c, step_b, sum + c);
    for (; c + 8 <= channels; c += 8) K(products)(pixels, 8, a + c, step_a, b + c, step_b, sum + c);
    for (; c < channels; c++) K(products)(pixels, 1, a + c, step_a, b + c, step_b, sum + c);
}

static inline __attribute__((always_inline)) void K(tap_products)(size_t taps, size_t first, size_t channels,
                                                                  const float *const *a, const float *const *b,
                                                                  float *restrict y) {
    float s[BLOCK] = {0};
    for (size_t t = 0; t < taps; t++) {
        const float *restrict u = a[t] + first, *restrict v = b[t] + first;
        for (size_t c = 0; c < channels; c++) s[c] += u[c] * v[c];
    }
    memcpy(y + first, s, channels * sizeof *s);
}

static void K(sum_products)(size_t taps, size_t channels, const float *const *a, const float *const *b, float *y) {
    size_t c = 0;
    for (; c + BLOCK <= channels; c += BLOCK) K(tap_products)(taps, c, BLOCK, a, b, y);
    for (; c + 8 <= channels; c += 8) K(tap_products)(taps, c, 8, a, b, y);
    for (; c < channels; c++) K(tap_products)(taps, c, 1, a, b, y);
}

static void K(gelu)(size_t n, const float *dy, const float *x, float *dx, int by_tanh) {
    const float root = 0.79788456f, cubic = 0.044715f; // sqrt(2 / pi); Hendrycks and Gimpel, 2016
    for (size_t i = 0; i < n; i++) {
        const float v = x[i];
        if (by_tanh) {
            const float t = tanhf(root * (v + cubic * v * v * v));
            dx[i] = dy[i] * (0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * root * (1.0f + 3.0f * cubic * v * v));
        } else {
            dx[i] = dy[i] * (0.5f * erfcf(-0.70710678f * v) + v * 0.39894228f * expf(-0.5f * v * v));
        }
    }
}

// What passes the clamp.
#define PASSED(i) (((low < x[i] * factors[i] + shifts[i]) & (x[i] * factors[i] + shifts[i] < high)) ? g : 0.0f)

static void K(normalization_sums)(size_t n, const float *dy, const float *x, const struct eo_normalization *p) {
    const float *factors = p->factors, *shifts = p->shifts, *center = p->center;
    float *sums = p->sums, *products = p->products;
    const float low = p->low, high = p->high;
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        float g = dy[i];
        g = PASSED(i);
        sums[i] += g, products[i] += g * (x[i] - center[i]);
    }
}

static void K(normalization)(size_t n, const float *dy, const float *x, float *dx, const struct eo_normalization *p) {
    const float *factors = p->factors, *shifts = p->shifts, *center = p->center;
    const float *slopes = p->slopes, *offsets = p->offsets;
    const float low = p->low, high = p->high;
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        const float g = dy[i];
        dx[i] = PASSED(i) * factors[i] + (x[i] - center[i]) * slopes[i] + offsets[i];
    }
}

const struct eo_gradients TABLE = {
    ISA, K(clamp), K(add_scaled), K(add_products), K(sum_products), K(gelu), K(normalization_sums), K(normalization)};
