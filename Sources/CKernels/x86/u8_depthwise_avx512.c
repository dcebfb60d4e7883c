#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#include "depthwise.h"

#define TAPS 2
#define CHANNELS 32
typedef int16_t element;
typedef struct eo_u8_depthwise_parameters parameters;
typedef uint8_t number;
#define WEIGHT_ZERO_POINT(p) (p)->weight_zero_point

SIMD __mmask32 mask_of(size_t part) { return part ? (__mmask32)((1ull << part) - 1) : ~0u; }

SIMD ivec row_load(const number *x, const parameters *p, size_t part) {
    const __m256i bytes = part ? _mm256_maskz_loadu_epi8(mask_of(part), x) : _mm256_loadu_si256((const __m256i *)x);
    return _mm512_cvtepu8_epi16(_mm256_xor_si256(_mm256_set1_epi8((char)p->flip), bytes));
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return words_dot(sum, v, w); }

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    const ivec words = _mm512_adds_epi16(words_unzip(q[0], q[1]), ivec_set_words((int16_t)p->output_zero_point));
    const ivec limited = _mm512_max_epi16(words, ivec_set_words((int16_t)p->minimum));
    _mm256_mask_storeu_epi8(to, mask_of(part), _mm512_cvtepi16_epi8(limited));
}

#include "../simd/integer_depthwise.h"

TARGET void eo_u8_depthwise_2x32__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
