// Bodies of Winograd's transforms over a float vocabulary. Include after the vocabulary.
#include "winograd.h"

enum { SIDE = 6 };

struct place {
    size_t image, y, x; // of the first output pixel
};

SIMD struct place place_of(const struct eo_window *w, size_t m, size_t tile) {
    const size_t across = (w->output_width + m - 1) / m, down = (w->output_height + m - 1) / m;
    return (struct place){tile / across / down, tile / across % down * m, tile % across * m};
}

// B^T of `m`, 2 or 4, a constant where it is called, times the vector d. The points of m = 4 are a = 3/4 and b = 3/2.
SIMD void transform_in(const int m, const vec *d, vec *to) {
    if (m == 2) {
        to[0] = d[0] - d[2];
        to[1] = d[1] + d[2];
        to[2] = d[2] - d[1];
        to[3] = d[3] - d[1];
        return;
    }
    const vec sum = vec_set(-45.0f / 16), product = vec_set(81.0f / 64); // -(a^2 + b^2), a^2 b^2
    to[0] = vec_fma(d[0], product, vec_fma(d[2], sum, d[4]));
    to[5] = vec_fma(d[1], product, vec_fma(d[3], sum, d[5]));
    vec even = vec_fma(d[2], vec_set(-9.0f / 4), d[4]);
    vec odd = vec_fma(d[1], vec_set(-9.0f / 4), d[3]) * vec_set(0.75f);
    to[1] = even + odd;
    to[2] = even - odd;
    even = vec_fma(d[2], vec_set(-9.0f / 16), d[4]);
    odd = vec_fma(d[1], vec_set(-9.0f / 16), d[3]) * vec_set(1.5f);
    to[3] = even + odd;
    to[4] = even - odd;
}

// A^T times the vector d.
SIMD void transform_out(const int m, const vec *d, vec *to) {
    const vec sum_a = d[1] + d[2], difference_a = d[1] - d[2];
    if (m == 2) {
        to[0] = d[0] + sum_a;
        to[1] = difference_a + d[3];
        return;
    }
    const vec sum_b = d[3] + d[4], difference_b = d[3] - d[4];
    to[0] = d[0] + sum_a + sum_b;
    to[1] = vec_fma(difference_b, vec_set(1.5f), difference_a * vec_set(0.75f));
    to[2] = vec_fma(sum_b, vec_set(9.0f / 4), sum_a * vec_set(9.0f / 16));
    to[3] = vec_fma(difference_b, vec_set(27.0f / 8), vec_fma(difference_a, vec_set(27.0f / 64), d[5]));
}

// A vector of channels of a tile whose pixels are at `pixel`, [m + 2][m + 2].
SIMD void input_tile(const int m, const struct eo_winograd_input *t, const float *const *pixel, size_t channel,
                     size_t part, float *to) {
    vec half[SIDE][SIDE], column[SIDE], line[SIDE];
#pragma clang loop unroll(disable)
    for (int x = 0; x < m + 2; x++) {
#pragma clang loop unroll(full)
        for (int y = 0; y < m + 2; y++) {
            const float *from = pixel[y * (m + 2) + x] + channel;
            column[y] = part ? vec_load_part(from, part) : vec_load(from);
        }
        transform_in(m, column, line);
#pragma clang loop unroll(full)
        for (int y = 0; y < m + 2; y++) half[y][x] = line[y];
    }
#pragma clang loop unroll(disable)
    for (int y = 0; y < m + 2; y++) {
        transform_in(m, half[y], line);
#pragma clang loop unroll(full)
        for (int x = 0; x < m + 2; x++, to += t->element_stride) {
            if (part)
                vec_store_part(to, line[x], part);
            else
                vec_store(to, line[x]);
        }
    }
}

// Pixels outside the image are at `zeros`, where the channels of any vector are zeros.
SIMD void input_tiles(const int m, const struct eo_winograd_input *t) {
    const struct eo_window *w = t->window;
    const size_t channels = w->input_channels, whole = channels / LANES * LANES;
    const float zeros[LANES] = {0};
    for (size_t tile = 0; tile < t->tiles; tile++) {
        const struct place at = place_of(w, (size_t)m, t->first + tile);
        const float *pixel[SIDE * SIDE];
        bool outside[SIDE * SIDE];
        for (int e = 0; e < (m + 2) * (m + 2); e++) {
            const size_t y = at.y + (size_t)(e / (m + 2)) - w->padding_top;
            const size_t x = at.x + (size_t)(e % (m + 2)) - w->padding_left; // negative ones are very large
            outside[e] = y >= w->input_height || x >= w->input_width;
            pixel[e] =
                outside[e] ? zeros : t->input + ((at.image * w->input_height + y) * w->input_width + x) * channels;
        }
        float *to = t->transformed + tile * t->tile_stride;
        for (size_t channel = 0; channel < channels; channel += LANES) {
            input_tile(m, t, pixel, 0, channel < whole ? 0 : channels - whole, to + channel);
            for (int e = 0; e < (m + 2) * (m + 2); e++) pixel[e] += outside[e] ? 0 : LANES;
        }
    }
}

SIMD void output_tile(const int m, const struct eo_winograd_output *t, struct place at, const float *from,
                      size_t channel, size_t part) {
    const struct eo_window *w = t->window;
    const vec low = vec_set(t->parameters.minimum), high = vec_set(t->parameters.maximum);
    const vec bias = part ? vec_load_part(t->bias + channel, part) : vec_load(t->bias + channel);
    vec half[4][SIDE], column[SIDE], line[4];
#pragma clang loop unroll(disable)
    for (int x = 0; x < m + 2; x++) {
#pragma clang loop unroll(full)
        for (int y = 0; y < m + 2; y++) column[y] = vec_load(from + (size_t)(y * (m + 2) + x) * t->element_stride);
        transform_out(m, column, line);
#pragma clang loop unroll(full)
        for (int y = 0; y < m; y++) half[y][x] = line[y];
    }
    for (int y = 0; y < m && at.y + (size_t)y < w->output_height; y++) {
        transform_out(m, half[y], line);
        float *to = t->output +
                    ((at.image * w->output_height + at.y + (size_t)y) * w->output_width + at.x) * w->output_channels +
                    t->column + channel;
        for (int x = 0; x < m && at.x + (size_t)x < w->output_width; x++, to += w->output_channels) {
            const vec sum = vec_clamp(line[x] + bias, low, high);
            if (part)
                vec_store_part(to, sum, part);
            else
                vec_store(to, sum);
        }
    }
}

// Rows of transformed tiles have room for whole vectors.
SIMD void output_tiles(const int m, const struct eo_winograd_output *t) {
    for (size_t tile = 0; tile < t->tiles; tile++) {
        const struct place at = place_of(t->window, (size_t)m, t->first + tile);
        const float *from = t->transformed + tile * t->tile_stride;
        for (size_t channel = 0; channel < t->columns; channel += LANES) {
            const size_t rest = t->columns - channel;
            output_tile(m, t, at, from + channel, channel, rest < LANES ? rest : 0);
        }
    }
}

SIMD void transform_inputs(const struct eo_winograd_input *t) {
    if (t->m == 2)
        input_tiles(2, t);
    else
        input_tiles(4, t);
}

SIMD void transform_outputs(const struct eo_winograd_output *t) {
    if (t->m == 2)
        output_tiles(2, t);
    else
        output_tiles(4, t);
}
