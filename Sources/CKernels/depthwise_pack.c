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

// How a kernel's blocks look; `offset`: what its activations are less than those of uint8.
struct form {
    size_t mr, nr;
    uint32_t offset;
};

static size_t block_size(struct form f, size_t taps) {
    const size_t weight = f.mr == 4 ? sizeof(int8_t) : sizeof(int16_t);
    return f.nr * (sizeof(int32_t) + sizeof(float) + round_up(taps, f.mr) * weight);
}

static size_t blocks_size(struct form f, size_t taps, size_t channels) {
    const struct eo_depthwise_blocks blocks = eo_depthwise_blocks(f.mr, f.nr, channels);
    return (blocks.whole + blocks.has_last) * block_size(f, taps);
}

// One channel at its place in a block. Taps beyond the last stay zero.
static void pack_channel(struct form f, const struct eo_u8_gemm_weights *w, uint32_t bias, size_t channel, char *block,
                         size_t place) {
    const size_t each = eo_depthwise_group(f.mr, w->depth);
    float *scale = (float *)((int32_t *)block + f.nr);
    const uint32_t za = (uint32_t)w->input_zero_point - f.offset, zw = (uint32_t)w->weight_zero_point;
    uint32_t sum = 0;
    for (size_t i = 0; i < w->depth; i++) {
        const size_t tap = eo_depthwise_tap(f.mr, w->depth, i), at = (i / each * f.nr + place) * f.mr + i % each;
        const int8_t weight = (int8_t)(w->weights[tap * w->columns + channel] ^ w->flip);
        sum += (uint32_t)weight;
        if (f.mr == 4)
            ((int8_t *)(scale + f.nr))[at] = weight;
        else
            ((int16_t *)(scale + f.nr))[at] = weight;
    }
    ((int32_t *)block)[place] = (int32_t)(bias - za * sum + (uint32_t)w->depth * za * zw);
    scale[place] = w->scale[channel];
}

// `wide`: biases instead of the weights' own, or null.
static void pack_blocks(struct form f, const struct eo_u8_gemm_weights *w, const int64_t *wide, void *packed) {
    const struct eo_depthwise_blocks blocks = eo_depthwise_blocks(f.mr, f.nr, w->columns);
    const size_t all = w->columns * eo_depthwise_pixels(f.mr, f.nr, w->columns);
    char *block = packed;
    memset(packed, 0, blocks_size(f, w->depth, w->columns));
    for (size_t i = 0; i < blocks.whole + blocks.has_last; i++, block += block_size(f, w->depth))
        for (size_t place = 0; place < f.nr; place++) {
            const size_t first = i < blocks.whole ? i * f.nr : w->columns - f.nr;
            const size_t number = first + eo_depthwise_channel(f.mr, f.nr, place), channel = number % w->columns;
            const uint32_t bias = wide ? (uint32_t)wide[channel] : w->bias ? (uint32_t)w->bias[channel] : 0;
            if (number < all) pack_channel(f, w, bias, channel, block, place);
        }
}

static struct form u8_form(const eo_u8_depthwise_kernel *kernel) {
    const uint32_t offset = kernel->isa == ISA_NEONDOT ? 128 : 0;
    return (struct form){(size_t)kernel->mr, (size_t)kernel->nr, offset};
}

size_t eo_u8_depthwise_packed_size(const eo_u8_depthwise_kernel *kernel, size_t taps, size_t channels) {
    return blocks_size(u8_form(kernel), taps, channels);
}

void eo_u8_depthwise_pack(const eo_u8_depthwise_kernel *kernel, const struct eo_u8_gemm_weights *w, void *packed) {
    pack_blocks(u8_form(kernel), w, NULL, packed);
}

const eo_s16_depthwise_kernel *eo_s16_depthwise_for(bool sums_fit_32) {
    const eo_s16_depthwise_kernel *kernel = eo_s16_depthwise_best();
    while (!sums_fit_32 && (kernel->mr > 0 || !kernels_isa_available(kernel->isa))) kernel++;
    return kernel;
}

static struct form s16_form(const eo_s16_depthwise_kernel *kernel) {
    return (struct form){(size_t)kernel->mr, (size_t)kernel->nr, 0};
}

size_t eo_s16_depthwise_packed_size(const eo_s16_depthwise_kernel *kernel, size_t taps, size_t channels) {
    if (kernel->mr > 0) return blocks_size(s16_form(kernel), taps, channels);
    return eo_depthwise_stride(channels) * (sizeof(int64_t) + sizeof(float) + taps * sizeof(int16_t));
}

void eo_s16_depthwise_pack(const eo_s16_depthwise_kernel *kernel, size_t taps, size_t channels, const uint8_t *weights,
                           const float *scale, const int64_t *bias, void *packed) {
    if (kernel->mr > 0) {
        const struct eo_u8_gemm_weights w = {.depth = taps, .columns = channels, .weights = weights, .scale = scale};
        pack_blocks(s16_form(kernel), &w, bias, packed);
        return;
    }
    const size_t stride = eo_depthwise_stride(channels);
    int64_t *biases = packed;
    float *scales = (float *)(biases + stride);
    int16_t *to = (int16_t *)(scales + stride);
    memset(packed, 0, eo_s16_depthwise_packed_size(kernel, taps, channels));
    memcpy(biases, bias, channels * sizeof *bias);
    memcpy(scales, scale, channels * sizeof *scale);
    for (size_t t = 0; t < taps; t++)
#pragma clang loop vectorize(disable) unroll(disable)
        for (size_t c = 0; c < channels; c++) to[t * stride + c] = (int8_t)weights[t * channels + c];
}
#pragma clang attribute pop
