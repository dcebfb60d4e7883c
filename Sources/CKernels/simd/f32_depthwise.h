// Bodies of the float depthwise convolutions over a float vocabulary. Include after the vocabulary.
#include "depthwise.h"

// Vocabularies that define BFLOATS have both, for images that are bfloat16 if `rounded`.
#ifndef BFLOATS
SIMD vec depthwise_load(const void *p, const bool rounded, size_t part) {
    (void)rounded;
    return part ? vec_load_part(p, part) : vec_load(p);
}
SIMD void vec_store_image(void *p, vec x, bool rounded, size_t part) {
    (void)rounded;
    if (part)
        vec_store_part(p, x, part);
    else
        vec_store(p, x);
}
#endif

SIMD void depthwise_store(const struct eo_f32_gemm_parameters *parameters, vec x, void *output, bool rounded,
                          size_t part) {
    const vec y = vec_clamp(x, vec_set(parameters->minimum), vec_set(parameters->maximum));
    vec_store_image(output, y, rounded, part);
}

// ------------------------------------------------------------------------------------------------------- single pixels

// `vectors` vectors of channels of `pixels` neighbours, enough chains of additions to keep the multipliers busy; with
// `part`, only the first `part` lanes of the one vector there is.
SIMD void depthwise_tile(const int pixels, const int vectors, const struct eo_depthwise_run *r, size_t pixel,
                         size_t channel, size_t part) {
    const size_t stride = eo_depthwise_stride(r->channels);
    const float *w = (const float *)r->weights + channel;
    vec sum[4][2];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++)
#pragma clang loop unroll(full)
        for (int i = 0; i < pixels; i++) sum[i][j] = vec_load(w + j * LANES);
    for (size_t t = 0; t < r->taps; t++) {
        w += stride;
        const char *x = (const char *)r->tap[t] + pixel * r->step[t] + channel * sizeof(float);
#pragma clang loop unroll(full)
        for (int i = 0; i < pixels; i++, x += r->step[t]) {
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++)
                sum[i][j] = vec_fma(depthwise_load((const float *)x + j * LANES, false, part), vec_load(w + j * LANES),
                                    sum[i][j]);
        }
    }
    char *output = (char *)r->output + pixel * r->output_stride + channel * sizeof(float);
#pragma clang loop unroll(full)
    for (int i = 0; i < pixels; i++, output += r->output_stride) {
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            depthwise_store(r->parameters, sum[i][j], (float *)output + j * LANES, false, part);
    }
}

SIMD void depthwise_pixels(const int pixels, const struct eo_depthwise_run *r, size_t pixel) {
    size_t channel = 0;
    for (; channel + 2 * LANES <= r->channels; channel += 2 * LANES) depthwise_tile(pixels, 2, r, pixel, channel, 0);
    for (; channel + LANES <= r->channels; channel += LANES) depthwise_tile(pixels, 1, r, pixel, channel, 0);
    if (channel < r->channels) depthwise_tile(pixels, 1, r, pixel, channel, r->channels - channel);
}

SIMD void depthwise_run(const struct eo_depthwise_run *r) {
    size_t pixel = 0;
    for (; pixel + 4 <= r->pixels; pixel += 4) depthwise_pixels(4, r, pixel);
    for (; pixel < r->pixels; pixel++) depthwise_pixels(1, r, pixel);
}

// --------------------------------------------------------------------------------------------------------------- lines

// An image, or every so many-th pixel of its lines, and of every so many-th of these, if the kernel is dilated
// likewise: `window` counts what is left. Bytes from pixel to pixel and from line to line.
struct view {
    const struct eo_f32_depthwise_lines *lines;
    struct eo_window window;
    const char *input;
    char *output;
    size_t input_pixel, input_line, output_pixel, output_line;
};

// A rectangle of output pixels, and the input pixels under it.
struct rectangle {
    const struct view *view;
    char *output; // of the first pixel
    size_t height, width;
    ptrdiff_t top, left; // input position under the first tap of the first pixel
    size_t rows, columns;
    size_t copied; // vectors of channels of an input pixel in a copy
};

