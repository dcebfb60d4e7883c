#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#include "../simd/s16_finish_avx512.h"

#define BLOCK
#include "depthwise.h"

// 32 channels of a pixel: taps in pairs, interleaved so that one instruction multiplies and adds both. Interleaving
// leaves channels 0-3, 8-11, ... in one vector and 4-7, 12-15, ... in the other.
SIMD void block(const struct eo_depthwise_run *r, size_t pixel, size_t channel) {
    const size_t stride = (r->channels + EO_DEPTHWISE_CHANNELS - 1) / EO_DEPTHWISE_CHANNELS * EO_DEPTHWISE_CHANNELS;
    const int64_t *bias = (const int64_t *)r->weights + channel;
    const float *scale = (const float *)((const int64_t *)r->weights + stride) + channel;
    const int16_t *w = (const int16_t *)((const float *)((const int64_t *)r->weights + stride) + stride) + channel;
    const ivec none = _mm512_setzero_si512();
    ivec even = none, odd = none;
    for (size_t t = 0; t < r->taps; t += 2, w += 2 * stride) {
        const int paired = t + 1 < r->taps;
        const int16_t *x = (const int16_t *)((const char *)r->tap[t] + pixel * r->step[t]) + channel;
        const ivec x0 = _mm512_loadu_si512(x), w0 = _mm512_loadu_si512(w);
        ivec x1 = none, w1 = none;
        if (paired) {
            x1 = _mm512_loadu_si512((const int16_t *)((const char *)r->tap[t + 1] + pixel * r->step[t + 1]) + channel);
            w1 = _mm512_loadu_si512(w + stride);
        }
        even = ivec_add(even, _mm512_madd_epi16(_mm512_unpacklo_epi16(x0, x1), _mm512_unpacklo_epi16(w0, w1)));
        odd = ivec_add(odd, _mm512_madd_epi16(_mm512_unpackhi_epi16(x0, x1), _mm512_unpackhi_epi16(w0, w1)));
    }
    const ivec first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const ivec second = ivec_add(first, ivec_set(8));
    const ivec sums[2] = {_mm512_permutex2var_epi32(even, first, odd), _mm512_permutex2var_epi32(even, second, odd)};
    const struct eo_s16_parameters *p = r->parameters;
    const size_t element = p->leaves_f ? sizeof(float) : sizeof(int16_t);
    char *output = (char *)r->output + pixel * r->output_stride + channel * element;
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        const ivec low = _mm512_add_epi64(_mm512_loadu_si512(bias + 16 * j), low_sums(sums[j]));
        const ivec high = _mm512_add_epi64(_mm512_loadu_si512(bias + 16 * j + 8), high_sums(sums[j]));
        finish_sums(low, high, scale + 16 * j, p, output + 16 * j * element, 16);
    }
}

#include "../simd/s16_depthwise.h"

TARGET void eo_s16_depthwise__avx512(const struct eo_depthwise_run *run) { depthwise_run(run); }
#endif
