#include "../simd/requantize_scalar.h"
#include "gemm.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_s16_gemm, EO_S16_GEMM_ROWS)

enum { NR = 8 };

void eo_s16_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_s16_parameters *p = t->parameters;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column++) {
        const size_t j = column % NR;
        const int64_t *bias = (const int64_t *)block;
        const float *scale = (const float *)(bias + NR);
        const int8_t *w = (const int8_t *)(scale + NR) + 2 * j;
        for (size_t i = 0; i < t->rows; i++) {
            const int16_t *row = (const int16_t *)((const char *)t->input + i * t->input_stride);
            uint64_t sum = (uint64_t)bias[j];
            for (size_t k = 0; k < t->depth; k++) sum += (uint64_t)(int64_t)(row[k] * w[k / 2 * 2 * NR + k % 2]);
            char *output = (char *)t->output + i * t->output_stride;
            const float total = (float)(int64_t)sum;
            if (p->leaves_f)
                ((float *)output)[column] = total * scale[j];
            else
                ((int16_t *)output)[column] =
                    (int16_t)requantize(total, scale[j], p->minimum, p->maximum, p->output_zero_point);
        }
        if (j == NR - 1) block += NR * (sizeof(int64_t) + sizeof(float) + t->depth);
    }
}
#pragma clang attribute pop
