// Runs of 16 bytes or fewer, for NEON, which has no masks; and the end of depthwise sums.
#ifndef EDGEOPT_SIMD_PARTS_NEON_H
#define EDGEOPT_SIMD_PARTS_NEON_H

#include "i32_neon.h"
#include "parts.h"

// The first `count` of 16 bytes, zeros behind.
SIMD uint8x16_t bytes_load_part(const void *from, size_t count) {
    const struct part p = part_load(from, count);
    return vcombine_u8(vcreate_u8(p.low), vcreate_u8(p.high));
}

SIMD void bytes_store_part(void *to, uint8x16_t x, size_t count) {
    const uint64x2_t words = vreinterpretq_u64_u8(x);
    part_store(to, (struct part){vgetq_lane_u64(words, 0), vgetq_lane_u64(words, 1)}, count);
}

// Low bytes of 16 rounded sums after adding the zero point and limiting from below.
SIMD uint8x16_t bytes_limit(const ivec q[4], int32_t zero_point, int32_t minimum) {
    const int16x8_t zero = vdupq_n_s16((int16_t)zero_point), low = vdupq_n_s16((int16_t)minimum);
    int16x8_t words[2];
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
        words[i] = vcombine_s16(vqmovn_s32(q[2 * i]), vqmovn_s32(q[2 * i + 1]));
        words[i] = vmaxq_s16(vqaddq_s16(words[i], zero), low);
    }
    return vuzp1q_u8(vreinterpretq_u8_s16(words[0]), vreinterpretq_u8_s16(words[1]));
}

#endif
