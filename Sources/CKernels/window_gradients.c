#include "training.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t taps(const struct eo_window *w) { return w->kernel_height * w->kernel_width; }

// Output places along one dimension whose tap at distance `offset` from the window's beginning lies inside.
static size_t first_inside(size_t offset, size_t padding, size_t stride) {
    return offset >= padding ? 0 : (padding - offset + stride - 1) / stride;
}
static size_t end_inside(size_t offset, size_t padding, size_t stride, size_t input, size_t output) {
    return offset >= input + padding ? 0 : smaller(output, (input + padding - offset - 1) / stride + 1);
}

// sum[c] += products of one tap over pixels of a line.
static void add_tap(const struct eo_depthwise_gradient *g, size_t count, const float *x, const float *dz, float *sum) {
    const struct eo_window *w = &g->window;
    const size_t channels = w->input_channels, outputs = w->output_channels, step = w->stride_width * channels;
    if (outputs == channels) {
        g->kernels->add_products(count, channels, x, step, dz, outputs, sum);
        return;
    }
    for (size_t p = 0; p < count; p++)
        for (size_t o = 0; o < outputs; o++) sum[o] += x[p * step + o / (outputs / channels)] * dz[p * outputs + o];
}

void eo_depthwise_filter_gradient(const struct eo_depthwise_gradient *g, size_t strip) {
    const struct eo_window *w = &g->window;
    const size_t all = w->batch * w->output_height, outputs = w->output_channels;
    const size_t in_line = w->input_width * w->input_channels, out_line = w->output_width * outputs;
    float *sums = g->partial + strip * taps(w) * outputs;
    memset(sums, 0, taps(w) * outputs * sizeof *sums);
    for (size_t line = all * strip / g->strips; line < all * (strip + 1) / g->strips; line++) {
        const float *image = g->a + line / w->output_height * w->input_height * in_line;
        const float *dz = g->dz + line * out_line;
        for (size_t j = 0; j < w->kernel_height; j++) {
            const size_t y = line % w->output_height * w->stride_height + j * w->dilation_height - w->padding_top;
            if (y >= w->input_height) continue; // wrapped around where it lies above
            for (size_t i = 0; i < w->kernel_width; i++) {
                const size_t offset = i * w->dilation_width;
                const size_t first = first_inside(offset, w->padding_left, w->stride_width);
                const size_t end =
                    end_inside(offset, w->padding_left, w->stride_width, w->input_width, w->output_width);
                if (first >= end) continue;
                const size_t x = first * w->stride_width + offset - w->padding_left;
                add_tap(g, end - first, image + y * in_line + x * w->input_channels, dz + first * outputs,
                        sums + (j * w->kernel_width + i) * outputs);
            }
        }
    }
}

void eo_depthwise_filter_gradient_join(const struct eo_depthwise_gradient *g) {
    const size_t size = taps(&g->window) * g->window.output_channels;
    memcpy(g->result, g->partial, size * sizeof *g->result);
    for (size_t strip = 1; strip < g->strips; strip++)
        g->kernels->add_scaled(size, g->partial + strip * size, 1, g->result);
}

// Pairs of dz and filter that meet in one input pixel are handled so many at a time.
enum { PAIRS = 64 };

struct pairs {
    const struct eo_depthwise_gradient *gradient;
    size_t count;
    bool stored; // the pixel holds sums of earlier pairs
    const float *dz[PAIRS], *w[PAIRS];
};

static void flush(struct pairs *p, float *dx) {
    const struct eo_window *w = &p->gradient->window;
    const size_t channels = w->input_channels, multiplier = w->output_channels / channels;
    if (p->count == 0 && p->stored) return;
    if (multiplier == 1 && !p->stored) {
        p->gradient->kernels->sum_products(p->count, channels, p->dz, p->w, dx);
    } else {
        if (!p->stored) memset(dx, 0, channels * sizeof *dx);
        for (size_t t = 0; t < p->count; t++)
            for (size_t o = 0; o < channels * multiplier; o++) dx[o / multiplier] += p->dz[t][o] * p->w[t][o];
    }
    p->stored = true;
    p->count = 0;
}

// The output place that tap `tap` of input place `at` comes from; false: there is none.
static bool origin(size_t at, size_t tap, size_t padding, size_t dilation, size_t stride, size_t outputs,
                   size_t *place) {
    const size_t offset = tap * dilation;
    if (at + padding < offset || (at + padding - offset) % stride) return false;
    *place = (at + padding - offset) / stride;
    return *place < outputs;
}

