// Body of the 8-bit depthwise convolution over an integer vocabulary and these words:
//   TAPS, CHANNELS               multiplied at once
//   element                      of the weights
//   group_load(v, x, flip, part) interleaves TAPS runs of CHANNELS bytes into TAPS vectors of sums' lanes; only `part`
//                                bytes are read where that is not 0
//   group_dot(sum, v, w)         sum + v * w
//   group_store(to, q, p, part)  adds the zero point, limits from below, stores CHANNELS bytes, or `part`
// Limiting from above comes before rounding, while the numbers are floats: it keeps them convertible. The saturating
// arithmetic below does the rest, so the result is that of the contract.
#include "depthwise.h"

// The sums of `taps` rows of activations alone, for weights with a zero point.
SIMD void add_taps(ivec sum[TAPS], const ivec v[TAPS], size_t group, const struct eo_depthwise_run *r) {
    element ones[TAPS];
    for (size_t t = 0; t < TAPS; t++) ones[t] = group * TAPS + t < r->taps;
    int32_t all = 0;
    __builtin_memcpy(&all, ones, sizeof ones);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) sum[i] = group_dot(sum[i], v[i], ivec_set(all));
}

SIMD void block_of_channels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t part,
                            const char *block) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    const int32_t *bias = (const int32_t *)block;
    const float *scale = (const float *)(bias + CHANNELS);
    const element *w = (const element *)(scale + CHANNELS);
    ivec sum[TAPS], tap_sum[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        sum[i] = ivec_load(bias + i * LANES);
        tap_sum[i] = ivec_set(0);
    }
    for (size_t group = 0; group * TAPS < r->taps; group++, w += CHANNELS * TAPS) {
        const uint8_t *x[TAPS];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < TAPS; i++) {
            // Taps that fill up the last group have weights of zero: any readable row will do.
            const size_t t = group * TAPS + i < r->taps ? group * TAPS + i : 0;
            x[i] = (const uint8_t *)r->tap[t] + pixel * r->step[t] + channel;
        }
        ivec v[TAPS];
        group_load(v, x, p->flip, part);
#pragma clang loop unroll(full)
        for (int i = 0; i < TAPS; i++)
            sum[i] = group_dot(sum[i], v[i], ivec_load((const int32_t *)(w + i * LANES * TAPS)));
        if (p->weight_zero_point != 0) add_taps(tap_sum, v, group, r);
    }
    const vec high = vec_set(p->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        if (p->weight_zero_point != 0)
            sum[i] = ivec_add(sum[i], ivec_multiply(tap_sum[i], ivec_set(-p->weight_zero_point)));
        sum[i] = vec_round(vec_min(vec_multiply(ivec_to_float(sum[i]), vec_load(scale + i * LANES)), high));
    }
    group_store((uint8_t *)r->output + pixel * r->output_stride + channel, sum, p, part);
}

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    const size_t groups = (r->taps + TAPS - 1) / TAPS;
    const size_t size = CHANNELS * (sizeof(int32_t) + sizeof(float) + groups * TAPS * sizeof(element));
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        const char *block = r->weights;
        size_t channel = 0;
        for (; channel + CHANNELS <= r->channels; channel += CHANNELS, block += size)
            block_of_channels(r, pixel, channel, 0, block);
        if (channel < r->channels) block_of_channels(r, pixel, channel, r->channels - channel, block);
    }
}
