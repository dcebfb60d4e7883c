// Integer vocabulary for AVX2: sums of 32 bits and what becomes of them.
#ifndef EDGEOPT_SIMD_I32_AVX2_H
#define EDGEOPT_SIMD_I32_AVX2_H

#include "f32_avx2.h"
#include <stdint.h>
#include <string.h>

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
// Low bytes of the first `count` lanes.
SIMD void ivec_store_bytes(void *p, ivec x, size_t count) {
    const ivec low = _mm256_and_si256(x, _mm256_set1_epi32(0xff));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    const uint64_t bytes = (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    if (count >= LANES)
        memcpy(p, &bytes, 8);
    else
        for (size_t i = 0; i < count; i++) ((uint8_t *)p)[i] = (uint8_t)(bytes >> (8 * i));
}

#endif
