// Runs of fewer bytes than a register, for AVX2, which has no masks for bytes.
#ifndef EDGEOPT_SIMD_PARTS_AVX2_H
#define EDGEOPT_SIMD_PARTS_AVX2_H

#include <string.h>

// The first `count` of 32 bytes, zeros behind.
SIMD __m256i bytes_load_part(const void *from, size_t count) {
    uint8_t bytes[32] = {0};
    memcpy(bytes, from, count);
    return _mm256_loadu_si256((const __m256i *)bytes);
}

SIMD void bytes_store_part(void *to, __m256i x, size_t count) {
    uint8_t bytes[32];
    _mm256_storeu_si256((__m256i *)bytes, x);
    memcpy(to, bytes, count);
}

#endif
