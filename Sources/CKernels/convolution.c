#include "convolution.h"

#include <string.h>

// Packed weights of a chunk of columns stay in the second-level cache while all rows pass by, and those of the next
// chunk are brought there meanwhile. Rows that are gathered anew for each chunk are worth larger ones.
static const size_t chunk_size = 256 * 1024, gathered_chunk_size = 768 * 1024;
// Taps of fewer channels than this go together with the others of their kernel row.
static const size_t tap_channels = 96;
// A unit of fewer multiply-adds than this (about 2 microseconds) is not worth waking a thread for. To read a byte of
// weights takes as long as two of them, and is all that products of a single row wait for.
static const size_t unit_products = 128 * 1024, byte_products = 2;
// Units per worker: enough that a late worker leaves others no long wait.
static const size_t units_per_worker = 4;

// Rows of a tile kernel's block of sums.
static const size_t tile_rows = 32;
// Rows gathered for one call. Rows of floats in parts share the second-level cache with their results; where weights
// leave it after each call, there are fewer calls.
static const size_t gathered_size = 256 * 1024, gathered_parts = 512 * 1024;

// An image that is copied with its padding rather than the pieces at its edges one by one.
static const size_t framed_size = 32 * 1024;

// Short rows are gathered for several calls of a kernel at once, as many as leave the nearest cache to the products.
static const size_t gathered_at_once = 8 * 1024;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t pixels(const struct eo_window *w) { return w->batch * w->output_height * w->output_width; }

// Rows are gathered anew for each chunk, so a chunk is worth a few blocks of columns, whatever their size: all of them
// for tile kernels, which multiply far faster than rows are gathered.
static size_t gather_blocks(const struct eo_convolution *c) { return c->mr >= tile_rows ? SIZE_MAX : 2; }

static size_t gathered_rows(const struct eo_convolution *c) {
    if (c->input_element_size < sizeof(float)) return gathered_size / c->row_stride;
    const size_t row = c->row_stride + c->window.output_channels * c->output_element_size;
    return (c->group_size > gathered_parts ? 2 * gathered_parts : gathered_parts) / row;
}

// Tile kernels take many rows at once: as many as leave each worker the same, and gathered rows the second-level cache.
size_t eo_convolution_rows(const struct eo_convolution *c, size_t mr, size_t workers) {
    if (mr <= tile_rows) return mr;
    const size_t share = ceiling(pixels(&c->window), workers);
    size_t rows = smaller(mr, share);
    if (c->gather) rows = smaller(rows, larger(tile_rows, gathered_rows(c)));
    // Calls of about the same size, of whole tiles.
    const size_t calls = ceiling(share, rows);
    return larger(tile_rows, ceiling(ceiling(share, calls), tile_rows / 2) * tile_rows / 2);
}

size_t eo_convolution_gathered(const struct eo_convolution *c) {
    const size_t tiles = ceiling(pixels(&c->window), c->mr);
    return smaller(tiles, larger(1, gathered_at_once / (c->mr * c->row_stride)));
}

// Workers share the rows, so that each finds in its cache what it wrote in the layer before, unless there are far more
// weights than activations: then they share the columns, and each reads a part of the weights.
static bool shares_rows(const struct eo_convolution *c, size_t workers) {
    const struct eo_window *w = &c->window;
    const size_t channels = w->input_channels * c->input_element_size + w->output_channels * c->output_element_size;
    const size_t tiles = ceiling(pixels(w), c->mr), blocks = w->groups * ceiling(w->output_channels, c->nr);
    const bool few_weights = c->group_size <= 4 * pixels(w) * channels;
    if (blocks < workers) return tiles >= workers;
    return few_weights && tiles >= (c->mr >= tile_rows ? 1 : 2) * workers;
}