// Input pixels of a rectangle, `vectors` vectors of channels of each, side by side: no bounds, and no lines of the
// cache that share a set. What lies outside the image is zero already.
static __attribute__((noinline)) TARGET void copy_channels(const struct rectangle *r, size_t channel, size_t vectors,
                                                           size_t part) {
    const struct view *v = r->view;
    const struct eo_window *w = &v->window;
    const bool rounded = v->lines->input_is_rounded;
    const size_t element = rounded ? 2 : 4;
    const ptrdiff_t height = (ptrdiff_t)w->input_height, width = (ptrdiff_t)w->input_width;
    const size_t first = r->left < 0 ? (size_t)-r->left : 0;
    const ptrdiff_t end = width - r->left < (ptrdiff_t)r->columns ? width - r->left : (ptrdiff_t)r->columns;
    for (size_t row = 0; row < r->rows; row++) {
        const ptrdiff_t y = r->top + (ptrdiff_t)row;
        if (y < 0 || y >= height) continue;
        float *to = v->lines->scratch + (row * r->columns + first) * r->copied * LANES;
        const char *from = v->input + (size_t)y * v->input_line +
                           (size_t)(r->left + (ptrdiff_t)first) * v->input_pixel + channel * element;
        for (ptrdiff_t x = (ptrdiff_t)first; x < end; x++, to += r->copied * LANES, from += v->input_pixel)
            for (size_t i = 0; i < vectors; i++)
                vec_store(to + i * LANES, depthwise_load(from + i * LANES * element, rounded, part));
    }
}

// How many neighbouring pixels are summed together: as many chains of additions keep the multipliers busy, and share
// what they load. Fewer than that are summed one by one. Lines of the cache come fastest some at a time, so as many
// vectors of channels go together through a rectangle.
enum { MAX_SIZE = 5, NEIGHBOURS = 7, VECTORS_TOGETHER = 8 };

// Some channels of the input pixels of a rectangle, in the image or in a copy. What lies outside of `height` and
// `width` is zero.
struct pixels {
    const float *first;
    ptrdiff_t pixel, line; // floats to the next
    ptrdiff_t height, width;
    ptrdiff_t top, left; // where the first tap of the rectangle's first pixel is
};
static const _Alignas(64) float outside[LANES];

// Rounded, or a part of their channels.
static __attribute__((noinline)) TARGET void store_pixels(const struct view *v, int count, const float *sums,
                                                          char *output, size_t part) {
    for (; count > 0; count--, sums += LANES, output += v->output_pixel)
        depthwise_store(&v->lines->parameters, vec_load(sums), output, v->lines->output_is_rounded, part);
}

// A vector of channels of `count` neighbouring pixels, of which the first one's first tap is at line `y`, column `x`;
// `weights` is the bias, before the weights. `size`, `count` and `step` are constants where this is called, or `count`
// is 1. At an `edge` whole lines may be outside the image, and of the others the taps that some of these pixels lack.
SIMD void convolve_pixels(const int size, const int count, const int step, const int edge, const struct rectangle *r,
                          const struct pixels pixels, ptrdiff_t y, ptrdiff_t x, const float *weights, char *output,
                          size_t part) {
    const struct view *v = r->view;
    const struct eo_window *w = &v->window;
    const size_t stride = eo_depthwise_stride(w->input_channels);
    const ptrdiff_t next_row = (ptrdiff_t)w->dilation_height;
    const ptrdiff_t next_tap = count > 1 ? pixels.pixel : (ptrdiff_t)w->dilation_width * pixels.pixel;
    const int taps = (count - 1) * step + size;
    vec sum[NEIGHBOURS];
#pragma clang loop unroll(full)
    for (int p = 0; p < count; p++) sum[p] = vec_load(weights);
        // A kernel row after the other: all of them at once, and compilers sum one pixel after the other.
#pragma clang loop unroll(disable)
    for (int j = 0; j < size; j++, y += next_row) {
        const bool is_there = !edge || (y >= 0 && y < pixels.height);
        const float *line = is_there ? pixels.first : outside;
        const ptrdiff_t at = is_there ? y * pixels.line + x * pixels.pixel : 0, tap = is_there ? next_tap : 0;
        vec weight[MAX_SIZE];
#pragma clang loop unroll(full)
        for (int i = 0; i < size; i++) weight[i] = vec_load(weights += stride);
#pragma clang loop unroll(full)
        for (int u = 0; u < taps; u++) {
            const bool is_outside = (u < size - 1 && x < -u) || (u > taps - size && x >= pixels.width - u);
            const vec one = vec_load(edge && is_outside ? outside : line + (at + u * tap));
#pragma clang loop unroll(full)
            for (int p = 0; p < count; p++) {
                const int i = u - p * step;
                if (i >= 0 && i < size) sum[p] = vec_fma(one, weight[i], sum[p]);
            }
        }
    }
    if (part || v->lines->output_is_rounded) {
        float sums[NEIGHBOURS * LANES];
#pragma clang loop unroll(full)
        for (int p = 0; p < count; p++) vec_store(sums + p * LANES, sum[p]);
        store_pixels(v, count, sums, output, part);
        return;
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < count; p++)
        depthwise_store(&v->lines->parameters, sum[p], output + (size_t)p * v->output_pixel, false, 0);
}

