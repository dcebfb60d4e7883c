// Float vocabulary for NEON, which every aarch64 processor has: the words kernel bodies are written in.
#ifndef EDGEOPT_SIMD_F32_NEON_H
#define EDGEOPT_SIMD_F32_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET
#define SIMD static inline __attribute__((always_inline)) TARGET
#define LANES 4
#define REGISTERS 32

typedef float32x4_t vec;

SIMD vec vec_set(float x) { return vdupq_n_f32(x); }
SIMD vec vec_load(const float *p) { return vld1q_f32(p); }
SIMD vec vec_load_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
SIMD void vec_store(float *p, vec x) { vst1q_f32(p, x); }
// The first `count` lanes, 0 <= count < LANES; the others are zero, and their memory is not touched.
SIMD vec vec_load_part(const float *p, size_t count) {
    vec x = vec_set(0);
    if (count > 0) x = vld1q_lane_f32(p, x, 0);
    if (count > 1) x = vld1q_lane_f32(p + 1, x, 1);
    if (count > 2) x = vld1q_lane_f32(p + 2, x, 2);
    return x;
}
SIMD void vec_store_part(float *p, vec x, size_t count) {
    if (count > 0) vst1q_lane_f32(p, x, 0);
    if (count > 1) vst1q_lane_f32(p + 1, x, 1);
    if (count > 2) vst1q_lane_f32(p + 2, x, 2);
}
SIMD vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
SIMD vec vec_max(vec x, vec low) { return vmaxq_f32(low, x); }
SIMD vec vec_min(vec x, vec high) { return vminq_f32(high, x); }
// A NaN in x stays.
SIMD vec vec_clamp(vec x, vec low, vec high) { return vminq_f32(high, vmaxq_f32(low, x)); }

#endif
