#include "training.h"

#include <math.h>
#include <string.h>

// Bytes arranged at a time, which stay in the second-level cache, and bytes for sums.
static const size_t arranged = 256 << 10, summed = 256 << 10;
// How many strips make work for several threads, at least and at most.
enum { FEWEST_STRIPS = 2, MOST_STRIPS = 8 };
// Steps that stay in the first-level cache while BUNDLE tiles pass by, and as many as are handed over at a time.
enum { STEPS = 8, BUNDLE = 3, RUNS = 8 };
// Pixels of an image that is none, so that there are some for all threads.
enum { BLOCK_PIXELS = 256 };
enum { SIDE = EO_TILE_SIDE };

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t channel_blocks(const struct eo_window *w) { return ceiling(w->input_channels, SIDE); }
static size_t filter_blocks(const struct eo_window *w) { return ceiling(w->output_channels, SIDE); }
static size_t taps(const struct eo_window *w) { return w->kernel_height * w->kernel_width; }
static size_t tiles_of(const struct eo_window *w) { return taps(w) * channel_blocks(w); }

void eo_tile_gradient_plan(struct eo_tile_gradient *g) {
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
    g->phases = smaller(w->stride_height, height + 1);
    g->pitch = ceiling(w->output_width, 2) * 2;
    g->lines = w->output_height + height / w->stride_height;
    g->steps = ceiling(w->output_height * g->pitch, EO_TILE_STEP);
    // The last tap of the last step ends here.
    g->row = larger(height / w->stride_height * g->pitch + g->steps * EO_TILE_STEP, g->lines * g->pitch);
    g->x_image = w->kernel_width * g->phases * channel_blocks(w) * SIDE * g->row;
    // An odd number of cache lines: filters lie in different sets.
    g->dz_row = (g->steps | 1) * EO_TILE_STEP;
    g->dz_image = w->output_channels * g->dz_row;
    const size_t bytes = (g->x_parts * g->x_image + g->dz_parts * g->dz_image) * sizeof(uint16_t);
    const size_t squares = tiles_of(w) * filter_blocks(w) * SIDE * SIDE * sizeof(float);
    g->strip_size = squares + ceiling(w->output_channels, SIDE) * SIDE * sizeof(float);
    g->strips = smaller(w->batch, smaller(MOST_STRIPS, larger(FEWEST_STRIPS, summed / g->strip_size)));
    g->images = larger(1, smaller(ceiling(w->batch, g->strips), arranged / bytes));
    g->slot_size = g->images * bytes;
}

static float *squares_of(const struct eo_tile_gradient *g, size_t strip) {
    return (float *)((char *)g->scratch + strip * g->strip_size);
}
static float *biases_of(const struct eo_tile_gradient *g, size_t strip) {
    return squares_of(g, strip) + tiles_of(&g->window) * filter_blocks(&g->window) * SIDE * SIDE;
}

// Images that are arranged: x, then dz.
struct arrangement {
    const struct eo_tile_gradient *gradient;
    uint16_t *x, *dz;
    size_t first, count;
    float *squares;
    bool goes_on;
};

// Where the pixels of a column of taps, of the lines of a phase, begin, for the first channels.
static size_t column_of(const struct eo_tile_gradient *g, size_t column, size_t phase) {
    return (column * g->phases + phase) * channel_blocks(&g->window) * SIDE * g->row;
}

// Zeros in all parts of a column of taps.
static void clear(const struct eo_tile_gradient *g, uint16_t *to, size_t first, size_t end) {
    for (size_t part = 0; part < g->x_parts; part++)
        for (size_t block = 0; block < channel_blocks(&g->window); block++)
            memset(to + part * g->x_image + (block * g->row + first) * SIDE, 0, (end - first) * SIDE * sizeof *to);
}

// A line for the column of taps and `copies` more. `to`: its place.
static void arrange_line(const struct eo_tile_gradient *g, const float *line, size_t pixels, size_t column,
                         size_t copies, uint16_t *to) {
    const struct eo_window *w = &g->window;
    const size_t offset = column * w->dilation_width, stride = w->stride_width;
    const size_t outside = w->padding_left > offset ? w->padding_left - offset : 0;
    struct eo_bf16_line l = {.from = line,
                             .channels = w->input_channels,
                             .step = stride * w->input_channels,
                             .scale = 1 / g->scale,
                             .parts = g->x_parts,
                             .to = to,
                             .to_step = g->row * SIDE,
                             .to_part = g->x_image,
                             .filled = g->pitch,
                             .skip = ceiling(outside, stride),
                             .copies = copies,
                             .to_copy = column_of(g, 1, 0)};
    // The first pixel that is met.
    const size_t x = offset + l.skip * stride - w->padding_left;
    if (x < pixels) l.from += x * w->input_channels, l.pixels = ceiling(pixels - x, stride);
    g->pairs(&l);
}

