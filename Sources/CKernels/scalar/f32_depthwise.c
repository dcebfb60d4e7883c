#include "depthwise.h"

KERNEL_FAMILY_TABLE(eo_f32_depthwise, EO_F32_DEPTHWISE_ROWS)

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
