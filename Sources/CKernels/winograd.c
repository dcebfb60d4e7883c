#include "winograd.h"

#include <math.h>
#include <string.h>

// Transformed tiles of a unit stay in the second-level cache while all output channels pass by.
static const size_t unit_size = 1200 * 1024;
static const size_t unit_products = 512 * 1024;

static size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t elements(size_t m) { return (m + 2) * (m + 2); }

size_t eo_winograd_tiles(const struct eo_window *w, size_t m) {
    return w->batch * ceiling(w->output_height, m) * ceiling(w->output_width, m);
}

// In multiply-adds. Weights come from memory once for each tile of rows at best: that costs as much as so many rows.
// A transformed element costs as much as so many multiply-adds (both measured).
static double cost(const struct eo_window *w, size_t products, size_t rows) {
    const double memory_rows = 28;
    return (double)products * (double)(w->input_channels * w->output_channels) * fmax((double)rows, memory_rows);
}

bool eo_winograd_fits(const struct eo_window *w) {
    return w->kernel_height == 3 && w->kernel_width == 3 && w->stride_height == 1 && w->stride_width == 1 &&
           w->dilation_height == 1 && w->dilation_width == 1 && w->groups == 1;
}

size_t eo_winograd_size(const struct eo_window *w) {
    const double transform = 12;
    if (!eo_winograd_fits(w) || w->input_channels < 16 || w->output_channels < 16) return 0;
    double best = 0.85 * cost(w, 9, w->batch * w->output_height * w->output_width);
    size_t size = 0;
    for (size_t m = 2; m <= 4; m += 2) {
        const size_t tiles = eo_winograd_tiles(w, m);
        const double transforms = transform * (double)(elements(m) * tiles * (w->input_channels + w->output_channels));
        const double found = cost(w, elements(m), tiles) + transforms;
        if (found < best) {
            best = found;
            size = m;
        }
    }
    return size;
}

// ------------------------------------------------------------------------------------------------------------ weights

