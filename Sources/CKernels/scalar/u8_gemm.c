#include "../simd/requantize_scalar.h"
#include "gemm.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_u8_gemm, EO_U8_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_hybrid_gemm, EO_HYBRID_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_hybrid4_gemm, EO_HYBRID4_GEMM_ROWS)

enum { NR = 8 };

// Sums of one row and block of columns, modulo 2^32.
static void products(const int16_t *row, size_t depth, const int8_t *weights, uint32_t sum[NR]) {
    for (size_t k = 0; k < depth; k += 4, weights += 4 * NR)
        for (int j = 0; j < NR; j++)
            for (int i = 0; i < 4; i++) sum[j] += (uint32_t)(row[k + i] * weights[4 * j + i]);
}

static const int16_t *row_of(const struct eo_gemm_tile *t, size_t i) {
    return (const int16_t *)((const char *)t->input + i * t->input_stride);
}

void eo_u8_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_u8_gemm_parameters *p = t->parameters;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (2 * 4 + t->depth)) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        const int32_t *bias = (const int32_t *)block;
        const float *scale = (const float *)(bias + NR);
        for (size_t i = 0; i < t->rows; i++) {
            const int16_t *row = row_of(t, i);
            uint32_t sum[NR], total = 0;
            for (size_t k = 0; k < t->depth; k++) total += (uint32_t)row[k];
            for (int j = 0; j < NR; j++) sum[j] = (uint32_t)bias[j] - (uint32_t)p->weight_zero_point * total;
            products(row, t->depth, (const int8_t *)(scale + NR), sum);
            uint8_t *output = (uint8_t *)t->output + i * t->output_stride + column;
            for (size_t j = 0; j < count; j++)
                output[j] =
                    (uint8_t)requantize((float)(int32_t)sum[j], scale[j], p->minimum, p->maximum, p->output_zero_point);
        }
    }
}

void eo_hybrid_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_hybrid_gemm_parameters *p = t->parameters;
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (3 * 4 + t->depth)) {
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        const int32_t *sums = (const int32_t *)block;
        const float *scale = (const float *)(sums + NR), *bias = scale + NR;
        for (size_t i = 0; i < t->rows; i++) {
            const struct eo_hybrid_row *grid = eo_hybrid_row_of(t, i);
            uint32_t sum[NR];
            for (int j = 0; j < NR; j++) sum[j] = 0 - (uint32_t)grid->zero_point * (uint32_t)sums[j];
            products(row_of(t, i), t->depth, (const int8_t *)(bias + NR), sum);
            float *output = (float *)((char *)t->output + i * t->output_stride) + column;
            for (size_t j = 0; j < count; j++) {
                const float product = (float)(int32_t)sum[j] * (grid->scale * scale[j]);
                const float x = product + bias[j];
                output[j] = clamp(x, p->minimum, p->maximum);
            }
        }
    }
}

// 16 times a weight.
static int half(int8_t byte, int upper) { return (int8_t)(upper ? byte & 0xf0 : (uint8_t)byte << 4); }

void eo_hybrid4_gemm_4x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_hybrid_gemm_parameters *p = t->parameters;
    const size_t blocks = (t->depth + p->block - 1) / p->block, size = NR * (3 * 4 + 2 * blocks + t->depth / 2);
    for (size_t i = 0; i < t->rows; i++)
        for (size_t column = 0; column < t->columns; column++) {
            const size_t j = column % NR;
            const float *head = (const float *)((const char *)t->weights + column / NR * size);
            const int8_t *w = (const int8_t *)(head + 3 * NR);
            const int16_t *row = row_of(t, i);
            float total = 0;
            for (size_t k = 0; k < t->depth; w += NR * sizeof(uint16_t)) {
                int32_t sum = 0;
                for (const size_t end = k + p->block; k < end && k < t->depth; k += 8, w += 4 * NR)
                    for (int n = 0; n < 8; n++) sum += row[k + n] * half(w[4 * j + n % 4], n / 4);
                total += (float)sum * eo_half(((const uint16_t *)w)[j]);
            }
            const struct eo_hybrid_row *grid = eo_hybrid_row_of(t, i);
            total += (float)-grid->zero_point * head[j];
            const float x = total * (grid->scale * head[NR + j]) + head[2 * NR + j];
            ((float *)((char *)t->output + i * t->output_stride))[column] = clamp(x, p->minimum, p->maximum);
        }
}
#pragma clang attribute pop
