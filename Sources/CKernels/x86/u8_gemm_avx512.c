#if defined(__x86_64__)
#include "../simd/i32_avx512.h"

// Without dot products of bytes: 16-bit activations and weights, multiplied and added in pairs. Each sum is kept as two
// halves: columns 0-7 and 8-15, each with one number for the even and one for the odd pair of the four.
typedef struct {
    __m512i half[2];
} acc, bvec;
typedef __m512i avec;
#define ROW int16_t
#define STEP 4
#define VECTORS 1
#define MR 12
#define HALF_COUNTS UP_TO_6

SIMD acc acc_start(ivec bias) { return (void)bias, (acc){{_mm512_setzero_si512(), _mm512_setzero_si512()}}; }
SIMD acc acc_step(acc sum, avec a, bvec b) {
    sum.half[0] = _mm512_add_epi32(sum.half[0], _mm512_madd_epi16(a, b.half[0]));
    sum.half[1] = _mm512_add_epi32(sum.half[1], _mm512_madd_epi16(a, b.half[1]));
    return sum;
}
SIMD ivec acc_total(acc sum, ivec bias) {
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odds = _mm512_or_si512(evens, _mm512_set1_epi32(1));
    const __m512i even = _mm512_permutex2var_epi32(sum.half[0], evens, sum.half[1]);
    const __m512i odd = _mm512_permutex2var_epi32(sum.half[0], odds, sum.half[1]);
    return _mm512_add_epi32(bias, _mm512_add_epi32(even, odd));
}
SIMD bvec bvec_load(const int8_t *p) {
    return (bvec){{_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)),
                   _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p + 32)))}};
}
SIMD avec avec_load(const ROW *p) {
    int64_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return _mm512_set1_epi64(quad);
}

#include "../simd/u8_gemm.h"

TARGET void eo_u8_gemm_12x16__avx512(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_12x16__avx512(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
#endif
