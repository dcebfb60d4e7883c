// Integer vocabulary for AVX2: sums of 32 bits and what becomes of them.
#ifndef EDGEOPT_SIMD_I32_AVX2_H
#define EDGEOPT_SIMD_I32_AVX2_H

#include "f32_avx2.h"
#include <stdint.h>

typedef __m256i ivec;

SIMD ivec ivec_set(int32_t x) { return _mm256_set1_epi32(x); }
SIMD ivec ivec_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD void ivec_store(int32_t *p, ivec x) { _mm256_storeu_si256((__m256i *)p, x); }
SIMD ivec ivec_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
SIMD ivec ivec_multiply(ivec a, ivec b) { return _mm256_mullo_epi32(a, b); }
SIMD vec ivec_to_float(ivec x) { return _mm256_cvtepi32_ps(x); }
SIMD vec vec_multiply(vec a, vec b) { return _mm256_mul_ps(a, b); }
SIMD vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
// Nearest, ties to even.
SIMD ivec vec_round(vec x) { return _mm256_cvtps_epi32(x); }
// Nearest, ties away from zero: adds the greatest number below a half, with the sign of x, and drops the fraction.
SIMD ivec vec_round_away(vec x) {
    const vec half = _mm256_or_ps(_mm256_and_ps(x, vec_set(-0.0f)), vec_set(0.49999997f));
    return _mm256_cvttps_epi32(vec_add(x, half));
}
// What sums become: numbers of 16 bits (words) and of 8.
SIMD ivec ivec_set_words(int16_t x) { return _mm256_set1_epi16(x); }
SIMD ivec ivec_set_bytes(int8_t x) { return _mm256_set1_epi8(x); }
SIMD ivec ivec_xor(ivec a, ivec b) { return _mm256_xor_si256(a, b); }
SIMD ivec words_clamp(ivec x, ivec low, ivec high) { return _mm256_min_epi16(_mm256_max_epi16(x, low), high); }
SIMD ivec bytes_clamp(ivec x, ivec low, ivec high) { return _mm256_min_epi8(_mm256_max_epi8(x, low), high); }
// Each pair's first word becomes its second one, or the other way round, with a zero in its place.
SIMD ivec words_up(ivec x) { return _mm256_slli_epi32(x, 16); }
SIMD ivec words_down(ivec x) { return _mm256_srli_epi32(x, 16); }
SIMD ivec ivec_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
// Words of two vectors in turn, within each 16 bytes.
SIMD ivec words_zip_low(ivec a, ivec b) { return _mm256_unpacklo_epi16(a, b); }
SIMD ivec words_zip_high(ivec a, ivec b) { return _mm256_unpackhi_epi16(a, b); }
// What undoes them, saturated.
SIMD ivec words_unzip(ivec low, ivec high) { return _mm256_packs_epi32(low, high); }
// sum + the products of two words each
SIMD ivec words_dot(ivec sum, ivec a, ivec b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
// Two vectors, saturated, in order.
SIMD ivec ivec_words(ivec a, ivec b) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8); }
// Four vectors, saturated to words, plus `zero`, saturated to bytes, in order.
SIMD ivec ivec_bytes(const ivec q[4], ivec zero) {
    const ivec order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const ivec first = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zero);
    const ivec second = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), zero);
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), order);
}

#include "i32_stores.h"
// Numbers of four bits, the lower or the upper ones of bytes, times 16.
SIMD ivec bytes_halves(const void *p, const int upper) {
    const ivec bytes = _mm256_loadu_si256(p);
    return _mm256_and_si256(upper ? bytes : _mm256_slli_epi16(bytes, 4), ivec_set_bytes((int8_t)0xf0));
}

#endif
