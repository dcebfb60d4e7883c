#include "gemm.h"

KERNEL_FAMILY_TABLE(eo_f32_gemm, EO_F32_GEMM_ROWS)

enum { NR = 8 };

void eo_f32_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *parameters = t->parameters;
    const float *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += (1 + t->depth) * NR) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        for (size_t i = 0; i < t->rows; i++) {
            const float *a = (const float *)((const char *)t->input + i * t->input_stride);
            float *out = (float *)((char *)t->output + i * t->output_stride) + column;
            float sum[NR];
            for (int j = 0; j < NR; j++) sum[j] = block[j];
            for (size_t k = 0; k < t->depth; k++)
                for (int j = 0; j < NR; j++) sum[j] += a[k] * block[(1 + k) * NR + j];
            for (size_t j = 0; j < count; j++) {
                float x = sum[j] < parameters->minimum ? parameters->minimum : sum[j];
                out[j] = x > parameters->maximum ? parameters->maximum : x;
            }
        }
    }
}
