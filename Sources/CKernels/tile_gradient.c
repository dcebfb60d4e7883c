#include "training.h"

#include <math.h>
#include <string.h>

// Bytes arranged at a time, which stay in the second-level cache, and bytes for sums.
static const size_t arranged = 256 << 10, summed = 256 << 10;
// How many strips make work for several threads, at least and at most, where each has some sets.
enum { FEWEST_STRIPS = 2, MOST_STRIPS = 8, STRIP_SETS = 2 };
// Steps that stay in the first-level cache while BUNDLE tiles pass by, and as many as are handed over at a time.
enum { STEPS = 8, BUNDLE = 3, RUNS = 8 };
// Pixels of an image that is none, so that there are some for all threads.
enum { BLOCK_PIXELS = 256 };
enum { SIDE = EO_TILE_SIDE, PAIR = 2 * SIDE };

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t channel_blocks(const struct eo_window *w) { return ceiling(w->input_channels, SIDE); }
static size_t filter_blocks(const struct eo_window *w) { return ceiling(w->output_channels, SIDE); }
static size_t taps(const struct eo_window *w) { return w->kernel_height * w->kernel_width; }
static size_t tiles_of(const struct eo_window *w) { return taps(w) * channel_blocks(w); }
static size_t sets(const struct eo_tile_gradient *g) { return ceiling(g->window.batch, 2 * g->abreast); }

__attribute__((minsize)) void eo_tile_gradient_plan(struct eo_tile_gradient *g) {
    struct eo_window *w = &g->window;
    g->pixels = w->batch * w->output_height * w->output_width;
    g->depth = w->kernel_height * w->kernel_width * w->input_channels;
    if (w->kernel_height * w->kernel_width * w->stride_height * w->stride_width == 1 &&
        w->padding_top + w->padding_left == 0 && w->output_height == w->input_height &&
        w->output_width == w->input_width) {
        w->output_width = w->input_width = smaller(ceiling(g->pixels, 2), BLOCK_PIXELS);
        w->output_height = w->input_height = 1;
        w->batch = ceiling(g->pixels, w->output_width);
    }
    const size_t height = (w->kernel_height - 1) * w->dilation_height;
    const size_t width = (w->kernel_width - 1) * w->dilation_width;
    g->abreast = smaller(ceiling(w->batch, 2), larger(1, SIDE / w->output_width));
    g->line_phases = smaller(w->stride_height, height + 1);
    g->column_phases = smaller(w->stride_width, width + 1);
    g->lines = w->output_height + height / w->stride_height;
    g->pitch = (w->output_width + width / w->stride_width) * g->abreast;
    g->steps = ceiling(w->output_width * g->abreast, SIDE);
    // The last step of the last line may reach beyond it.
    g->row = g->lines * g->pitch + SIDE;
    g->x_set = g->line_phases * g->column_phases * channel_blocks(w) * g->row * PAIR;
    g->dz_block = w->output_height * g->steps * SIDE * PAIR;
    // Parts lie in different sets of the cache.
    g->dz_set = filter_blocks(w) * g->dz_block + 21 * PAIR;
    const size_t bytes = (g->x_parts * g->x_set + g->dz_parts * g->dz_set) * sizeof(uint16_t);
    const size_t squares = tiles_of(w) * filter_blocks(w) * SIDE * SIDE * sizeof(float);
    g->strip_size = squares + filter_blocks(w) * SIDE * sizeof(float);
    const size_t strips = smaller(MOST_STRIPS, larger(FEWEST_STRIPS, summed / g->strip_size));
    g->strips = smaller(ceiling(sets(g), STRIP_SETS), strips);
    g->sets = larger(1, smaller(ceiling(sets(g), g->strips), arranged / bytes));
    g->slot_size = g->sets * bytes;
}

static float *squares_of(const struct eo_tile_gradient *g, size_t strip) {
    return (float *)((char *)g->scratch + strip * g->strip_size);
}
static float *biases_of(const struct eo_tile_gradient *g, size_t strip) {
    return squares_of(g, strip) + tiles_of(&g->window) * filter_blocks(&g->window) * SIDE * SIDE;
}

// Sets that are arranged: x, then dz.
struct arrangement {
    const struct eo_tile_gradient *gradient;
    uint16_t *x, *dz;
    size_t first, count;
    float *squares, *biases;
    bool goes_on;
};

// Where a phase of the input begins, for the first channels.
static size_t phase_of(const struct eo_tile_gradient *g, size_t line, size_t column) {
    return (line * g->column_phases + column) * channel_blocks(&g->window) * g->row * PAIR;
}

// Zeros in all parts of a phase.
static void clear(const struct eo_tile_gradient *g, uint16_t *to, size_t pairs) {
    for (size_t part = 0; part < g->x_parts; part++)
        for (size_t block = 0; block < channel_blocks(&g->window); block++)
            memset(to + part * g->x_set + block * g->row * PAIR, 0, pairs * PAIR * sizeof *to);
}

