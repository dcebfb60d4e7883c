// Body of the maxima of convolutions over a float vocabulary. Include after it.
#include "pooled.h"

#include <math.h>

typedef float lanes __attribute__((ext_vector_type(LANES)));

// The channels of a block from number `channel` on, as many as there are lanes.
SIMD size_t channels(const struct eo_pooled_line *t, size_t channel) {
    return t->channels - channel < LANES ? t->channels - channel : LANES;
}
SIMD lanes load_channels(const float *p, size_t count) {
    return (lanes)(LANES == 4 && count == LANES ? vec_load(p) : vec_load_part(p, count));
}
SIMD lanes add_product(lanes a, float b, lanes sum) { return (lanes)vec_fma((vec)a, vec_set(b), (vec)sum); }

// So many windows at a time hide the latency of multipliers.
enum { WINDOWS = EO_POOLED_WINDOWS };

SIMD void maxima(const struct eo_pooled_line *t, size_t first, size_t channel) {
    const float *line = t->x + first * t->window_step;
    lanes best[WINDOWS];
    lanes at[WINDOWS], number = 0;
#pragma clang loop unroll(full)
    for (int i = 0; i < WINDOWS; i++) best[i] = -INFINITY, at[i] = 0;
#pragma clang loop unroll(disable)
    for (size_t row = 0; row < t->rows; row++, line += t->row_step) {
        const float *result = line;
#pragma clang loop unroll(disable)
        for (size_t column = 0; column < t->columns; column++, result += t->column_step, number += 1) {
            const float *from = result, *weights = t->weights + channel;
            lanes sum[WINDOWS];
#pragma clang loop unroll(full)
            for (int i = 0; i < WINDOWS; i++) sum[i] = (lanes)vec_load(weights);
#pragma clang loop unroll(disable)
            for (size_t tap = 0; tap < t->kernel_rows; tap++, from += t->image_line)
#pragma clang loop unroll(disable)
                for (size_t j = 0; j < t->row_products; j++) {
                    const lanes w = (lanes)vec_load(weights += EO_POOLED_CHANNELS);
#pragma clang loop unroll(full)
                    for (size_t i = 0; i < WINDOWS; i++) sum[i] = add_product(w, from[i * t->window_step + j], sum[i]);
                }
#pragma clang loop unroll(full)
            for (int i = 0; i < WINDOWS; i++) {
                at[i] = sum[i] > best[i] ? number : at[i];
                best[i] = sum[i] > best[i] ? sum[i] : best[i];
            }
        }
    }
    const size_t count = channels(t, channel), pixel = t->pixel;
    const vec low = vec_set(t->low), high = vec_set(t->high);
    float *y = t->y + first * pixel + channel;
    float *place = t->place + first * EO_POOLED_CHANNELS + channel;
#pragma clang loop unroll(full)
    for (int i = 0; i < WINDOWS; i++, y += pixel, place += EO_POOLED_CHANNELS) {
        const vec clamped = vec_clamp((vec)best[i], low, high);
        if (LANES == 4 && count == LANES)
            vec_store(y, clamped);
        else
            vec_store_part(y, clamped, count);
        vec_store(place, (vec)at[i]);
    }
}

// The sums of 3 x 3 products: first layers have kernels of 3 lines and columns, and images of 1 or 3 channels.
SIMD void gradients(const struct eo_pooled_line *t, size_t row, size_t column, size_t channel) {
    float *sums = t->sums + EO_POOLED_CHANNELS * (1 + row * t->row_products + column) + channel;
    const size_t sums_line = EO_POOLED_CHANNELS * t->row_products, count = channels(t, channel);
    lanes sum[9];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 9; i++) sum[i] = (lanes)vec_load(sums + i / 3 * sums_line + i % 3 * EO_POOLED_CHANNELS);
    const float *x = t->x + row * t->image_line + column;
#pragma clang loop unroll(disable)
    for (size_t window = 0; window < t->windows; window++, x += t->window_step) {
        const lanes dy = load_channels(t->dy + window * t->pixel + channel, count);
        lanes at = (lanes)vec_load(t->place + window * EO_POOLED_CHANNELS + channel);
        const float *line = x;
#pragma clang loop unroll(disable)
        for (size_t i = 0; i < t->rows; i++, line += t->row_step) {
            const float *from = line;
#pragma clang loop unroll(disable)
            for (size_t j = 0; j < t->columns; j++, at -= 1, from += t->column_step) {
                const lanes part = at == 0 ? dy : (lanes)0.0f;
#pragma clang loop unroll(full)
                for (size_t k = 0; k < 9; k++) sum[k] = add_product(part, from[k / 3 * t->image_line + k % 3], sum[k]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 9; i++) vec_store(sums + i / 3 * sums_line + i % 3 * EO_POOLED_CHANNELS, (vec)sum[i]);
}

SIMD void bias_gradient(const struct eo_pooled_line *t, size_t channel) {
    lanes sum = (lanes)vec_load(t->sums + channel);
    const size_t count = channels(t, channel);
#pragma clang loop unroll(disable)
    for (size_t window = 0; window < t->windows; window++)
        sum += load_channels(t->dy + window * t->pixel + channel, count);
    vec_store(t->sums + channel, (vec)sum);
}

SIMD void pooled(const struct eo_pooled_line *t) {
    for (size_t channel = 0; channel < t->channels; channel += LANES) {
        if (!t->dy) {
            // The last ones once more, if they do not come out even.
            for (size_t window = 0; window < t->windows; window += WINDOWS)
                maxima(t, window + WINDOWS > t->windows ? t->windows - WINDOWS : window, channel);
            continue;
        }
        bias_gradient(t, channel);
        for (size_t row = 0; row < t->kernel_rows; row += 3)
            for (size_t column = 0; column < t->row_products; column += 3) gradients(t, row, column, channel);
    }
}
