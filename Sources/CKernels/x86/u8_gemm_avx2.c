#if defined(__x86_64__)
#include "../simd/i32_avx2.h"

// Multiplying unsigned by signed bytes (maddubs) saturates at 16 bits. Two products of a magnitude and a signed byte
// are at least -2 * 128 * 128 and at most 2 * 128 * 127 together, which fits; so a w is |a| w, and where a is negative
// |a| (-1 - w) + |a|, one exclusive or away. What that leaves to add is the same for all columns of a row.
typedef __m256i acc, bvec;
typedef struct {
    __m256i magnitudes, signs;
} avec;
#define ROW uint16_t
#define STEP 4
#define VECTORS 4
#define MR 6
#define ROWS_AT_ONCE 3
#define HALF_COUNTS UP_TO_1
#define BLOCKS 2
#define ROW_OFFSET 128

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc add_dot(acc sum, avec a, bvec turned) {
    return words_dot(sum, _mm256_maddubs_epi16(a.magnitudes, turned), _mm256_set1_epi16(1));
}
SIMD acc acc_step(acc sum, avec a, bvec b) { return add_dot(sum, a, _mm256_xor_si256(b, a.signs)); }
#define STEPS_IN_MEMORY 2
SIMD acc acc_step_at(acc sum, avec a, const int8_t *bytes) {
    bvec turned;
    __asm__("vpxor %2, %1, %0" : "=x"(turned) : "x"(a.signs), "m"(*(const __m256i_u *)bytes));
    return add_dot(sum, a, turned);
}
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of(ivec bytes) { return bytes; }
SIMD bvec bvec_load(const int8_t *bytes) { return ivec_load((const int32_t *)bytes); }
SIMD avec avec_load(const ROW *p) {
    int32_t quads[2];
    __builtin_memcpy(quads, p, sizeof quads);
    return (avec){_mm256_set1_epi32(quads[0]), _mm256_set1_epi32(quads[1])};
}

// Of a row, the sum of all magnitudes and that of the negative numbers' ones.
struct row_sums {
    int32_t all, negative;
};
SIMD struct row_sums row_sums(const ROW *row, size_t depth) {
    const __m256i zero = _mm256_setzero_si256(), magnitudes = _mm256_set1_epi64x(0xffffffff);
    __m256i all = zero, negative = zero;
    for (size_t k = 0; k < depth; k += 16) {
        // Sums of a quad each, of which the last may have fewer.
        const __m256i inside =
            _mm256_cmpgt_epi64(_mm256_set1_epi64x((int64_t)(depth - k)), _mm256_setr_epi64x(0, 4, 8, 12));
        const __m256i quads = _mm256_maskload_epi64((const long long *)(row + k), inside);
        all = _mm256_add_epi64(all, _mm256_sad_epu8(_mm256_and_si256(quads, magnitudes), zero));
        negative =
            _mm256_add_epi64(negative, _mm256_sad_epu8(_mm256_and_si256(quads, _mm256_srli_epi64(quads, 32)), zero));
    }
    int64_t a[4], n[4];
    _mm256_storeu_si256((__m256i *)a, all);
    _mm256_storeu_si256((__m256i *)n, negative);
    return (struct row_sums){(int32_t)(a[0] + a[1] + a[2] + a[3]), (int32_t)(n[0] + n[1] + n[2] + n[3])};
}
#define ROW_RESTS
SIMD int32_t row_rest(const ROW *row, size_t depth) { return row_sums(row, depth).negative; }
SIMD int32_t row_end_rest(const ROW *row, size_t depth) {
    int32_t rest;
    __builtin_memcpy(&rest, row + depth, sizeof rest);
    return rest;
}
SIMD int32_t row_sum(const ROW *row, size_t depth) {
    const struct row_sums sums = row_sums(row, depth);
    return sums.all - 2 * sums.negative;
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_6x32__avx2(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_6x32__avx2(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_12x32__avx2(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
