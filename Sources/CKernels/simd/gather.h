// Body of the gathering of convolution rows over a byte vocabulary. `form` is a constant where these are called.
#include "convolution.h"
#include <string.h>

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
#ifdef BYTES_WIDEN
    if (form == WIDE) bytes_widen((uint16_t *)to, from, count, g->flip);
#endif
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

SIMD void gather_fills(const enum form form, const struct eo_gather *g, uint8_t *to, uint8_t value, size_t count,
                       size_t rows) {
    for (size_t i = 0; count > 0 && i < rows; i++, to += g->row_stride) gather_fill(form, g, to, value, count);
}

// Taps that are neighbours in the image are copied as one run, others each by itself.
struct gather_run {
    size_t count; // taps
    size_t size;  // bytes of each, in the image
    size_t pixel; // bytes from column to column of the image
    size_t row;   // bytes of an image row
};

static inline struct gather_run gather_run(const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t size = w->input_channels * g->element_size, pixel = w->groups * size;
    const size_t count = w->dilation_width == 1 && w->groups == 1 ? w->kernel_width : 1;
    return (struct gather_run){.count = count, .size = size, .pixel = pixel, .row = w->input_width * pixel};
}

// A run whose first tap is in column `x` of the image row, some of its taps perhaps outside.
SIMD void gather_taps(const enum form form, const struct eo_gather *g, const struct gather_run *run,
                      const uint8_t *from, ptrdiff_t x, uint8_t *to) {
    for (size_t tap = 0; tap < run->count; tap++, x++, to += gather_place(form, run->size)) {
        if (x < 0 || x >= (ptrdiff_t)g->window->input_width)
            gather_fill(form, g, to, g->padding, run->size);
        else
            gather_copy(form, g, to, from + x * (ptrdiff_t)run->pixel, run->size);
    }
}

// Output columns from `begin` up to `end` (excluded) have all their taps of a run inside the image row.
struct gather_interior {
    ptrdiff_t begin, end;
};

// `column`: that of the run's first tap for output column 0.
static inline struct gather_interior gather_interior(const struct eo_window *w, ptrdiff_t taps, ptrdiff_t column) {
    const ptrdiff_t stride = (ptrdiff_t)w->stride_width, room = (ptrdiff_t)w->input_width - taps - column;
    if (stride == 1) return (struct gather_interior){-column, room + 1};
    return (struct gather_interior){column < 0 ? (stride - 1 - column) / stride : 0, room < 0 ? 0 : room / stride + 1};
}

// While a whole vector lies in the image row and in what is left of the gathered one. What is too much is overwritten
// by the next run, or never read.
#define GATHER_VECTORS(FORM, bytes, written, copy)                                                                     \
    if (form == FORM && size <= bytes && place + written <= (form == SPLIT ? stride / 2 : stride))                     \
        for (; i < last && from + run->row - pixel >= bytes; i++, to += stride, pixel += step) copy;

// One run of `count` neighbouring pixels of an output row, the first in column `x`, at `place` of the rows; `column` of
// the image has the run's first tap for output column 0.
SIMD void gather_line(const enum form form, const struct eo_gather *g, const struct gather_run *run,
                      const uint8_t *from, ptrdiff_t column, size_t x, size_t count, uint8_t *to, size_t place) {
    const struct eo_window *w = g->window;
    const struct gather_interior inside = gather_interior(w, (ptrdiff_t)run->count, column);
    const size_t size = run->count * run->size, step = w->stride_width * run->pixel, stride = g->row_stride;
    const ptrdiff_t end = (ptrdiff_t)(x + count);
    to += place;
    for (ptrdiff_t i = (ptrdiff_t)x; i < end;) {
        const ptrdiff_t at = i * (ptrdiff_t)w->stride_width + column;
        if (i < inside.begin || i >= inside.end) {
            gather_taps(form, g, run, from, at, to);
            i++, to += stride;
            continue;
        }
        const ptrdiff_t last = end < inside.end ? end : inside.end;
        const uint8_t *pixel = from + at * (ptrdiff_t)run->pixel;
#ifdef BYTES_COPY_16
        GATHER_VECTORS(PLAIN, 16, 16, bytes_copy_16(to, pixel, g->flip))
#endif
#ifdef BYTES_SPLIT_16
        GATHER_VECTORS(SPLIT, 32, 16, bytes_split_16(to, to + stride / 2, pixel))
#endif
        for (; i < last; i++, to += stride, pixel += step) gather_copy(form, g, to, pixel, size);
    }
}
#undef GATHER_VECTORS

