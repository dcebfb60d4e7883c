// Byte vocabulary for AVX-512: copying and filling without touching a byte beside.
#ifndef EDGEOPT_SIMD_BYTES_AVX512_H
#define EDGEOPT_SIMD_BYTES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

SIMD __mmask64 bytes_mask(size_t count) { return _bzhi_u64(~0ull, (unsigned)count); }

// to = from ^ flip. A long run ends with a vector that overlaps the one before.
SIMD void bytes_copy(uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    const __m512i flips = _mm512_set1_epi8((char)flip);
    if (count >= 64) {
        size_t at = 0;
        for (; at + 64 <= count; at += 64)
            _mm512_storeu_si512(to + at, _mm512_xor_si512(_mm512_loadu_si512(from + at), flips));
        if (at == count) return;
        at = count - 64;
        _mm512_storeu_si512(to + at, _mm512_xor_si512(_mm512_loadu_si512(from + at), flips));
        return;
    }
    const __mmask64 mask = bytes_mask(count);
    _mm512_mask_storeu_epi8(to, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, from), flips));
}

// 16 bytes.
#define BYTES_COPY_16
SIMD void bytes_copy_16(uint8_t *to, const uint8_t *from, uint8_t flip) {
    const __m128i flips = _mm_set1_epi8((char)flip);
    _mm_storeu_si128((__m128i *)to, _mm_xor_si128(_mm_loadu_si128((const __m128i *)from), flips));
}

// bytes_copy, each byte becoming 16 bits.
#define BYTES_WIDEN
SIMD void bytes_widen(uint16_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    const __m256i flips = _mm256_set1_epi8((char)flip);
    for (; count > 32; count -= 32, to += 32, from += 32)
        _mm512_storeu_si512(to,
                            _mm512_cvtepu8_epi16(_mm256_xor_si256(_mm256_loadu_si256((const __m256i *)from), flips)));
    const __mmask32 mask = (__mmask32)bytes_mask(count);
    _mm512_mask_storeu_epi16(to, mask,
                             _mm512_cvtepu8_epi16(_mm256_xor_si256(_mm256_maskz_loadu_epi8(mask, from), flips)));
}

// The upper bytes of `count` numbers of 16 bits, and the lower ones.
#define BYTES_SPLIT
SIMD void bytes_split(uint8_t *upper, uint8_t *lower, const uint8_t *from, size_t count) {
    const __m512i low = _mm512_set1_epi16(0xff), order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    for (; count >= 64; count -= 64, upper += 64, lower += 64, from += 128) {
        const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 64);
        const __m512i low_bytes = _mm512_packus_epi16(_mm512_and_si512(a, low), _mm512_and_si512(b, low));
        const __m512i high_bytes = _mm512_packus_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8));
        _mm512_storeu_si512(lower, _mm512_permutexvar_epi64(order, low_bytes));
        _mm512_storeu_si512(upper, _mm512_permutexvar_epi64(order, high_bytes));
    }
    for (; count > 0; upper += 32, lower += 32, from += 64) {
        const size_t part = count < 32 ? count : 32;
        const __mmask32 mask = (__mmask32)bytes_mask(part);
        const __m512i words = _mm512_maskz_loadu_epi16(mask, from);
        _mm512_mask_cvtepi16_storeu_epi8(lower, mask, words);
        _mm512_mask_cvtepi16_storeu_epi8(upper, mask, _mm512_srli_epi16(words, 8));
        count -= part;
    }
}

// 16 of them.
#define BYTES_SPLIT_16
SIMD void bytes_split_16(uint8_t *upper, uint8_t *lower, const uint8_t *from) {
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    const __m256i halves = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)from), order);
    const __m256i parts = _mm256_permute4x64_epi64(halves, 0xd8);
    _mm_storeu_si128((__m128i *)lower, _mm256_castsi256_si128(parts));
    _mm_storeu_si128((__m128i *)upper, _mm256_extracti128_si256(parts, 1));
}

SIMD void bytes_fill(uint8_t *to, uint8_t value, size_t count) {
    const __m512i values = _mm512_set1_epi8((char)value);
    for (; count > 64; count -= 64, to += 64) _mm512_storeu_si512(to, values);
    _mm512_mask_storeu_epi8(to, bytes_mask(count), values);
}

#endif
