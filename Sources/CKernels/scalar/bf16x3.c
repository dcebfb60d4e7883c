#include "../simd/requantize_scalar.h"
#include "convolution.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16x3_gemm, EO_BF16X3_GEMM_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16x3_split, EO_BF16X3_SPLIT_ROWS)
KERNEL_FAMILY_TABLE(eo_gather_bf16x3, EO_GATHER_BF16X3_ROWS)

enum { NR = 32 };

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

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

void eo_gather_bf16x3__scalar(const struct eo_gather *gather) { split_rows(gather); }

void eo_bf16x3_split__scalar(const float *weights, char *to) {
    for (size_t k = 0; k < STEP; k++)
        for (size_t j = 0; j < NR; j++) {
            float rest = weights[k * NR + j];
            uint16_t *pair = (uint16_t *)(to + j / SIDE * EO_BF16X3_TILE + k % SIDE * EO_BF16X3_LINE) + j % SIDE * 2;
            for (size_t part = 0; part < EO_BF16X3_PARTS; part++)
                pair[part * EO_BF16X3_TILE + k / SIDE] = take_upper(&rest);
        }
}

static float part_of(const char *numbers, size_t at) {
    const uint32_t bits = (uint32_t)((const uint16_t *)numbers)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Number k of a row times weight k of column j of a block.
static float product(const char *row, const char *weights, size_t k, size_t j) {
    const size_t step = k / STEP, pair = k % SIDE, half = k % STEP / SIDE;
    const char *line = row + step * STEP_SIZE;
    const char *column = weights + step * 2 * STEP_SIZE + j / SIDE * EO_BF16X3_TILE + pair * EO_BF16X3_LINE;
    float sum = 0;
    for (size_t all = EO_BF16X3_PARTS; all-- > 0;)
        for (size_t part = 0; part <= all; part++)
            sum += part_of(line + part * EO_BF16X3_TILE, pair * 2 + half) *
                   part_of(column + (all - part) * 2 * EO_BF16X3_TILE, j % SIDE * 2 + half);
    return sum;
}

void eo_bf16x3_gemm_32x32__scalar(const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const size_t height = eo_bf16x3_height(t->rows), size = eo_bf16x3_gemm_packed_size(t->depth, 1);
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR, block += size)
        for (size_t i = 0; i < t->rows; i++) {
            const char *row =
                (const char *)t->input + i / height * SIDE * t->input_stride + i % height * EO_BF16X3_LINE;
            float *output = (float *)((char *)t->output + i * t->output_stride) + column;
            for (size_t j = 0; j < NR && column + j < t->columns; j++) {
                float sum = ((const float *)block)[j];
                for (size_t k = 0; k < t->depth; k++) sum += product(row, block + NR * sizeof(float), k, j);
                output[j] = clamp(sum, p->minimum, p->maximum);
            }
        }
}
#pragma clang attribute pop
