// Float vocabulary for AVX2 with FMA: the words kernel bodies are written in.
#ifndef EDGEOPT_SIMD_F32_AVX2_H
#define EDGEOPT_SIMD_F32_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define SIMD static inline __attribute__((always_inline)) TARGET
#define LANES 8

typedef __m256 vec;

SIMD __m256i vec_mask(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SIMD vec vec_set(float x) { return _mm256_set1_ps(x); }
SIMD vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
SIMD vec vec_load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
SIMD void vec_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
// The first `count` lanes, 0 <= count <= LANES; the others are zero, and their memory is not touched.
SIMD vec vec_load_part(const float *p, size_t count) { return _mm256_maskload_ps(p, vec_mask(count)); }
SIMD void vec_store_part(float *p, vec x, size_t count) { _mm256_maskstore_ps(p, vec_mask(count), x); }
SIMD vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
SIMD vec vec_max(vec x, vec low) { return _mm256_max_ps(low, x); }
SIMD vec vec_min(vec x, vec high) { return _mm256_min_ps(high, x); }
// A NaN in x stays.
SIMD vec vec_clamp(vec x, vec low, vec high) { return _mm256_min_ps(high, _mm256_max_ps(low, x)); }

#endif
