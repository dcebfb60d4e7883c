#if defined(__x86_64__)
#include "../simd/f32_avx512.h"
// The last is used for images of bfloat16 alone, which only machines that have it make.
#undef TARGET
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,avx512bf16")))
#include <stdbool.h>

#define BFLOATS
SIMD __mmask16 mask_of(size_t part) { return (__mmask16)(part ? (1u << part) - 1 : 0xffff); }
SIMD vec depthwise_load(const void *p, const bool rounded, size_t part) {
    if (!rounded) return _mm512_maskz_loadu_ps(mask_of(part), p);
    return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask_of(part), p)), 16);
}
SIMD void vec_store_image(void *p, vec x, bool rounded, size_t part) {
    if (rounded)
        _mm256_mask_storeu_epi16(p, mask_of(part), (__m256i)_mm512_cvtneps_pbh(x));
    else
        _mm512_mask_storeu_ps(p, mask_of(part), x);
}

#include "../simd/f32_depthwise.h"

TARGET void eo_f32_depthwise__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }

TARGET void eo_f32_depthwise_lines__avx512(const struct eo_f32_depthwise_lines *lines) { depthwise_lines(lines); }
#endif
