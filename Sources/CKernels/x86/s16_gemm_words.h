// What the 16-bit matrix products of AVX-512 share: 12 rows, and how their sums become results.
#define MR 12
#define HALF_COUNTS UP_TO_6
#define FINISH
#include "../simd/s16_finish_avx512.h"

SIMD void add_partial(uint64_t *totals, const int32_t *partial) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 32; j += 8) {
        const ivec part = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(partial + j)));
        _mm512_storeu_si512(totals + j, _mm512_add_epi64(_mm512_loadu_si512(totals + j), part));
    }
}

SIMD void finish(const uint64_t *totals, const float *scale, const struct eo_s16_parameters *p, char *output,
                 size_t count) {
    const size_t size = LANES * (p->leaves_f ? sizeof(float) : sizeof(int16_t));
    for (size_t j = 0; j < count; j += LANES, output += size)
        finish_sums(_mm512_loadu_si512(totals + j), _mm512_loadu_si512(totals + j + 8), scale + j, p, output,
                    count - j);
}
