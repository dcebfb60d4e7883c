#include "pooled.h"

#include <math.h>

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_pooled, EO_F32_POOLED_ROWS)

void eo_f32_pooled__scalar(const struct eo_pooled_line *t) {
    const size_t products = t->kernel_rows * t->row_products;
    for (size_t window = 0; window < t->windows; window++)
        for (size_t c = 0; c < t->channels; c++) {
            float *place = t->place + window * EO_POOLED_CHANNELS + c;
            float best = -INFINITY;
            if (t->dy) t->sums[c] += t->dy[window * t->pixel + c];
            for (size_t number = t->dy ? (size_t)*place : 0; number < t->rows * t->columns; number++) {
                const float *x = t->x + window * t->window_step + number / t->columns * t->row_step +
                                 number % t->columns * t->column_step;
                float sum = t->dy ? 0 : t->weights[c];
                for (size_t k = 0; k < products; k++) {
                    const float factor = x[k / t->row_products * t->image_line + k % t->row_products];
                    const size_t at = (1 + k) * EO_POOLED_CHANNELS + c;
                    if (t->dy)
                        t->sums[at] += factor * t->dy[window * t->pixel + c];
                    else
                        sum += factor * t->weights[at];
                }
                if (t->dy) break;
                if (number == 0) *place = 0;
                if (sum > best) best = sum, *place = (float)number;
            }
            if (t->dy) continue;
            best = best < t->low ? t->low : best;
            t->y[window * t->pixel + c] = best > t->high ? t->high : best;
        }
}
#pragma clang attribute pop
