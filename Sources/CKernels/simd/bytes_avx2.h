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

// Signed bytes from ^ flip to magnitudes and signs, of each four the magnitudes first, also where they lie; gives the
// sum of the negative ones' magnitudes. Up to MAGNITUDES_READ bytes behind the bytes are read, and up to twice as many
// overwritten behind the magnitudes and signs.
#define BYTES_MAGNITUDES
enum { MAGNITUDES_READ = 31 };
SIMD int32_t bytes_magnitudes(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    static const int8_t masks[64] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    const __m256i zero = _mm256_setzero_si256(), flips = _mm256_set1_epi8((char)flip);
    size_t at = (count + 31) / 32 * 32;
    __m256i inside = _mm256_loadu_si256((const __m256i *)(masks + at - count)), sums = zero;
    // The last first: none is overwritten before it is read.
    while (at > 0) {
        at -= 32;
        const __m256i bytes = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(from + at)), flips);
        const __m256i x = _mm256_and_si256(bytes, inside);
        const __m256i magnitudes = _mm256_abs_epi8(x), signs = _mm256_cmpgt_epi8(zero, x);
        const __m256i low = _mm256_unpacklo_epi32(magnitudes, signs), high = _mm256_unpackhi_epi32(magnitudes, signs);
        _mm256_storeu_si256((__m256i *)(to + 2 * at), _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256((__m256i *)(to + 2 * at + 32), _mm256_permute2x128_si256(low, high, 0x31));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_and_si256(magnitudes, signs), zero));
        inside = _mm256_set1_epi8(-1);
    }
    const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_unpackhi_epi64(pair, pair)));
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) { memset(to, value, count); }

#endif
