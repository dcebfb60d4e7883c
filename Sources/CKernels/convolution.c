#include "convolution.h"

// Packed weights of a chunk of columns stay in the second-level cache while all rows pass by.
static const size_t chunk_size = 512 * 1024;
// A unit of fewer multiply-adds than this (about 2 microseconds) is not worth waking a thread for.
static const size_t unit_products = 128 * 1024;
// Units per worker: enough that a late worker leaves others no long wait.
static const size_t units_per_worker = 4;

// Rows of a tile kernel's block of sums.
static const size_t tile_rows = 32;
// Rows gathered for one call.
static const size_t gathered_size = 256 * 1024;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t pixels(const struct eo_window *w) { return w->batch * w->output_height * w->output_width; }

// Rows are gathered anew for each chunk, so a chunk is worth a few blocks of columns, whatever their size: all of them
// for tile kernels, which multiply far faster than rows are gathered.
static size_t gather_blocks(const struct eo_convolution *c) { return c->mr >= tile_rows ? SIZE_MAX : 2; }

static size_t chunks(const struct eo_convolution *c) { return ceiling(c->window.output_channels, c->chunk_columns); }

static size_t strips(const struct eo_convolution *c) {
    return ceiling(ceiling(pixels(&c->window), c->mr), c->unit_tiles);
}

// Tile kernels take many rows at once: as many as leave each worker some calls, and gathered rows the second-level
// cache.
size_t eo_convolution_rows(const struct eo_convolution *c, size_t mr, size_t workers) {
    if (mr <= tile_rows) return mr;
    size_t rows = ceiling(pixels(&c->window), workers > 1 ? workers * units_per_worker : 1);
    if (c->gather) rows = smaller(rows, larger(tile_rows, gathered_size / c->row_stride));
    // Calls of about the same size, of whole tiles.
    const size_t calls = ceiling(pixels(&c->window), smaller(mr, rows));
    return smaller(mr, ceiling(ceiling(pixels(&c->window), calls), tile_rows) * tile_rows);
}

size_t eo_convolution_start(struct eo_convolution *c, size_t workers) {
    const struct eo_window *w = &c->window;
    const size_t blocks = ceiling(w->output_channels, c->nr), tiles = ceiling(pixels(w), c->mr);
    const size_t products = pixels(w) * w->groups * w->output_channels * c->depth;
    workers = larger(1, smaller(workers, products / unit_products));
    size_t chunk_blocks = smaller(blocks, larger(c->gather ? gather_blocks(c) : 1, chunk_size / c->block_size));
    size_t unit_tiles = tiles;
    if (workers > 1) {
        const size_t wanted = smaller(workers * units_per_worker, products / unit_products);
        const size_t strips = smaller(tiles, ceiling(wanted, w->groups * ceiling(blocks, chunk_blocks)));
        unit_tiles = ceiling(tiles, strips);
        if (strips * w->groups * ceiling(blocks, chunk_blocks) < workers)
            chunk_blocks = larger(1, smaller(chunk_blocks, blocks * w->groups * strips / wanted));
    }
    c->chunk_columns = chunk_blocks * c->nr;
    c->unit_tiles = unit_tiles;
    c->next = 0;
    return smaller(workers, w->groups * chunks(c) * strips(c));
}

static void gather(const struct eo_convolution *c, const char *input, size_t first, size_t count, char *rows) {
    const struct eo_gather g = {
        .window = &c->window,
        .input = input,
        .first = first,
        .pixels = count,
        .element_size = c->input_element_size,
        .rows = rows,
        .row_stride = c->row_stride,
        .fill = c->fill,
        .padding = c->padding,
        .flip = c->flip,
    };
    c->gather(&g);
}

// Some tiles of rows times a chunk of columns of one group.
static void run_unit(const struct eo_convolution *c, size_t group, size_t chunk, size_t strip, char *rows) {
    const struct eo_window *w = &c->window;
    const size_t column = chunk * c->chunk_columns, all = pixels(w);
    const size_t in_pixel = w->groups * w->input_channels * c->input_element_size;
    const size_t out_pixel = w->groups * w->output_channels * c->output_element_size;
    const char *input = (const char *)c->input + group * w->input_channels * c->input_element_size;
    char *output = (char *)c->output + (group * w->output_channels + column) * c->output_element_size;
    struct eo_gemm_tile tile = {
        .columns = smaller(c->chunk_columns, w->output_channels - column),
        .depth = c->depth,
        .input_stride = c->gather ? c->row_stride : in_pixel,
        .weights = (const char *)c->weights + group * c->group_size + column / c->nr * c->block_size,
        .output_stride = out_pixel,
        .parameters = c->parameters,
    };
    const size_t end = smaller(all, (strip + 1) * c->unit_tiles * c->mr);
    for (size_t pixel = strip * c->unit_tiles * c->mr; pixel < end; pixel += c->mr) {
        tile.rows = smaller(c->mr, end - pixel);
        if (c->gather) gather(c, input, pixel, tile.rows, rows);
        tile.input = c->gather ? rows : input + pixel * in_pixel;
        tile.output = output + pixel * out_pixel;
        tile.row_parameters = (const char *)c->row_parameters + pixel * c->row_parameters_size;
        c->run(&tile);
    }
}

void eo_convolution_work(struct eo_convolution *c, size_t worker) {
    const size_t per_group = chunks(c) * strips(c), units = c->window.groups * per_group;
    char *rows = (char *)c->scratch + worker * c->slot_size;
    for (;;) {
        const size_t unit = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED);
        if (unit >= units) return;
        run_unit(c, unit / per_group, unit % per_group / strips(c), unit % strips(c), rows);
    }
}
