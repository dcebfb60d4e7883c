#include "../simd/requantize_scalar.h"
#include "depthwise.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_u8_depthwise, EO_U8_DEPTHWISE_ROWS)

enum { NR = 4 };

void eo_u8_depthwise_1x4__scalar(const struct eo_depthwise_run *r) {
    const struct eo_u8_depthwise_parameters *p = r->parameters;
    const size_t size = NR * (sizeof(int32_t) + sizeof(float) + r->taps * sizeof(int16_t));
    const float low = (float)(p->minimum - p->output_zero_point);
    for (size_t pixel = 0; pixel < r->pixels; pixel++) {
        uint8_t *output = (uint8_t *)r->output + pixel * r->output_stride;
        for (size_t c = 0; c < r->channels; c++) {
            const int32_t *bias = (const int32_t *)((const char *)r->weights + c / NR * size);
            const float *scale = (const float *)(bias + NR);
            const int16_t *w = (const int16_t *)(scale + NR) + c % NR;
            uint32_t sum = (uint32_t)bias[c % NR];
            for (size_t t = 0; t < r->taps; t++) {
                const uint8_t x = ((const uint8_t *)r->tap[t])[pixel * r->step[t] + c] ^ p->flip;
                sum += (uint32_t)(x * (w[t * NR] - p->weight_zero_point));
            }
            output[c] = (uint8_t)requantize((float)(int32_t)sum, scale[c % NR], low, p->maximum, p->output_zero_point);
        }
    }
}
#pragma clang attribute pop