// G of m = 2 and 4: row j is (1, p, p^2) / product of (p - q) over the other points q; the last row is of infinity.
static const float kernel_2[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
static const float kernel_4[6][3] = {
    {64.0f / 81, 0, 0},
    {-128.0f / 243, -32.0f / 81, -8.0f / 27},
    {-128.0f / 243, 32.0f / 81, -8.0f / 27},
    {32.0f / 243, 16.0f / 81, 8.0f / 27},
    {32.0f / 243, -16.0f / 81, 8.0f / 27},
    {0, 0, 1},
};

size_t eo_winograd_packed_size(int nr, size_t m, size_t inputs, size_t outputs) {
    return ceiling(outputs, nr) * nr * sizeof(float) + elements(m) * eo_f32_gemm_packed_size(nr, inputs, outputs);
}

enum { RUN = 16, MOST = 6 };
// Output channels that are transformed together. Any nr is a multiple.
typedef float lanes __attribute__((vector_size(32)));
enum { LANES = 8, MOST_COLUMNS = 32 };

// u = G g G^T of a run of input channels: element e of input channel c goes to to + e * block + c * nr. The bits do not
// depend on the instruction set.
static inline __attribute__((always_inline)) void transform_weights(size_t m, lanes (*g)[3][3][RUN], size_t count,
                                                                    float *to, size_t block, size_t nr) {
    const float(*kernel)[3] = m == 2 ? kernel_2 : kernel_4;
    const size_t side = m + 2;
    for (size_t column = 0; column < count * nr; column += LANES, to += LANES) {
        lanes(*const at)[3][RUN] = g[column % nr / LANES], half[MOST][3];
        const size_t c = column / nr;
        for (size_t i = 0; i < side; i++)
            for (size_t j = 0; j < 3; j++)
                half[i][j] = kernel[i][0] * at[0][j][c] + kernel[i][1] * at[1][j][c] + kernel[i][2] * at[2][j][c];
        float *element = to;
        for (size_t i = 0; i < side; i++)
            for (size_t j = 0; j < side; j++, element += block) {
                const lanes u = kernel[j][0] * half[i][0] + kernel[j][1] * half[i][1] + kernel[j][2] * half[i][2];
                memcpy(element, &u, sizeof u);
            }
    }
}

// Small rather than fast.
__attribute__((minsize)) static void transform_any(size_t m, lanes (*g)[3][3][RUN], size_t count, float *to,
                                                   size_t block, size_t nr) {
    transform_weights(m, g, count, to, block, nr);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void transform_avx2(size_t m, lanes (*g)[3][3][RUN], size_t count, float *to,
                                                           size_t block, size_t nr) {
    transform_weights(m, g, count, to, block, nr);
}
#else
#define transform_avx2 transform_any
#endif

void eo_winograd_pack(int nr, size_t m, size_t inputs, size_t outputs, const void *weights, const void *bias,
                      void *packed) {
    size_t taps[9];
    for (size_t tap = 0; tap < 9; tap++) taps[tap] = tap * inputs;
    const struct eo_strided_weights w = {.weights = weights,
                                         .tap = taps,
                                         .taps = 9,
                                         .channels = inputs,
                                         .columns = outputs,
                                         .depth_stride = 1,
                                         .column_stride = 9 * inputs,
                                         .bias = bias};
    eo_winograd_pack_strided(nr, m, &w, packed);
}

// As eo_f32_gemm_pack: a run of input channels at a time.
void eo_winograd_pack_strided(int nr, size_t m, const struct eo_strided_weights *w, void *packed) {
    const size_t inputs = w->channels, outputs = w->columns;
    const size_t block = (1 + inputs) * (size_t)nr, filled = ceiling(outputs, nr) * (size_t)nr;
    void (*const transform)(size_t, lanes(*)[3][3][RUN], size_t, float *, size_t, size_t) =
        kernels_isa_available(ISA_AVX2) ? transform_avx2 : transform_any;
    float *biases = packed, *to = biases + filled;
    memset(biases, 0, filled * sizeof(float));
    if (w->bias) memcpy(biases, w->bias, outputs * sizeof(float));
    for (size_t first = 0; first < outputs; first += nr, to += elements(m) * block) {
        for (size_t e = 0; e < elements(m); e++) memset(to + e * block, 0, nr * sizeof(float));
        for (size_t channel = 0; channel < inputs; channel += RUN) {
            const size_t count = smaller(RUN, inputs - channel);
            lanes g[MOST_COLUMNS / LANES][3][3][RUN] = {0};
            for (size_t j = 0; j < (size_t)nr && first + j < outputs; j++)
                for (size_t tap = 0; tap < 9; tap++) {
                    const size_t from = w->tap[tap] + (first + j) * w->column_stride + channel * w->depth_stride;
                    float *values = (float *)g[j / LANES][tap / 3][tap % 3] + j % LANES;
                    // The weights of a file may lie anywhere.
                    for (size_t c = 0; c < count; c++)
                        memcpy(values + c * LANES, (const char *)w->weights + 4 * (from + c * w->depth_stride), 4);
                }
            transform(m, g, count, to + (1 + channel) * nr, block, nr);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- work

// Floats from an element of `tiles` rows to the next one: a line of the cache more than they have, since at multiples
// of 4096 bytes all elements of a tile would share a set of the cache.
static size_t apart(size_t tiles, size_t columns) { return tiles * columns + 64 / sizeof(float); }

static size_t input_size(const struct eo_winograd *w) {
    return ceiling(elements(w->m) * apart(w->most_tiles, w->window.input_channels) * sizeof(float), 64) * 64;
}

void eo_winograd_plan(struct eo_winograd *w) {
    const size_t tile = elements(w->m) * w->window.input_channels * sizeof(float);
    const size_t fitting = larger(w->mr, unit_size / tile / w->mr * w->mr);
    w->most_tiles = smaller(eo_winograd_tiles(&w->window, w->m), fitting);
    w->slot_size = input_size(w) + elements(w->m) * apart(w->most_tiles, w->nr) * sizeof(float);
}

size_t eo_winograd_start(struct eo_winograd *w, size_t workers) {
    const struct eo_window *window = &w->window;
    const size_t tiles = eo_winograd_tiles(window, w->m), chunks = ceiling(window->output_channels, w->nr);
    const size_t products = elements(w->m) * tiles * window->input_channels * window->output_channels;
    workers = larger(1, smaller(workers, products / unit_products));
    size_t units = ceiling(tiles, w->most_tiles);
    w->parts = 1;
    // Each unit reads all weights, and each part transforms the input anew: where there are tiles enough for units of
    // some tiles of rows, they are divided, otherwise the output channels.
    if (tiles >= workers * 4 * w->mr)
        units = ceiling(units, workers) * workers;
    else if (workers > 1)
        w->parts = smaller(workers, chunks);
    w->unit_tiles = ceiling(tiles, units);
    w->workers = workers;
    return ceiling(tiles, w->unit_tiles) * w->parts;
}

// All elements of a chunk of output channels, then their pixels.
static void run_chunk(const struct eo_winograd *w, size_t chunk, size_t last, size_t first, size_t tiles,
                      const float *input, float *products) {
    const struct eo_window *window = &w->window;
    const size_t depth = window->input_channels, nr = w->nr, block = (1 + depth) * nr, count = elements(w->m);
    const float *bias = w->weights + chunk * nr;
    const float *weights = w->weights + ceiling(window->output_channels, nr) * nr + chunk * count * block;
    const struct eo_f32_gemm_parameters unbounded = {-INFINITY, INFINITY};
    const size_t columns = smaller(nr, window->output_channels - chunk * nr);
    const size_t share = block * sizeof(float) / ceiling(tiles, w->mr);
    for (size_t e = 0; e < count; e++, weights += block) {
        const bool more = e + 1 < count || chunk != last;
        for (size_t row = 0, part = 0; row < tiles; row += w->mr, part++) {
            const struct eo_gemm_tile tile = {
                .rows = smaller(w->mr, tiles - row),
                .columns = columns,
                .depth = depth,
                .input = input + e * apart(tiles, depth) + row * depth,
                .input_stride = depth * sizeof(float),
                .weights = weights,
                .output = products + e * apart(tiles, nr) + row * nr,
                .output_stride = nr * sizeof(float),
                .parameters = &unbounded,
                .ahead = more ? (const char *)(weights + block) + part * share : NULL,
                .ahead_size = share,
            };
            w->run(&tile);
        }
    }
    const struct eo_winograd_output output = {
        .window = window,
        .m = w->m,
        .transformed = products,
        .element_stride = apart(tiles, nr),
        .tile_stride = nr,
        .first = first,
        .tiles = tiles,
        .column = chunk * nr,
        .columns = columns,
        .bias = bias,
        .output = w->output,
        .parameters = w->parameters,
    };
    w->transform_output(&output);
}

void eo_winograd_finish(const struct eo_finish *f, const struct eo_winograd_pixels *p, size_t begin, size_t end,
                        void *output, size_t size) {
    const struct eo_window *window = p->window;
    const size_t m = p->m, pixel = window->output_channels * size;
    if (!eo_finish_is_needed(f)) return;
    const size_t across = ceiling(window->output_width, m), down = ceiling(window->output_height, m);
    for (size_t tile = p->first; tile < p->first + p->tiles; tile++) {
        const size_t x = tile % across * m, top = tile / across % down * m, image = tile / across / down;
        const size_t count = smaller(m, window->output_width - x);
        for (size_t y = top; y < smaller(top + m, window->output_height); y++) {
            const size_t at = ((image * window->output_height + y) * window->output_width + x) * pixel;
            if (end - begin == window->output_channels) {
                eo_finish_run(f, output, at, count * pixel, size);
                continue;
            }
            for (size_t i = 0; i < count; i++)
                eo_finish_run(f, output, at + i * pixel + begin * size, (end - begin) * size, size);
        }
    }
}

void eo_winograd_work(const struct eo_winograd *w, size_t unit, size_t worker) {
    const struct eo_window *window = &w->window;
    const size_t chunks = ceiling(window->output_channels, w->nr), part_chunks = ceiling(chunks, w->parts);
    const size_t begin = unit % w->parts * part_chunks, end = smaller(chunks, begin + part_chunks);
    if (begin >= end) return;
    char *slot = (char *)w->scratch + worker * w->slot_size;
    const size_t first = unit / w->parts * w->unit_tiles;
    const size_t tiles = smaller(w->unit_tiles, eo_winograd_tiles(window, w->m) - first);
    const struct eo_winograd_input input = {
        .window = window,
        .m = w->m,
        .input = w->input,
        .first = first,
        .tiles = tiles,
        .transformed = (float *)slot,
        .element_stride = apart(tiles, window->input_channels),
        .tile_stride = window->input_channels,
    };
    w->transform_input(&input);
    for (size_t chunk = begin; chunk < end; chunk++)
        run_chunk(w, chunk, end - 1, first, tiles, (const float *)slot, (float *)(slot + input_size(w)));
    const struct eo_winograd_pixels pixels = {window, w->m, first, tiles};
    eo_winograd_finish(&w->finish, &pixels, begin * w->nr, smaller(end * w->nr, window->output_channels), w->output,
                       sizeof(float));
}
