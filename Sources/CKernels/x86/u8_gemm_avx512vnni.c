#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

typedef __m512i acc, bvec, avec;
typedef uint8_t row_element;
#define ROW row_element
#define STEP 4
#define VECTORS 2
#define MR 14
#define HALF_COUNTS UP_TO_7
#define BLOCKS 4
#define FEW_ROWS 4
#define FEW_COUNTS UP_TO_4

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return _mm512_dpbusd_epi32(sum, a, b); }
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of(ivec bytes) { return bytes; }
SIMD bvec bvec_load(const int8_t *p) { return _mm512_loadu_si512(p); }
SIMD avec avec_load(const ROW *p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return _mm512_set1_epi32(quad);
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_14x32__avx512vnni(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_14x32__avx512vnni(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_28x32__avx512vnni(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
