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

// How many taps of a group there are: groups of four take those of a 3x3 kernel by rows.
SIMD size_t taps_at(const struct eo_depthwise_run *r, size_t group) {
    const size_t each = eo_u8_depthwise_group(TAPS, r->taps), left = r->taps - group * each;
    return left < each ? left : each;
}

// The sums of `taps` rows of activations alone, for weights with a zero point.
SIMD void add_taps(ivec sum[TAPS], const ivec v[TAPS], size_t count) {
    element ones[TAPS];
    for (size_t t = 0; t < TAPS; t++) ones[t] = t < count;
    int32_t all = 0;
    __builtin_memcpy(&all, ones, sizeof ones);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) sum[i] = group_dot(sum[i], v[i], ivec_set(all));
}

// Sums become results.
SIMD void finish_block(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t part, ivec sum[TAPS],
                       const ivec *tap_sum, const float *scale) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    const vec high = vec_set(p->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) {
        if (tap_sum && p->weight_zero_point != 0)
            sum[i] = ivec_add(sum[i], ivec_multiply(tap_sum[i], ivec_set(-p->weight_zero_point)));
        sum[i] = vec_round(vec_min(vec_multiply(ivec_to_float(sum[i]), vec_load(scale + i * LANES)), high));
    }
    group_store((uint8_t *)r->output + pixel * r->output_stride + channel, sum, p, part);
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
    const size_t each = eo_u8_depthwise_group(TAPS, r->taps);
    for (size_t group = 0; group * each < r->taps; group++, w += CHANNELS * TAPS) {
        const size_t count = taps_at(r, group);
        const uint8_t *x[TAPS];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < TAPS; i++) {
            // Taps that fill up a group have weights of zero: any readable row will do.
            const size_t t = i < count ? group * each + i : 0;
            x[i] = (const uint8_t *)r->tap[t] + pixel * r->step[t] + channel;
        }
        ivec v[TAPS];
        group_load(v, x, p->flip, part);
#pragma clang loop unroll(full)
        for (int i = 0; i < TAPS; i++)
            sum[i] = group_dot(sum[i], v[i], ivec_load((const int32_t *)(w + i * LANES * TAPS)));
        if (p->weight_zero_point != 0) add_taps(tap_sum, v, count);
    }
    finish_block(r, pixel, channel, part, sum, tap_sum, scale);
}

#ifdef PAIR
// The channels of neighbouring pixels lie side by side.
SIMD bool is_dense(const struct eo_depthwise_run *r) {
    bool dense = r->output_stride == r->channels;
    for (size_t t = 0; dense && t < r->taps; t++) dense = r->step[t] == r->channels;
    return dense;
}

// 3x3 kernels of which neighbouring pixels share two taps of three in each row (or all are padding).
SIMD bool shares_taps(const struct eo_depthwise_run *r) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    bool shares = r->taps == 9 && p->weight_zero_point == 0;
    for (size_t t = 0; shares && t < 9; t++)
        shares = r->step[t] == r->step[t / 3 * 3] &&
                 (const char *)r->tap[t] == (const char *)r->tap[t / 3 * 3] + t % 3 * r->step[t];
    return shares;
}

// Two neighbouring pixels: the second one's weights are the first one's, moved by a tap.
SIMD void pair_of_pixels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, const char *block) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    const int32_t *bias = (const int32_t *)block;
    const float *scale = (const float *)(bias + CHANNELS);
    const element *w = (const element *)(scale + CHANNELS);
    ivec first[TAPS], second[TAPS];
#pragma clang loop unroll(full)
    for (int i = 0; i < TAPS; i++) first[i] = second[i] = ivec_load(bias + i * LANES);
    for (size_t row = 0; row < 3; row++, w += CHANNELS * TAPS) {
        const uint8_t *x[TAPS];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < TAPS; i++)
            x[i] = (const uint8_t *)r->tap[3 * row] + (pixel + i) * r->step[3 * row] + channel;
        ivec v[TAPS];
        group_load(v, x, p->flip, 0);
#pragma clang loop unroll(full)
        for (int i = 0; i < TAPS; i++) {
            const ivec weights = ivec_load((const int32_t *)(w + i * LANES * TAPS));
            first[i] = group_dot(first[i], v[i], weights);
            second[i] = group_dot(second[i], v[i], PAIR(weights));
        }
    }
    finish_block(r, pixel, channel, 0, first, NULL, scale);
    finish_block(r, pixel + 1, channel, 0, second, NULL, scale);
}
#endif

SIMD void whole_block(const struct eo_depthwise_run *r, size_t pixel, size_t channel, const char *block) {
    block_of_channels(r, pixel, channel, 0, block);
}

static __attribute__((noinline)) TARGET void part_block(const struct eo_depthwise_run *r, size_t pixel, size_t channel,
                                                        const char *block) {
    block_of_channels(r, pixel, channel, r->channels - channel, block);
}

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    const size_t each = eo_u8_depthwise_group(TAPS, r->taps), groups = (r->taps + each - 1) / each;
    const size_t size = CHANNELS * (sizeof(int32_t) + sizeof(float) + groups * TAPS * sizeof(element));
    size_t pixel = 0;
#ifdef PAIR
    const size_t together = eo_u8_depthwise_pixels(CHANNELS, r->channels);
    if (together > 1 && is_dense(r))
        for (; pixel + together <= r->pixels; pixel += together) {
            const char *block = r->weights;
            for (size_t channel = 0; channel < together * r->channels; channel += CHANNELS, block += size)
                whole_block(r, pixel, channel, block);
        }
    for (const size_t end = shares_taps(r) ? pixel + (r->pixels - pixel) / 2 * 2 : 0; pixel < end; pixel += 2) {
        const char *block = r->weights;
        size_t channel = 0;
        for (; channel + CHANNELS <= r->channels; channel += CHANNELS, block += size)
            pair_of_pixels(r, pixel, channel, block);
        if (channel == r->channels) continue;
        part_block(r, pixel, channel, block);
        part_block(r, pixel + 1, channel, block);
    }
#endif
    for (; pixel < r->pixels; pixel++) {
        const char *block = r->weights;
        size_t channel = 0;
        for (; channel + CHANNELS <= r->channels; channel += CHANNELS, block += size)
            whole_block(r, pixel, channel, block);
        if (channel < r->channels) part_block(r, pixel, channel, block);
    }
}