static void arrange_x(const struct eo_tile_gradient *g, const float *image, size_t pixels, uint16_t *x) {
    const struct eo_window *w = &g->window;
    const bool moves = w->stride_width == 1 && w->dilation_width == 1;
    const size_t copies = moves ? w->kernel_width - 1 : 0;
    for (size_t phase = 0; phase < g->phases; phase++) {
        for (size_t line = 0; line < g->lines; line++) {
            const size_t y = line * w->stride_height + phase - w->padding_top, first = line * g->pitch;
            for (size_t column = 0; column < w->kernel_width; column++) {
                uint16_t *to = x + column_of(g, column, phase);
                if (y >= w->input_height) // wrapped around where it lies above
                    clear(g, to, first, first + g->pitch);
                else if (column == 0 || !moves)
                    arrange_line(g, image + y * w->input_width * w->input_channels, pixels, column, copies,
                                 to + first * SIDE);
            }
        }
        for (size_t column = 0; column < w->kernel_width; column++)
            clear(g, x + column_of(g, column, phase), g->lines * g->pitch, g->row);
    }
}

static void arrange_dz(const struct eo_tile_gradient *g, const float *dz, size_t pixels, uint16_t *to) {
    const struct eo_window *w = &g->window;
    const size_t whole = g->steps * EO_TILE_STEP, columns = w->output_width;
    struct eo_bf16_line l = {.from = dz,
                             .pixels = pixels,
                             .channels = w->output_channels,
                             .step = w->output_channels,
                             .scale = 1,
                             .parts = g->dz_parts,
                             .to = to,
                             .to_step = g->dz_row,
                             .to_part = g->dz_image,
                             .filled = whole};
    if (g->pitch == columns || w->output_height == 1) return g->rows(&l);
    memset(to, 0, g->dz_parts * g->dz_image * sizeof *to);
    l.pixels = l.filled = columns;
    for (size_t line = 0; line < w->output_height; line++, l.from += columns * l.step, l.to += g->pitch) g->rows(&l);
}

static void arrange(const struct arrangement *a, size_t image) {
    const struct eo_tile_gradient *g = a->gradient;
    const struct eo_window *w = &g->window;
    const size_t number = a->first + image, in = w->input_height * w->input_width * w->input_channels;
    // An image that is none may be cut short; then it is one line.
    const size_t all = w->output_height * w->output_width, pixels = smaller(all, g->pixels - number * all);
    arrange_x(g, g->input + number * in, pixels < all ? pixels : w->input_width,
              a->x + image * g->x_parts * g->x_image);
    arrange_dz(g, g->dz + number * all * w->output_channels, pixels, a->dz + image * g->dz_parts * g->dz_image);
}

static void add_biases(const struct eo_tile_gradient *g, size_t first, size_t end, float *db) {
    static const float one = 1;
    const size_t filters = g->window.output_channels, all = g->window.output_height * g->window.output_width;
    memset(db, 0, filters * sizeof *db);
    const struct eo_outer_run run = {&one, g->dz + first * all * filters, smaller(end * all, g->pixels) - first * all};
    const struct eo_outer_tile tile = {
        .rows = 1, .columns = filters, .runs = &run, .run_count = 1, .b_step = filters, .output = db};
    g->add_biases(&tile);
}

// How the tiles of the input are cut: into groups that are about the same, at most EO_TILES each.
static size_t groups(const struct eo_window *w) { return ceiling(tiles_of(w), EO_TILES); }
static size_t group_start(const struct eo_window *w, size_t group) { return tiles_of(w) * group / groups(w); }

