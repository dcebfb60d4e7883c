// Without dot products of bytes: one tap after the other, multiplied and added as 16-bit numbers.
#if defined(__aarch64__)
#include "depthwise.h"
#include "../simd/i32_neon.h"
#include "../simd/parts_neon.h"

enum { CHANNELS = 16, VECTORS = CHANNELS / LANES };

SIMD void multiply_add(ivec sum[VECTORS], int16x8_t low, int16x8_t high, const int16_t *w) {
    const int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);
    sum[0] = vmlal_s16(sum[0], vget_low_s16(low), vget_low_s16(w0));
    sum[1] = vmlal_high_s16(sum[1], low, w0);
    sum[2] = vmlal_s16(sum[2], vget_low_s16(high), vget_low_s16(w1));
    sum[3] = vmlal_high_s16(sum[3], high, w1);
}

SIMD void add_row(ivec sum[VECTORS], int16x8_t low, int16x8_t high) {
    sum[0] = vaddw_s16(sum[0], vget_low_s16(low));
    sum[1] = vaddw_high_s16(sum[1], low);
    sum[2] = vaddw_s16(sum[2], vget_low_s16(high));
    sum[3] = vaddw_high_s16(sum[3], high);
}

SIMD void block_of_channels(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t part,
                            const char *block) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    const int32_t *bias = (const int32_t *)block;
    const float *scale = (const float *)(bias + CHANNELS);
    const int16_t *w = (const int16_t *)(scale + CHANNELS);
    const uint8x16_t flips = vdupq_n_u8(p->flip);
    ivec sum[VECTORS], tap_sum[VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < VECTORS; i++) {
        sum[i] = ivec_load(bias + i * LANES);
        tap_sum[i] = ivec_set(0);
    }
    for (size_t t = 0; t < r->taps; t++, w += CHANNELS) {
        const uint8_t *x = (const uint8_t *)r->tap[t] + pixel * r->step[t] + channel;
        const uint8x16_t bytes = veorq_u8(flips, part ? bytes_load_part(x, part) : vld1q_u8(x));
        const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
        multiply_add(sum, low, high, w);
        if (p->weight_zero_point != 0) add_row(tap_sum, low, high);
    }
    const vec maximum = vec_set(p->maximum);
#pragma clang loop unroll(full)
    for (int i = 0; i < VECTORS; i++) {
        sum[i] = ivec_add(sum[i], ivec_multiply(tap_sum[i], ivec_set(-p->weight_zero_point)));
        sum[i] = vec_round(vec_min(vec_multiply(ivec_to_float(sum[i]), vec_load(scale + i * LANES)), maximum));
    }
    const uint8x16_t result = bytes_limit(sum, p->output_zero_point, p->minimum);
    uint8_t *output = (uint8_t *)r->output + pixel * r->output_stride + channel;
    if (part)
        bytes_store_part(output, result, part);
    else
        vst1q_u8(output, result);
}

void eo_u8_depthwise_1x16__neon(const struct eo_depthwise_run *r) {
    const size_t size = CHANNELS * (sizeof(int32_t) + sizeof(float) + r->taps * sizeof(int16_t));
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        const char *block = r->weights;
        size_t channel = 0;
        for (; channel + CHANNELS <= r->channels; channel += CHANNELS, block += size)
            block_of_channels(r, pixel, channel, 0, block);
        if (channel < r->channels) block_of_channels(r, pixel, channel, r->channels - channel, block);
    }
}
#endif