// What x and dz have in common: the images of a set, `size` floats each.
static struct eo_bf16_line line_of(const struct eo_tile_gradient *g, const float *images, size_t size, size_t set) {
    const size_t first = set * 2 * g->abreast;
    return (struct eo_bf16_line){.from = images + first * size,
                                 .images = smaller(2 * g->abreast, g->window.batch - first),
                                 .image = size,
                                 .abreast = g->abreast};
}
// Pixels that the last image of a set lacks; then it is one line.
static size_t lacking(const struct eo_tile_gradient *g, size_t set) {
    const struct eo_window *w = &g->window;
    return set + 1 < sets(g) ? 0 : w->batch * w->output_height * w->output_width - g->pixels;
}

static void arrange_x(const struct eo_tile_gradient *g, size_t set, size_t line_phase, size_t column_phase,
                      uint16_t *to) {
    const struct eo_window *w = &g->window;
    const size_t line_size = w->input_width * w->input_channels;
    struct eo_bf16_line l = line_of(g, g->input, w->input_height * line_size, set);
    l.channels = w->input_channels, l.step = w->stride_width * w->input_channels;
    l.scale = 1 / g->scale, l.parts = g->x_parts, l.to_step = g->row * PAIR, l.to_part = g->x_set;
    l.filled = g->pitch;
    l.skip = w->padding_left > column_phase ? ceiling(w->padding_left - column_phase, w->stride_width) : 0;
    // The first pixel that is met.
    const size_t x = column_phase + l.skip * w->stride_width - w->padding_left;
    if (x < w->input_width) l.from += x * w->input_channels, l.pixels = ceiling(w->input_width - x, w->stride_width);
    l.last = l.pixels - lacking(g, set);
    const float *from = l.from;
    for (size_t line = 0; line < g->lines; line++, to += g->pitch * PAIR) {
        const size_t y = line * w->stride_height + line_phase - w->padding_top;
        l.from = from + y * line_size, l.to = to;
        if (y < w->input_height) // wrapped around where it lies above
            g->pairs(&l);
        else
            clear(g, to, g->pitch);
    }
    clear(g, to, SIDE);
}

static void arrange_dz(const struct eo_tile_gradient *g, size_t set, float *biases, uint16_t *to) {
    const struct eo_window *w = &g->window;
    const size_t line_size = w->output_width * w->output_channels;
    struct eo_bf16_line l = line_of(g, g->dz, w->output_height * line_size, set);
    l.channels = l.step = w->output_channels, l.scale = 1, l.parts = g->dz_parts;
    l.pixels = w->output_width, l.last = l.pixels - lacking(g, set);
    l.filled = g->steps * SIDE, l.to = to, l.to_step = g->dz_block, l.to_part = g->dz_set, l.sums = biases;
    for (size_t line = 0; line < w->output_height; line++, l.from += line_size, l.to += PAIR * l.filled) g->rows(&l);
}

static void arrange(const struct arrangement *a, size_t set) {
    const struct eo_tile_gradient *g = a->gradient;
    uint16_t *x = a->x + set * g->x_parts * g->x_set;
    for (size_t line = 0; line < g->line_phases; line++)
        for (size_t column = 0; column < g->column_phases; column++)
            arrange_x(g, a->first + set, line, column, x + phase_of(g, line, column));
    arrange_dz(g, a->first + set, g->db ? a->biases : NULL, a->dz + set * g->dz_parts * g->dz_set);
}

// How the tiles of the input are cut: into groups that are about the same, at most EO_TILES each.
static size_t groups(const struct eo_window *w) { return ceiling(tiles_of(w), EO_TILES); }
static size_t group_start(const struct eo_window *w, size_t group) { return tiles_of(w) * group / groups(w); }

// A group of tiles with `filter` and the 15 behind it. Tiles in the order channels, tap.
static struct eo_bf16_tiles group_of(const struct eo_tile_gradient *g, size_t group, size_t filter) {
    const struct eo_window *w = &g->window;
    const size_t first = group_start(w, group);
    struct eo_bf16_tiles t = {
        .shares_rows = true,
        .count = group_start(w, group + 1) - first,
        .depth = EO_TILE_STEP,
        .of_tiles = {.parts = g->x_parts, .part = g->x_set, .segment = g->pitch * PAIR, .step = SIDE * PAIR},
        .of_shared = {.parts = g->dz_parts,
                      .part = g->dz_set,
                      .segment = g->steps * SIDE * PAIR,
                      .step = SIDE * PAIR,
                      .row = PAIR},
        .output_step = g->depth,
        .scale = g->scale,
        .minimum = -INFINITY,
        .maximum = INFINITY};
    for (size_t r = 0; r < t.count; r++) {
        t.rows[r] = smaller(SIDE, w->output_channels - filter);
        t.columns[r] = smaller(SIDE, w->input_channels - (first + r) / taps(w) * SIDE);
    }
    return t;
}

