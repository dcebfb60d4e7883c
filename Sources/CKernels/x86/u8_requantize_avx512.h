// Sums of a block of 32 columns become bytes, those of two rows at once: what both fill is a vector.
#ifndef EDGEOPT_X86_U8_REQUANTIZE_AVX512_H
#define EDGEOPT_X86_U8_REQUANTIZE_AVX512_H

#include "../simd/i32_avx512.h"
#include "gemm.h"

// What all sums of a product have in common.
struct requantization {
    __m512i zero_point;       // of words
    __m512i minimum, maximum; // of bytes
    __m512i flip;             // of bytes: results above 127 are computed less 128
    __m512 limit;
    bool is_plain; // no limits but those of int8, scales below 1; without corrections this is the fast case
};

SIMD struct requantization requantization(const struct eo_u8_gemm_parameters *p) {
    const int32_t minimum = (int32_t)p->minimum + p->output_zero_point;
    const int32_t maximum = (int32_t)p->maximum + p->output_zero_point, offset = maximum > 127 ? 128 : 0;
    return (struct requantization){
        .zero_point = _mm512_set1_epi16((int16_t)(p->output_zero_point - offset)),
        .minimum = _mm512_set1_epi8((int8_t)(minimum - offset)),
        .maximum = _mm512_set1_epi8((int8_t)(maximum - offset)),
        .flip = _mm512_set1_epi8((char)offset),
        .limit = vec_set(p->maximum),
        .is_plain = p->scales_below_one && minimum == -128 && maximum == 127,
    };
}

struct requantized_row {
    const int32_t *sums; // 64-byte aligned
    int32_t correction;  // is added to each
    char *output;
};

// A row of sums becomes words. Where a scale of 1 or more may make numbers too large to convert (`general`), they are
// limited before.
SIMD __m512i requantized_words(const int general, const struct requantization *r, const float *scales,
                               struct requantized_row row) {
    __m512i sum[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        sum[j] = _mm512_load_si512(row.sums + LANES * j);
        if (general) sum[j] = ivec_add(sum[j], ivec_set(row.correction));
        vec x = vec_multiply(ivec_to_float(sum[j]), vec_load(scales + LANES * j));
        if (general) x = vec_min(x, r->limit);
        sum[j] = vec_round(x);
    }
    return _mm512_adds_epi16(_mm512_packs_epi32(sum[0], sum[1]), r->zero_point);
}

// `columns`: of which results are written. Everything is read before the first store, which might change anything as
// far as the compiler knows.
SIMD void requantize_pair(const int general, const struct requantization *r, const float *scales, size_t columns,
                          struct requantized_row first, struct requantized_row second) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i bytes =
        _mm512_packs_epi16(requantized_words(general, r, scales, first), requantized_words(general, r, scales, second));
    if (general) bytes = _mm512_xor_si512(_mm512_min_epi8(_mm512_max_epi8(bytes, r->minimum), r->maximum), r->flip);
    // Columns 0-3 and 16-19 of both rows, 4-7 and 20-23 of both, ... come to be in order.
    bytes = _mm512_permutexvar_epi32(order, bytes);
    const __mmask32 mask = columns < 32 ? (1u << columns) - 1 : ~0u;
    _mm256_mask_storeu_epi8(first.output, mask, _mm512_castsi512_si256(bytes));
    _mm256_mask_storeu_epi8(second.output, mask, _mm512_extracti64x4_epi64(bytes, 1));
}

#endif
