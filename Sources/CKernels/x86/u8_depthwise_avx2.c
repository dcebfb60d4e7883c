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
    // Both halves get all bytes, which is loading alone, and each spreads its own: no byte changes sides.
    const __m256i bytes =
        _mm256_broadcastsi128_si256(part ? half_load_part(x, part) : _mm_loadu_si128((const void *)x));
    const __m256i places = _mm256_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1, 7, -1, //
                                            8, -1, 9, -1, 10, -1, 11, -1, 12, -1, 13, -1, 14, -1, 15, -1);
    return _mm256_shuffle_epi8(_mm256_xor_si256(_mm256_set1_epi8((char)p->flip), bytes), places);
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
