// Float vocabulary for AVX-512: the words kernel bodies are written in.
#ifndef EDGEOPT_SIMD_F32_AVX512_H
#define EDGEOPT_SIMD_F32_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define SIMD static inline __attribute__((always_inline)) TARGET
#define LANES 16

typedef __m512 vec;

SIMD vec vec_set(float x) { return _mm512_set1_ps(x); }
SIMD vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
SIMD vec vec_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
SIMD void vec_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
// The first `count` lanes, 0 <= count <= LANES; the others are zero, and their memory is not touched.
SIMD vec vec_load_part(const float *p, size_t count) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
SIMD void vec_store_part(float *p, vec x, size_t count) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), x); }
SIMD vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
SIMD vec vec_max(vec x, vec low) { return _mm512_max_ps(low, x); }
SIMD vec vec_min(vec x, vec high) { return _mm512_min_ps(high, x); }
// A NaN in x stays.
SIMD vec vec_clamp(vec x, vec low, vec high) { return _mm512_min_ps(high, _mm512_max_ps(low, x)); }

#endif
