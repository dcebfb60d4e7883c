// Sums of a block of columns become bytes, those of as many rows at once as fill a vector. Over an integer vocabulary
// and VECTORS, the vectors of columns in a block, of which half may be enough.
#ifndef EDGEOPT_SIMD_U8_REQUANTIZE_H
#define EDGEOPT_SIMD_U8_REQUANTIZE_H

#include "gemm.h"

#define ROWS_TOGETHER(vectors) (4 / (vectors))
enum { TOGETHER = ROWS_TOGETHER(VECTORS) };

// What all sums of a product have in common.
struct requantization {
    ivec zero_point;       // of words
    ivec minimum, maximum; // of bytes
    ivec flip;             // of bytes: results above 127 are computed less 128
    vec limit;
    bool is_plain; // no limits but those of int8, scales below 1; without corrections this is the fast case
};

SIMD struct requantization requantization(const struct eo_u8_gemm_parameters *p) {
    const int32_t minimum = (int32_t)p->minimum + p->output_zero_point;
    const int32_t maximum = (int32_t)p->maximum + p->output_zero_point, offset = maximum > 127 ? 128 : 0;
    return (struct requantization){
        .zero_point = ivec_set_words((int16_t)(p->output_zero_point - offset)),
        .minimum = ivec_set_bytes((int8_t)(minimum - offset)),
        .maximum = ivec_set_bytes((int8_t)(maximum - offset)),
        .flip = ivec_set_bytes((int8_t)offset),
        .limit = vec_set(p->maximum),
        .is_plain = p->scales_below_one && minimum == -128 && maximum == 127,
    };
}

struct requantized_row {
    const int32_t *sums; // aligned to a vector
    int32_t correction;  // is added to each
    char *output;
};

// `columns`: of which results are written. Where a scale of 1 or more may make numbers too large to convert
// (`general`), they are limited before. Everything is read before the first store, which might change anything as far
// as the compiler knows.
SIMD void requantize_together(const int general, const int vectors, const struct requantization *r, const float *scales,
                              size_t columns, const struct requantized_row *rows) {
    ivec q[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        const struct requantized_row *row = rows + i / vectors;
        ivec sum = ivec_load(row->sums + i % vectors * LANES);
        if (general) sum = ivec_add(sum, ivec_set(row->correction));
        vec x = vec_multiply(ivec_to_float(sum), vec_load(scales + i % vectors * LANES));
        if (general) x = vec_min(x, r->limit);
        q[i] = vec_round(x);
    }
    ivec bytes = ivec_bytes(q, r->zero_point);
    if (general) bytes = ivec_xor(bytes_clamp(bytes, r->minimum, r->maximum), r->flip);
#pragma clang loop unroll(full)
    for (int k = 0; k < ROWS_TOGETHER(vectors); k++)
        bytes_store(rows[k].output, bytes, ROWS_TOGETHER(vectors), k, columns);
}

#endif
