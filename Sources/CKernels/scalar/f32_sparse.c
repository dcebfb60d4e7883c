#include "gemm.h"

#include <string.h>

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_sparse, EO_F32_SPARSE_ROWS)

enum { NR = EO_SPARSE_COLUMNS };

void eo_f32_sparse_4x16__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const struct eo_sparse_block *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block++) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        const float *w = (const float *)((const char *)block + block->offset);
        const uint32_t *place = (const uint32_t *)(w + block->count * NR);
        for (size_t i = 0; i < t->rows; i++) {
            const float *row = (const float *)((const char *)t->input + i * t->input_stride);
            float *out = (float *)((char *)t->output + i * t->output_stride) + column;
            float sum[NR];
            memcpy(sum, block->bias, sizeof sum);
            for (size_t n = 0; n < block->count; n++)
                for (int j = 0; j < NR; j++) sum[j] += row[place[n]] * w[n * NR + j];
            for (size_t j = 0; j < count; j++) {
                float x = sum[j] < parameters->minimum ? parameters->minimum : sum[j];
                out[j] = x > parameters->maximum ? parameters->maximum : x;
            }
        }
    }
}
#pragma clang attribute pop
