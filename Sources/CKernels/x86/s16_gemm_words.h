// What the 16-bit matrix products of AVX-512 share: 12 rows, and how their sums become results.
#define ROW_COUNTS UP_TO_12
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

// A row whose sums fit 32 bits and whose scales are below 1: packing limits what leaves 16 bits.
#define FINISH_NARROW
SIMD void finish_narrow(const int32_t *partial, const int64_t *bias, const float *scale,
                        const struct eo_s16_parameters *p, char *output, size_t count) {
    const ivec order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    ivec q[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        const ivec biases =
            _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(_mm512_loadu_si512(bias + LANES * j))),
                               _mm512_cvtepi64_epi32(_mm512_loadu_si512(bias + LANES * j + 8)), 1);
        const ivec sum = ivec_add(ivec_load(partial + LANES * j), biases);
        q[j] = vec_round(vec_multiply(ivec_to_float(sum), vec_load(scale + LANES * j)));
    }
    const ivec words = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(q[0], q[1]));
    const __mmask32 mask = count < 32 ? (1u << count) - 1 : ~0u;
    _mm512_mask_storeu_epi16(output, mask,
                             _mm512_min_epi16(_mm512_max_epi16(words, _mm512_set1_epi16((int16_t)p->minimum)),
                                              _mm512_set1_epi16((int16_t)p->maximum)));
}
