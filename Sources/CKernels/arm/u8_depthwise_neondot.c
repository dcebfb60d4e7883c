#if defined(__aarch64__)
#include "depthwise.h"
#include "../simd/i32_neon.h"
#include "../simd/parts_neon.h"
#undef TARGET
#define TARGET __attribute__((target("dotprod")))

#define TAPS 4
#define CHANNELS 16
typedef int8_t element;
typedef struct eo_u8_depthwise_parameters parameters;
typedef uint8_t number;
#define WEIGHT_ZERO_POINT(p) (p)->weight_zero_point

// The instruction multiplies signed bytes.
SIMD void group_load(ivec v[TAPS], const number *const x[TAPS], const parameters *p, size_t part) {
    const uint8x16_t flips = vdupq_n_u8(p->flip ^ 0x80);
    uint8x16_t row[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) row[i] = veorq_u8(flips, part ? bytes_load_part(x[i], part) : vld1q_u8(x[i]));
    const uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(row[0], row[1]));
    const uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(row[0], row[1]));
    const uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(row[2], row[3]));
    const uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(row[2], row[3]));
    v[0] = vreinterpretq_s32_u16(vzip1q_u16(low01, low23));
    v[1] = vreinterpretq_s32_u16(vzip2q_u16(low01, low23));
    v[2] = vreinterpretq_s32_u16(vzip1q_u16(high01, high23));
    v[3] = vreinterpretq_s32_u16(vzip2q_u16(high01, high23));
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(v), vreinterpretq_s8_s32(w));
}

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const uint8x16_t bytes = bytes_limit(q, p->output_zero_point, p->minimum);
    if (part)
        bytes_store_part(to, bytes, part);
    else
        vst1q_u8(to, bytes);
}

#include "../simd/integer_depthwise.h"

TARGET void eo_u8_depthwise_4x16__neondot(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
