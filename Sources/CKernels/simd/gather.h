// Body of the gathering of convolution rows over a byte vocabulary. `wide` is a constant where these are called: each
// byte becomes 16 bits.
#include "convolution.h"

SIMD void gather_copy(const int wide, uint8_t *to, const uint8_t *from, size_t count, uint8_t flip) {
    if (wide)
        bytes_widen((uint16_t *)to, from, count, flip);
    else
        bytes_copy(to, from, count, flip);
}

SIMD void gather_fill(const int wide, uint8_t *to, uint8_t value, size_t count) {
    if (!wide) {
        bytes_fill(to, value, count);
        return;
    }
    for (size_t i = 0; i < count; i++) ((uint16_t *)to)[i] = value;
}

// The taps of one kernel row: `from` is the image row, or null above and below the image; `x` the column of the first
// tap, which may lie outside.
SIMD void gather_taps(const int wide, const struct eo_gather *g, const uint8_t *from, ptrdiff_t x, uint8_t *to) {
    const struct eo_window *w = g->window;
    const size_t size = w->input_channels * g->element_size, pixel = w->groups * size;
    const ptrdiff_t width = (ptrdiff_t)w->input_width, taps = (ptrdiff_t)w->kernel_width;
    if (!from) {
        gather_fill(wide, to, g->padding, taps * size);
        return;
    }
    const int contiguous = w->dilation_width == 1 && w->groups == 1;
    if (contiguous && x >= 0 && x + taps <= width) {
        gather_copy(wide, to, from + x * (ptrdiff_t)pixel, taps * size, g->flip);
        return;
    }
    for (ptrdiff_t tap = 0; tap < taps; tap++, x += w->dilation_width, to += size << wide) {
        if (x < 0 || x >= width)
            gather_fill(wide, to, g->padding, size);
        else
            gather_copy(wide, to, from + x * (ptrdiff_t)pixel, size, g->flip);
    }
}

SIMD void gather_rows(const int wide, const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t size = w->input_channels * g->element_size;
    const size_t row = w->input_width * w->groups * size, taps = w->kernel_width * size;
    size_t x = g->first % w->output_width, y = g->first / w->output_width % w->output_height;
    const uint8_t *image =
        (const uint8_t *)g->input + g->first / w->output_width / w->output_height * (w->input_height * row);
    uint8_t *to = g->rows;
    for (size_t i = 0; i < g->pixels; i++, to += g->row_stride) {
        const ptrdiff_t left = (ptrdiff_t)(x * w->stride_width) - (ptrdiff_t)w->padding_left;
        ptrdiff_t line = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        for (size_t j = 0; j < w->kernel_height; j++, line += w->dilation_height) {
            const int inside = line >= 0 && line < (ptrdiff_t)w->input_height;
            gather_taps(wide, g, inside ? image + line * (ptrdiff_t)row : NULL, left, to + (j * taps << wide));
        }
        gather_fill(wide, to + (w->kernel_height * taps << wide), 0, g->fill);
        if (++x < w->output_width) continue;
        x = 0;
        if (++y < w->output_height) continue;
        y = 0;
        image += w->input_height * row;
    }
}