// `vectors` vectors of channels of a rectangle, from `channel` on. `size` and `step` are constants where this is
// called; `step` is the stride, or 0 if pixels are summed one by one.
SIMD void convolve_channels(const int size, const int step, const int edge, const struct rectangle *r,
                            struct pixels pixels, size_t channel, size_t vectors, size_t part) {
    const struct view *view = r->view;
    const struct eo_window *w = &view->window;
    const size_t element = view->lines->output_is_rounded ? 2 : 4;
    const float *first = pixels.first;
    ptrdiff_t y = pixels.top;
    for (size_t i = 0; i < r->height; i++, y += (ptrdiff_t)w->stride_height) {
        const float *weights = (const float *)view->lines->weights + channel;
        char *output = r->output + i * view->output_line + channel * element;
        pixels.first = first;
        for (size_t v = 0; v < vectors; v++) {
            if (step > 0)
                convolve_pixels(size, NEIGHBOURS, step, edge, r, pixels, y, pixels.left, weights, output, part);
            for (size_t j = 0; j < r->width && step == 0; j++)
                convolve_pixels(size, 1, 1, 0, r, pixels, y, pixels.left + (ptrdiff_t)(j * w->stride_width), weights,
                                output + j * view->output_pixel, part);
            pixels.first += LANES, weights += LANES, output += LANES * element;
        }
    }
}

// The stride of pixels that share inputs, or 0.
SIMD size_t shared_stride(const struct rectangle *r) {
    const struct eo_window *w = &r->view->window;
    return w->dilation_width == 1 && r->width == NEIGHBOURS && w->stride_width <= 2 ? w->stride_width : 0;
}

SIMD void convolve(const int size, const int edge, const struct rectangle *r, const struct pixels pixels,
                   size_t channel, size_t vectors, size_t part) {
    const size_t stride = shared_stride(r);
    if (stride == 1)
        convolve_channels(size, 1, edge, r, pixels, channel, vectors, part);
    else if (stride == 2)
        convolve_channels(size, 2, edge, r, pixels, channel, vectors, part);
    else if (!edge)
        convolve_channels(size, 0, edge, r, pixels, channel, vectors, part);
}

SIMD bool is_inside(const struct rectangle *r) {
    const struct eo_window *w = &r->view->window;
    return r->top >= 0 && r->left >= 0 && r->top + (ptrdiff_t)r->rows <= (ptrdiff_t)w->input_height &&
           r->left + (ptrdiff_t)r->columns <= (ptrdiff_t)w->input_width;
}

