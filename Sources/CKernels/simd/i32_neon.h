// Integer vocabulary for NEON: sums of 32 bits and what becomes of them.
#ifndef EDGEOPT_SIMD_I32_NEON_H
#define EDGEOPT_SIMD_I32_NEON_H

#include "f32_neon.h"
#include <stdint.h>

typedef int32x4_t ivec;

SIMD ivec ivec_set(int32_t x) { return vdupq_n_s32(x); }
SIMD ivec ivec_load(const int32_t *p) { return vld1q_s32(p); }
SIMD void ivec_store(int32_t *p, ivec x) { vst1q_s32(p, x); }
SIMD ivec ivec_add(ivec a, ivec b) { return vaddq_s32(a, b); }
SIMD ivec ivec_multiply(ivec a, ivec b) { return vmulq_s32(a, b); }
SIMD vec ivec_to_float(ivec x) { return vcvtq_f32_s32(x); }
SIMD vec vec_multiply(vec a, vec b) { return vmulq_f32(a, b); }
SIMD vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
// Nearest, ties to even.
SIMD ivec vec_round(vec x) { return vcvtnq_s32_f32(x); }
// Nearest, ties away from zero.
SIMD ivec vec_round_away(vec x) { return vcvtaq_s32_f32(x); }
// Low bytes of the first `count` lanes.
SIMD void ivec_store_bytes(void *p, ivec x, size_t count) {
    const int16x4_t words = vmovn_s32(x);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    const uint32_t quad = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    if (count >= LANES)
        __builtin_memcpy(p, &quad, sizeof quad);
    else
        for (size_t i = 0; i < count; i++) ((uint8_t *)p)[i] = (uint8_t)(quad >> (8 * i));
}

#endif
