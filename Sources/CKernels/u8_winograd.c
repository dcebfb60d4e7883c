#include "u8_winograd.h"
#include "copy.h"
#include "winograd.h"

#include <string.h>

enum { M = EO_U8_WINOGRAD_TILE, NR = EO_U8_WINOGRAD_CHANNELS, TAPS = 9 };

// Transformed tiles of a unit and a block's weights stay in the second-level cache of 512 KiB, or nearly.
static const size_t unit_size = 512 * 1024, least_tiles = 24;
static const size_t unit_products = 1024 * 1024;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

bool eo_u8_winograd_fits(const struct eo_window *window, const struct eo_u8_gemm_weights *w) {
    if (!eo_winograd_fits(window) || w->weight_zero_point != 0) return false;
    // 26 bits with their sign hold sums of 255 times so much.
    const uint64_t most = ((1u << 25) - 1) / 255;
    for (size_t column = 0; column < w->columns; column++) {
        uint64_t above = 0, below = 0;
        for (size_t k = 0; k < w->depth; k++) {
            const int weight = (int8_t)(w->weights[column * w->depth + k] ^ w->flip);
            above += weight > 0 ? (uint64_t)weight : 0;
            below += weight < 0 ? (uint64_t)-weight : 0;
        }
        if (above > most || below > most) return false;
    }
    return true;
}

static size_t tiles_of_unit(const struct eo_window *w) {
    const size_t tile = EO_U8_WINOGRAD_ELEMENTS * sizeof(int16_t) * eo_u8_winograd_channels(w);
    const size_t fitting = unit_size / tile > NR ? unit_size / tile - NR : 0;
    return smaller(eo_winograd_tiles(w, M), larger(fitting, least_tiles));
}

// Times in cycles (measured); those of a block of 16 output channels where nothing else is said.
bool eo_u8_winograd_is_faster(const struct eo_window *w, enum kernels_isa isa) {
    if (isa != ISA_AVX2 || w->input_channels < 16 || w->output_channels < 16) return false;
    const double channels = (double)w->input_channels, blocks = (double)w->output_channels / NR;
    const double pixels = (double)(w->batch * w->output_height * w->output_width);
    const size_t tiles = eo_winograd_tiles(w, M), unit = tiles_of_unit(w);
    const double transforms = 40 * channels * (double)ceiling(tiles, unit), input = 6 * channels;
    const double found = blocks * (transforms + (double)tiles * (21 * channels + 240)) + (double)tiles * input;
    return found < 0.9 * 5 * pixels * channels * blocks;
}

static size_t depth_of(size_t inputs) { return (inputs + 1) / 2 * 2; }
static size_t block_size(size_t inputs, bool has_grid) {
    return NR * ((has_grid ? 3 : 2) * sizeof(int32_t) + TAPS * depth_of(inputs));
}

size_t eo_u8_winograd_packed_size(size_t inputs, size_t outputs, bool has_grid) {
    return ceiling(outputs, NR) * block_size(inputs, has_grid);
}

void eo_u8_winograd_pack(size_t inputs, const struct eo_u8_gemm_weights *w, const float *bias, void *packed) {
    char *block = packed;
    memset(packed, 0, eo_u8_winograd_packed_size(inputs, w->columns, bias));
    for (size_t first = 0; first < w->columns; first += NR, block += block_size(inputs, bias)) {
        int32_t *start = (int32_t *)block;
        float *scale = (float *)(start + NR), *added = scale + NR;
        uint8_t *to = (uint8_t *)(bias ? added + NR : added);
        const size_t count = smaller(NR, w->columns - first);
        for (size_t j = 0; j < count; j++) {
            const uint8_t *from = w->weights + (first + j) * w->depth;
            uint32_t sum = 0;
            for (size_t k = 0; k < w->depth; k++) sum += (uint32_t)(int8_t)(from[k] ^ w->flip);
            const uint32_t whole = w->bias ? (uint32_t)w->bias[first + j] : 0;
            start[j] = (int32_t)(bias ? sum : whole - (uint32_t)w->input_zero_point * sum);
            scale[j] = w->scale[first + j];
            if (bias) added[j] = bias[first + j];
            for (size_t tap = 0; tap < TAPS; tap++, from += inputs)
                for (size_t c = 0; c < inputs; c++) to[((c / 2 * TAPS + tap) * NR + j) * 2 + c % 2] = from[c] ^ w->flip;
        }
    }
}

void eo_u8_winograd_plan(struct eo_u8_winograd *w) {
    w->most_tiles = tiles_of_unit(&w->window);
    w->slot_size = ceiling(eo_u8_winograd_scratch(&w->window, w->most_tiles), 64) * 64;
}

size_t eo_u8_winograd_start(struct eo_u8_winograd *w, size_t workers) {
    const struct eo_window *window = &w->window;
    const size_t tiles = eo_winograd_tiles(window, M), blocks = ceiling(window->output_channels, NR);
    const size_t products = EO_U8_WINOGRAD_ELEMENTS * tiles * window->input_channels * window->output_channels;
    workers = larger(1, smaller(workers, products / unit_products));
    size_t units = ceiling(tiles, w->most_tiles);
    w->parts = 1;
    // Each unit transforms all weights, each part the input.
    if (tiles >= workers * least_tiles)
        units = ceiling(units, workers) * workers;
    else
        w->parts = smaller(workers, blocks);
    w->unit_tiles = ceiling(tiles, units);
    w->workers = workers;
    return ceiling(tiles, w->unit_tiles) * w->parts;
}

void eo_u8_winograd_work(const struct eo_u8_winograd *w, size_t unit, size_t worker) {
    const struct eo_window *window = &w->window;
    const size_t blocks = ceiling(window->output_channels, NR), part = ceiling(blocks, w->parts);
    const size_t begin = unit % w->parts * part, end = smaller(blocks, begin + part);
    if (begin >= end) return;
    const size_t first = unit / w->parts * w->unit_tiles;
    const struct eo_u8_winograd_unit work = {
        .window = window,
        .input = w->input,
        .padding = w->grid ? (uint8_t)w->grid->zero_point : w->padding,
        .flip = w->flip,
        .weights = w->weights,
        .block_size = block_size(window->input_channels, w->grid),
        .grid = w->grid,
        .parameters = w->parameters,
        .output = w->output,
        .first = first,
        .tiles = smaller(w->unit_tiles, eo_winograd_tiles(window, M) - first),
        .begin = begin,
        .end = end,
        .scratch = (char *)w->scratch + worker * w->slot_size,
    };
    w->run(&work);
    const struct eo_winograd_pixels pixels = {window, M, work.first, work.tiles};
    eo_winograd_finish(&w->finish, &pixels, begin * NR, smaller(end * NR, window->output_channels), w->output,
                       w->grid ? sizeof(float) : 1);
}