// Whether a copy costs less than lines of the cache that share a set: of pixels a multiple of 2048 bytes apart, say, a
// line of output pixels reads more of them than a first-level cache holds, and each is fetched anew for every tap and
// every vector in it. By a stride a pixel has fewer taps.
SIMD bool lines_collide(const int size, const struct rectangle *r) {
    enum { WAYS = 8, PERIOD = 4096, WORTH = sizeof(vec) < 64 ? 1 : 2 };
    const size_t pixel = r->view->input_pixel | PERIOD, apart = pixel & -pixel;
    return size * r->columns > WAYS * (PERIOD / apart) * r->view->window.stride_width * WORTH;
}

// The channels of the input pixels, from `channel` on, where they lie.
SIMD struct pixels pixels_of_image(const struct rectangle *r, size_t channel) {
    const struct view *v = r->view;
    return (struct pixels){.first = (const float *)v->input + channel,
                           .pixel = (ptrdiff_t)(v->input_pixel / sizeof(float)),
                           .line = (ptrdiff_t)(v->input_line / sizeof(float)),
                           .height = (ptrdiff_t)v->window.input_height,
                           .width = (ptrdiff_t)v->window.input_width,
                           .top = r->top,
                           .left = r->left};
}

// Whole vectors of floats are read where they lie, others from a copy.
SIMD void rectangle_run(const int size, struct rectangle *r) {
    const struct eo_window *w = &r->view->window;
    const size_t channels = w->input_channels, area = r->rows * r->columns;
    const ptrdiff_t rows = (ptrdiff_t)r->rows, columns = (ptrdiff_t)r->columns, width = (ptrdiff_t)w->input_width;
    float *scratch = r->view->lines->scratch;
    const bool inside = is_inside(r), lacks_taps = r->left > -size && r->left + columns < width + size;
    const bool copies =
        r->view->lines->input_is_rounded || !(inside || (shared_stride(r) > 0 && lacks_taps)) || lines_collide(size, r);
    const size_t room = EO_DEPTHWISE_SCRATCH / (LANES * sizeof(float)) / area;
    const size_t most = copies && room < VECTORS_TOGETHER ? room : VECTORS_TOGETHER;
    r->copied = copies && channels > LANES ? most : 1;
    for (size_t i = 0; i < area * r->copied && !inside && (copies || channels % LANES); i++)
        vec_store(scratch + i * LANES, vec_set(0));
    for (size_t channel = 0, vectors; channel < channels; channel += vectors * LANES) {
        const size_t left = channels - channel, part = left < LANES ? left : 0;
        const ptrdiff_t pixel = (ptrdiff_t)(r->copied * LANES);
        struct pixels pixels = {scratch, pixel, columns * pixel, rows, columns, 0, 0};
        const bool is_copied = copies || part > 0;
        vectors = part ? 1 : left / LANES < most ? left / LANES : most;
        if (is_copied)
            copy_channels(r, channel, vectors, part);
        else
            pixels = pixels_of_image(r, channel);
        if (inside || is_copied)
            convolve(size, 0, r, pixels, channel, vectors, part);
        else
            convolve(size, 1, r, pixels, channel, vectors, 0);
    }
}

// Of a side of a rectangle: its input pixels stay in the nearest cache whatever lies between them, and most rectangles
// of a large image read it as it lies. The image sizes of networks for 224 x 224 images are multiples of NEIGHBOURS.
static inline size_t smallest(size_t a, size_t b) {
    const size_t side = a < b ? a : b;
    return side < NEIGHBOURS ? side : NEIGHBOURS;
}

