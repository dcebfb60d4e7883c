#if defined(__aarch64__)
#include "../simd/i32_neon.h"
#undef TARGET
#define TARGET __attribute__((target("dotprod")))

// Dot products of four signed bytes.
typedef int32x4_t acc;
typedef int8x16_t bvec, avec;
#define ROW int8_t
#define ROW_OFFSET 128
#define STEP 4
#define VECTORS 2
#define MR 12
#define HALF_COUNTS UP_TO_6

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) { return vdotq_s32(sum, b, a); }
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of(ivec bytes) { return vreinterpretq_s8_s32(bytes); }
SIMD bvec bvec_load(const int8_t *p) { return vld1q_s8(p); }
SIMD avec avec_load(const ROW *p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, sizeof quad);
    return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

TARGET void eo_u8_gemm_12x8__neondot(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
TARGET void eo_hybrid_gemm_12x8__neondot(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
TARGET void eo_hybrid4_gemm_24x8__neondot(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
