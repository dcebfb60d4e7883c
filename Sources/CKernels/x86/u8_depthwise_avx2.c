#if defined(__x86_64__)
#include "../simd/i32_avx2.h"
#include "../simd/parts_avx2.h"
#include "depthwise.h"

#define TAPS 2
#define CHANNELS 16
typedef int16_t element;
typedef struct eo_u8_depthwise_parameters parameters;
typedef uint8_t number;
#define WEIGHT_ZERO_POINT(p) (p)->weight_zero_point

SIMD ivec row_load(const number *x, const parameters *p, size_t part) {
    const __m128i bytes = part ? half_load_part(x, part) : _mm_loadu_si128((const __m128i *)x);
    return _mm256_cvtepu8_epi16(_mm_xor_si128(_mm_set1_epi8((char)p->flip), bytes));
}

SIMD ivec group_dot(ivec sum, ivec v, ivec w) { return words_dot(sum, v, w); }

SIMD void group_store(number *to, const ivec q[TAPS], const parameters *p, size_t part) {
    ivec words = _mm256_adds_epi16(words_unzip(q[0], q[1]), ivec_set_words((int16_t)p->output_zero_point));
    words = _mm256_max_epi16(words, ivec_set_words((int16_t)p->minimum));
    words = _mm256_and_si256(words, ivec_set_words(0xff));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (part)
        half_store_part(to, bytes, part);
    else
        _mm_storeu_si128((__m128i *)to, bytes);
}

#include "../simd/integer_depthwise.h"

TARGET void eo_u8_depthwise_2x16__avx2(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