void eo_depthwise_input_gradient(const struct eo_depthwise_gradient *g, size_t line) {
    const struct eo_window *w = &g->window;
    const size_t image = line / w->input_height, at = line % w->input_height, outputs = w->output_channels;
    for (size_t x = 0; x < w->input_width; x++) {
        struct pairs pairs;
        float *dx = g->result + (line * w->input_width + x) * w->input_channels;
        pairs.gradient = g, pairs.count = 0, pairs.stored = false;
        for (size_t j = 0; j < w->kernel_height; j++) {
            size_t row, column;
            if (!origin(at, j, w->padding_top, w->dilation_height, w->stride_height, w->output_height, &row)) continue;
            const float *dz = g->dz + (image * w->output_height + row) * w->output_width * outputs;
            for (size_t i = 0; i < w->kernel_width; i++) {
                if (!origin(x, i, w->padding_left, w->dilation_width, w->stride_width, w->output_width, &column))
                    continue;
                if (pairs.count == PAIRS) flush(&pairs, dx);
                pairs.dz[pairs.count] = dz + column * outputs;
                pairs.w[pairs.count++] = g->a + (j * w->kernel_width + i) * outputs;
            }
        }
        flush(&pairs, dx);
    }
}

// Rows and columns of a window, cut at the borders.
struct box {
    size_t top, bottom, left, right;
};

static struct box box(const struct eo_window *w, size_t row, size_t column) {
    const size_t y = row * w->stride_height, x = column * w->stride_width;
    return (struct box){y > w->padding_top ? y - w->padding_top : 0,
                        smaller(w->input_height, y + w->kernel_height - smaller(y + w->kernel_height, w->padding_top)),
                        x > w->padding_left ? x - w->padding_left : 0,
                        smaller(w->input_width, x + w->kernel_width - smaller(x + w->kernel_width, w->padding_left))};
}

// `count` windows from the one of `b` on.
static struct eo_pool_window windows_of(const struct eo_window *w, struct box b, size_t count) {
    return (struct eo_pool_window){.count = count,
                                   .step = w->stride_width * w->input_channels,
                                   .rows = b.bottom - b.top,
                                   .columns = b.right - b.left,
                                   .channels = w->input_channels,
                                   .row_stride = w->input_width * w->input_channels,
                                   .pixel_stride = w->input_channels};
}

// How many windows from `column` on are whole along their lines; 1 for one that is cut.
static size_t whole_windows(const struct eo_window *w, size_t column) {
    const size_t x = column * w->stride_width, edge = w->input_width + w->padding_left;
    if (x < w->padding_left || x + w->kernel_width > edge) return 1;
    return smaller(w->output_width - column, (edge - w->kernel_width - x) / w->stride_width + 1);
}

__attribute__((minsize)) void eo_max_pool(const struct eo_max_pool *p, size_t line) {
    const struct eo_window *w = &p->window;
    const size_t channels = w->input_channels, image = line / w->output_height * w->input_height * w->input_width;
    for (size_t column = 0, count; column < w->output_width; column += count) {
        count = whole_windows(w, column);
        const size_t at = (line * w->output_width + column) * channels;
        const struct box b = box(w, line % w->output_height, column);
        struct eo_pool_window window = windows_of(w, b, count);
        window.low = p->low, window.high = p->high;
        p->kernels->f32_max_pool_place(&window, p->x + (image + b.top * w->input_width + b.left) * channels, p->y + at,
                                       p->place + at);
    }
}

__attribute__((minsize)) void eo_max_pool_gradient(const struct eo_max_pool *p, size_t image) {
    const struct eo_window *w = &p->window;
    const size_t channels = w->input_channels, size = w->input_height * w->input_width * channels;
    // Each pixel is in one window.
    const bool covers = w->padding_top + w->padding_left == 0 && w->kernel_height == w->stride_height &&
                        w->kernel_width == w->stride_width && w->output_height * w->stride_height == w->input_height &&
                        w->output_width * w->stride_width == w->input_width;
    float *dx = p->dx + image * size;
    if (!covers) memset(dx, 0, size * sizeof *dx);
    for (size_t row = 0; row < w->output_height; row++)
        for (size_t column = 0, count; column < w->output_width; column += count) {
            count = whole_windows(w, column);
            const size_t at = ((image * w->output_height + row) * w->output_width + column) * channels;
            const struct box b = box(w, row, column);
            const struct eo_pool_window window = windows_of(w, b, count);
            p->kernels->f32_max_unpool(&window, p->place + at, p->dy + at,
                                       dx + (b.top * w->input_width + b.left) * channels, !covers);
        }
}

__attribute__((minsize)) void eo_average_pool_gradient(const struct eo_pool_gradient *g, size_t image) {
    const struct eo_window *w = &g->window;
    const size_t channels = w->input_channels, size = w->input_height * w->input_width * channels;
    float *dx = g->dx + image * size;
    memset(dx, 0, size * sizeof *dx);
    const float *dy = g->dy + image * w->output_height * w->output_width * channels;
    for (size_t row = 0; row < w->output_height; row++)
        for (size_t column = 0; column < w->output_width; column++, dy += channels) {
            const struct box b = box(w, row, column);
            const float share = 1.0f / (float)((b.bottom - b.top) * (b.right - b.left));
            for (size_t y = b.top; y < b.bottom; y++)
                for (size_t x = b.left; x < b.right; x++)
                    g->kernels->add_scaled(channels, dy, share, dx + (y * w->input_width + x) * channels);
        }
}
