#if defined(__aarch64__)
#include "../simd/i32_neon.h"

// Without dot products of bytes: 16-bit activations and weights. Weights of four columns are turned so that each half
// vector holds those that one activation is multiplied by.
typedef int32x4_t acc;
typedef int16x8x2_t bvec;
typedef int16x4_t avec;
#define ROW int16_t
#define STEP 4
#define VECTORS 2
#define MR 8
#define HALF_COUNTS UP_TO_6

SIMD acc acc_start(ivec bias) { return bias; }
SIMD acc acc_step(acc sum, avec a, bvec b) {
    sum = vmlal_lane_s16(sum, vget_low_s16(b.val[0]), a, 0);
    sum = vmlal_high_lane_s16(sum, b.val[0], a, 1);
    sum = vmlal_lane_s16(sum, vget_low_s16(b.val[1]), a, 2);
    return vmlal_high_lane_s16(sum, b.val[1], a, 3);
}
SIMD ivec acc_total(acc sum, ivec bias) { return (void)bias, sum; }
SIMD bvec bvec_of(ivec quads) {
    static const uint8_t turned[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const int8x16_t bytes = vqtbl1q_s8(vreinterpretq_s8_s32(quads), vld1q_u8(turned));
    return (bvec){{vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)}};
}
SIMD bvec bvec_load(const int8_t *p) { return bvec_of(vreinterpretq_s32_s8(vld1q_s8(p))); }
SIMD avec avec_load(const ROW *p) { return vld1_s16(p); }

#include "../simd/u8_gemm.h"
#include "../simd/hybrid4_gemm.h"

void eo_u8_gemm_8x8__neon(const struct eo_gemm_tile *t) { tile(REQUANTIZE, t); }
void eo_hybrid_gemm_8x8__neon(const struct eo_gemm_tile *t) { tile(DEQUANTIZE, t); }
void eo_hybrid4_gemm_16x8__neon(const struct eo_gemm_tile *t) { halves_tile(t); }
#endif
