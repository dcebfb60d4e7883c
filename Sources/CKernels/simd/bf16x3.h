// Rows of floats split into three bfloat16 parts or rounded to one, see eo_bf16x3_gemm in gemm.h, over a vocabulary of
// one function, and TARGET: split_step(x, count, parts, to) makes of the `count` floats at `x`, zeros behind them up to
// 32, a line of 64 bytes for each part, EO_BF16X3_TILE apart.
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
    size_t parts, count;
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
        split_step(floats, STEP, s->parts, s->to);
        s->to += s->parts * EO_BF16X3_TILE, s->count = 0;
    }
}

// A tap of some rows, from null: zeros. All rows of a step, then the next. Returns where the tap's steps end.
static __attribute__((noinline)) TARGET char *split_tap(const float *const *from, size_t rows, size_t channels,
                                                        size_t parts, char *to) {
    for (size_t c = 0; c < channels; c += STEP, to += parts * EO_BF16X3_TILE) {
        const size_t count = channels - c < STEP ? channels - c : STEP;
        for (size_t i = 0; i < rows; i++)
            split_step(from[i] ? from[i] + c : no_floats, count, parts, to + i * EO_BF16X3_LINE);
    }
    return to;
}

// Steps that end with a tap, or with the only one.
SIMD void split_taps(const struct windows *s, size_t parts, char *to) {
    const struct eo_window *w = s->window;
    for (size_t tap = 0; tap < w->kernel_height * w->kernel_width; tap++) {
        const float *from[SIDE];
        for (size_t i = 0; i < s->count; i++) from[i] = tap_of(s, i, tap / w->kernel_width, tap % w->kernel_width);
        to = split_tap(from, s->count, w->input_channels, parts, to);
    }
}

// Rows are pixels that follow one another.
SIMD bool is_pointwise(const struct eo_window *w) {
    return w->kernel_height * w->kernel_width == 1 && w->stride_height == 1 && w->stride_width == 1 &&
           w->padding_top == 0 && w->padding_left == 0 && w->output_width == w->input_width &&
           (w->batch == 1 || w->output_height == w->input_height);
}

SIMD void split_pixels(const struct eo_gather *g, size_t first, size_t count, char *to) {
    const size_t channels = g->window->input_channels;
    const float *from[SIDE];
    for (size_t i = 0; i < count; i++) from[i] = (const float *)g->input + (first + i) * g->window->groups * channels;
    split_tap(from, count, channels, g->parts, to);
}

// Steps with the end of one tap and the beginning of the next.
SIMD void split_row(const struct windows *s, size_t pixel, size_t parts, size_t fill, char *to) {
    const struct eo_window *w = s->window;
    struct splitting row = {.to = to, .parts = parts, .count = 0};
    for (size_t tap = 0; tap < w->kernel_height * w->kernel_width; tap++)
        split_piece(&row, tap_of(s, pixel, tap / w->kernel_width, tap % w->kernel_width), w->input_channels);
    split_piece(&row, NULL, fill);
}

SIMD void split_rows(const struct eo_gather *g) {
    const struct eo_window *w = g->window;
    const size_t height = eo_bf16x3_height(g->pixels), depth = w->kernel_height * w->kernel_width * w->input_channels;
    const size_t parts = g->parts, fill = g->row_stride / (parts * sizeof(uint16_t)) - depth;
    const bool by_taps = w->input_channels % STEP == 0 || w->kernel_height * w->kernel_width == 1;
    const bool pointwise = is_pointwise(w);
    char *to = g->rows;
    for (size_t left = (g->pixels + 2 * SIDE - 1) / (2 * SIDE) * 2, first = 0; left > 0; left--, first += height) {
        // A tile of rounded numbers is a whole one: the last ones share rows with those before.
        if (parts == 1 && first + height > g->pixels) first = g->pixels - height;
        if (first >= g->pixels) break;
        const size_t count = g->pixels - first < height ? g->pixels - first : height;
        if (pointwise) {
            split_pixels(g, g->first + first, count, to);
        } else {
            const struct windows s = windows_of(g, g->first + first, count);
            if (by_taps)
                split_taps(&s, parts, to);
            else
                for (size_t i = 0; i < count; i++) split_row(&s, i, parts, fill, to + i * EO_BF16X3_LINE);
        }
        to += SIDE * g->row_stride;
    }
}
