#include "training.h"

#include <string.h>

// Pixels whose rows are multiplied at a time: the packed rows of a chunk stay in the second-level cache.
enum { PIXELS = 128, CHUNK = 512, MAX_STRIPS = 16 };
// More strips are not worth their memory.
static const size_t strip_bytes = 8 << 20;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

void eo_f32_gemm_pack_block(int nr, const struct eo_strided_weights *w, size_t first, float *block) {
    const size_t count = smaller((size_t)nr, w->columns - first);
    memset(block, 0, nr * sizeof *block);
    if (w->bias) memcpy(block, w->bias + first, count * sizeof *block);
    for (size_t t = 0; t < w->taps; t++) {
        const float *from = w->weights + w->tap[t] + first * w->column_stride;
        for (size_t c = 0; c < w->channels; c++, from += w->depth_stride) {
            block += nr;
            if (w->column_stride == 1)
                memcpy(block, from, count * sizeof *block);
            else
                for (size_t j = 0; j < count; j++) block[j] = from[j * w->column_stride];
            memset(block + count, 0, (nr - count) * sizeof *block);
        }
    }
}

static size_t pixels(const struct eo_window *w) { return w->batch * w->output_height * w->output_width; }
static size_t chunks(const struct eo_filter_gradient *g) { return ceiling(g->depth, g->chunk_columns); }

// Parts of a worker's scratch memory.
static size_t rows_size(const struct eo_filter_gradient *g) { return g->gather ? lines(PIXELS * g->row_stride) : 0; }
static size_t packed_size(const struct eo_filter_gradient *g) {
    return lines(ceiling(g->chunk_columns, g->nr) * g->nr * (1 + PIXELS) * sizeof(float));
}
static size_t turned_size(const struct eo_filter_gradient *g) {
    return lines(g->window.output_channels * PIXELS * sizeof(float));
}
static size_t result_size(const struct eo_filter_gradient *g) {
    return lines(g->mr * g->chunk_columns * sizeof(float));
}

void eo_filter_gradient_plan(struct eo_filter_gradient *g) {
    const struct eo_window *w = &g->window;
    g->depth = w->kernel_height * w->kernel_width * w->input_channels;
    const size_t cache_lines = ceiling(g->depth * sizeof(float), 64);
    g->row_stride = (cache_lines % 16 == 0 ? cache_lines + 1 : cache_lines) * 64;
    g->chunk_columns = smaller(ceiling(g->depth, g->nr) * g->nr, CHUNK);
    const size_t size = w->groups * w->output_channels * g->depth * sizeof(float);
    size_t strips = smaller(MAX_STRIPS, ceiling(pixels(w), 4 * PIXELS));
    strips = larger(1, smaller(strips, strip_bytes / larger(1, size)));
    g->strip_pixels = ceiling(ceiling(pixels(w), strips), PIXELS) * PIXELS;
    g->strips = ceiling(pixels(w), g->strip_pixels);
    g->partial_size = g->strips > 1 ? g->strips * size : 0;
    g->slot_size = rows_size(g) + packed_size(g) + turned_size(g) + result_size(g);
}

size_t eo_filter_gradient_units(const struct eo_filter_gradient *g) { return g->window.groups * chunks(g) * g->strips; }

// dz of some pixels of a group, turned: a row for each output channel.
static void turn(const struct eo_window *w, const float *dz, size_t count, float *to) {
    enum { TILE = 16 };
    const size_t stride = w->groups * w->output_channels, channels = w->output_channels;
    for (size_t c = 0; c < channels; c += TILE)
        for (size_t p = 0; p < count; p += TILE)
            for (size_t j = c; j < channels && j < c + TILE; j++)
                for (size_t i = p; i < count && i < p + TILE; i++) to[j * PIXELS + i] = dz[i * stride + j];
}

