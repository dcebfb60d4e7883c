#if defined(__x86_64__)
#include "../simd/i32_avx2.h"

#define MR 6
#define HALF_COUNTS UP_TO_3

SIMD ivec pair_load(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

#include "../simd/s16_gemm.h"

TARGET void eo_s16_gemm_6x16__avx2(const struct eo_gemm_tile *t) { tile(t); }
#endif
