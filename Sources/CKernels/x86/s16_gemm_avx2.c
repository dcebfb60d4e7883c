#if defined(__x86_64__)
#include "../simd/i32_avx2.h"

#define ROWS 6

SIMD ivec pair_load(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

#include "../simd/s16_gemm.h"

STRIP(1)
STRIP(2) STRIP(3) STRIP(4) STRIP(5) STRIP(6)

    void eo_s16_gemm_6x16__avx2(const struct eo_gemm_tile *t) {
    static eo_gemm_function *const strips[] = {strip_1, strip_2, strip_3, strip_4, strip_5, strip_6};
    strips[t->rows - 1](t);
}
#endif
