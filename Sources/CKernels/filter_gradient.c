#include "training.h"

#include <string.h>

// Units of work for each thread of a large machine.
enum { UNITS = 16 };
// Pixels of a strip are worth adding its sums up.
enum { STRIP_PIXELS = 512 };
// Filters of a unit.
enum { CHUNK = 64 };
// Pixels of both factors that stay in the nearest cache while all taps pass by, and how many at least, so that fetching
// and storing the sums costs little.
static const size_t block_bytes = 32 << 10;
enum { BLOCK_PIXELS = 64 };
// More strips are not worth their memory.
static const size_t strip_bytes = 8 << 20;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t pixels(const struct eo_window *w) { return w->batch * w->output_height * w->output_width; }
static size_t filters(const struct eo_window *w) { return w->groups * w->output_channels; }
static size_t chunks(const struct eo_window *w) { return ceiling(w->output_channels, CHUNK); }
// Sums of a strip: the filters', then the biases'.
static size_t sums(const struct eo_filter_gradient *g) { return filters(&g->window) * (g->depth + 1); }

static bool is_pointwise(const struct eo_window *w) {
    return w->kernel_height * w->kernel_width * w->stride_height * w->stride_width == 1 &&
           w->padding_top + w->padding_left == 0 && w->output_height == w->input_height &&
           w->output_width == w->input_width;
}

void eo_filter_gradient_plan(struct eo_filter_gradient *g, size_t lanes) {
    const struct eo_window *w = &g->window;
    const size_t taps = w->kernel_width, channels = w->input_channels;
    g->depth = w->kernel_height * taps * channels;
    g->pixels = pixels(w);
    // Pixels as they lie need no lines.
    if (is_pointwise(w)) {
        g->window.output_width = g->window.input_width = BLOCK_PIXELS;
        g->window.output_height = g->window.input_height = ceiling(g->pixels, BLOCK_PIXELS);
        g->window.batch = 1;
    }
    // The taps of a kernel row lie side by side: fewer vectors, where a tap does not fill its own.
    g->joins_taps = taps > 1 && w->dilation_width == 1 && w->groups == 1 &&
                    ceiling(taps * channels, lanes) < taps * ceiling(channels, lanes);
    const size_t pixel_bytes = (smaller(w->output_channels, CHUNK) + w->stride_width * channels) * sizeof(float);
    g->block_lines = ceiling(larger(BLOCK_PIXELS, block_bytes / pixel_bytes), w->output_width);
    const size_t lines = w->batch * w->output_height;
    size_t strips = smaller(ceiling(UNITS, w->groups * chunks(w)), smaller(lines, ceiling(g->pixels, STRIP_PIXELS)));
    g->strips = larger(1, smaller(strips, strip_bytes / (sums(g) * sizeof(float))));
    g->swaps =
        g->joins_taps && g->strips > 1 &&
        taps * channels * ceiling(w->output_channels, lanes) < w->output_channels * ceiling(taps * channels, lanes);
    g->partial_size = g->strips > 1 ? g->strips * sums(g) * sizeof(float) : 0;
    g->slot_size = ceiling(2 * g->block_lines * sizeof(struct eo_outer_run), 64) * 64;
}

size_t eo_filter_gradient_units(const struct eo_filter_gradient *g) {
    return g->window.groups * chunks(&g->window) * g->strips;
}

// Some lines of the output, and some filters of a group, with the sums of those.
struct part {
    const struct eo_filter_gradient *gradient;
    size_t line, lines;
    size_t group, filter, filters;
    float *dw, *db;
    struct eo_outer_run *runs;
    size_t run_count;
};

// Adds the output pixels first ... end - 1 of each line to the runs, with the pixel of the input under tap `column` of
// kernel row `row`; lines where that is outside are left out.
static void point(struct part *p, size_t row, size_t column, size_t first, size_t end) {
    const struct eo_filter_gradient *g = p->gradient;
    const struct eo_window *w = &g->window;
    const size_t in_pixel = w->groups * w->input_channels, out_pixel = filters(w);
    if (first >= end) return;
    for (size_t line = p->line; line < p->line + p->lines; line++) {
        const size_t y = line % w->output_height * w->stride_height + row * w->dilation_height - w->padding_top;
        if (y >= w->input_height) continue; // wrapped around where it lies above
        const size_t from = (line / w->output_height * w->input_height + y) * w->input_width;
        const size_t x = first * w->stride_width + column * w->dilation_width - w->padding_left;
        const size_t pixel = line * w->output_width + first;
        const float *dz = g->dz + pixel * out_pixel + p->group * w->output_channels + p->filter;
        const float *input = g->input + (from + x) * in_pixel + p->group * w->input_channels;
        p->runs[p->run_count++] = (struct eo_outer_run){g->swaps ? input : dz, g->swaps ? dz : input,
                                                        smaller(end - first, g->pixels - pixel)};
    }
}

