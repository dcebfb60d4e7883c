// Byte vocabulary for NEON: copying and filling without touching a byte beside.
#ifndef EDGEOPT_SIMD_BYTES_NEON_H
#define EDGEOPT_SIMD_BYTES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TARGET
#define SIMD static inline __attribute__((always_inline)) TARGET

// to = from ^ flip. A run of 16 bytes or more ends with a vector that overlaps the one before, one of 8 bytes or more
// with half a vector that does.
SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    const uint8x16_t flips = vdupq_n_u8(flip);
    if (count >= 16) {
        const size_t last = count - 16;
        for (size_t at = 0; at < last; at += 16) vst1q_u8(to + at, veorq_u8(vld1q_u8(from + at), flips));
        vst1q_u8(to + last, veorq_u8(vld1q_u8(from + last), flips));
    } else if (count >= 8) {
        vst1_u8(to, veor_u8(vld1_u8(from), vget_low_u8(flips)));
        vst1_u8(to + count - 8, veor_u8(vld1_u8(from + count - 8), vget_low_u8(flips)));
    } else {
        for (size_t at = 0; at < count; at++) to[at] = from[at] ^ flip;
    }
}

// 16 bytes.
#define BYTES_COPY_16
SIMD void bytes_copy_16(uint8_t *to, const uint8_t *from, uint8_t flip) {
    vst1q_u8(to, veorq_u8(vld1q_u8(from), vdupq_n_u8(flip)));
}

// bytes_copy, each byte becoming 16 bits.
#define BYTES_WIDEN
SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    const uint8x16_t flips = vdupq_n_u8(flip);
    size_t at = 0;
    for (; at + 16 <= count; at += 16) {
        const uint8x16_t part = veorq_u8(vld1q_u8(from + at), flips);
        vst1q_u16(to + at, vmovl_u8(vget_low_u8(part)));
        vst1q_u16(to + at + 8, vmovl_high_u8(part));
    }
    for (; at < count; at++) to[at] = from[at] ^ flip;
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#endif
