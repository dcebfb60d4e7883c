// Body of the 16-bit matrix product over an integer vocabulary and these words:
//   pair_load(p)         weights of a vector of columns, 2 deep, widened to 16 bits
//   pair_dot(sum, a, b)  sum + the two products
//   ROW_COUNTS           UP_TO_n of row_counts.h
//   add_partial, finish  may be defined (FINISH): partial sums to totals, totals to results
// Partial sums of 32 bits are added to totals of 64 (modulo 2^64) before they can overflow.
#include "gemm.h"
#include "requantize_scalar.h"
#include "row_counts.h"

#define VECTORS 2
#define NR (VECTORS * LANES)

SIMD int32_t pair_at(const int16_t *p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return pair;
}

// partial[rows][NR] = the products from `k` on, `depth` deep. `rows` is constant where this is called: everything
// unrolls and the sums stay in registers.
SIMD void multiply(const int rows, const struct eo_gemm_tile *t, const int8_t *w, size_t k, size_t depth,
                   int32_t *partial) {
    ivec sum[rows][VECTORS];
    const int16_t *row[rows];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        row[i] = (const int16_t *)((const char *)t->input + i * t->input_stride) + k;
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[i][j] = ivec_set(0);
    }
    for (size_t d = 0; d < depth; d += 2, w += 2 * NR) {
        ivec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) b[j] = pair_load(w + j * 2 * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const ivec a = ivec_set(pair_at(row[i] + d));
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) sum[i][j] = pair_dot(sum[i][j], a, b[j]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) ivec_store(partial + i * NR + j * LANES, sum[i][j]);
}

#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct eo_gemm_tile *t, const int8_t *w, size_t k, size_t depth,             \
                                    int32_t *partial) {                                                                \
        multiply(R, t, w, k, depth, partial);                                                                          \
    }
#define MULTIPLY_NAME(R) multiply_##R,
ROW_COUNTS(MULTIPLY)
static void (*const multiply_rows[])(const struct eo_gemm_tile *, const int8_t *, size_t, size_t,
                                     int32_t *) = {ROW_COUNTS(MULTIPLY_NAME)};
enum { ROWS = sizeof multiply_rows / sizeof *multiply_rows };

#ifndef FINISH
SIMD void add_partial(uint64_t *totals, const int32_t *partial) {
    for (int j = 0; j < NR; j++) totals[j] += (uint64_t)(int64_t)partial[j];
}

SIMD void finish(const uint64_t *totals, const float *scale, const struct eo_s16_parameters *p, void *output,
                 size_t count) {
    if (p->leaves_f) {
        for (size_t j = 0; j < count; j++) ((float *)output)[j] = (float)(int64_t)totals[j] * scale[j];
        return;
    }
    for (size_t j = 0; j < count; j++)
        ((int16_t *)output)[j] =
            (int16_t)requantize((float)(int64_t)totals[j], scale[j], p->minimum, p->maximum, p->output_zero_point);
}
#endif

// All columns of a tile.
SIMD void tile(const struct eo_gemm_tile *t) {
    const size_t rows = t->rows;
    const struct eo_s16_parameters *p = t->parameters;
    const size_t element = p->leaves_f ? sizeof(float) : sizeof(int16_t);
    const char *block = t->weights;
    for (size_t column = 0; column < t->columns; column += NR) {
        const int64_t *bias = (const int64_t *)block;
        const float *scale = (const float *)(bias + NR);
        const int8_t *w = (const int8_t *)(scale + NR);
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        char *output = (char *)t->output + column * element;
        block += NR * (sizeof(int64_t) + sizeof(float) + t->depth);
#ifdef FINISH_NARROW
        if (p->sums_fit_32 && p->output_zero_point == 0 && t->depth <= EO_S16_PARTIAL_DEPTH) {
            int32_t sums[ROWS * NR];
            multiply_rows[rows - 1](t, w, 0, t->depth, sums);
            for (size_t i = 0; i < rows; i++)
                finish_narrow(sums + i * NR, bias, scale, p, output + i * t->output_stride, count);
            continue;
        }
#endif
        uint64_t totals[ROWS][NR];
        for (size_t i = 0; i < rows; i++) __builtin_memcpy(totals[i], bias, sizeof totals[i]);
        for (size_t k = 0; k < t->depth; k += EO_S16_PARTIAL_DEPTH) {
            const size_t left = t->depth - k;
            int32_t partial[ROWS * NR];
            multiply_rows[rows - 1](t, w + k * NR, k, left < EO_S16_PARTIAL_DEPTH ? left : EO_S16_PARTIAL_DEPTH,
                                    partial);
            for (size_t i = 0; i < rows; i++) add_partial(totals[i], partial + i * NR);
        }
        for (size_t i = 0; i < rows; i++) finish(totals[i], scale, p, output + i * t->output_stride, count);
    }
}
