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
// What sums become: numbers of 16 bits (words) and of 8.
SIMD ivec ivec_set_words(int16_t x) { return vreinterpretq_s32_s16(vdupq_n_s16(x)); }
SIMD ivec ivec_set_bytes(int8_t x) { return vreinterpretq_s32_s8(vdupq_n_s8(x)); }
SIMD ivec ivec_xor(ivec a, ivec b) { return veorq_s32(a, b); }
SIMD ivec words_clamp(ivec x_, ivec low, ivec high) {
    const int16x8_t x = vmaxq_s16(vreinterpretq_s16_s32(x_), vreinterpretq_s16_s32(low));
    return vreinterpretq_s32_s16(vminq_s16(x, vreinterpretq_s16_s32(high)));
}
SIMD ivec bytes_clamp(ivec x_, ivec low, ivec high) {
    const int8x16_t x = vmaxq_s8(vreinterpretq_s8_s32(x_), vreinterpretq_s8_s32(low));
    return vreinterpretq_s32_s8(vminq_s8(x, vreinterpretq_s8_s32(high)));
}
// Two vectors, saturated, in order.
SIMD ivec ivec_words(ivec a, ivec b) { return vreinterpretq_s32_s16(vqmovn_high_s32(vqmovn_s32(a), b)); }
// Four vectors, saturated to words, plus `zero`, saturated to bytes, in order.
SIMD ivec ivec_bytes(const ivec q[4], ivec zero_) {
    const int16x8_t zero = vreinterpretq_s16_s32(zero_);
    const int16x8_t first = vqaddq_s16(vreinterpretq_s16_s32(ivec_words(q[0], q[1])), zero);
    const int16x8_t second = vqaddq_s16(vreinterpretq_s16_s32(ivec_words(q[2], q[3])), zero);
    return vreinterpretq_s32_s8(vqmovn_high_s16(vqmovn_s16(first), second));
}

#include "i32_stores.h"
// Numbers of four bits, the lower or the upper ones of bytes, times 16.
SIMD ivec bytes_halves(const void *p, const int upper) {
    const uint8x16_t bytes = vld1q_u8(p);
    return vreinterpretq_s32_u8(upper ? vandq_u8(bytes, vdupq_n_u8(0xf0)) : vshlq_n_u8(bytes, 4));
}

#endif
