// The transforms by their matrices.
#include "winograd.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_winograd_input, EO_WINOGRAD_INPUT_ROWS)
KERNEL_FAMILY_TABLE(eo_winograd_output, EO_WINOGRAD_OUTPUT_ROWS)

enum { SIDE = 6 };

// B^T: row j has the coefficients of the product of (x - q) over the finite points q other than that of the row.
static const float input_2[SIDE][SIDE] = {{1, 0, -1}, {0, 1, 1}, {0, -1, 1}, {0, -1, 0, 1}};
static const float input_4[SIDE][SIDE] = {
    {81.0f / 64, 0, -45.0f / 16, 0, 1},    {0, -27.0f / 16, -9.0f / 4, 0.75f, 1}, {0, 27.0f / 16, -9.0f / 4, -0.75f, 1},
    {0, -27.0f / 32, -9.0f / 16, 1.5f, 1}, {0, 27.0f / 32, -9.0f / 16, -1.5f, 1}, {0, 81.0f / 64, 0, -45.0f / 16, 0, 1},
};
// A^T: row i has the powers i of the points.
static const float output_2[4][SIDE] = {{1, 1, 1}, {0, 1, -1, 1}};
static const float output_4[4][SIDE] = {
    {1, 1, 1, 1, 1},
    {0, 0.75f, -0.75f, 1.5f, -1.5f},
    {0, 9.0f / 16, 9.0f / 16, 9.0f / 4, 9.0f / 4},
    {0, 27.0f / 64, -27.0f / 64, 27.0f / 8, -27.0f / 8, 1},
};

struct place {
    size_t image, y, x; // of the first output pixel
};

static struct place place_of(const struct eo_window *w, size_t m, size_t tile) {
    const size_t across = (w->output_width + m - 1) / m, down = (w->output_height + m - 1) / m;
    return (struct place){tile / across / down, tile / across % down * m, tile % across * m};
}

static float pixel(const struct eo_winograd_input *t, struct place at, size_t row, size_t column, size_t channel) {
    const struct eo_window *w = t->window;
    const size_t y = at.y + row - w->padding_top, x = at.x + column - w->padding_left;
    if (y >= w->input_height || x >= w->input_width) return 0; // negative ones are very large
    return t->input[((at.image * w->input_height + y) * w->input_width + x) * w->input_channels + channel];
}

void eo_winograd_input__scalar(const struct eo_winograd_input *t) {
    const float(*matrix)[SIDE] = t->m == 2 ? input_2 : input_4;
    const size_t side = t->m + 2;
    for (size_t tile = 0; tile < t->tiles; tile++) {
        const struct place at = place_of(t->window, t->m, t->first + tile);
        for (size_t c = 0; c < t->window->input_channels; c++)
            for (size_t e = 0; e < side * side; e++) {
                float sum = 0;
                for (size_t k = 0; k < side * side; k++)
                    sum +=
                        matrix[e / side][k / side] * matrix[e % side][k % side] * pixel(t, at, k / side, k % side, c);
                t->transformed[e * t->element_stride + tile * t->tile_stride + c] = sum;
            }
    }
}

void eo_winograd_output__scalar(const struct eo_winograd_output *t) {
    const struct eo_window *w = t->window;
    const float(*matrix)[SIDE] = t->m == 2 ? output_2 : output_4;
    const size_t side = t->m + 2;
    for (size_t tile = 0; tile < t->tiles; tile++) {
        const struct place at = place_of(w, t->m, t->first + tile);
        for (size_t p = 0; p < t->m * t->m; p++) {
            const size_t y = at.y + p / t->m, x = at.x + p % t->m;
            if (y >= w->output_height || x >= w->output_width) continue;
            float *output = t->output + ((at.image * w->output_height + y) * w->output_width + x) * w->output_channels;
            for (size_t c = 0; c < t->columns; c++) {
                float sum = t->bias[c];
                for (size_t k = 0; k < side * side; k++)
                    sum += matrix[p / t->m][k / side] * matrix[p % t->m][k % side] *
                           t->transformed[k * t->element_stride + tile * t->tile_stride + c];
                sum = sum < t->parameters.minimum ? t->parameters.minimum : sum;
                output[t->column + c] = sum > t->parameters.maximum ? t->parameters.maximum : sum;
            }
        }
    }
}
#pragma clang attribute pop
