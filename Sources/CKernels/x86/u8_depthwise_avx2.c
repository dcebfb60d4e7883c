#if defined(__x86_64__)
#include "depthwise.h"
#include "../simd/i32_avx2.h"
#include "../simd/parts_avx2.h"

#define TAPS 2
#define CHANNELS 16
typedef int16_t element;

SIMD void group_load(ivec v[TAPS], const uint8_t *const x[TAPS], uint8_t flip, size_t part) {
    const __m128i flips = _mm_set1_epi8((char)flip);
    ivec row[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        const __m128i bytes =
            part ? _mm256_castsi256_si128(bytes_load_part(x[i], part)) : _mm_loadu_si128((const __m128i *)x[i]);
        row[i] = _mm256_cvtepu8_epi16(_mm_xor_si128(flips, bytes));
    }
    v[0] = _mm256_unpacklo_epi16(row[0], row[1]);
    v[1] = _mm256_unpackhi_epi16(row[0], row[1]);
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return _mm256_add_epi32(sum, _mm256_madd_epi16(v, w)); }

SIMD void group_store(uint8_t *to, const ivec q[TAPS], const struct eo_u8_depthwise_parameters *p, size_t part) {
    ivec words = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_set1_epi16((int16_t)p->output_zero_point));
    words = _mm256_max_epi16(words, _mm256_set1_epi16((int16_t)p->minimum));
    words = _mm256_and_si256(words, _mm256_set1_epi16(0xff));
    const ivec bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0x08);
    if (part)
        bytes_store_part(to, bytes, part);
    else
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(bytes));
}

#include "../simd/u8_depthwise.h"

TARGET void eo_u8_depthwise_2x16__avx2(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
