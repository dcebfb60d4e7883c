#include "training.h"

#include <string.h>

// Numbers arranged at a time: both factors stay in the second-level cache while all squares of sums pass by.
static const size_t arranged = 512 << 10;
// Pixels of an image that is none, so that there are some for all threads.
enum { BLOCK_PIXELS = 256 };
enum { SIDE = 16 };

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t channel_blocks(const struct eo_window *w) { return ceiling(w->input_channels, SIDE); }
static size_t filter_blocks(const struct eo_window *w) { return ceiling(w->output_channels, EO_OUTER_COLUMNS); }
static size_t row_tiles(const struct eo_window *w) { return w->kernel_height * w->kernel_width * channel_blocks(w); }

void eo_bf16_filter_gradient_plan(struct eo_bf16_filter_gradient *g) {
    struct eo_window *w = &g->window;
    g->pixels = w->batch * w->output_height * w->output_width;
    g->depth = w->kernel_height * w->kernel_width * w->input_channels;
    if (w->kernel_height * w->kernel_width * w->stride_height * w->stride_width == 1 &&
        w->padding_top + w->padding_left == 0 && w->output_height == w->input_height &&
        w->output_width == w->input_width) {
        w->output_width = w->input_width = smaller(g->pixels, BLOCK_PIXELS);
        w->output_height = w->input_height = 1;
        w->batch = ceiling(g->pixels, w->output_width);
    }
    const size_t height = (w->kernel_height - 1) * w->dilation_height;
    const size_t width = (w->kernel_width - 1) * w->dilation_width;
    g->row_phases = smaller(w->stride_height, height + 1);
    g->phases = g->row_phases * smaller(w->stride_width, width + 1);
    g->pitch = ceiling(w->output_width + width / w->stride_width, 2) * 2;
    g->lines = w->output_height + height / w->stride_height;
    g->steps = ceiling(w->output_height * g->pitch, EO_OUTER_STEP);
    // The last tap of the last step ends here. An odd number of cache lines: channels lie in different sets.
    const size_t last = height / w->stride_height * g->pitch + width / w->stride_width;
    g->row = (ceiling(larger(last + g->steps * EO_OUTER_STEP, g->lines * g->pitch), 32) | 1) * 32;
    g->x_image = g->phases * channel_blocks(w) * smaller(SIDE, w->input_channels) * g->row;
    g->dz_image = ceiling(w->output_channels, SIDE) * SIDE * g->steps * EO_OUTER_STEP;
    g->images = larger(1, smaller(w->batch, arranged / (g->x_image + g->dz_image)));
    g->scratch_size = g->images * ((g->x_image + g->dz_image) * sizeof(uint16_t) +
                                   ceiling(w->output_channels, SIDE) * SIDE * sizeof(float));
}

static uint16_t *x_of(const struct eo_bf16_filter_gradient *g, size_t image) {
    return (uint16_t *)g->scratch + image * g->x_image;
}
static uint16_t *dz_of(const struct eo_bf16_filter_gradient *g, size_t image) {
    return (uint16_t *)g->scratch + g->images * g->x_image + image * g->dz_image;
}
static float *biases_of(const struct eo_bf16_filter_gradient *g, size_t image) {
    return (float *)dz_of(g, g->images) + image * ceiling(g->window.output_channels, SIDE) * SIDE;
}

// Every stride-th column from phase `phase` on, of the lines of that phase.
static void arrange_phase(const struct eo_bf16_filter_gradient *g, size_t phase, size_t pixels, const float *image,
                          uint16_t *to) {
    const struct eo_window *w = &g->window;
    const size_t row = phase % g->row_phases, column = phase / g->row_phases;
    const size_t first = w->padding_left > column ? ceiling(w->padding_left - column, w->stride_width) : 0;
    const size_t edge = pixels + w->padding_left;
    const size_t end = edge > column ? smaller(g->pitch, ceiling(edge - column, w->stride_width)) : 0;
    for (size_t line = 0; line < g->lines && first < end; line++) {
        const size_t y = line * w->stride_height + row - w->padding_top;
        if (y >= w->input_height) continue; // wrapped around where it lies above
        const size_t x = first * w->stride_width + column - w->padding_left;
        const struct eo_bf16_line l = {.from = image + (y * w->input_width + x) * w->input_channels,
                                       .pixels = end - first,
                                       .channels = w->input_channels,
                                       .step = w->stride_width * w->input_channels,
                                       .to = to + line * g->pitch + first,
                                       .to_step = g->row};
        g->rows(&l);
    }
}

