// Runs of fewer bytes than a register, for AVX2, which has no masks for bytes.
#ifndef EDGEOPT_SIMD_PARTS_AVX2_H
#define EDGEOPT_SIMD_PARTS_AVX2_H

#include "parts.h"

SIMD __m128i half_load_part(const void *from, size_t count) {
    const struct part p = part_load(from, count);
    return _mm_set_epi64x((int64_t)p.high, (int64_t)p.low);
}

// The first `count` of 32 bytes, zeros behind.
SIMD __m256i bytes_load_part(const void *from, size_t count) {
    if (count <= 16) return _mm256_zextsi128_si256(half_load_part(from, count));
    return _mm256_set_m128i(half_load_part((const char *)from + 16, count - 16),
                            _mm_loadu_si128((const __m128i *)from));
}

SIMD void half_store_part(void *to, __m128i x, size_t count) {
    part_store(to, (struct part){(uint64_t)_mm_cvtsi128_si64(x), (uint64_t)_mm_extract_epi64(x, 1)}, count);
}

SIMD void bytes_store_part(void *to, __m256i x, size_t count) {
    half_store_part(to, _mm256_castsi256_si128(x), count < 16 ? count : 16);
    if (count > 16) half_store_part((char *)to + 16, _mm256_extracti128_si256(x, 1), count - 16);
}

#endif