SIMD void gather_rows(const enum form form, const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const struct gather_run run = gather_run(g);
    const size_t taps = w->kernel_width * run.size;
    size_t x = g->first % w->output_width, y = g->first / w->output_width % w->output_height;
    const uint8_t *image =
        (const uint8_t *)g->input + g->first / w->output_width / w->output_height * (w->input_height * run.row);
    uint8_t *to = g->rows;
    for (size_t done = 0, count; done < g->pixels; done += count, to += count * g->row_stride) {
        count = w->output_width - x < g->pixels - done ? w->output_width - x : g->pixels - done;
        ptrdiff_t line = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        for (size_t j = 0; j < w->kernel_height; j++, line += w->dilation_height) {
            if (line < 0 || line >= (ptrdiff_t)w->input_height) {
                gather_fills(form, g, to + gather_place(form, j * taps), g->padding, taps, count);
                continue;
            }
            const uint8_t *from = image + line * (ptrdiff_t)run.row;
            for (size_t tap = 0; tap < w->kernel_width; tap += run.count)
                gather_line(form, g, &run, from, (ptrdiff_t)(tap * w->dilation_width) - (ptrdiff_t)w->padding_left, x,
                            count, to, gather_place(form, j * taps + tap * run.size));
        }
        gather_fills(form, g, to + gather_place(form, w->kernel_height * taps), 0, g->fill, count);
        x = 0;
        if (++y < w->output_height) continue;
        y = 0;
        image += w->input_height * run.row;
    }
}

#ifdef BYTES_MAGNITUDES
// Rows are the image's pixels, one after the other.
static inline bool gather_is_dense(const struct eo_window *w) {
    return w->kernel_height * w->kernel_width * w->stride_height * w->stride_width * w->groups == 1 &&
           w->output_height == w->input_height && w->output_width == w->input_width && w->padding_top == 0 &&
           w->padding_left == 0;
}

SIMD void row_magnitudes(const struct eo_gather *g, uint8_t *row, const uint8_t *from, size_t count, uint8_t flip) {
    const int32_t sum = bytes_magnitudes(row, from, count, flip);
    memcpy(row + 2 * (count + g->fill), &sum, sizeof sum);
}

// Rows become magnitudes where they lie; dense ones on their way there, as long as whole vectors can be read.
SIMD void gather_magnitudes(const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t count = w->kernel_height * w->kernel_width * w->input_channels;
    struct eo_gather rest = *g;
    rest.fill = 0;
    uint8_t *row = g->rows;
    if (gather_is_dense(w)) {
        const uint8_t *from = (const uint8_t *)g->input + g->first * count;
        size_t readable = (w->batch * w->input_height * w->input_width - g->first) * count;
        for (; rest.pixels > 0 && readable >= count + MAGNITUDES_READ; readable -= count) {
            row_magnitudes(g, row, from, count, g->flip);
            rest.first++, rest.pixels--, from += count, row += g->row_stride;
        }
        rest.rows = row;
    }
    if (rest.pixels > 0) gather_rows(PLAIN, &rest);
    for (; rest.pixels > 0; rest.pixels--, row += g->row_stride) row_magnitudes(g, row, row, count, 0);
}
#endif
