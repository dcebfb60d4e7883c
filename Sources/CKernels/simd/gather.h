// Body of the gathering of convolution rows over a byte vocabulary. `form` is a constant where these are called.
#include "convolution.h"

enum form {
    PLAIN,
    WIDE, // each byte becomes 16 bits
    SPLIT // of each 16 bits the upper byte goes to the first half of the row, the lower byte to the second
};

// Where in a row stands what is `at` bytes from the beginning in the image's order.
SIMD size_t gather_place(const enum form form, size_t at) {
    return form == WIDE ? 2 * at : form == SPLIT ? at / 2 : at;
}

SIMD void gather_copy(const enum form form, const struct eo_gather *g, uint8_t *to, const uint8_t *from, size_t count) {
    if (form == WIDE) bytes_widen((uint16_t *)to, from, count, g->flip);
#ifdef BYTES_SPLIT
    if (form == SPLIT) bytes_split(to, to + g->row_stride / 2, from, count / 2);
#endif
    if (form == PLAIN) bytes_copy(to, from, count, g->flip);
}

SIMD void gather_fill(const enum form form, const struct eo_gather *g, uint8_t *to, uint8_t value, size_t count) {
    if (form != WIDE) {
        bytes_fill(to, value, gather_place(form, count));
        if (form == SPLIT) bytes_fill(to + g->row_stride / 2, value, count / 2);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ((uint16_t *)to)[i] = value;
        __asm__("" ::: "memory"); // mostly a few: no call of memset
    }
}

// The taps of one kernel row: `from` is the image row, or null above and below the image; `x` the column of the first
// tap, which may lie outside.
SIMD void gather_taps(const enum form form, const struct eo_gather *g, const uint8_t *from, ptrdiff_t x, uint8_t *to) {
    const struct eo_window *w = g->window;
    const size_t size = w->input_channels * g->element_size, pixel = w->groups * size;
    const ptrdiff_t width = (ptrdiff_t)w->input_width, taps = (ptrdiff_t)w->kernel_width;
    if (!from) {
        gather_fill(form, g, to, g->padding, taps * size);
        return;
    }
    const int contiguous = w->dilation_width == 1 && w->groups == 1;
    if (contiguous && x >= 0 && x + taps <= width) {
        gather_copy(form, g, to, from + x * (ptrdiff_t)pixel, taps * size);
        return;
    }
    for (ptrdiff_t tap = 0; tap < taps; tap++, x += w->dilation_width, to += gather_place(form, size)) {
        if (x < 0 || x >= width)
            gather_fill(form, g, to, g->padding, size);
        else
            gather_copy(form, g, to, from + x * (ptrdiff_t)pixel, size);
    }
}

// Output columns from `begin` up to `end` (excluded) have all their taps of a kernel row inside the image row.
struct gather_interior {
    size_t begin, end;
};

static inline struct gather_interior gather_interior(const struct eo_window *w) {
    const size_t room = w->input_width + w->padding_left;
    const size_t begin = (w->padding_left + w->stride_width - 1) / w->stride_width;
    const int contiguous = w->dilation_width == 1 && w->groups == 1 && room >= w->kernel_width;
    return (struct gather_interior){begin, contiguous ? (room - w->kernel_width) / w->stride_width + 1 : 0};
}

// One kernel row of `count` neighbouring pixels of an output row, the first in column `x`, at `place` of the rows.
SIMD void gather_line(const enum form form, const struct eo_gather *g, const uint8_t *from, size_t x, size_t count,
                      uint8_t *to, size_t place) {
    const struct eo_window *w = g->window;
    const size_t taps = w->kernel_width * w->input_channels * g->element_size;
    to += place;
    if (!from) {
        for (size_t i = 0; i < count; i++) gather_fill(form, g, to + i * g->row_stride, g->padding, taps);
        return;
    }
    const struct gather_interior inside = gather_interior(w);
    const size_t end = x + count, step = w->stride_width * w->groups * w->input_channels * g->element_size;
    const size_t padding = w->padding_left * w->groups * w->input_channels * g->element_size, stride = g->row_stride;
    while (x < end) {
        if (x >= inside.begin && x < inside.end) {
            const size_t last = end < inside.end ? end : inside.end;
            const uint8_t *pixel = from + (x * step - padding);
#ifdef BYTES_COPY_16
            // What is too much is overwritten by the next kernel row, or never read.
            if (form == PLAIN && taps <= 16 && place + 16 <= stride) {
                const uint8_t *end = from + w->input_width * w->input_channels * g->element_size;
                for (; x < last && end - pixel >= 16; x++, to += stride, pixel += step)
                    bytes_copy_16(to, pixel, g->flip);
            }
#endif
#ifdef BYTES_WIDEN_16
            if (form == WIDE && taps <= 16 && place + 32 <= stride) {
                const uint8_t *end = from + w->input_width * w->input_channels * g->element_size;
                for (; x < last && end - pixel >= 16; x++, to += stride, pixel += step)
                    bytes_widen_16((uint16_t *)to, pixel, g->flip);
            }
#endif
#ifdef BYTES_SPLIT_16
            if (form == SPLIT && taps <= 32 && place + 16 <= stride / 2) {
                const uint8_t *end = from + w->input_width * w->input_channels * g->element_size;
                for (; x < last && end - pixel >= 32; x++, to += stride, pixel += step)
                    bytes_split_16(to, to + stride / 2, pixel);
            }
#endif
            for (; x < last; x++, to += stride, pixel += step) gather_copy(form, g, to, pixel, taps);
        } else {
            gather_taps(form, g, from, (ptrdiff_t)(x * w->stride_width) - (ptrdiff_t)w->padding_left, to);
            x++, to += stride;
        }
    }
}

SIMD void gather_rows(const enum form form, const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t size = w->input_channels * g->element_size;
    const size_t row = w->input_width * w->groups * size, taps = w->kernel_width * size;
    size_t x = g->first % w->output_width, y = g->first / w->output_width % w->output_height;
    const uint8_t *image =
        (const uint8_t *)g->input + g->first / w->output_width / w->output_height * (w->input_height * row);
    uint8_t *to = g->rows;
    for (size_t done = 0, count; done < g->pixels; done += count, to += count * g->row_stride) {
        count = w->output_width - x < g->pixels - done ? w->output_width - x : g->pixels - done;
        ptrdiff_t line = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        for (size_t j = 0; j < w->kernel_height; j++, line += w->dilation_height) {
            const int inside = line >= 0 && line < (ptrdiff_t)w->input_height;
            gather_line(form, g, inside ? image + line * (ptrdiff_t)row : NULL, x, count, to,
                        gather_place(form, j * taps));
        }
        if (g->fill > 0)
            for (size_t i = 0; i < count; i++)
                gather_fill(form, g, to + i * g->row_stride + gather_place(form, w->kernel_height * taps), 0, g->fill);
        x = 0;
        if (++y < w->output_height) continue;
        y = 0;
        image += w->input_height * row;
    }
}
