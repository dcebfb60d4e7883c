#include "../simd/requantize_scalar.h"
#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16x3_gemm, EO_BF16X3_GEMM_ROWS)
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

static void split_step(const float *x, size_t count, size_t parts, char *to) {
    if (parts == 1) {
        memset(to, 0, EO_BF16X3_LINE);
        eo_f32_to_bf16__scalar(count, x, (uint16_t *)to);
        return;
    }
    for (size_t i = 0; i < EO_BF16X3_STEP; i++) {
        float rest = i < count ? x[i] : 0;
        for (size_t part = 0; part < EO_BF16X3_PARTS; part++)
            ((uint16_t *)(to + part * EO_BF16X3_TILE))[i % 16 * 2 + i / 16] = take_upper(&rest);
    }
}

#define SIMD static inline
#define TARGET
#include "../simd/bf16x3.h"

void eo_gather_bf16x3__scalar(const struct eo_gather *gather) { split_rows(gather); }

static float part_of(const uint16_t *numbers, size_t at) {
    const uint32_t bits = (uint32_t)numbers[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Number k of a row times a weight.
static float product(const char *row, size_t k, float weight) {
    const char *line = row + k / STEP * STEP_SIZE;
    const size_t at = k % SIDE * 2 + k % STEP / SIDE;
    float weights[EO_BF16X3_PARTS], sum = 0;
    for (size_t part = 0; part < EO_BF16X3_PARTS; part++) {
        const uint16_t upper = take_upper(&weight);
        weights[part] = part_of(&upper, 0);
    }
    for (size_t all = EO_BF16X3_PARTS; all-- > 0;)
        for (size_t part = 0; part <= all; part++)
            sum += part_of((const uint16_t *)(line + part * EO_BF16X3_TILE), at) * weights[all - part];
    return sum;
}

void eo_bf16x3_gemm_32x8__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const float *block = t->weights;
    const size_t height = eo_bf16x3_height(t->rows);
    for (size_t column = 0; column < t->columns; column += NR, block += NR * (1 + t->depth))
        for (size_t i = 0; i < t->rows; i++) {
            const char *row =
                (const char *)t->input + i / height * SIDE * t->input_stride + i % height * EO_BF16X3_LINE;
            float *output = (float *)((char *)t->output + i * t->output_stride) + column;
            for (size_t j = 0; j < NR && column + j < t->columns; j++) {
                float sum = block[j];
                for (size_t k = 0; k < t->depth; k++) sum += product(row, k, block[NR * (1 + k) + j]);
                output[j] = clamp(sum, p->minimum, p->maximum);
            }
        }
}
