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
// Low bytes of the first `count` lanes.
SIMD void ivec_store_bytes(void *p, ivec x, size_t count) {
    if (count >= LANES)
        _mm_storeu_si128(p, _mm512_cvtepi32_epi8(x));
    else
        _mm512_mask_cvtepi32_storeu_epi8(p, (__mmask16)((1u << count) - 1), x);
}

#endif
