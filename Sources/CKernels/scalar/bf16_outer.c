#include "gemm.h"

#include <string.h>

KERNEL_FAMILY_TABLE(eo_bf16_pairs, EO_BF16_PAIRS_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_rows, EO_BF16_ROWS_ROWS)
KERNEL_FAMILY_TABLE(eo_bf16_outer, EO_BF16_OUTER_ROWS)

static float float_of(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

void eo_bf16_pairs__scalar(const struct eo_bf16_line *l) {
    for (size_t c = 0; c < (l->channels + 15) / 16 * 16; c++)
        for (size_t p = 0; p < l->filled; p++) {
            uint16_t *to = l->to + c / 16 * l->to_step + (p / 2 * 16 + c % 16) * 2 + p % 2;
            *to = 0;
            if (p < l->pixels && c < l->channels) eo_f32_to_bf16__scalar(1, l->from + p * l->step + c, to);
        }
}

void eo_bf16_rows__scalar(const struct eo_bf16_line *l) {
    for (size_t p = 0; p < l->pixels; p++)
        for (size_t c = 0; c < l->channels; c++)
            eo_f32_to_bf16__scalar(1, l->from + p * l->step + c, l->to + c * l->to_step + p);
}

void eo_bf16_outer__scalar(const struct eo_bf16_outer_tile *t) {
    for (size_t r = 0; r < t->rows; r++)
        for (size_t i = 0; i < t->height[r]; i++)
            for (size_t j = 0; j < t->columns; j++) {
                float *output = t->output[r] + j * t->output_step + i, sum = 0;
                for (size_t image = 0; image < t->images; image++) {
                    const uint16_t *a = t->a[r] + image * t->a_image + i * t->a_step;
                    const uint16_t *b = t->b + image * t->b_image + j / 16 * t->b_step + j % 16 * 2;
                    for (size_t p = 0; p < t->steps * EO_OUTER_STEP; p++)
                        sum += float_of(a[p]) * float_of(b[p / 2 * 32 + p % 2]);
                }
                *output = t->adds ? *output + sum : sum;
            }
}
