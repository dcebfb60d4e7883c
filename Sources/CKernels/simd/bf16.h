// Rounding to bfloat16, in a plain loop that the compiler turns into vectors: half a unit of what is dropped, and the
// parity of what stays, are added to the bits. A NaN keeps its upper bits and becomes quiet.
#include <stddef.h>
#include <stdint.h>

SIMD void round_floats(size_t count, const float *x, uint16_t *y) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        __builtin_memcpy(&bits, x + i, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}
