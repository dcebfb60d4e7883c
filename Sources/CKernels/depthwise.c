#include "depthwise.h"

// A unit of fewer products than this (a few microseconds) is not worth waking a thread for.
static const size_t unit_products = 32 * 1024;
// Bytes of an image and its result that the second-level cache holds.
static const size_t line_images = 1280 * 1024;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t taps(const struct eo_window *w) { return w->kernel_height * w->kernel_width; }
static size_t lines(const struct eo_window *w) { return w->batch * w->output_height; }

size_t eo_depthwise_slot_size(const struct eo_window *w) {
    return (taps(w) * (sizeof(void *) + sizeof(size_t)) + 63) / 64 * 64;
}

// Does the second-level cache hold the images as floats?
static bool holds(const struct eo_window *w) {
    const size_t pixels = w->input_height * w->input_width + w->output_height * w->output_width;
    return pixels * w->input_channels * sizeof(float) <= line_images;
}

bool eo_f32_depthwise_by_lines(const struct eo_window *w) {
    // An image that it does not hold is better read pixel after pixel if neighbours share little.
    return (w->stride_width == 1 || holds(w)) && eo_f32_depthwise_fits_lines(w);
}

// Networks of few channels are often undecided: their images stay float32 where that costs little.
bool eo_f32_depthwise_rounds(const struct eo_window *w) { return !holds(w) || w->input_channels > 128; }

bool eo_f32_depthwise_fits_lines(const struct eo_window *w) {
    // A line of a kernel's height must fit the scratch memory, with room for a few columns of vectors of 64 bytes.
    const size_t down = w->dilation_height / eo_f32_depthwise_phases(w, w->dilation_height),
                 across = w->dilation_width / eo_f32_depthwise_phases(w, w->dilation_width);
    const size_t span = (w->kernel_height - 1) * down, breadth = (w->kernel_width - 1) * across;
    const size_t room = EO_DEPTHWISE_SCRATCH / 64;
    return w->kernel_height == w->kernel_width && (w->kernel_width == 3 || w->kernel_width == 5) &&
           (span + 1 + 3 * w->stride_height) * (breadth + 1 + 3 * w->stride_width) <= room;
}

size_t eo_depthwise_start(struct eo_depthwise *d, size_t workers) {
    const struct eo_window *w = &d->window;
    const size_t products = lines(w) * w->output_width * w->output_channels * taps(w);
    workers = larger(1, smaller(workers, products / unit_products));
    // Input lines under two units are copied twice where whole lines are computed.
    d->unit_rows = workers == 1 || d->lines ? (lines(w) + workers - 1) / workers : 1;
    d->workers = workers;
    return (lines(w) + d->unit_rows - 1) / d->unit_rows;
}

// Runs of pixels of one output line: those whose taps all lie between the left and right edge go together, the others
// one by one.
struct line {
    const struct eo_depthwise *depthwise;
    const char *image; // input image
    ptrdiff_t top;     // input line of the first kernel row; may lie outside
    char *output;
    const void **tap;
    size_t *step;
};

static void point_taps(const struct line *l, ptrdiff_t left) {
    const struct eo_depthwise *d = l->depthwise;
    const struct eo_window *w = &d->window;
    const size_t pixel = w->input_channels * d->input_element_size;
    size_t t = 0;
    for (size_t j = 0; j < w->kernel_height; j++) {
        const ptrdiff_t y = l->top + (ptrdiff_t)(j * w->dilation_height);
        for (size_t i = 0; i < w->kernel_width; i++, t++) {
            const ptrdiff_t x = left + (ptrdiff_t)(i * w->dilation_width);
            const int inside = y >= 0 && y < (ptrdiff_t)w->input_height && x >= 0 && x < (ptrdiff_t)w->input_width;
            l->tap[t] = inside ? l->image + ((size_t)y * w->input_width + (size_t)x) * pixel : d->padding;
            l->step[t] = inside ? w->stride_width * pixel : 0;
        }
    }
}

static void run_pixels(const struct line *l, size_t first, size_t count) {
    const struct eo_depthwise *d = l->depthwise;
    const struct eo_window *w = &d->window;
    const size_t out_pixel = w->output_channels * d->output_element_size;
    point_taps(l, (ptrdiff_t)(first * w->stride_width) - (ptrdiff_t)w->padding_left);
    const struct eo_depthwise_run run = {
        .pixels = count,
        .channels = w->output_channels,
        .taps = taps(w),
        .tap = l->tap,
        .step = l->step,
        .weights = d->weights,
        .output = l->output + first * out_pixel,
        .output_stride = out_pixel,
        .parameters = d->parameters,
    };
    d->run(&run);
}

static void run_line(const struct line *l) {
    const struct eo_window *w = &l->depthwise->window;
    const size_t span = (w->kernel_width - 1) * w->dilation_width;
    // First pixel whose leftmost tap is inside, and the one after the last whose rightmost tap is.
    const size_t begin = smaller(w->output_width, (w->padding_left + w->stride_width - 1) / w->stride_width);
    const size_t room = w->input_width + w->padding_left;
    const size_t inside = room > span ? (room - span - 1) / w->stride_width + 1 : 0;
    const size_t end = larger(begin, smaller(w->output_width, inside));
    for (size_t x = 0; x < begin; x++) run_pixels(l, x, 1);
    if (end > begin) run_pixels(l, begin, end - begin);
    for (size_t x = end; x < w->output_width; x++) run_pixels(l, x, 1);
}

void eo_depthwise_work(const struct eo_depthwise *d, size_t unit, size_t worker) {
    const struct eo_window *w = &d->window;
    char *slot = (char *)d->scratch + worker * d->slot_size;
    const size_t first = unit * d->unit_rows, end = smaller(lines(w), first + d->unit_rows);
    const size_t output = w->output_width * w->output_channels * d->output_element_size;
    if (d->lines) {
        const struct eo_f32_depthwise_lines part = {
            .window = w,
            .input = d->input,
            .output = d->output,
            .weights = d->weights,
            .parameters = *(const struct eo_f32_gemm_parameters *)d->parameters,
            .first = first,
            .count = end - first,
            .scratch = (float *)slot,
            .input_is_rounded = d->input_element_size == sizeof(uint16_t),
            .output_is_rounded = d->output_element_size == sizeof(uint16_t),
        };
        d->lines(&part);
        if (eo_finish_is_needed(&d->finish))
            eo_finish_run(&d->finish, d->output, first * output, part.count * output, d->output_element_size);
        return;
    }
    struct line line = {
        .depthwise = d, .tap = (const void **)slot, .step = (size_t *)(slot + taps(w) * sizeof(void *))};
    const size_t image = w->input_height * w->input_width * w->input_channels * d->input_element_size;
    for (size_t i = first; i < end; i++) {
        line.image = (const char *)d->input + i / w->output_height * image;
        line.top = (ptrdiff_t)(i % w->output_height * w->stride_height) - (ptrdiff_t)w->padding_top;
        line.output = (char *)d->output + i * output;
        run_line(&line);
        if (eo_finish_is_needed(&d->finish))
            eo_finish_run(&d->finish, d->output, i * output, output, d->output_element_size);
    }
}
