#if defined(__x86_64__)
#include "../simd/i32_avx2.h"

// Multiplying unsigned by signed bytes (maddubs) saturates at 16 bits, so both are widened and multiplied and added in
// pairs: weights by shifts, which leave the even bytes of a quad or the odd ones (eo_turned_quad), one pair a phase.
typedef __m256i acc, bvec, avec;
#define ROW int16_t
#define STEP 4
#define PHASES 2
#define VECTORS 2
#define MR 6
#define BLOCKS 4
#define ROW_PIVOT 128
#define HALF_COUNTS UP_TO_3

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of_phase(ivec bytes, const int phase) {
    return _mm256_srai_epi16(phase == 0 ? _mm256_slli_epi16(bytes, 8) : bytes, 8);
}
SIMD bvec bvec_load_phase(const int8_t *p, const int phase) {
    return bvec_of_phase(_mm256_loadu_si256((const __m256i *)p), phase);
}
SIMD avec avec_load_phase(const ROW *p, const int phase) {
    int32_t pair;
    __builtin_memcpy(&pair, p + 2 * phase, sizeof pair);
    return _mm256_set1_epi32(pair);
}

// With a single row the widening would take longer than the products. Its numbers less 128, a, fit signed bytes, and
// a w = |a| w, or where a is negative |a| (-1 - w) + |a|: two products of |a| and a byte together are at least
// -2 * 128 * 128 and at most 2 * 128 * 127, which fits 16 bits, and what is left to add is the same for all columns.
typedef struct {
    __m256i size, sign;
} rvec;
SIMD rvec rvec_load(const ROW *row) {
    int64_t quad;
    __builtin_memcpy(&quad, row, sizeof quad);
    // The lower bytes, in the order of turned quads.
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi64x(quad), _mm256_set1_epi32(0x06020400));
    const __m256i a = _mm256_xor_si256(bytes, _mm256_set1_epi8(-ROW_PIVOT));
    return (rvec){_mm256_abs_epi8(a), _mm256_cmpgt_epi8(_mm256_setzero_si256(), a)};
}
SIMD acc rvec_step(acc sum, rvec a, const int8_t *bytes) {
    const __m256i w = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)bytes), a.sign);
    return words_dot(sum, _mm256_maddubs_epi16(a.size, w), _mm256_set1_epi16(1));
}
SIMD int32_t row_rest(const ROW *row, size_t depth) {
    int32_t rest = 0;
    for (size_t k = 0; k < depth; k++) rest += row[k] < ROW_PIVOT ? ROW_PIVOT - row[k] : 0;
    return rest;
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_6x16__avx2(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_6x16__avx2(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_12x16__avx2(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
