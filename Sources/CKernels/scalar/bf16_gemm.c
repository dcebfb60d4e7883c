#include "../simd/requantize_scalar.h"
#include "gemm.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16_gemm, EO_BF16_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_f32_to_bf16, EO_F32_TO_BF16_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_to_f32, EO_BF16_TO_F32_ROWS)

enum { NR = 8 };

static float float_of(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

void eo_bf16_to_f32__scalar(size_t count, const uint16_t *x, float *y) {
    for (size_t i = 0; i < count; i++) y[i] = float_of(x[i]);
}

// Number k of row i.
static float number(const struct eo_gemm_tile *t, size_t height, size_t i, size_t k) {
    const size_t line = k / EO_BF16X3_STEP * EO_BF16X3_TILE, in_line = k % EO_BF16X3_STEP * sizeof(uint16_t);
    size_t at = i * t->input_stride + k * sizeof(uint16_t);
    if (t->in_tiles) {
        const size_t tile = i / height, last = t->rows - height, first = tile * height < last ? tile * height : last;
        at = tile * EO_BF16X3_SIDE * t->input_stride + line + (i - first) * EO_BF16X3_LINE + in_line;
    }
    return float_of(*(const uint16_t *)((const char *)t->input + at));
}

void eo_bf16_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const char *block = t->weights;
    const size_t height = eo_bf16x3_height(t->rows);
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (4 + 2 * t->depth)) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        const uint16_t *weights = (const uint16_t *)(block + NR * sizeof(float));
        for (size_t i = 0; i < t->rows; i++) {
            char *output = (char *)t->output + i * t->output_stride;
            for (size_t j = 0; j < count; j++) {
                float sum = ((const float *)block)[j];
                for (size_t k = 0; k < t->depth; k++)
                    sum += number(t, height, i, k) * float_of(weights[(k / 2 * NR + j) * 2 + k % 2]);
                sum = clamp(sum, p->minimum, p->maximum);
                if (t->rounds)
                    eo_f32_to_bf16__scalar(1, &sum, (uint16_t *)output + column + j);
                else
                    ((float *)output)[column + j] = sum;
            }
        }
    }
}

#define SIMD static inline
#include "../simd/bf16.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

void eo_f32_to_bf16__scalar(size_t count, const float *x, uint16_t *y) { round_floats(count, x, y); }
#pragma clang attribute pop
