#include "depthwise.h"

#include <string.h>

// Done once for each model: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

size_t eo_f32_depthwise_packed_size(size_t taps, size_t channels) {
    return (1 + taps) * eo_depthwise_stride(channels) * sizeof(float);
}

void eo_f32_depthwise_pack(size_t taps, size_t channels, const void *weights, const void *bias, void *packed) {
    const size_t stride = eo_depthwise_stride(channels), row = channels * sizeof(float);
    float *to = packed;
    memset(to, 0, eo_f32_depthwise_packed_size(taps, channels));
    if (bias) memcpy(to, bias, row);
    for (size_t t = 0; t < taps; t++) memcpy(to + (1 + t) * stride, (const char *)weights + t * row, row);
}

static size_t round_up(size_t count, size_t multiple) { return (count + multiple - 1) / multiple * multiple; }

static size_t u8_block_size(const eo_u8_depthwise_kernel *kernel, size_t taps) {
    const size_t weight = kernel->mr == 4 ? sizeof(int8_t) : sizeof(int16_t);
    return kernel->nr * (sizeof(int32_t) + sizeof(float) + round_up(taps, kernel->mr) * weight);
}

size_t eo_u8_depthwise_packed_size(const eo_u8_depthwise_kernel *kernel, size_t taps, size_t channels) {
    const size_t all = channels * eo_u8_depthwise_pixels(kernel->nr, channels);
    return round_up(all, kernel->nr) / kernel->nr * u8_block_size(kernel, taps);
}

// One channel at its place in a block. Taps beyond the last stay zero.
static void pack_channel(const eo_u8_depthwise_kernel *kernel, const struct eo_u8_gemm_weights *w, size_t channel,
                         char *block, size_t place) {
    const size_t mr = kernel->mr, nr = kernel->nr, each = eo_u8_depthwise_group(mr, w->depth);
    int32_t *bias = (int32_t *)block;
    float *scale = (float *)(bias + nr);
    const uint32_t offset = eo_gemm_takes_unsigned_rows(kernel->isa) ? 0 : 128;
    const uint32_t za = (uint32_t)w->input_zero_point - offset, zw = (uint32_t)w->weight_zero_point;
    uint32_t sum = 0;
    for (size_t t = 0; t < w->depth; t++) {
        const int8_t weight = (int8_t)(w->weights[t * w->columns + channel] ^ w->flip);
        const size_t at = (t / each * nr + place) * mr + t % each;
        sum += (uint32_t)weight;
        if (mr == 4)
            ((int8_t *)(scale + nr))[at] = weight;
        else
            ((int16_t *)(scale + nr))[at] = weight;
    }
    bias[place] = (int32_t)((w->bias ? (uint32_t)w->bias[channel] : 0) - za * sum + (uint32_t)w->depth * za * zw);
    scale[place] = w->scale[channel];
}

void eo_u8_depthwise_pack(const eo_u8_depthwise_kernel *kernel, const struct eo_u8_gemm_weights *w, void *packed) {
    char *block = packed;
    const size_t size = u8_block_size(kernel, w->depth);
    memset(packed, 0, eo_u8_depthwise_packed_size(kernel, w->depth, w->columns));
    const size_t all = w->columns * eo_u8_depthwise_pixels(kernel->nr, w->columns);
    for (size_t first = 0; first < all; first += kernel->nr, block += size)
        for (size_t place = 0; place < (size_t)kernel->nr; place++) {
            const size_t channel = first + eo_u8_depthwise_channel(kernel->mr, kernel->nr, place);
            if (channel < all) pack_channel(kernel, w, channel % w->columns, block, place);
        }
}

const eo_s16_depthwise_kernel *eo_s16_depthwise_for(bool sums_fit_32) {
    const eo_s16_depthwise_kernel *kernel = eo_s16_depthwise_best();
    while (!sums_fit_32 && (kernel->mr > 0 || !kernels_isa_available(kernel->isa))) kernel++;
    return kernel;
}

static size_t s16_block_size(const eo_s16_depthwise_kernel *kernel, size_t taps) {
    return kernel->nr * (sizeof(int32_t) + sizeof(float) + round_up(taps, 2) * sizeof(int16_t));
}

size_t eo_s16_depthwise_packed_size(const eo_s16_depthwise_kernel *kernel, size_t taps, size_t channels) {
    if (kernel->mr > 0) return round_up(channels, kernel->nr) / kernel->nr * s16_block_size(kernel, taps);
    return eo_depthwise_stride(channels) * (sizeof(int64_t) + sizeof(float) + taps * sizeof(int16_t));
}

void eo_s16_depthwise_pack(const eo_s16_depthwise_kernel *kernel, size_t taps, size_t channels, const uint8_t *weights,
                           const float *scale, const int64_t *bias, void *packed) {
    memset(packed, 0, eo_s16_depthwise_packed_size(kernel, taps, channels));
    const size_t nr = kernel->nr, stride = eo_depthwise_stride(channels);
    if (kernel->mr == 0) {
        int64_t *biases = packed;
        float *scales = (float *)(biases + stride);
        int16_t *to = (int16_t *)(scales + stride);
        memcpy(biases, bias, channels * sizeof *bias);
        memcpy(scales, scale, channels * sizeof *scale);
        for (size_t t = 0; t < taps; t++)
#pragma clang loop vectorize(disable) unroll(disable)
            for (size_t c = 0; c < channels; c++) to[t * stride + c] = (int8_t)weights[t * channels + c];
        return;
    }
    char *block = packed;
    for (size_t first = 0; first < channels; first += nr, block += s16_block_size(kernel, taps))
        for (size_t place = 0; place < nr; place++) {
            const size_t channel = first + eo_u8_depthwise_channel(kernel->mr, nr, place);
            if (channel >= channels) continue;
            float *scales = (float *)((int32_t *)block + nr);
            int16_t *to = (int16_t *)(scales + nr);
            ((int32_t *)block)[place] = (int32_t)bias[channel];
            scales[place] = scale[channel];
#pragma clang loop vectorize(disable) unroll(disable)
            for (size_t i = 0; i < taps; i++)
                to[(i / 2 * nr + place) * 2 + i % 2] =
                    (int8_t)weights[eo_s16_depthwise_tap(taps, i) * channels + channel];
        }
}
#pragma clang attribute pop