// A group of tiles with `filter` and the 15 behind it. Tiles in the order channels, kernel row, tap: neighbours read
// the same pixels.
static struct eo_bf16_tiles group_of(const struct eo_tile_gradient *g, size_t group, size_t filter) {
    const struct eo_window *w = &g->window;
    const size_t first = group_start(w, group);
    struct eo_bf16_tiles t = {.shares_rows = true,
                              .count = group_start(w, group + 1) - first,
                              .depth = EO_TILE_STEP,
                              .of_tiles = {.parts = g->x_parts,
                                           .part = g->x_image,
                                           .segment = g->x_parts * g->x_image,
                                           .step = SIDE * EO_TILE_STEP},
                              .of_shared = {.parts = g->dz_parts,
                                            .part = g->dz_image,
                                            .segment = g->dz_parts * g->dz_image,
                                            .step = EO_TILE_STEP,
                                            .row = g->dz_row},
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

// Where a tile begins among the numbers of an image.
static size_t place(const struct eo_tile_gradient *g, size_t tile) {
    const struct eo_window *w = &g->window;
    const size_t tap = tile % taps(w), block = tile / taps(w);
    const size_t y = tap % w->kernel_height * w->dilation_height;
    return column_of(g, tap / w->kernel_height, y % w->stride_height) +
           (block * g->row + y / w->stride_height * g->pitch) * SIDE;
}

static float *squares_at(const struct eo_tile_gradient *g, float *squares, size_t group, size_t filter) {
    return squares + (filter / SIDE * tiles_of(&g->window) + group_start(&g->window, group)) * SIDE * SIDE;
}

// Adds all steps of what is arranged to a bundle of groups: the steps of a few stay in the nearest cache.
static void multiply(const struct arrangement *a, size_t bundle, size_t filter) {
    const struct eo_tile_gradient *g = a->gradient;
    const struct eo_window *w = &g->window;
    const size_t end = smaller(bundle + BUNDLE, groups(w));
    const size_t images = larger(1, smaller(a->count, STEPS / g->steps)), runs = ceiling(g->steps, STEPS);
    struct eo_bf16_tiles tiles[RUNS * BUNDLE];
    size_t count = 0;
    for (size_t image = 0; image < a->count; image += images)
        for (size_t run = 0; run < runs; run++) {
            const size_t from = g->steps * run / runs, to = g->steps * (run + 1) / runs;
            for (size_t group = bundle; group < end; group++) {
                struct eo_bf16_tiles t = group_of(g, group, filter);
                t.segments = smaller(images, a->count - image), t.steps = to - from;
                t.of_tiles.last = (to - from - 1) * t.of_tiles.step;
                t.of_shared.last = (to - from - 1) * t.of_shared.step;
                for (size_t r = 0; r < t.count; r++)
                    t.tiles[r] = a->x + image * t.of_tiles.segment + place(g, group_start(w, group) + r) +
                                 from * t.of_tiles.step;
                t.shared = a->dz + image * t.of_shared.segment + filter * g->dz_row + from * t.of_shared.step;
                t.squares = squares_at(g, a->squares, group, filter);
                t.goes_on = a->goes_on || image + run > 0;
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
    const size_t first = w->batch * strip / g->strips, end = w->batch * (strip + 1) / g->strips;
    struct arrangement a = {g, .first = first, .squares = squares_of(g, strip)};
    a.x = (uint16_t *)((char *)g->scratch + g->strips * g->strip_size + worker * g->slot_size);
    a.dz = a.x + g->images * g->x_parts * g->x_image;
    for (; a.first < end; a.first += a.count, a.goes_on = true) {
        a.count = smaller(g->images, end - a.first);
        for (size_t image = 0; image < a.count; image++) arrange(&a, image);
        for (size_t filter = 0; filter < w->output_channels; filter += SIDE)
            for (size_t bundle = 0; bundle < groups(w); bundle += BUNDLE) multiply(&a, bundle, filter);
    }
    if (g->db) add_biases(g, first, end, biases_of(g, strip));
}

size_t eo_tile_gradient_blocks(const struct eo_tile_gradient *g) { return filter_blocks(&g->window); }

void eo_tile_gradient_join(const struct eo_tile_gradient *g, size_t block) {
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
            const size_t tile = group_start(w, group) + r, column = tile % taps(w) / w->kernel_height;
            const size_t tap = tile % w->kernel_height * w->kernel_width + column;
            t.output[r] = g->dw + filter * g->depth + tap * w->input_channels + tile / taps(w) * SIDE;
        }
        g->run(&t, 1);
    }
    for (size_t strip = 0; strip < g->strips && block == 0 && g->db; strip++)
        for (size_t o = 0; o < w->output_channels; o++)
            g->db[o] = strip == 0 ? biases_of(g, strip)[o] : g->db[o] + biases_of(g, strip)[o];
}
