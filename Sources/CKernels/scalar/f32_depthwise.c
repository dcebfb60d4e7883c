#include "depthwise.h"

#include <string.h>

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_depthwise, EO_F32_DEPTHWISE_ROWS)
KERNEL_FAMILY_TABLE(eo_f32_depthwise_lines, EO_F32_DEPTHWISE_LINES_ROWS)

// Number i of `x`, which are bfloat16 if `rounded`.
static float number(const void *x, bool rounded, size_t i) {
    if (!rounded) return ((const float *)x)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

static void set(const struct eo_f32_gemm_parameters *p, float sum, void *y, bool rounded, size_t i) {
    sum = sum < p->minimum ? p->minimum : sum;
    sum = sum > p->maximum ? p->maximum : sum;
    if (rounded)
        eo_f32_to_bf16__scalar(1, &sum, (uint16_t *)y + i);
    else
        ((float *)y)[i] = sum;
}

void eo_f32_depthwise__scalar(const struct eo_depthwise_run *r) {
    const size_t stride = eo_depthwise_stride(r->channels);
    const float *bias = r->weights, *weights = bias + stride;
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        char *output = (char *)r->output + pixel * r->output_stride;
        for (size_t c = 0; c < r->channels; c++) {
            float sum = bias[c];
            for (size_t t = 0; t < r->taps; t++)
                sum += ((const float *)((const char *)r->tap[t] + pixel * r->step[t]))[c] * weights[t * stride + c];
            set(r->parameters, sum, output, false, c);
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
            const size_t pixel = (image * w->input_height + v) * w->input_width + u;
            sum += number(l->input, l->input_is_rounded, pixel * w->input_channels + channel) * *weight;
        }
    return sum;
}

void eo_f32_depthwise_lines__scalar(const struct eo_f32_depthwise_lines *l) {
    const struct eo_window *w = l->window;
    size_t at = l->first * w->output_width * w->output_channels;
    for (size_t line = l->first; line < l->first + l->count; line++)
        for (size_t x = 0; x < w->output_width; x++)
            for (size_t c = 0; c < w->output_channels; c++, at++)
                set(&l->parameters, sum_at(l, line, x, c), l->output, l->output_is_rounded, at);
}
#pragma clang attribute pop
