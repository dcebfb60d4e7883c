// Byte vocabulary for AVX2: copying and filling without touching a byte beside.
#ifndef EDGEOPT_SIMD_BYTES_AVX2_H
#define EDGEOPT_SIMD_BYTES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

// A run of 32 bytes or more ends with a vector that overlaps the one before; a shorter one is done in halves the same
// way.
#define BYTES_ENDS(TYPE, STEP)                                                                                         \
    if (count >= sizeof(TYPE)) {                                                                                       \
        STEP(TYPE, 0);                                                                                                 \
        STEP(TYPE, count - sizeof(TYPE));                                                                              \
        return;                                                                                                        \
    }
#define BYTES_EACH_SIZE(STEP) BYTES_ENDS(__m128i_u, STEP) BYTES_ENDS(uint64_t, STEP) BYTES_ENDS(uint32_t, STEP)

// to = from ^ flip
SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    const __m256i flips = _mm256_set1_epi8((char)flip);
#define STEP(TYPE, at)                                                                                                 \
    do {                                                                                                               \
        TYPE part, mask;                                                                                               \
        memcpy(&part, from + (at), sizeof part);                                                                       \
        memcpy(&mask, &flips, sizeof mask);                                                                            \
        part ^= mask;                                                                                                  \
        memcpy(to + (at), &part, sizeof part);                                                                         \
    } while (0)
    if (count >= 32) {
        size_t at = 0;
        for (; at + 32 <= count; at += 32) STEP(__m256i_u, at);
        if (at < count) STEP(__m256i_u, count - 32);
        return;
    }
    BYTES_EACH_SIZE(STEP)
#undef STEP
    for (size_t at = 0; at < count; at++) to[at] = from[at] ^ flip;
}

// 16 bytes.
#define BYTES_COPY_16
SIMD void bytes_copy_16(uint8_t *to, const uint8_t *from, uint8_t flip) {
    const __m128i flips = _mm_set1_epi8((char)flip);
    _mm_storeu_si128((__m128i *)to, _mm_xor_si128(_mm_loadu_si128((const __m128i *)from), flips));
}

// bytes_copy, each byte becoming 16 bits: a run of 8 bytes or more ends with a vector that overlaps the one before.
#define BYTES_WIDEN_16
SIMD void bytes_widen_16(uint16_t *to, const uint8_t *from, uint8_t flip) {
    const __m128i part = _mm_xor_si128(_mm_loadu_si128((const __m128i *)from), _mm_set1_epi8((char)flip));
    _mm256_storeu_si256((__m256i *)to, _mm256_cvtepu8_epi16(part));
}
SIMD void bytes_widen_8(uint16_t *to, const uint8_t *from, uint8_t flip) {
    const __m128i part = _mm_xor_si128(_mm_loadl_epi64((const __m128i *)from), _mm_set1_epi8((char)flip));
    _mm_storeu_si128((__m128i *)to, _mm_cvtepu8_epi16(part));
}
SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    size_t at = 0;
    for (; at + 16 <= count; at += 16) bytes_widen_16(to + at, from + at, flip);
    if (count - at >= 8) bytes_widen_8(to + at, from + at, flip), at += 8;
    if (count >= 8) {
        if (at < count) bytes_widen_8(to + count - 8, from + count - 8, flip);
        return;
    }
    for (; at < count; at++) to[at] = from[at] ^ flip;
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#endif
