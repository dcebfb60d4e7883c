// Body of the 16-bit matrix product over an integer vocabulary, MR and HALF_COUNTS of integer_products.h, and these
// words:
//   pair_load(p)         weights of a vector of columns, 2 deep, widened to 16 bits
//   pair_dot(sum, a, b)  sum + the two products
//   add_partial, finish  may be defined (FINISH): partial sums to totals, totals to results
#include "gemm.h"
#include "requantize_scalar.h"
#include <string.h>

typedef ivec acc, bvec, avec;
#define ROW int16_t
#define STEP 2
#define VECTORS 2
#define WHOLE_BLOCKS

SIMD acc acc_start(ivec start) { return start; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return pair_dot(sum, a, b); }
SIMD ivec acc_total(acc sum, ivec start) { return (void)start, sum; }
SIMD bvec bvec_load(const int8_t *p) { return pair_load(p); }
SIMD avec avec_load(const ROW *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return ivec_set(pair);
}

#include "integer_products.h"

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

// Sums of the rows of a tile and a block of columns become 16-bit numbers. They fit 32 bits and their scales are below
// 1: packing limits what leaves 16 bits.
SIMD void finish_narrow(const struct eo_gemm_tile *t, const int32_t *sums, const float *scale, char *output,
                        size_t count) {
    const struct eo_s16_parameters *p = t->parameters;
    const ivec low = ivec_set_words((int16_t)p->minimum), high = ivec_set_words((int16_t)p->maximum);
    for (size_t i = 0; i < t->rows; i++, sums += NR, output += t->output_stride) {
        ivec q[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++)
            q[j] = vec_round(vec_multiply(ivec_to_float(ivec_load(sums + j * LANES)), vec_load(scale + j * LANES)));
        bytes_store(output, words_clamp(ivec_words(q[0], q[1]), low, high), 1, 0, count * sizeof(int16_t));
    }
}

// Partial sums of 32 bits are added to totals of 64 (modulo 2^64) before they can overflow.
SIMD void finish_wide(const struct eo_gemm_tile *t, struct operands o, const int64_t *bias, const float *scale,
                      char *output, size_t count) {
    static const int32_t zeros[NR];
    uint64_t totals[MR][NR];
    o.start = zeros;
    for (size_t i = 0; i < t->rows; i++) memcpy(totals[i], bias, sizeof totals[i]);
    for (size_t k = 0; k < t->depth; k += o.depth) {
        const size_t left = t->depth - k;
        int32_t partial[MR * NR];
        o.depth = left < EO_S16_PARTIAL_DEPTH ? left : EO_S16_PARTIAL_DEPTH;
        multiply_rows(t->rows, count, o, partial);
        for (size_t i = 0; i < t->rows; i++) add_partial(totals[i], partial + i * NR);
        o.input += o.depth * sizeof(ROW);
        o.weights += o.depth * NR;
    }
    for (size_t i = 0; i < t->rows; i++, output += t->output_stride)
        finish(totals[i], scale, t->parameters, output, count);
}

// All columns of a tile.
SIMD void tile(const struct eo_gemm_tile *t) {
    const struct eo_s16_parameters *p = t->parameters;
    const size_t element = p->leaves_f ? sizeof(float) : sizeof(int16_t);
    const char *block = t->weights;
    struct operands o = {.input = t->input, .stride = t->input_stride, .depth = t->depth};
    for (size_t column = 0; column < t->columns; column += NR) {
        const int64_t *bias = (const int64_t *)block;
        const float *scale = (const float *)(bias + NR);
        const size_t count = t->columns - column < NR ? t->columns - column : NR;
        char *output = (char *)t->output + column * element;
        o.weights = (const int8_t *)(scale + NR);
        block += NR * (sizeof(int64_t) + sizeof(float) + t->depth);
        if (p->sums_fit_32 && p->output_zero_point == 0) {
            int32_t start[NR], sums[MR * NR];
            for (int j = 0; j < NR; j++) start[j] = (int32_t)bias[j];
            o.start = start;
            multiply_rows(t->rows, count, o, sums);
            finish_narrow(t, sums, scale, output, count);
        } else {
            finish_wide(t, o, bias, scale, output, count);
        }
    }
}