void eo_bf16_filter_gradient_arrange(const struct eo_bf16_filter_gradient *g, size_t image) {
    const struct eo_window *w = &g->window;
    const size_t number = g->first + image, in = w->input_height * w->input_width * w->input_channels;
    // An image that is none may be cut short; then it is one line.
    const size_t all = w->output_height * w->output_width, pixels = smaller(all, g->pixels - number * all);
    uint16_t *x = x_of(g, image), *to = dz_of(g, image);
    memset(x, 0, g->x_image * sizeof *x);
    for (size_t phase = 0; phase < g->phases; phase++)
        arrange_phase(g, phase, pixels < all ? pixels : w->input_width, g->input + number * in,
                      x + phase * (g->x_image / g->phases));
    const float *dz = g->dz + number * all * w->output_channels;
    for (size_t line = 0; line < w->output_height; line++) {
        // The last one also fills the last step.
        const size_t begin = line * g->pitch, whole = g->steps * EO_OUTER_STEP;
        const struct eo_bf16_line l = {.from = dz + line * w->output_width * w->output_channels,
                                       .pixels = smaller(w->output_width, pixels),
                                       .channels = w->output_channels,
                                       .step = w->output_channels,
                                       .to = to + begin * SIDE,
                                       .to_step = whole * SIDE,
                                       .filled = line + 1 < w->output_height ? g->pitch : whole - begin};
        g->pairs(&l);
    }
    if (!g->db) return;
    static const float one = 1;
    float *db = biases_of(g, image);
    memset(db, 0, w->output_channels * sizeof *db);
    const struct eo_outer_run run = {&one, dz, pixels};
    const struct eo_outer_tile tile = {.rows = 1,
                                       .columns = w->output_channels,
                                       .runs = &run,
                                       .run_count = 1,
                                       .b_step = w->output_channels,
                                       .output = db};
    g->add_biases(&tile);
}

size_t eo_bf16_filter_gradient_units(const struct eo_bf16_filter_gradient *g) {
    return ceiling(row_tiles(&g->window), EO_OUTER_ROWS) * filter_blocks(&g->window);
}

// Tiles in the order channels, kernel row, tap: neighbours read the same pixels.
void eo_bf16_filter_gradient_work(const struct eo_bf16_filter_gradient *g, size_t unit) {
    const struct eo_window *w = &g->window;
    const size_t filter = unit % filter_blocks(w) * EO_OUTER_COLUMNS, first = unit / filter_blocks(w) * EO_OUTER_ROWS;
    struct eo_bf16_outer_tile tile = {.rows = smaller(EO_OUTER_ROWS, row_tiles(w) - first),
                                      .columns = smaller(EO_OUTER_COLUMNS, w->output_channels - filter),
                                      .b = dz_of(g, 0) + filter * g->steps * EO_OUTER_STEP,
                                      .a_step = g->row,
                                      .b_step = SIDE * g->steps * EO_OUTER_STEP,
                                      .images = g->count,
                                      .steps = g->steps,
                                      .a_image = g->x_image,
                                      .b_image = g->dz_image,
                                      .output_step = g->depth,
                                      .adds = g->first > 0};
    for (size_t r = 0; r < tile.rows; r++) {
        const size_t tap = (first + r) % (w->kernel_height * w->kernel_width);
        const size_t channel = (first + r) / (w->kernel_height * w->kernel_width) * SIDE;
        const size_t y = tap / w->kernel_width * w->dilation_height, x = tap % w->kernel_width * w->dilation_width;
        const size_t phase = x % w->stride_width * g->row_phases + y % w->stride_height;
        tile.height[r] = smaller(SIDE, w->input_channels - channel);
        tile.a[r] = x_of(g, 0) + phase * (g->x_image / g->phases) + channel * g->row + y / w->stride_height * g->pitch +
                    x / w->stride_width;
        tile.output[r] = g->dw + filter * g->depth + tap * w->input_channels + channel;
    }
    g->run(&tile);
}

void eo_bf16_filter_gradient_join(const struct eo_bf16_filter_gradient *g) {
    const size_t filters = g->window.output_channels;
    if (!g->db) return;
    if (g->first == 0) memset(g->db, 0, filters * sizeof *g->db);
    for (size_t image = 0; image < g->count; image++) {
        const float *from = biases_of(g, image);
        for (size_t o = 0; o < filters; o++) g->db[o] += from[o];
    }
}
