#include "gemm.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_gemm, EO_F32_GEMM_ROWS)

enum { MR = 4, NR = 8 };

// Element k of row i.
static float element(const struct eo_gemm_tile *t, size_t i, size_t k) {
    if (t->segments == 0) return ((const float *)((const char *)t->input + i * t->input_stride))[k];
    const size_t depth = t->depth / t->segments;
    const void *const *segment = t->segment + k / depth * MR;
    const char *row = t->input_stride > 0 ? (const char *)segment[0] + i * t->input_stride : segment[i];
    return ((const float *)(row + t->segment_offset))[k % depth];
}

void eo_f32_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const float *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += (1 + t->depth) * NR) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        for (size_t i = 0; i < t->rows; i++) {
            float *out = (float *)((char *)t->output + i * t->output_stride) + column;
            float sum[NR];
            for (int j = 0; j < NR; j++) sum[j] = block[j];
            for (size_t k = 0; k < t->depth; k++) {
                const float a = element(t, i, k);
                for (int j = 0; j < NR; j++) sum[j] += a * block[(1 + k) * NR + j];
            }
            for (size_t j = 0; j < count; j++) {
                float x = sum[j] < parameters->minimum ? parameters->minimum : sum[j];
                out[j] = x > parameters->maximum ? parameters->maximum : x;
            }
        }
    }
}
#pragma clang attribute pop