// Where a tile begins among the numbers of a set.
static size_t place(const struct eo_tile_gradient *g, size_t tile) {
    const struct eo_window *w = &g->window;
    const size_t tap = tile % taps(w), block = tile / taps(w);
    const size_t y = tap / w->kernel_width * w->dilation_height, x = tap % w->kernel_width * w->dilation_width;
    return phase_of(g, y % w->stride_height, x % w->stride_width) +
           (block * g->row + y / w->stride_height * g->pitch + x / w->stride_width * g->abreast) * PAIR;
}

static float *squares_at(const struct eo_tile_gradient *g, float *squares, size_t group, size_t filter) {
    return squares + (filter / SIDE * tiles_of(&g->window) + group_start(&g->window, group)) * SIDE * SIDE;
}

// Adds all steps of what is arranged to a bundle of groups: the steps of a few stay in the nearest cache.
static void multiply(const struct arrangement *a, size_t bundle, size_t filter) {
    const struct eo_tile_gradient *g = a->gradient;
    const struct eo_window *w = &g->window;
    const size_t end = smaller(bundle + BUNDLE, groups(w));
    const size_t lines = larger(1, STEPS / g->steps), runs = ceiling(g->steps, STEPS);
    const size_t strides = ceiling(w->output_height, lines) * runs;
    struct eo_bf16_tiles tiles[RUNS * BUNDLE];
    size_t count = 0;
    for (size_t stride = 0; stride < a->count * strides; stride++) {
        const size_t set = stride / strides, line = stride % strides / runs * lines, run = stride % runs;
        const size_t from = g->steps * run / runs, to = g->steps * (run + 1) / runs;
        for (size_t group = bundle; group < end; group++) {
            struct eo_bf16_tiles t = group_of(g, group, filter);
            t.segments = smaller(lines, w->output_height - line), t.steps = to - from;
            t.of_tiles.last = (to - from - 1) * t.of_tiles.step;
            t.of_shared.last = (to - from - 1) * t.of_shared.step;
            for (size_t r = 0; r < t.count; r++)
                t.tiles[r] = a->x + set * g->x_parts * g->x_set + place(g, group_start(w, group) + r) +
                             (line * g->pitch + from * SIDE) * PAIR;
            t.shared = a->dz + set * g->dz_parts * g->dz_set + filter / SIDE * g->dz_block +
                       (line * g->steps + from) * SIDE * PAIR;
            t.squares = squares_at(g, a->squares, group, filter);
            t.goes_on = a->goes_on || stride > 0;
            tiles[count++] = t;
        }
        if (count + BUNDLE <= RUNS * BUNDLE) continue;
        g->run(tiles, count);
        count = 0;
    }
    if (count > 0) g->run(tiles, count);
}

void eo_tile_gradient_work(const struct eo_tile_gradient *g, size_t strip, size_t worker) {
    const struct eo_window *w = &g->window;
    const size_t end = sets(g) * (strip + 1) / g->strips;
    struct arrangement a = {.gradient = g, .squares = squares_of(g, strip), .biases = biases_of(g, strip)};
    a.x = (uint16_t *)((char *)g->scratch + g->strips * g->strip_size + worker * g->slot_size);
    a.dz = a.x + g->sets * g->x_parts * g->x_set;
    memset(a.biases, 0, w->output_channels * sizeof *a.biases);
    for (a.first = sets(g) * strip / g->strips; a.first < end; a.first += a.count, a.goes_on = true) {
        a.count = smaller(g->sets, end - a.first);
        for (size_t set = 0; set < a.count; set++) arrange(&a, set);
        for (size_t filter = 0; filter < w->output_channels; filter += SIDE)
            for (size_t bundle = 0; bundle < groups(w); bundle += BUNDLE) multiply(&a, bundle, filter);
    }
}

size_t eo_tile_gradient_blocks(const struct eo_tile_gradient *g) { return filter_blocks(&g->window); }

__attribute__((minsize)) void eo_tile_gradient_join(const struct eo_tile_gradient *g, size_t block) {
    const struct eo_window *w = &g->window;
    const size_t filter = block * SIDE;
    for (size_t group = 0; group < groups(w); group++) {
        struct eo_bf16_tiles t = group_of(g, group, filter);
        float *sums = t.squares = squares_at(g, squares_of(g, 0), group, filter);
        for (size_t strip = 1; strip < g->strips; strip++) {
            const float *from = squares_at(g, squares_of(g, strip), group, filter);
            for (size_t i = 0; i < t.count * SIDE * SIDE; i++) sums[i] += from[i];
        }
        // No more steps: sums leave.
        t.shared = g->scratch, t.goes_on = true;
        for (size_t r = 0; r < t.count; r++) {
            const size_t tile = group_start(w, group) + r;
            t.output[r] = g->dw + filter * g->depth + tile % taps(w) * w->input_channels + tile / taps(w) * SIDE;
        }
        g->run(&t, 1);
    }
    for (size_t strip = 0; strip < g->strips && block == 0 && g->db; strip++)
        for (size_t o = 0; o < w->output_channels; o++)
            g->db[o] = strip == 0 ? biases_of(g, strip)[o] : g->db[o] + biases_of(g, strip)[o];
}