size_t eo_convolution_start(struct eo_convolution *c, size_t workers) {
    const struct eo_window *w = &c->window;
    const size_t blocks = ceiling(w->output_channels, c->nr), tiles = ceiling(pixels(w), c->mr);
    const size_t products = pixels(w) * w->groups * w->output_channels * c->depth;
    const size_t work = products + byte_products * c->group_size * w->groups;
    workers = larger(1, smaller(workers, work / unit_products));
    c->workers = workers;
    c->shares = workers > 1 && shares_rows(c, workers) ? workers : 1;
    c->share_tiles = ceiling(tiles, c->shares);
    const bool gathers = c->gather || c->padded_columns > 0;
    const size_t fitting = (gathers ? gathered_chunk_size : chunk_size) / c->block_size;
    size_t chunk_blocks = smaller(blocks, larger(gathers ? gather_blocks(c) : 1, fitting));
    if (workers > 1 && c->shares == 1 && w->groups == 1) {
        const size_t chunks = ceiling(ceiling(blocks, chunk_blocks), workers) * workers;
        chunk_blocks = ceiling(blocks, chunks);
    }
    c->chunk_columns = chunk_blocks * c->nr;
    if (c->finish.branch) c->chunk_columns = ceiling(c->chunk_columns, EO_BRANCH_COLUMNS) * EO_BRANCH_COLUMNS;
    const size_t wanted = larger(1, smaller(units_per_worker, products / workers / unit_products));
    c->unit_tiles = workers == 1 ? tiles : ceiling(c->share_tiles, wanted);
    c->chunks = ceiling(w->output_channels, c->chunk_columns);
    c->strips = ceiling(c->share_tiles, c->unit_tiles);
    // One table of pieces serves all groups, and what ends a layer finds whole pixels.
    const bool is_shared = c->segments > 0 && c->call_lines == 0 && c->chunks == 1 && c->shares == workers;
    c->unit_groups = is_shared ? w->groups : 1;
    return c->shares * (w->groups / c->unit_groups) * c->chunks * c->strips;
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
        .parts = c->parts,
    };
    c->gather(&g);
}

// How rows lie in the image in pieces, and a worker's slot: the table of pieces, a piece of zeros, copies of pieces
// that cross an edge.
struct pieces {
    size_t rows, columns; // pieces of a pixel: all kernel rows, and all taps of one or 1
    size_t size, taps;    // bytes of a piece of one group, and its pixels
    size_t table, zeros;  // bytes in the slot
};

static size_t round_up(size_t size) { return (size + 63) / 64 * 64; }

static struct pieces pieces_of(const struct eo_convolution *c) {
    const struct eo_window *w = &c->window;
    struct pieces p = {.rows = w->kernel_height};
    p.columns = w->dilation_width > 1 || w->groups > 1 || w->input_channels >= tap_channels ? w->kernel_width : 1;
    p.taps = w->kernel_width / p.columns;
    p.size = p.taps * w->input_channels * c->input_element_size;
    p.table = round_up(p.rows * p.columns * c->mr * sizeof(void *));
    p.zeros = round_up(p.size * w->groups);
    return p;
}

// Lines and columns that the windows cover.
static size_t frame_lines(const struct eo_window *w) {
    return (w->output_height - 1) * w->stride_height + (w->kernel_height - 1) * w->dilation_height + 1;
}
static size_t frame_columns(const struct eo_window *w) {
    return (w->output_width - 1) * w->stride_width + (w->kernel_width - 1) * w->dilation_width + 1;
}
static bool leaves_image(const struct eo_window *w) {
    return w->padding_left > 0 || w->padding_top > 0 || frame_columns(w) > w->input_width ||
           frame_lines(w) > w->input_height;
}

