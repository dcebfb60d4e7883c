#include "../simd/requantize_scalar.h"
#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16x3_gemm, EO_BF16X3_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16x3_split, EO_BF16X3_SPLIT_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_bf16x3, EO_GATHER_BF16X3_ROWS)

enum { NR = 8 };

// The upper bits of x, which lose them.
static uint16_t take_upper(float *x) {
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    const uint32_t upper = bits & 0xffff0000;
    float part;
    memcpy(&part, &upper, sizeof part);
    *x -= part;
    return (uint16_t)(upper >> 16);
}

static void split_step(const float *x, char *to) {
    for (size_t i = 0; i < EO_BF16X3_STEP; i++) {
        float rest = x[i];
        for (size_t part = 0; part < EO_BF16X3_PARTS; part++)
            ((uint16_t *)(to + part * EO_BF16X3_TILE))[i % 16 * 2 + i / 16] = take_upper(&rest);
    }
}

#define SIMD static inline
#include "../simd/bf16x3.h"

void eo_gather_bf16x3__scalar(const struct eo_gather *gather) { split_rows(gather); }

void eo_bf16x3_split__scalar(size_t count, const float *x, void *to) {
    for (size_t i = 0; i < count; i += EO_BF16X3_STEP) split_step(x + i, (char *)to + i / EO_BF16X3_STEP * STEP_SIZE);
}

static float part_of(const uint16_t *numbers, size_t at) {
    const uint32_t bits = (uint32_t)numbers[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Step after step, the largest products last.
static float sum_of(const struct eo_gemm_tile *t, const char *row, const char *weights, size_t column, float sum) {
    for (size_t step = 0; step < t->depth / EO_BF16X3_STEP;
         step++, row += STEP_SIZE, weights += STEP_SIZE * NR / EO_BF16X3_SIDE)
        for (size_t all = EO_BF16X3_PARTS; all-- > 0;)
            for (size_t part = 0; part <= all; part++) {
                const uint16_t *x = (const uint16_t *)(row + part * EO_BF16X3_TILE);
                const uint16_t *w = (const uint16_t *)(weights + (all - part) * EO_BF16X3_LINE * NR);
                for (size_t pair = 0; pair < 16; pair++)
                    for (size_t i = 0; i < 2; i++)
                        sum += part_of(x, 2 * pair + i) * part_of(w, (pair * NR + column) * 2 + i);
            }
    return sum;
}

void eo_bf16x3_gemm_32x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const char *block = t->weights;
    const size_t height = eo_bf16x3_height(t->rows), size = NR * (sizeof(float) + 6 * t->depth);
    for (size_t column = 0; column < t->columns; column += NR, block += size)
        for (size_t i = 0; i < t->rows; i++) {
            const char *row =
                (const char *)t->input + i / height * EO_BF16X3_SIDE * t->input_stride + i % height * EO_BF16X3_LINE;
            float *output = (float *)((char *)t->output + i * t->output_stride) + column;
            for (size_t j = 0; j < NR && column + j < t->columns; j++)
                output[j] = clamp(sum_of(t, row, block + NR * sizeof(float), j, ((const float *)block)[j]), p->minimum,
                                  p->maximum);
        }
}
