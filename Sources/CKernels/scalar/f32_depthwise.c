#include "depthwise.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_depthwise, EO_F32_DEPTHWISE_ROWS)
KERNEL_FAMILY_TABLE(eo_f32_depthwise_lines, EO_F32_DEPTHWISE_LINES_ROWS)

void eo_f32_depthwise__scalar(const struct eo_depthwise_run *r) {
    const struct eo_f32_gemm_parameters *parameters = r->parameters;
    const size_t stride = eo_depthwise_stride(r->channels);
    const float *bias = r->weights, *weights = bias + stride;
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        float *output = (float *)((char *)r->output + pixel * r->output_stride);
        for (size_t c = 0; c < r->channels; c++) {
            float sum = bias[c];
            for (size_t t = 0; t < r->taps; t++)
                sum += ((const float *)((const char *)r->tap[t] + pixel * r->step[t]))[c] * weights[t * stride + c];
            sum = sum < parameters->minimum ? parameters->minimum : sum;
            output[c] = sum > parameters->maximum ? parameters->maximum : sum;
        }
    }
}

static float sum_at(const struct eo_f32_depthwise_lines *l, size_t line, size_t x, size_t channel) {
    const struct eo_window *w = l->window;
    const size_t image = line / w->output_height, y = line % w->output_height;
    const size_t stride = eo_depthwise_stride(w->input_channels);
    const float *weight = (const float *)l->weights + channel;
    float sum = *weight;
    for (size_t j = 0; j < w->kernel_height; j++)
        for (size_t i = 0; i < w->kernel_width; i++) {
            weight += stride;
            const size_t v = y * w->stride_height + j * w->dilation_height - w->padding_top;
            const size_t u = x * w->stride_width + i * w->dilation_width - w->padding_left;
            if (v >= w->input_height || u >= w->input_width) continue; // negative ones are very large
            sum +=
                l->input[((image * w->input_height + v) * w->input_width + u) * w->input_channels + channel] * *weight;
        }
    return sum;
}

void eo_f32_depthwise_lines__scalar(const struct eo_f32_depthwise_lines *l) {
    const struct eo_window *w = l->window;
    float *output = l->output + l->first * w->output_width * w->output_channels;
    for (size_t line = l->first; line < l->first + l->count; line++)
        for (size_t x = 0; x < w->output_width; x++)
            for (size_t c = 0; c < w->output_channels; c++) {
                float sum = sum_at(l, line, x, c);
                sum = sum < l->parameters.minimum ? l->parameters.minimum : sum;
                *output++ = sum > l->parameters.maximum ? l->parameters.maximum : sum;
            }
}
#pragma clang attribute pop
