#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

// The upper halves of two vectors' numbers as pairs.
SIMD __m512i upper_pairs(__m512 low, __m512 high, __m512i mask) {
    return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16),
                           _mm512_and_si512(_mm512_castps_si512(high), mask));
}

SIMD __m512 without_upper(__m512 x, __m512i mask) {
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), mask)));
}

SIMD void split_step(const float *x, char *to) {
    const __m512i mask = _mm512_set1_epi32(-0x10000);
    __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    _mm512_storeu_si512(to, upper_pairs(low, high, mask));
    low = without_upper(low, mask), high = without_upper(high, mask);
    _mm512_storeu_si512(to + 1024, upper_pairs(low, high, mask));
    low = without_upper(low, mask), high = without_upper(high, mask);
    _mm512_storeu_si512(to + 2048, upper_pairs(low, high, mask));
}

#include "../simd/bf16x3.h"

TARGET void eo_gather_bf16x3__avx512(const struct eo_gather *gather) { split_rows(gather); }

TARGET void eo_bf16x3_split__avx512(size_t count, const float *x, void *to) {
    for (size_t i = 0; i < count; i += STEP) split_step(x + i, (char *)to + i / STEP * STEP_SIZE);
}
#endif