// Some pixels times a chunk of columns of one group: added to `sums`, or with `first` stored there.
static void run_pixels(const struct eo_filter_gradient *g, size_t group, size_t column, size_t pixel, size_t count,
                       bool first, float *sums, char *slot) {
    const struct eo_window *w = &g->window;
    char *rows = slot;
    float *packed = (float *)(rows + rows_size(g)), *turned = (float *)((char *)packed + packed_size(g));
    float *result = (float *)((char *)turned + turned_size(g));
    const size_t columns = smaller(g->chunk_columns, g->depth - column), in_pixel = w->groups * w->input_channels;
    const float *input = g->input + group * w->input_channels;
    size_t stride = in_pixel;
    if (g->gather) {
        const struct eo_gather gather = {.window = w,
                                         .input = input,
                                         .first = pixel,
                                         .pixels = count,
                                         .element_size = sizeof(float),
                                         .rows = rows,
                                         .row_stride = g->row_stride};
        g->gather(&gather);
        input = (const float *)rows;
        stride = g->row_stride / sizeof(float);
    } else {
        input += pixel * in_pixel;
    }
    const size_t tap = 0;
    const struct eo_strided_weights b = {.weights = input + column,
                                         .tap = &tap,
                                         .taps = 1,
                                         .channels = count,
                                         .columns = columns,
                                         .depth_stride = stride,
                                         .column_stride = 1};
    for (size_t j = 0; j < columns; j += g->nr) eo_f32_gemm_pack_block((int)g->nr, &b, j, packed + j * (1 + count));
    turn(w, g->dz + pixel * w->groups * w->output_channels + group * w->output_channels, count, turned);
    const struct eo_f32_gemm_parameters open = {-__builtin_inff(), __builtin_inff()};
    for (size_t o = 0; o < w->output_channels; o += g->mr) {
        float *to = sums + o * g->depth + column;
        const struct eo_gemm_tile tile = {.rows = smaller(g->mr, w->output_channels - o),
                                          .columns = columns,
                                          .depth = count,
                                          .input = turned + o * PIXELS,
                                          .input_stride = PIXELS * sizeof(float),
                                          .weights = packed,
                                          .output = first ? to : result,
                                          .output_stride = (first ? g->depth : columns) * sizeof(float),
                                          .parameters = &open};
        g->run(&tile);
        if (first) continue;
        for (size_t i = 0; i < tile.rows; i++)
            for (size_t j = 0; j < columns; j++) to[i * g->depth + j] += result[i * columns + j];
    }
}

void eo_filter_gradient_work(struct eo_filter_gradient *g, size_t worker) {
    const struct eo_window *w = &g->window;
    const size_t units = eo_filter_gradient_units(g), all = pixels(w), filters = w->output_channels * g->depth;
    char *slot = (char *)g->scratch + worker * g->slot_size;
    for (;;) {
        const size_t unit = __atomic_fetch_add(&g->next, 1, __ATOMIC_RELAXED);
        if (unit >= units) return;
        const size_t strip = unit % g->strips, chunk = unit / g->strips % chunks(g);
        const size_t group = unit / g->strips / chunks(g), begin = strip * g->strip_pixels;
        float *sums = (g->strips > 1 ? g->partial + strip * w->groups * filters : g->dw) + group * filters;
        const size_t end = smaller(all, begin + g->strip_pixels);
        for (size_t pixel = begin; pixel < end; pixel += PIXELS)
            run_pixels(g, group, chunk * g->chunk_columns, pixel, smaller(PIXELS, end - pixel), pixel == begin, sums,
                       slot);
    }
}

void eo_filter_gradient_join(const struct eo_filter_gradient *g, size_t filter) {
    const size_t all = g->window.groups * g->window.output_channels * g->depth;
    float *dw = g->dw + filter * g->depth;
    memcpy(dw, g->partial + filter * g->depth, g->depth * sizeof *dw);
    for (size_t strip = 1; strip < g->strips; strip++) {
        const float *from = g->partial + strip * all + filter * g->depth;
        for (size_t i = 0; i < g->depth; i++) dw[i] += from[i];
    }
}
