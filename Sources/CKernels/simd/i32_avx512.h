// Integer vocabulary for AVX-512: sums of 32 bits and what becomes of them.
#ifndef EDGEOPT_SIMD_I32_AVX512_H
#define EDGEOPT_SIMD_I32_AVX512_H

#include "f32_avx512.h"
#include <stdint.h>

typedef __m512i ivec;

SIMD ivec ivec_set(int32_t x) { return _mm512_set1_epi32(x); }
SIMD ivec ivec_load(const int32_t *p) { return _mm512_loadu_si512(p); }
SIMD void ivec_store(int32_t *p, ivec x) { _mm512_storeu_si512(p, x); }
SIMD ivec ivec_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
SIMD ivec ivec_multiply(ivec a, ivec b) { return _mm512_mullo_epi32(a, b); }
SIMD vec ivec_to_float(ivec x) { return _mm512_cvtepi32_ps(x); }
SIMD vec vec_multiply(vec a, vec b) { return _mm512_mul_ps(a, b); }
SIMD vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
// Nearest, ties to even.
SIMD ivec vec_round(vec x) { return _mm512_cvtps_epi32(x); }
// Nearest, ties away from zero: adds the greatest number below a half, with the sign of x, and drops the fraction.
SIMD ivec vec_round_away(vec x) {
    const vec half = _mm512_or_ps(_mm512_and_ps(x, vec_set(-0.0f)), vec_set(0.49999997f));
    return _mm512_cvttps_epi32(vec_add(x, half));
}
// What sums become: numbers of 16 bits (words) and of 8.
SIMD ivec ivec_set_words(int16_t x) { return _mm512_set1_epi16(x); }
SIMD ivec ivec_set_bytes(int8_t x) { return _mm512_set1_epi8(x); }
SIMD ivec ivec_xor(ivec a, ivec b) { return _mm512_xor_si512(a, b); }
SIMD ivec words_clamp(ivec x, ivec low, ivec high) { return _mm512_min_epi16(_mm512_max_epi16(x, low), high); }
SIMD ivec bytes_clamp(ivec x, ivec low, ivec high) { return _mm512_min_epi8(_mm512_max_epi8(x, low), high); }
// Each pair's first word becomes its second one, or the other way round, with a zero in its place.
SIMD ivec words_up(ivec x) { return _mm512_slli_epi32(x, 16); }
SIMD ivec words_down(ivec x) { return _mm512_srli_epi32(x, 16); }
SIMD ivec ivec_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
// Words of two vectors in turn, within each 16 bytes.
SIMD ivec words_zip_low(ivec a, ivec b) { return _mm512_unpacklo_epi16(a, b); }
SIMD ivec words_zip_high(ivec a, ivec b) { return _mm512_unpackhi_epi16(a, b); }
// What undoes them, saturated.
SIMD ivec words_unzip(ivec low, ivec high) { return _mm512_packs_epi32(low, high); }
// sum + the products of two words each
SIMD ivec words_dot(ivec sum, ivec a, ivec b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }
// Two vectors, saturated, in order.
SIMD ivec ivec_words(ivec a, ivec b) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packs_epi32(a, b));
}
// Four vectors, saturated to words, plus `zero`, saturated to bytes, in order.
SIMD ivec ivec_bytes(const ivec q[4], ivec zero) {
    const ivec order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const ivec first = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero);
    const ivec second = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero);
    return _mm512_permutexvar_epi32(order, _mm512_packs_epi16(first, second));
}
// Numbers of four bits, the lower or the upper ones of bytes, times 16.
SIMD ivec bytes_halves(const void *p, const int upper) {
    const ivec bytes = _mm512_loadu_si512(p);
    return _mm512_and_si512(upper ? bytes : _mm512_slli_epi16(bytes, 4), ivec_set_bytes((int8_t)0xf0));
}
// The first `count` bytes of part `k` of `parts`: 1, 2 or 4.
SIMD void bytes_store(void *p, ivec x, const int parts, const int k, size_t count) {
    const __mmask64 mask = count < 64 ? (1ull << count) - 1 : ~0ull;
    if (parts == 1)
        _mm512_mask_storeu_epi8(p, mask, x);
    else if (parts == 2)
        _mm256_mask_storeu_epi8(p, (__mmask32)mask, k ? _mm512_extracti64x4_epi64(x, 1) : _mm512_castsi512_si256(x));
    else
        _mm_mask_storeu_epi8(p, (__mmask16)mask,
                             k == 0   ? _mm512_castsi512_si128(x)
                             : k == 1 ? _mm512_extracti32x4_epi32(x, 1)
                             : k == 2 ? _mm512_extracti32x4_epi32(x, 2)
                                      : _mm512_extracti32x4_epi32(x, 3));
}

#endif
