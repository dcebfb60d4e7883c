// Sums of 64 bits become 16-bit results, or floats, in AVX-512. Include after i32_avx512.h.
#include "gemm.h"

// 16 sums, their scales, the first `count` results.
SIMD void finish_sums(ivec low, ivec high, const float *scale, const struct eo_s16_parameters *p, void *output,
                      size_t count) {
    const __m256 first = _mm512_cvtepi64_ps(low), second = _mm512_cvtepi64_ps(high);
    const vec f = _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
    const __mmask16 mask = (__mmask16)((1u << (count < 16 ? count : 16)) - 1);
    const vec scaled = vec_multiply(f, vec_load(scale));
    if (p->leaves_f) {
        _mm512_mask_storeu_ps(output, mask, scaled);
        return;
    }
    const vec x = vec_clamp(scaled, vec_set(p->minimum), vec_set(p->maximum));
    _mm512_mask_cvtepi32_storeu_epi16(output, mask, ivec_add(vec_round(x), ivec_set(p->output_zero_point)));
}

SIMD ivec low_sums(ivec sums) { return _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums)); }
SIMD ivec high_sums(ivec sums) { return _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1)); }
