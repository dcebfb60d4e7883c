#include "pooled.h"

#include <string.h>

// Little is computed here: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Sums of more strips are not worth their memory.
enum { STRIPS = 16 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void eo_pooled_plan(struct eo_pooled *p, size_t workers) {
    const struct eo_window *w = &p->window;
    p->depth = w->kernel_height * w->kernel_width * w->input_channels;
    p->blocks = (w->output_channels + EO_POOLED_CHANNELS - 1) / EO_POOLED_CHANNELS;
    p->block_size = (1 + p->depth) * EO_POOLED_CHANNELS;
    p->packed = p->blocks * p->block_size;
    p->lines = w->output_height / p->rows;
    p->line_windows = w->output_width / p->columns;
    p->strips = smaller(STRIPS, w->batch);
    // An image as far as it is read, if that is farther than it goes.
    p->width = (w->output_width - 1) * w->stride_width + w->kernel_width;
    p->height = (w->output_height - 1) * w->stride_height + w->kernel_height;
    p->framed = 0;
    if (w->padding_top + w->padding_left > 0 || p->width > w->input_width || p->height > w->input_height)
        p->framed = p->height * p->width * w->input_channels;
    else
        p->width = w->input_width;
    p->scratch_size = (p->packed * (p->strips + 1) + p->framed * workers) * sizeof(float);
}

// The weight number `index` (0: the bias) of a filter among packed ones.
static float *weight(const struct eo_pooled *p, float *packed, size_t filter, size_t index) {
    return packed + filter / EO_POOLED_CHANNELS * p->block_size + index * EO_POOLED_CHANNELS +
           filter % EO_POOLED_CHANNELS;
}

void eo_pooled_pack(const struct eo_pooled *p) {
    memset(p->scratch, 0, p->packed * sizeof *p->scratch);
    for (size_t filter = 0; filter < p->window.output_channels; filter++)
        for (size_t k = 0; k <= p->depth; k++)
            *weight(p, p->scratch, filter, k) = k > 0     ? p->weights[filter * p->depth + k - 1]
                                                : p->bias ? p->bias[filter]
                                                          : 0;
}

// The image, or its copy in a frame of zeros.
static const float *framed(const struct eo_pooled *p, size_t image, size_t worker) {
    const struct eo_window *w = &p->window;
    const size_t channels = w->input_channels, line = w->input_width * channels, left = w->padding_left;
    const float *from = p->input + image * w->input_height * line;
    if (p->framed == 0) return from;
    float *copy = p->scratch + p->packed * (p->strips + 1) + p->framed * worker;
    memset(copy, 0, p->framed * sizeof *copy);
    for (size_t y = 0; y < smaller(w->input_height, p->height - w->padding_top); y++)
        memcpy(copy + ((y + w->padding_top) * p->width + left) * channels, from + y * line,
               smaller(w->input_width, p->width - left) * channels * sizeof *copy);
    return copy;
}

// All lines of an image: of y, or of the gradient.
static void run(const struct eo_pooled *p, size_t image, size_t worker, float *sums) {
    const struct eo_window *w = &p->window;
    struct eo_pooled_line t = {
        .kernel_rows = w->kernel_height,
        .row_products = w->kernel_width * w->input_channels,
        .image_line = p->width * w->input_channels,
        .rows = p->rows,
        .columns = p->columns,
        .column_step = w->stride_width * w->input_channels,
        .windows = p->line_windows,
        .pixel = w->output_channels,
        .low = p->low,
        .high = p->high,
    };
    t.row_step = w->stride_height * t.image_line;
    t.window_step = t.columns * t.column_step;
    t.x = framed(p, image, worker);
    size_t at = image * p->lines * p->line_windows;
    for (size_t line = 0; line < p->lines; line++, at += p->line_windows, t.x += t.rows * t.row_step)
        for (size_t block = 0; block < p->blocks; block++) {
            const size_t channel = block * EO_POOLED_CHANNELS, pixel = at * t.pixel + channel;
            t.channels = smaller(EO_POOLED_CHANNELS, t.pixel - channel);
            t.place = p->place + (at * p->blocks + block * p->line_windows) * EO_POOLED_CHANNELS;
            t.weights = p->scratch + block * p->block_size;
            if (sums) {
                t.dy = p->dy + pixel;
                t.sums = sums + block * p->block_size;
            } else {
                t.y = p->y + pixel;
            }
            p->run(&t);
        }
}

void eo_pooled_image(const struct eo_pooled *p, size_t image, size_t worker) { run(p, image, worker, NULL); }

void eo_pooled_gradient(const struct eo_pooled *p, size_t strip, size_t worker) {
    float *sums = p->scratch + p->packed * (strip + 1);
    memset(sums, 0, p->packed * sizeof *sums);
    const size_t end = p->window.batch * (strip + 1) / p->strips;
    for (size_t image = p->window.batch * strip / p->strips; image < end; image++) run(p, image, worker, sums);
}

void eo_pooled_join(const struct eo_pooled *p) {
    float *sums = p->scratch + p->packed;
    for (size_t i = p->packed; i < p->strips * p->packed; i++) sums[i % p->packed] += sums[i];
    for (size_t filter = 0; filter < p->window.output_channels; filter++) {
        if (p->db) p->db[filter] = *weight(p, sums, filter, 0);
        for (size_t k = 0; k < p->depth; k++) p->dw[filter * p->depth + k] = *weight(p, sums, filter, 1 + k);
    }
}
#pragma clang attribute pop
