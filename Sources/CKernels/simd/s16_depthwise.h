// Body of the 16-bit depthwise convolution: plain loops over a fixed number of channels, which the compiler turns into
// vectors of the instruction set that TARGET names.
#include "depthwise.h"
#include "requantize_scalar.h"

#ifndef CHANNELS
#define CHANNELS 32
#endif

struct channels {
    uint64_t total[CHANNELS];
    int32_t partial[CHANNELS];
};

SIMD void flush(struct channels *c) {
    for (int j = 0; j < CHANNELS; j++) {
        c->total[j] += (uint64_t)(int64_t)c->partial[j];
        c->partial[j] = 0;
    }
}

SIMD void add_tap(struct channels *c, const int16_t *x, const int16_t *w, size_t count) {
    if (count == CHANNELS)
        for (int j = 0; j < CHANNELS; j++) c->partial[j] += x[j] * w[j];
    else
#pragma clang loop vectorize(disable) unroll(disable)
        for (size_t j = 0; j < count; j++) c->partial[j] += x[j] * w[j];
}

SIMD void depthwise_block(const struct eo_depthwise_run *r, size_t pixel, size_t channel, size_t count) {
    const struct eo_s16_parameters *p = r->parameters;
    const size_t stride = eo_depthwise_stride(r->channels);
    const int64_t *bias = r->weights;
    const float *scale = (const float *)(bias + stride) + channel;
    const int16_t *w = (const int16_t *)((const float *)(bias + stride) + stride) + channel;
    struct channels c = {.partial = {0}};
    __builtin_memcpy(c.total, bias + channel, sizeof c.total);
    for (size_t t = 0; t < r->taps; t++, w += stride) {
        add_tap(&c, (const int16_t *)((const char *)r->tap[t] + pixel * r->step[t]) + channel, w, count);
        if (t % EO_S16_PARTIAL_DEPTH == EO_S16_PARTIAL_DEPTH - 1) flush(&c);
    }
    flush(&c);
    char *output = (char *)r->output + pixel * r->output_stride;
    if (p->leaves_f) {
#pragma clang loop unroll(disable)
        for (size_t j = 0; j < count; j++) ((float *)output)[channel + j] = (float)(int64_t)c.total[j] * scale[j];
        return;
    }
#pragma clang loop unroll(disable)
    for (size_t j = 0; j < count; j++)
        ((int16_t *)output)[channel + j] =
            (int16_t)requantize((float)(int64_t)c.total[j], scale[j], p->minimum, p->maximum, p->output_zero_point);
}

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    for (size_t pixel = 0; pixel < r->pixels; pixel++)
        for (size_t channel = 0; channel < r->channels; channel += CHANNELS) {
            const size_t left = r->channels - channel;
            depthwise_block(r, pixel, channel, left < CHANNELS ? left : CHANNELS);
        }
}
