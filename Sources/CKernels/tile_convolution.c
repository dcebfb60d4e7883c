#include "convolution.h"

#include <string.h>

enum { SIDE = EO_TILE_SIDE, STEP = EO_TILE_STEP };
// Tiles of rows of a unit, and what is handed over at a time.
enum { UNIT_TILES = 8 * EO_TILES, RUNS = 16 };
// Shorter rows, or fewer side by side, fill so little of a tile that floats are faster.
enum { LEAST_DEPTH = 16, LEAST_HEIGHT = 8 };

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t piece(const struct eo_window *w) { return w->kernel_width * w->input_channels; }
static size_t blocks(const struct eo_tile_convolution *c) { return ceiling(c->window.output_channels, SIDE); }

// Rows of 16 numbers begin within a cache line every other time, and a tile's load waits for each that crosses one. So
// every other row makes a tile: the even ones begin where lines do, and the odd ones 16 numbers early, which their
// weights skip. There is room for those in what the last step lacks.
static bool alternates(const struct eo_window *w) {
    return w->stride_width * w->input_channels == SIDE && w->input_channels == SIDE && w->kernel_width % 2 == 1 &&
           w->kernel_width > 1 && w->output_width % (2 * SIDE) == 0;
}
static size_t turns(const struct eo_tile_convolution *c) { return alternates(&c->window) ? 2 : 1; }

__attribute__((minsize)) bool eo_tile_convolution_plan(struct eo_tile_convolution *c) {
    const struct eo_window *w = &c->window;
    const size_t numbers = piece(w);
    if (w->groups > 1 || (w->dilation_width > 1 && w->kernel_width > 1) || numbers % 2 > 0 || numbers < LEAST_DEPTH)
        return false;
    c->depth = smaller(numbers, STEP);
    c->steps = ceiling(numbers, STEP);
    c->last = alternates(w) ? (c->steps - 1) * STEP : numbers - c->depth;
    const bool is_plain = w->kernel_height * w->kernel_width * w->stride_height * w->stride_width == 1 &&
                          w->output_height == w->input_height && w->output_width == w->input_width;
    c->width = w->output_width, c->lines = w->batch * w->output_height;
    if (is_plain && c->line_step == c->width * c->pixel_step && c->image_step == w->output_height * c->line_step)
        c->width *= c->lines, c->lines = 1;
    c->line_tiles = ceiling(c->width, SIDE);
    c->height = ceiling(c->width, c->line_tiles);
    c->block = turns(c) * w->kernel_height * c->steps * c->w_parts * STEP * SIDE;
    return c->height >= LEAST_HEIGHT;
}

// The parts of a weight, rounded to nearest; the third is exact.
static void split(float x, size_t parts, uint16_t *to) {
    for (size_t p = 0; p < parts; p++, to += STEP * SIDE) {
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
        float part;
        memcpy(&part, &bits, sizeof part);
        *to = (uint16_t)(bits >> 16);
        x -= part;
    }
}

__attribute__((minsize)) void eo_tile_convolution_pack(const struct eo_tile_convolution *c,
                                                       const struct eo_strided_weights *w, const float *inverse,
                                                       size_t block, uint16_t *packed) {
    const size_t first = block * SIDE, columns = smaller(SIDE, w->columns - first), numbers = piece(&c->window);
    const size_t parts = turns(c) * c->window.kernel_height * c->steps;
    memset(packed, 0, c->block * sizeof *packed);
    for (size_t part = 0; part < parts; part++) {
        const size_t step = part % c->steps, segment = part / c->steps % c->window.kernel_height;
        const size_t skipped = part / c->steps / c->window.kernel_height * SIDE;
        // The last step ends with the piece: what it has in common with the one before is zero.
        const size_t from = step + 1 < c->steps ? step * STEP : c->last;
        for (size_t k = step > 0 ? step * STEP - skipped : 0; k < smaller((step + 1) * STEP - skipped, numbers); k++) {
            const size_t tap = segment * c->window.kernel_width + k / w->channels, channel = k % w->channels;
            const size_t place = k + skipped - from;
            const float *source = w->weights + w->tap[tap] + channel * w->depth_stride + first * w->column_stride;
            uint16_t *to = packed + place / 2 * 2 * SIDE + place % 2;
            const float factor = inverse ? inverse[channel] : 1;
            for (size_t j = 0; j < columns; j++) split(source[j * w->column_stride] * factor, c->w_parts, to + 2 * j);
        }
        packed += c->w_parts * STEP * SIDE;
    }
}

size_t eo_tile_convolution_units(const struct eo_tile_convolution *c) {
    return ceiling(c->lines * c->line_tiles, UNIT_TILES);
}

// Tiles of rows from number `tile` on of those of a turn.
static struct eo_bf16_tiles rows_of(const struct eo_tile_convolution *c, size_t turn, size_t tile, size_t count) {
    const struct eo_window *w = &c->window;
    const size_t channels = w->input_channels, line_size = w->input_width * channels, row = w->stride_width * channels;
    const size_t every = turns(c), line_tiles = c->line_tiles / every;
    struct eo_bf16_tiles t = {.count = count,
                              .segments = w->kernel_height,
                              .steps = c->steps,
                              .depth = c->depth,
                              .of_tiles = {.parts = c->x_parts,
                                           .part = c->part,
                                           .segment = w->dilation_height * line_size,
                                           .step = STEP,
                                           .last = c->last,
                                           .row = every * row},
                              .of_shared = {.parts = c->w_parts, .part = STEP * SIDE, .step = c->w_parts * STEP * SIDE},
                              .output_step = every * c->pixel_step,
                              .scale = 1,
                              .minimum = c->minimum,
                              .maximum = c->maximum};
    t.of_shared.segment = c->steps * t.of_shared.step;
    t.of_shared.last = (c->steps - 1) * t.of_shared.step;
    for (size_t r = 0; r < count; r++, tile++) {
        // The last tile of a line ends with the line.
        const size_t line = tile / line_tiles;
        const size_t x = smaller(tile % line_tiles * every * c->height, c->width - c->height) + turn;
        const size_t image = line / w->output_height, y = line % w->output_height;
        t.tiles[r] = c->image + (image * w->input_height + y * w->stride_height) * line_size + x * row - turn * SIDE;
        t.output[r] = c->output + image * c->image_step + y * c->line_step + x * c->pixel_step;
        t.rows[r] = c->height;
    }
    return t;
}

__attribute__((minsize)) void eo_tile_convolution_work(const struct eo_tile_convolution *c, size_t unit) {
    const size_t every = turns(c), first = unit * UNIT_TILES / every;
    const size_t end = smaller(c->lines * c->line_tiles / every, first + UNIT_TILES / every);
    struct eo_bf16_tiles runs[RUNS];
    size_t count = 0;
    // With turns there is an even number of tiles: half for each.
    for (size_t turn = 0; turn < every; turn++)
        for (size_t tile = first; tile < end; tile += EO_TILES) {
            struct eo_bf16_tiles t = rows_of(c, turn, tile, smaller(EO_TILES, end - tile));
            for (size_t block = 0; block < blocks(c); block++) {
                t.shared = c->weights + block * c->block + turn * (c->block / every);
                t.bias = c->bias ? c->bias + block * SIDE : NULL;
                for (size_t r = 0; r < t.count; r++) {
                    t.columns[r] = smaller(SIDE, c->window.output_channels - block * SIDE);
                    if (block > 0) t.output[r] += SIDE;
                }
                runs[count++] = t;
                if (count < RUNS) continue;
                c->run(runs, count);
                count = 0;
            }
        }
    if (count > 0) c->run(runs, count);
}
