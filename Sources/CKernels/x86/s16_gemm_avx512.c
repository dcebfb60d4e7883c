#if defined(__x86_64__)
#include "../simd/i32_avx512.h"

#include "s16_gemm_words.h"

SIMD ivec pair_load(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }

#include "../simd/s16_gemm.h"

TARGET void eo_s16_gemm_12x32__avx512(const struct eo_gemm_tile *t) { tile(t); }
#endif
