// Body of the float depthwise convolution over a float vocabulary. Include after the vocabulary.
#include "depthwise.h"

// `vectors` vectors of channels of one pixel; with `part`, only the first `part` lanes of the one vector there is.
SIMD void depthwise_tile(const int vectors, const struct eo_depthwise_run *r, size_t pixel, size_t channel,
                         size_t part) {
    const size_t stride = eo_depthwise_stride(r->channels);
    float *output = (float *)((char *)r->output + pixel * r->output_stride) + channel;
    const struct eo_f32_gemm_parameters *parameters = r->parameters;
    const float *w = (const float *)r->weights + channel;
    vec sum[vectors];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) sum[j] = vec_load(w + j * LANES);
    for (size_t t = 0; t < r->taps; t++) {
        w += stride;
        const float *x = (const float *)((const char *)r->tap[t] + pixel * r->step[t]) + channel;
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) {
            vec a = part ? vec_load_part(x, part) : vec_load(x + j * LANES);
            sum[j] = vec_fma(a, vec_load(w + j * LANES), sum[j]);
        }
    }
    const vec low = vec_set(parameters->minimum), high = vec_set(parameters->maximum);
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) {
        vec y = vec_clamp(sum[j], low, high);
        if (part)
            vec_store_part(output, y, part);
        else
            vec_store(output + j * LANES, y);
    }
}

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        size_t channel = 0;
        for (; channel + 4 * LANES <= r->channels; channel += 4 * LANES) depthwise_tile(4, r, pixel, channel, 0);
        for (; channel + LANES <= r->channels; channel += LANES) depthwise_tile(1, r, pixel, channel, 0);
        if (channel < r->channels) depthwise_tile(1, r, pixel, channel, r->channels - channel);
    }
}
