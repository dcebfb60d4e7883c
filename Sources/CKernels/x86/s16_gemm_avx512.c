#if defined(__x86_64__)
#include "../simd/i32_avx512.h"

#define ROWS 12

SIMD ivec pair_load(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }

#include "../simd/s16_gemm.h"

STRIP(1)
STRIP(2) STRIP(3) STRIP(4) STRIP(5) STRIP(6) STRIP(7) STRIP(8) STRIP(9) STRIP(10) STRIP(11) STRIP(12)

    void eo_s16_gemm_12x32__avx512(const struct eo_gemm_tile *t) {
    static eo_gemm_function *const strips[] = {strip_1, strip_2, strip_3, strip_4,  strip_5,  strip_6,
                                               strip_7, strip_8, strip_9, strip_10, strip_11, strip_12};
    strips[t->rows - 1](t);
}
#endif
