// The definition, over weights packed for Winograd's filtering: the twin of what computes the same otherwise.
#include "u8_winograd.h"
#include "../simd/requantize_scalar.h"

enum { M = EO_U8_WINOGRAD_TILE, NR = EO_U8_WINOGRAD_CHANNELS };

static int32_t sum_of(const struct eo_u8_winograd_unit *u, size_t image, size_t top, size_t left, const int8_t *w) {
    const struct eo_window *in = u->window;
    uint32_t sum = 0;
    for (size_t tap = 0; tap < 9; tap++) {
        const size_t y = top + tap / 3 - in->padding_top, x = left + tap % 3 - in->padding_left;
        const bool inside = y < in->input_height && x < in->input_width; // negative ones are very large
        const uint8_t *pixel = u->input + ((image * in->input_height + y) * in->input_width + x) * in->input_channels;
        for (size_t c = 0; c < in->input_channels; c++) {
            const int a = inside ? pixel[c] ^ u->flip : u->padding;
            sum += (uint32_t)(a * w[(c / 2 * 9 + tap) * 2 * NR + c % 2]);
        }
    }
    return (int32_t)sum;
}

#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
static void pixel(const struct eo_u8_winograd_unit *u, size_t image, size_t y, size_t x) {
    const struct eo_window *w = u->window;
    const size_t place = ((image * w->output_height + y) * w->output_width + x) * w->output_channels;
    for (size_t channel = u->begin * NR; channel < u->end * NR && channel < w->output_channels; channel++) {
        const int32_t *start = (const int32_t *)(u->weights + channel / NR * u->block_size);
        const float *scale = (const float *)(start + NR), *bias = scale + NR;
        const size_t j = channel % NR;
        const int8_t *weights = (const int8_t *)(u->grid ? bias + NR : bias) + 2 * j;
        const uint32_t sum = (uint32_t)sum_of(u, image, y, x, weights);
        if (u->grid) {
            const struct eo_hybrid_gemm_parameters *p = u->parameters;
            const int32_t total = (int32_t)(sum - (uint32_t)u->grid->zero_point * (uint32_t)start[j]);
            const float product = (float)total * (u->grid->scale * scale[j]), result = product + bias[j];
            ((float *)u->output)[place + channel] = clamp(result, p->minimum, p->maximum);
        } else {
            const struct eo_u8_gemm_parameters *p = u->parameters;
            const float total = (float)(int32_t)(sum + (uint32_t)start[j]);
            ((uint8_t *)u->output)[place + channel] =
                (uint8_t)requantize(total, scale[j], p->minimum, p->maximum, p->output_zero_point);
        }
    }
}

void eo_u8_winograd__scalar(const struct eo_u8_winograd_unit *u) {
    const struct eo_window *w = u->window;
    const size_t across = (w->output_width + M - 1) / M, down = (w->output_height + M - 1) / M;
    for (size_t tile = u->first; tile < u->first + u->tiles; tile++)
        for (size_t at = 0; at < M * M; at++) {
            const size_t y = tile / across % down * M + at / M, x = tile % across * M + at % M;
            if (y < w->output_height && x < w->output_width) pixel(u, tile / across / down, y, x);
        }
}
#pragma clang attribute pop

KERNEL_FAMILY_TABLE(eo_u8_winograd, EO_U8_WINOGRAD_ROWS)
