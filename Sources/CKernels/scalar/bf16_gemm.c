#include "../simd/requantize_scalar.h"
#include "gemm.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16_gemm, EO_BF16_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_f32_to_bf16, EO_F32_TO_BF16_ROWS)

enum { NR = 8 };

static float float_of(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

void eo_bf16_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (4 + 2 * t->depth)) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        const uint16_t *weights = (const uint16_t *)(block + NR * sizeof(float));
        for (size_t i = 0; i < t->rows; i++) {
            const uint16_t *row = (const uint16_t *)((const char *)t->input + i * t->input_stride);
            float *output = (float *)((char *)t->output + i * t->output_stride) + column;
            for (size_t j = 0; j < count; j++) {
                float sum = ((const float *)block)[j];
                for (size_t k = 0; k < t->depth; k++)
                    sum += float_of(row[k]) * float_of(weights[(k / 2 * NR + j) * 2 + k % 2]);
                output[j] = clamp(sum, p->minimum, p->maximum);
            }
        }
    }
}

#define SIMD static inline
#include "../simd/bf16.h"

void eo_f32_to_bf16__scalar(size_t count, const float *x, uint16_t *y) { round_floats(count, x, y); }
