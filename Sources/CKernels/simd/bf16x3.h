// Rows of floats split into three bfloat16 parts, see eo_bf16x3_gemm in gemm.h, over a vocabulary of one function, and
// TARGET: split_step(x, to) splits the 32 floats at `x` into lines of 64 bytes at to, to + 1024 and to + 2048.
#include "convolution.h"

enum { SIDE = EO_BF16X3_SIDE, STEP = EO_BF16X3_STEP, STEP_SIZE = EO_BF16X3_PARTS * EO_BF16X3_TILE };

static const _Alignas(64) float no_floats[STEP];

// Output pixels whose rows make a tile: the image each is in, and where in it its window begins.
struct windows {
    const struct eo_window *window;
    size_t count;
    const float *image[SIDE];
    ptrdiff_t top[SIDE], left[SIDE];
};

SIMD struct windows windows_of(const struct eo_gather *g, size_t first, size_t count) {
    const struct eo_window *w = g->window;
    struct windows s = {.window = w, .count = count};
    size_t x = first % w->output_width, y = first / w->output_width % w->output_height;
    size_t image = first / w->output_width / w->output_height;
    for (size_t i = 0; i < count; i++) {
        s.image[i] = (const float *)g->input + image * w->input_height * w->input_width * w->groups * w->input_channels;
        s.top[i] = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        s.left[i] = (ptrdiff_t)(x * w->stride_width) - (ptrdiff_t)w->padding_left;
        if (++x < w->output_width) continue;
        x = 0;
        if (++y < w->output_height) continue;
        y = 0, image++;
    }
    return s;
}

// The channels of a tap of a pixel; null outside the image.
SIMD const float *tap_of(const struct windows *s, size_t pixel, size_t row, size_t column) {
    const struct eo_window *w = s->window;
    const ptrdiff_t y = s->top[pixel] + (ptrdiff_t)(row * w->dilation_height);
    const ptrdiff_t x = s->left[pixel] + (ptrdiff_t)(column * w->dilation_width);
    if (y < 0 || y >= (ptrdiff_t)w->input_height || x < 0 || x >= (ptrdiff_t)w->input_width) return NULL;
    return s->image[pixel] + ((size_t)y * w->input_width + (size_t)x) * w->groups * w->input_channels;
}

// Floats that come in pieces, 32 at a time.
struct splitting {
    char *to;
    size_t count;
    float floats[STEP];
};

// From null: zeros.
static __attribute__((noinline)) TARGET void split_piece(struct splitting *s, const float *from, size_t count) {
    for (size_t taken; count > 0; count -= taken, from = from ? from + taken : NULL) {
        taken = count < STEP - s->count ? count : STEP - s->count;
        const float *floats = from && taken == STEP ? from : s->floats;
        if (floats != from)
            for (size_t i = 0; i < taken; i++) s->floats[s->count + i] = from ? from[i] : 0;
        s->count += taken;
        if (s->count < STEP) continue;
        split_step(floats, s->to);
        s->to += STEP_SIZE, s->count = 0;
    }
}

// Steps that end with a tap, or with the only one: all rows of a step, then the next.
SIMD void split_taps(const struct windows *s, size_t fill, char *to) {
    const struct eo_window *w = s->window;
    for (size_t tap = 0; tap < w->kernel_height * w->kernel_width; tap++) {
        const float *from[SIDE];
        for (size_t i = 0; i < s->count; i++) from[i] = tap_of(s, i, tap / w->kernel_width, tap % w->kernel_width);
        size_t c = 0;
        for (; c + STEP <= w->input_channels; c += STEP, to += STEP_SIZE)
            for (size_t i = 0; i < s->count; i++)
                split_step(from[i] ? from[i] + c : no_floats, to + i * EO_BF16X3_LINE);
        for (size_t i = 0; i < s->count && c < w->input_channels; i++) {
            struct splitting rest = {.to = to + i * EO_BF16X3_LINE, .count = 0};
            split_piece(&rest, from[i] ? from[i] + c : NULL, w->input_channels - c);
            split_piece(&rest, NULL, fill);
        }
    }
}

// Steps with the end of one tap and the beginning of the next.
SIMD void split_row(const struct windows *s, size_t pixel, size_t fill, char *to) {
    const struct eo_window *w = s->window;
    struct splitting row = {.to = to, .count = 0};
    for (size_t tap = 0; tap < w->kernel_height * w->kernel_width; tap++)
        split_piece(&row, tap_of(s, pixel, tap / w->kernel_width, tap % w->kernel_width), w->input_channels);
    split_piece(&row, NULL, fill);
}

SIMD void split_rows(const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t height = eo_bf16x3_height(g->pixels), depth = w->kernel_height * w->kernel_width * w->input_channels;
    const size_t fill = g->row_stride / (EO_BF16X3_PARTS * sizeof(uint16_t)) - depth;
    const bool by_taps = w->input_channels % STEP == 0 || w->kernel_height * w->kernel_width == 1;
    char *to = g->rows;
    for (size_t done = 0; done < g->pixels; done += height, to += SIDE * g->row_stride) {
        const size_t count = g->pixels - done < height ? g->pixels - done : height;
        const struct windows s = windows_of(g, g->first + done, count);
        if (by_taps)
            split_taps(&s, fill, to);
        else
            for (size_t i = 0; i < count; i++) split_row(&s, i, fill, to + i * EO_BF16X3_LINE);
    }
}
