#include "depthwise.h"

#include <string.h>

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
