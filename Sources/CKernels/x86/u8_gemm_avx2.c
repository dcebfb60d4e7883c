#if defined(__x86_64__)
#include "../simd/i32_avx2.h"

// Multiplying unsigned by signed bytes (maddubs) saturates at 16 bits, so both are widened and multiplied and added in
// pairs. Each sum is kept as two halves: columns 0-3 and 4-7, each with one number for the even and one for the odd
// pair of the four.
typedef struct {
    __m256i half[2];
} acc, bvec;
typedef __m256i avec;
#define ROW int16_t
#define STEP 4
#define VECTORS 1
#define MR 6
#define HALF_COUNTS UP_TO_3

SIMD acc acc_start(ivec bias) { return (void)bias, (acc){{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
SIMD acc acc_step(acc sum, avec a, bvec b) {
    sum.half[0] = _mm256_add_epi32(sum.half[0], _mm256_madd_epi16(a, b.half[0]));
    sum.half[1] = _mm256_add_epi32(sum.half[1], _mm256_madd_epi16(a, b.half[1]));
    return sum;
}
SIMD ivec acc_total(acc sum, ivec bias) {
    // Columns 0 1 4 5, 2 3 6 7.
    const __m256i pairs = _mm256_hadd_epi32(sum.half[0], sum.half[1]);
    return _mm256_add_epi32(bias, _mm256_permute4x64_epi64(pairs, 0xd8));
}
SIMD bvec bvec_of(ivec bytes) {
    return (bvec){{_mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)),
                   _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1))}};
}
SIMD bvec bvec_load(const int8_t *p) {
    return (bvec){{_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)),
                   _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(p + 16)))}};
}
SIMD avec avec_load(const ROW *p) {
    int64_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return _mm256_set1_epi64x(quad);
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_6x8__avx2(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_6x8__avx2(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_12x8__avx2(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