// Output lines `first` to `end`.
SIMD void lines_of_view(const int size, const struct view *v, size_t first, size_t end) {
    const struct eo_window *w = &v->window;
    const size_t room = EO_DEPTHWISE_SCRATCH / (LANES * sizeof(float));
    const size_t span = (w->kernel_height - 1) * w->dilation_height + 1;
    const size_t breadth = (w->kernel_width - 1) * w->dilation_width + 1;
    // As many columns as leave room for a few lines.
    const size_t most = room / (span + 3 * w->stride_height);
    const size_t width = smallest(most > breadth ? (most - breadth) / w->stride_width + 1 : 1, w->output_width);
    struct rectangle r = {.view = v, .width = width, .columns = (width - 1) * w->stride_width + breadth};
    const size_t deepest = smallest((room / r.columns - span) / w->stride_height + 1, end - first);
    for (size_t y = first; y < end; y += r.height) {
        r.height = end - y < deepest ? end - y : deepest;
        r.rows = (r.height - 1) * w->stride_height + span;
        r.top = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        for (size_t x = 0; x < w->output_width; x += width) {
            // The last ones go with some that are done already.
            if (x + width > w->output_width) x = w->output_width - width;
            r.left = (ptrdiff_t)(x * w->stride_width) - (ptrdiff_t)w->padding_left;
            r.output = v->output + y * v->output_line + x * v->output_pixel;
            rectangle_run(size, &r);
        }
    }
}

// Every `step`-th place, from number `phase` on, of a side of the output, and what the kernel's taps meet there.
struct side {
    size_t input, output, padding; // places left
    size_t first;                  // the first one of the input
};
static inline struct side side_of(size_t step, size_t phase, size_t input, size_t output, size_t padding) {
    const size_t before = padding > phase ? (padding - phase + step - 1) / step : 0;
    const size_t first = phase + before * step - padding;
    return (struct side){input > first ? (input - first + step - 1) / step : 0,
                         output > phase ? (output - phase + step - 1) / step : 0, before, first};
}

// Lines `first` to `end` of one image, those pixels that `down` and `across` are numbers of.
SIMD void run_phase(const struct eo_f32_depthwise_lines *l, size_t image, size_t first, size_t end, size_t down,
                    size_t across) {
    const struct eo_window *w = l->window;
    const size_t steps = eo_f32_depthwise_phases(w, w->dilation_height);
    const size_t strides = eo_f32_depthwise_phases(w, w->dilation_width);
    const size_t input_pixel = w->input_channels * (l->input_is_rounded ? 2 : 4);
    const size_t output_pixel = w->output_channels * (l->output_is_rounded ? 2 : 4);
    const size_t input_line = w->input_width * input_pixel, output_line = w->output_width * output_pixel;
    const struct side rows = side_of(steps, down, w->input_height, w->output_height, w->padding_top);
    const struct side columns = side_of(strides, across, w->input_width, w->output_width, w->padding_left);
    struct view v = {.lines = l, .window = *w};
    v.window.input_height = rows.input, v.window.output_height = rows.output, v.window.padding_top = rows.padding;
    v.window.input_width = columns.input, v.window.output_width = columns.output;
    v.window.padding_left = columns.padding;
    v.window.dilation_height /= steps, v.window.dilation_width /= strides;
    v.input =
        (const char *)l->input + (image * w->input_height + rows.first) * input_line + columns.first * input_pixel;
    v.output = (char *)l->output + (image * w->output_height + down) * output_line + across * output_pixel;
    v.input_pixel = strides * input_pixel, v.input_line = steps * input_line;
    v.output_pixel = strides * output_pixel, v.output_line = steps * output_line;
    first = first > down ? (first - down + steps - 1) / steps : 0;
    end = end > down ? (end - down + steps - 1) / steps : 0;
    if (first >= end || columns.output == 0) return;
    if (w->kernel_width == 3)
        lines_of_view(3, &v, first, end);
    else
        lines_of_view(5, &v, first, end);
}

SIMD void depthwise_lines(const struct eo_f32_depthwise_lines *l) {
    const struct eo_window *w = l->window;
    const size_t steps = eo_f32_depthwise_phases(w, w->dilation_height);
    const size_t strides = eo_f32_depthwise_phases(w, w->dilation_width);
    const size_t height = w->output_height, end = l->first + l->count;
    for (size_t line = l->first, next; line < end; line = next) {
        const size_t image = line / height;
        next = (image + 1) * height < end ? (image + 1) * height : end;
        // Those beyond the output have no pixels.
        for (size_t down = 0; down < steps && down < height; down++)
            for (size_t across = 0; across < strides && across < w->output_width; across++)
                run_phase(l, image, line - image * height, next - image * height, down, across);
    }
}
