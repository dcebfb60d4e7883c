// The arithmetic contract of integer operators, one number at a time: what every vector kernel must equal bit for bit.
#ifndef EDGEOPT_SIMD_REQUANTIZE_SCALAR_H
#define EDGEOPT_SIMD_REQUANTIZE_SCALAR_H

#include <stdint.h>

// A NaN in x stays.
static inline float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

// Adding 1.5 * 2^23 leaves no room for a fraction, so the addition rounds it away, ties to even. |x| <= 2^22.
static inline int32_t round_to_even(float x) { return (int32_t)((x + 12582912.0f) - 12582912.0f); }

// `low` and `high` are relative to the zero point.
static inline int32_t requantize(float sum, float scale, float low, float high, int32_t zero_point) {
    return round_to_even(clamp(sum * scale, low, high)) + zero_point;
}

#endif
