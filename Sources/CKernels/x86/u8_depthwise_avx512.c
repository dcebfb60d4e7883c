#if defined(__x86_64__)
#include "depthwise.h"
#include "../simd/i32_avx512.h"

#define TAPS 2
#define CHANNELS 32
typedef int16_t element;

SIMD __mmask32 mask_of(size_t part) { return part ? (__mmask32)((1ull << part) - 1) : ~0u; }

SIMD void group_load(ivec v[TAPS], const uint8_t *const x[TAPS], uint8_t flip, size_t part) {
    const __m256i flips = _mm256_set1_epi8((char)flip);
    ivec row[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++)
        row[i] = _mm512_cvtepu8_epi16(_mm256_xor_si256(flips, part ? _mm256_maskz_loadu_epi8(mask_of(part), x[i])
                                                                   : _mm256_loadu_si256((const __m256i *)x[i])));
    v[0] = _mm512_unpacklo_epi16(row[0], row[1]);
    v[1] = _mm512_unpackhi_epi16(row[0], row[1]);
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return _mm512_add_epi32(sum, _mm512_madd_epi16(v, w)); }

SIMD void group_store(uint8_t *to, const ivec q[TAPS], const struct eo_u8_depthwise_parameters *p, size_t part) {
    ivec words = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_set1_epi16((int16_t)p->output_zero_point));
    words = _mm512_max_epi16(words, _mm512_set1_epi16((int16_t)p->minimum));
    _mm256_mask_storeu_epi8(to, mask_of(part), _mm512_cvtepi16_epi8(words));
}

#include "../simd/u8_depthwise.h"

TARGET void eo_u8_depthwise_2x32__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
