// Body of the float depthwise convolution over a float vocabulary. Include after the vocabulary.
#include "depthwise.h"

SIMD vec depthwise_load(const void *p, size_t part) { return part ? vec_load_part(p, part) : vec_load(p); }

SIMD void depthwise_store(const struct eo_depthwise_run *r, vec x, float *output, size_t part) {
    const struct eo_f32_gemm_parameters *parameters = r->parameters;
    const vec y = vec_clamp(x, vec_set(parameters->minimum), vec_set(parameters->maximum));
    if (part)
        vec_store_part(output, y, part);
    else
        vec_store(output, y);
}

// Any taps: `vectors` vectors of channels of one pixel; with `part`, only the first `part` lanes of the one vector
// there is.
SIMD void depthwise_tile(const int vectors, const struct eo_depthwise_run *r, size_t pixel, size_t channel,
                         size_t part) {
    const size_t stride = eo_depthwise_stride(r->channels);
    float *output = (float *)((char *)r->output + pixel * r->output_stride) + channel;
    const float *w = (const float *)r->weights + channel;
    vec sum[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) sum[j] = vec_load(w + j * LANES);
    for (size_t t = 0; t < r->taps; t++) {
        w += stride;
        const float *x = (const float *)((const char *)r->tap[t] + pixel * r->step[t]) + channel;
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            sum[j] = vec_fma(depthwise_load(x + j * LANES, part), vec_load(w + j * LANES), sum[j]);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) depthwise_store(r, sum[j], output + j * LANES, part);
}

SIMD void depthwise_pixels(const struct eo_depthwise_run *r) {
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        size_t channel = 0;
        for (; channel + 4 * LANES <= r->channels; channel += 4 * LANES) depthwise_tile(4, r, pixel, channel, 0);
        for (; channel + LANES <= r->channels; channel += LANES) depthwise_tile(1, r, pixel, channel, 0);
        if (channel < r->channels) depthwise_tile(1, r, pixel, channel, r->channels - channel);
    }
}

// A vector of channels along a line: the weights of a `size` x `size` kernel stay in registers, and the pixels under it
// are operands of the multiplication. `size` is a constant where this is called.
SIMD void depthwise_line(const int size, const struct eo_depthwise_run *r, size_t channel, size_t part) {
    enum { MAX = 5 };
    const size_t stride = eo_depthwise_stride(r->channels), tap_stride = r->tap_stride;
    const float *w = (const float *)r->weights + channel;
    const vec bias = vec_load(w);
    vec weight[MAX * MAX];
    const char *row[MAX];
    size_t step[MAX];
#pragma clang loop unroll(full)
    for (int t = 0; t < size * size; t++) weight[t] = vec_load(w + (size_t)(t + 1) * stride);
#pragma clang loop unroll(full)
    for (int j = 0; j < size; j++) {
        row[j] = (const char *)r->tap[j * size] + channel * sizeof(float);
        step[j] = r->step[j * size];
    }
    char *output = (char *)r->output + channel * sizeof(float);
    for (size_t pixel = 0; pixel < r->pixels; pixel++, output += r->output_stride) {
        vec sum = bias;
#pragma clang loop unroll(full)
        for (int j = 0; j < size; j++) {
#pragma clang loop unroll(full)
            for (int i = 0; i < size; i++)
                sum = vec_fma(depthwise_load(row[j] + (size_t)i * tap_stride, part), weight[j * size + i], sum);
            row[j] += step[j];
        }
        depthwise_store(r, sum, (float *)output, part);
    }
}

SIMD void depthwise_lines(const int size, const struct eo_depthwise_run *r) {
    size_t channel = 0;
    for (; channel + LANES <= r->channels; channel += LANES) depthwise_line(size, r, channel, 0);
    if (channel < r->channels) depthwise_line(size, r, channel, r->channels - channel);
}

// Kernels whose weights fit the registers.
SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    if (r->row_taps == 3 && r->taps == 9)
        depthwise_lines(3, r);
    else if (r->row_taps == 5 && r->taps == 25 && REGISTERS >= 32)
        depthwise_lines(5, r);
    else
        depthwise_pixels(r);
}