void eo_convolution_segment(struct eo_convolution *c) {
    const struct eo_window *w = &c->window;
    const struct pieces p = pieces_of(c);
    c->segments = p.rows * p.columns;
    // Windows of a transposed convolution may begin inside the image; dilated ones may be of any size.
    const bool begins_inside = (ptrdiff_t)w->padding_left < 0 || (ptrdiff_t)w->padding_top < 0;
    const size_t longest = larger(w->input_channels, larger(frame_lines(w), frame_columns(w)));
    const size_t frame = longest > framed_size
                             ? SIZE_MAX
                             : frame_lines(w) * frame_columns(w) * w->input_channels * c->input_element_size;
    const bool frames = leaves_image(w) && !begins_inside && w->batch == 1 && w->groups == 1 && frame <= framed_size;
    c->padded_columns = frames ? frame_columns(w) : 0;
    const size_t copies = frames ? frame + 4 : p.taps > 1 ? c->mr * p.rows * p.size : 0;
    c->slot_size = p.table + p.zeros + round_up(copies);
}

// A piece of which some pixels from column `x` on are outside the image.
static const char *edge_piece(const struct eo_window *w, const struct pieces *p, const char *line, ptrdiff_t x,
                              char *copy) {
    const size_t pixel = p->size / p->taps;
    memset(copy, 0, p->size);
    for (size_t tap = 0; tap < p->taps; tap++, x++)
        if (x >= 0 && x < (ptrdiff_t)w->input_width) memcpy(copy + tap * pixel, line + x * (ptrdiff_t)pixel, pixel);
    return copy;
}

// Output pixels of one line whose pieces are being pointed at.
struct pointing {
    const struct eo_convolution *convolution;
    const struct pieces *pieces;
    const char *image;
    ptrdiff_t top, left; // input position of the first kernel row and tap; may lie outside
    const char **entry;  // of the first pixel
    const char *zeros;
    char *copy; // for pieces of the first pixel
};

// All pieces of `count` pixels are inside the image.
static void point_inside(const struct pointing *to, size_t count) {
    const struct eo_convolution *c = to->convolution;
    const struct eo_window *w = &c->window;
    const size_t pixel = w->groups * w->input_channels * c->input_element_size, line = w->input_width * pixel;
    const size_t step = w->stride_width * pixel;
    const char *first = to->image + to->top * (ptrdiff_t)line + to->left * (ptrdiff_t)pixel, **entry = to->entry;
    for (size_t row = 0; row < to->pieces->rows; row++, first += w->dilation_height * line) {
        const char *from = first;
        for (size_t column = 0; column < to->pieces->columns; column++, entry += c->mr) {
            for (size_t i = 0; i < count; i++) entry[i] = from + i * step;
            from += w->dilation_width * pixel;
        }
    }
}

static void point_edge(const struct pointing *to) {
    const struct eo_convolution *c = to->convolution;
    const struct pieces *p = to->pieces;
    const struct eo_window *w = &c->window;
    const size_t pixel = w->groups * w->input_channels * c->input_element_size, line = w->input_width * pixel;
    const ptrdiff_t height = (ptrdiff_t)w->input_height, width = (ptrdiff_t)w->input_width;
    const ptrdiff_t taps = (ptrdiff_t)p->taps;
    const char **entry = to->entry;
    for (size_t row = 0; row < p->rows; row++) {
        const ptrdiff_t y = to->top + (ptrdiff_t)(row * w->dilation_height);
        for (size_t column = 0; column < p->columns; column++, entry += c->mr) {
            const ptrdiff_t x = to->left + (ptrdiff_t)(column * w->dilation_width);
            *entry = to->zeros;
            if (y < 0 || y >= height || x + taps <= 0 || x >= width) continue;
            const char *from = to->image + y * (ptrdiff_t)line;
            const bool whole = x >= 0 && x + taps <= width;
            *entry = whole ? from + x * (ptrdiff_t)pixel : edge_piece(w, p, from, x, to->copy + row * p->size);
        }
    }
}

