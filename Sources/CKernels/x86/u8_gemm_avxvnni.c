#if defined(__x86_64__)
#include "../simd/i32_avx2.h"
#undef TARGET
#define TARGET __attribute__((target("avxvnni,avx2,fma,f16c")))

typedef __m256i acc, bvec, avec;
typedef uint8_t row_element;
#define ROW row_element
#define STEP 4
#define VECTORS 2
#define MR 6
#define HALF_COUNTS UP_TO_3

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of(ivec bytes) { return bytes; }
SIMD bvec bvec_load(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD avec avec_load(const ROW *p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return _mm256_set1_epi32(quad);
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_6x16__avxvnni(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_6x16__avxvnni(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_12x16__avxvnni(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