// Adds the products of the runs to `taps` taps from number `tap` on.
static void add(struct part *p, size_t tap, size_t taps) {
    const struct eo_filter_gradient *g = p->gradient;
    const struct eo_window *w = &g->window;
    const size_t row = tap * w->input_channels, rows = taps * w->input_channels;
    const size_t in_step = w->stride_width * w->groups * w->input_channels, out_step = filters(w);
    struct eo_outer_tile tile = {p->filters, rows, p->runs, p->run_count, out_step, in_step, p->dw + row, g->depth};
    if (g->swaps)
        tile = (struct eo_outer_tile){
            rows, p->filters, p->runs, p->run_count, in_step, out_step, p->dw + row * out_step, out_step};
    if (p->run_count > 0) g->run(&tile);
    p->run_count = 0;
}

// Output places along a line whose tap `column` is inside the image.
struct range {
    size_t first, end;
};
static struct range inside(const struct eo_window *w, size_t column) {
    const size_t offset = column * w->dilation_width, edge = w->input_width + w->padding_left;
    struct range r = {offset >= w->padding_left ? 0 : ceiling(w->padding_left - offset, w->stride_width), 0};
    if (offset < edge) r.end = smaller(w->output_width, (edge - offset - 1) / w->stride_width + 1);
    return r;
}

static void add_kernel_row(struct part *p, size_t row) {
    const struct eo_window *w = &p->gradient->window;
    const size_t taps = w->kernel_width;
    struct range whole = {0, 0};
    if (p->gradient->joins_taps) {
        whole = (struct range){inside(w, 0).first, inside(w, taps - 1).end};
        if (whole.first >= whole.end) whole = (struct range){0, 0};
        point(p, row, 0, whole.first, whole.end);
        add(p, row * taps, taps);
    }
    for (size_t column = 0; column < taps; column++) {
        const struct range r = inside(w, column);
        point(p, row, column, r.first, whole.end ? smaller(whole.first, r.end) : r.end);
        if (whole.end) point(p, row, column, larger(whole.end, r.first), r.end);
        add(p, row * taps + column, 1);
    }
}

// The sums of dz are its products with a number that is 1 everywhere.
static void add_biases(struct part *p) {
    static const float one = 1;
    const struct eo_filter_gradient *g = p->gradient;
    const struct eo_window *w = &g->window;
    const size_t pixel = p->line * w->output_width, out_pixel = filters(w);
    const struct eo_outer_run run = {&one, g->dz + pixel * out_pixel + p->group * w->output_channels + p->filter,
                                     smaller(p->lines * w->output_width, g->pixels - pixel)};
    const struct eo_outer_tile tile = {
        .rows = 1, .columns = p->filters, .runs = &run, .run_count = 1, .b_step = out_pixel, .output = p->db};
    g->run(&tile);
}

void eo_filter_gradient_work(const struct eo_filter_gradient *g, size_t unit, size_t worker) {
    const struct eo_window *w = &g->window;
    const size_t strip = unit % g->strips, chunk = unit / g->strips % chunks(w);
    struct part p = {.gradient = g, .group = unit / g->strips / chunks(w), .filter = chunk * CHUNK};
    p.filters = smaller(CHUNK, w->output_channels - p.filter);
    p.runs = (struct eo_outer_run *)((char *)g->scratch + worker * g->slot_size);
    const size_t first = p.group * w->output_channels + p.filter, lines = w->batch * w->output_height;
    float *strip_sums = g->partial + strip * sums(g);
    p.dw = (g->strips > 1 ? strip_sums : g->dw) + first * (g->swaps ? 1 : g->depth);
    if (g->db) p.db = (g->strips > 1 ? strip_sums + filters(w) * g->depth : g->db) + first;
    if (g->swaps)
        for (size_t i = 0; i < g->depth; i++) memset(p.dw + i * filters(w), 0, p.filters * sizeof *p.dw);
    else
        memset(p.dw, 0, p.filters * g->depth * sizeof *p.dw);
    if (g->db) memset(p.db, 0, p.filters * sizeof *p.db);
    const size_t end = lines * (strip + 1) / g->strips;
    for (p.line = lines * strip / g->strips; p.line < end; p.line += p.lines) {
        p.lines = smaller(g->block_lines, end - p.line);
        for (size_t row = 0; row < w->kernel_height; row++) add_kernel_row(&p, row);
        if (g->db) add_biases(&p);
    }
}

void eo_filter_gradient_join(const struct eo_filter_gradient *g, size_t filter) {
    const size_t all = filters(&g->window), step = g->swaps ? all : 1;
    float *dw = g->dw + filter * g->depth;
    const float *from = g->partial + filter * (g->swaps ? 1 : g->depth), *bias = g->partial + all * g->depth + filter;
    for (size_t strip = 0; strip < g->strips; strip++, from += sums(g), bias += sums(g)) {
        for (size_t i = 0; i < g->depth; i++) dw[i] = strip == 0 ? from[i * step] : dw[i] + from[i * step];
        if (g->db) g->db[filter] = strip == 0 ? *bias : g->db[filter] + *bias;
    }
}