// Fills the table at `slot` for `count` output pixels from number `first` on; or, where those of all rows
// of a tile are equally far apart, for the first of them, and returns how far; 0 otherwise.
static size_t point_pieces(const struct eo_convolution *c, const struct pieces *p, const char *input, size_t first,
                           size_t count, char *slot) {
    const struct eo_window *w = &c->window;
    const size_t image = w->input_height * w->input_width * w->groups * w->input_channels * c->input_element_size;
    const ptrdiff_t deep = (ptrdiff_t)((w->kernel_height - 1) * w->dilation_height);
    const ptrdiff_t broad = (ptrdiff_t)((w->kernel_width - 1) * w->dilation_width);
    size_t x = first % w->output_width, y = first / w->output_width % w->output_height;
    struct pointing to = {
        .convolution = c,
        .pieces = p,
        .image = input + first / w->output_width / w->output_height * image,
        .entry = (const char **)slot,
        .zeros = slot + p->table,
        .copy = slot + p->table + p->zeros,
    };
    while (count > 0) {
        to.left = (ptrdiff_t)(x * w->stride_width) - (ptrdiff_t)w->padding_left;
        to.top = (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top;
        const ptrdiff_t room = (ptrdiff_t)w->input_width - 1 - broad - to.left;
        size_t run = 1;
        if (to.top < 0 || to.top + deep >= (ptrdiff_t)w->input_height || to.left < 0 || room < 0) {
            point_edge(&to);
        } else {
            run = smaller(smaller(count, w->output_width - x), (size_t)room / w->stride_width + 1);
            const bool is_all = run == c->mr;
            point_inside(&to, is_all ? 1 : run);
            if (is_all) return w->stride_width * w->groups * w->input_channels * c->input_element_size;
        }
        count -= run;
        to.entry += run;
        to.copy += run * p->rows * p->size;
        x += run;
        if (x < w->output_width) continue;
        x = 0;
        if (++y < w->output_height) continue;
        y = 0;
        to.image += image;
    }
    return 0;
}

size_t eo_convolution_pieces(const struct eo_window *w) {
    const bool contiguous = w->groups == 1 && (w->dilation_width == 1 || w->kernel_width == 1);
    // Tiles of few pixels take as long as full ones.
    return contiguous && w->output_width >= 8 ? w->kernel_height : 0;
}

void eo_convolution_by_lines(struct eo_convolution *c, size_t pieces, size_t workers) {
    const struct eo_window *w = &c->window;
    const size_t columns = frame_columns(w), span = (w->kernel_height - 1) * w->dilation_height + 1;
    // A piece that is filled up to a multiple of 4 bytes reads beyond the image's last one.
    const bool fills = w->kernel_width * w->input_channels * c->input_element_size % 4 != 0;
    const bool leaves = fills || leaves_image(w);
    c->segments = pieces;
    c->padded_columns = leaves ? columns : 0;
    const size_t pitch = (leaves ? columns : w->input_width) * w->input_channels * c->input_element_size;
    const size_t held = gathered_size / pitch;
    size_t lines = held > span ? (held - span) / w->stride_height + 1 : 1;
    const size_t share = ceiling(w->output_height, workers);
    lines = ceiling(share, ceiling(share, lines));
    // A call stays within an image.
    while (w->batch > 1 && w->output_height % lines != 0) lines--;
    c->call_lines = lines;
    c->mr = lines * w->output_width;
    c->slot_size = leaves ? round_up(((lines - 1) * w->stride_height + span) * pitch + 4) : 0;
}

// Input lines from number `top` on, which may lie outside, with their padding.
__attribute__((noinline)) static void pad_lines(const struct eo_convolution *c, const char *image, ptrdiff_t top,
                                                size_t count, char *to) {
    const struct eo_window *w = &c->window;
    const size_t pixel = w->input_channels * c->input_element_size, line = w->input_width * pixel;
    const size_t pitch = c->padded_columns * pixel, left = smaller(w->padding_left * pixel, pitch);
    const size_t copied = smaller(line, pitch - left);
    for (; count > 0; count--, top++, to += pitch) {
        if (top < 0 || top >= (ptrdiff_t)w->input_height) {
            memset(to, c->padding, pitch);
            continue;
        }
        memset(to, c->padding, left);
        memcpy(to + left, image + (size_t)top * line, copied);
        memset(to + left + copied, c->padding, pitch - left - copied);
    }
    // Read for the last piece, if that is no multiple of 4 bytes: no NaN, which would outlive a weight of zero.
    memset(to, 0, 4);
}

// Where the rows of a call begin: in the image, or in `slot`.
static const void *point_lines(const struct eo_convolution *c, size_t first, size_t rows, char *slot,
                               struct eo_gemm_tile *tile) {
    const struct eo_window *w = &c->window;
    const size_t pixel = w->input_channels * c->input_element_size, line = w->input_width * pixel;
    const size_t y = first / w->output_width % w->output_height, lines = rows / w->output_width;
    const char *image = (const char *)c->input + first / w->output_width / w->output_height * w->input_height * line;
    const size_t pitch = c->padded_columns > 0 ? c->padded_columns * pixel : line;
    tile->input_stride = w->stride_width * pixel;
    tile->line_rows = w->output_width;
    tile->line_stride = w->stride_height * pitch;
    tile->segment_stride = w->dilation_height * pitch;
    if (c->padded_columns == 0) return image + y * w->stride_height * line;
    pad_lines(c, image, (ptrdiff_t)(y * w->stride_height) - (ptrdiff_t)w->padding_top,
              (lines - 1) * w->stride_height + (w->kernel_height - 1) * w->dilation_height + 1, slot);
    return slot;
}

// Bytes of results that are finished at once.
static const size_t finished_size = 8 * 1024;
static const size_t branched_size = 4 * 1024;

static void finish_run(const struct eo_finish *f, char *output, size_t offset, size_t size, size_t element_size) {
    char *y = output + offset;
    if (f->unary) f->unary(size / element_size, y, y, f->parameters);
    if (!f->binary) return;
    const char *x = (const char *)f->operand + offset;
    f->binary(size / element_size, f->operand_first ? x : y, f->operand_first ? y : x, y, f->parameters);
}

// `size` bytes of results from `offset` on, whose first one is of channel `channel`.
static void branch_run(const struct eo_finish *f, const char *output, size_t offset, size_t size, size_t channel,
                       size_t element_size) {
    const struct eo_branch *b = f->branch;
    if (!f->second_is_rounded) {
        b->run(size / element_size, output + offset, b->factors + channel, b->shifts + channel,
               (char *)f->second + offset, &b->parameters);
        return;
    }
    enum { COUNT = 1024 };
    _Alignas(64) float floats[COUNT];
    const float *from = (const float *)(output + offset);
    uint16_t *to = (uint16_t *)f->second + offset / sizeof(float);
    for (size_t left = size / sizeof(float), count; left > 0; left -= count, from += count, to += count) {
        count = smaller(COUNT, left);
        b->run(count, from, b->factors + channel, b->shifts + channel, floats, &b->parameters);
        eo_f32_to_bf16_best()->run(count, floats, to);
        channel += count;
    }
}

void eo_finish_run(const struct eo_finish *f, void *output, size_t offset, size_t size, size_t element_size) {
    const struct eo_branch *branch = f->branch;
    if (!branch) {
        finish_run(f, output, offset, size, element_size);
        return;
    }
    const size_t row = branch->channels * element_size, begin = offset % row, length = smaller(size, row - begin);
    const size_t step = larger(1, branched_size / length) * length, channel = begin / element_size;
    for (const size_t end = offset + size; offset < end; offset += step) {
        const size_t part = smaller(step, end - offset);
        finish_run(f, output, offset, part, element_size);
        for (size_t at = offset; at < offset + part; at += length)
            branch_run(f, output, at, length, channel, element_size);
    }
}

// Finishes `columns` channels from number `column` on of the output pixels from `first` up to `end`.
static void finish(const struct eo_convolution *c, size_t column, size_t columns, size_t first, size_t end) {
    const size_t size = c->output_element_size, pixel = c->window.groups * c->window.output_channels * size;
    if (columns * size == pixel) {
        eo_finish_run(&c->finish, c->output, first * pixel, (end - first) * pixel, size);
        return;
    }
    for (; first < end; first++)
        eo_finish_run(&c->finish, c->output, first * pixel + column * size, columns * size, size);
}

// Tiles of rows from number `first` on, a chunk of columns of some groups.
struct unit {
    size_t group, chunk, first, tiles;
};

// A tile of all groups of a unit.
static void run_groups(const struct eo_convolution *c, struct eo_gemm_tile tile) {
    const struct eo_window *w = &c->window;
    for (size_t group = 0; group < c->unit_groups; group++) {
        c->run(&tile);
        tile.weights = (const char *)tile.weights + c->group_size;
        tile.output = (char *)tile.output + w->output_channels * c->output_element_size;
        tile.segment_offset += w->input_channels * c->input_element_size;
    }
}

__attribute__((noinline)) static void run_unit(const struct eo_convolution *c, const struct pieces *pieces,
                                               const struct unit *unit, char *rows) {
    const struct eo_window *w = &c->window;
    const size_t column = unit->chunk * c->chunk_columns, group = unit->group, all = pixels(w);
    const size_t in_pixel = w->groups * w->input_channels * c->input_element_size;
    const size_t out_pixel = w->groups * w->output_channels * c->output_element_size;
    const char *input = (const char *)c->input + group * w->input_channels * c->input_element_size;
    char *output = (char *)c->output + (group * w->output_channels + column) * c->output_element_size;
    struct eo_gemm_tile tile = {
        .columns = smaller(c->chunk_columns, w->output_channels - column),
        .depth = c->depth,
        .input = input,
        .input_stride = c->gather ? c->row_stride : in_pixel,
        .weights = (const char *)c->weights + group * c->group_size + column / c->nr * c->block_size,
        .output_stride = out_pixel,
        .parameters = c->parameters,
        .row_parameters_stride = c->row_parameters_stride,
        .segments = c->segments,
        .segment = (const void *const *)rows,
        .in_tiles = c->parts > 0,
        .rounds = c->output_element_size == sizeof(uint16_t),
    };
    // The next chunk's weights, a part for each tile of this worker's.
    const size_t next = column + c->chunk_columns;
    const size_t wanted = next < w->output_channels
                              ? ceiling(smaller(c->chunk_columns, w->output_channels - next), c->nr) * c->block_size
                              : 0;
    const size_t part = wanted > 0 ? wanted / c->share_tiles : 0;
    if (part > 0)
        tile.ahead =
            (const char *)tile.weights + c->chunk_columns / c->nr * c->block_size + unit->first % c->share_tiles * part;
    tile.ahead_size = part;
    const size_t end = smaller(all, (unit->first + unit->tiles) * c->mr), columns = tile.columns * c->unit_groups;
    const bool finishes = eo_finish_is_needed(&c->finish);
    size_t finished = unit->first * c->mr, gathered = finished;
    const size_t at_once = c->mr * larger(1, c->gathered_tiles);
    for (size_t pixel = unit->first * c->mr; pixel < end; pixel += c->mr) {
        tile.rows = smaller(c->mr, end - pixel);
        if (c->gather && (pixel == gathered || pixel - gathered >= at_once)) {
            gathered = pixel;
            gather(c, input, pixel, smaller(at_once, end - pixel), rows);
        }
        if (c->call_lines)
            tile.input = point_lines(c, pixel, tile.rows, rows, &tile);
        else if (c->segments)
            tile.input_stride = point_pieces(c, pieces, input, pixel, tile.rows, rows);
        else
            tile.input = c->gather ? rows + (pixel - gathered) * c->row_stride : input + pixel * in_pixel;
        tile.output = output + pixel * out_pixel;
        tile.row_parameters = (const char *)c->row_parameters + pixel * c->row_parameters_stride;
        run_groups(c, tile);
        const size_t done = pixel + tile.rows;
        if (finishes && (done == end || (done - finished) * columns * c->output_element_size >= finished_size)) {
            finish(c, group * w->output_channels + column, columns, finished, done);
            finished = done;
        }
        if (part > 0) tile.ahead = (const char *)tile.ahead + part;
    }
}

// The image copied to `to` with its padding: no window leaves it.
__attribute__((noinline)) static struct eo_convolution frame(const struct eo_convolution *c, char *to) {
    struct eo_convolution framed = *c;
    struct eo_window *w = &framed.window;
    const size_t lines = frame_lines(w);
    pad_lines(c, c->input, -(ptrdiff_t)w->padding_top, lines, to);
    framed.input = to;
    w->input_height = lines;
    w->input_width = c->padded_columns;
    w->padding_top = w->padding_left = 0;
    return framed;
}

void eo_convolution_work(const struct eo_convolution *c, size_t number, size_t worker) {
    const size_t strip = number % c->strips, column = number / c->strips, part = column / c->chunks;
    const size_t units = c->window.groups / c->unit_groups, share = part / units;
    const struct unit unit = {
        .group = part % units * c->unit_groups,
        .chunk = column % c->chunks,
        .first = share * c->share_tiles + strip * c->unit_tiles,
        .tiles = smaller(c->unit_tiles, c->share_tiles - strip * c->unit_tiles),
    };
    char *rows = (char *)c->scratch + worker * c->slot_size;
    struct pieces pieces = {0};
    if (c->segments && !c->call_lines) {
        pieces = pieces_of(c);
        memset(rows + pieces.table, 0, pieces.zeros);
    }
    struct eo_convolution framed;
    if (pieces.size > 0 && c->padded_columns > 0) {
        framed = frame(c, rows + pieces.table + pieces.zeros);
        c = &framed;
    }
    run_unit(c, &pieces, &unit, rows);
}

// Where a line's own numbers begin in it, and how many they are; none of a line of zeros. `from`: of the image.
__attribute__((noinline)) static size_t framed(const struct eo_bf16_image *i, size_t line, size_t *count,
                                               size_t *from) {
    const struct eo_window *w = i->window;
    const size_t pixel = w->groups * w->input_channels, y = line % i->height - i->top;
    const bool is_inside = y < w->input_height; // wrapped around where it lies above
    *count = is_inside ? smaller(w->input_width, i->width - i->left) * pixel : 0;
    *from = (line / i->height * w->input_height + y) * w->input_width * pixel;
    return is_inside ? i->left * pixel : 0;
}

__attribute__((minsize)) void eo_bf16_image_line(const struct eo_bf16_image *i, size_t line) {
    const size_t all = i->width * i->window->groups * i->window->input_channels;
    size_t count, from;
    const size_t left = framed(i, line, &count, &from);
    uint16_t *to = i->to + line * all;
    memset(to, 0, left * sizeof *to);
    eo_f32_to_bf16_best()->run(count, i->from + from, to + left);
    memset(to + left + count, 0, (all - left - count) * sizeof *to);
}

// Few zeros, without a call.
static inline void zeros(uint16_t *to, size_t count) {
    enum { STEP = 8 };
    for (; count >= STEP; count -= STEP, to += STEP) {
        memset(to, 0, STEP * sizeof *to);
        __asm__("" : "+r"(to)); // or the loop becomes one
    }
    for (; count > 0; count--) *to++ = 0;
}

__attribute__((minsize)) void eo_bf16_image_parts(const struct eo_bf16_image *i, size_t parts, size_t part,
                                                  const float *scale, size_t line) {
    const size_t all = i->width * i->window->groups * i->window->input_channels;
    size_t count, from;
    const size_t left = framed(i, line, &count, &from);
    uint16_t *to = i->to + line * all;
    eo_bf16_split_best()->run(count, i->from + from, scale, parts, to + left, part);
    for (size_t p = 0; p < parts; p++, to += part) {
        zeros(to, left);
        zeros(to + left + count, all - left - count);
    }
}
