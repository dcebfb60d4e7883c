#if defined(__aarch64__)
#include "../simd/i32_neon.h"

#define MR 12
#define HALF_COUNTS UP_TO_6

// The even ones of four pairs of weights before the odd ones, so that each half is multiplied by one activation.
SIMD ivec pair_load(const int8_t *p) {
    const uint8x8_t evens_first = vcreate_u8(0x0705030106040200);
    return vreinterpretq_s32_s16(vmovl_s8(vtbl1_s8(vld1_s8(p), vreinterpret_s8_u8(evens_first))));
}
SIMD ivec pair_dot(ivec sum, ivec a, ivec b) {
    const int16x4_t pair = vget_low_s16(vreinterpretq_s16_s32(a));
    const int16x8_t weights = vreinterpretq_s16_s32(b);
    sum = vmlal_lane_s16(sum, vget_low_s16(weights), pair, 0);
    return vmlal_high_lane_s16(sum, weights, pair, 1);
}

#include "../simd/s16_gemm.h"

void eo_s16_gemm_12x8__neon(const struct eo_gemm_tile *t) { tile(t); }
#endif
