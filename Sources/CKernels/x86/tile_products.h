// Products of rows by packed weights on tile registers. Sums of a block of two tiles of rows and NR columns stay in
// four registers while the depth passes by. A block's sums are stored one by one just before the next block needs their
// registers, and become results during the block after that, a pair of rows after each product of tiles: loads,
// products and what the including file's `leave_pair` does go on side by side only if they stand side by side.
#ifndef EDGEOPT_X86_TILE_PRODUCTS_H
#define EDGEOPT_X86_TILE_PRODUCTS_H

#include "../simd/i32_avx512.h"
#undef TARGET
#define TARGET                                                                                                         \
    __attribute__((                                                                                                    \
        target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,bmi2,fma,f16c")))
#include "gemm.h"

// Registers: sums 0 1 over 2 3, rows 4 over 5, weights 6 7.
enum { TILE_ROWS = 16, TILE_BYTES = 64, NR = 32 };

// What the rows hold; weights are bytes with a sign, or bfloat16 too. WORDS come in halves, see gemm.h: the upper ones
// in register 4, the lower ones of the same rows in 5.
enum numbers { UNSIGNED_BYTES, SIGNED_BYTES, WORDS, BFLOATS };

struct sums {
    _Alignas(64) int32_t values[2 * TILE_ROWS][NR];
};

// A block on its way to the output.
struct block {
    struct sums *sums;
    const char *head; // of the block of weights
    char *output;     // of the first row of all and the first of these columns
    size_t row[2];    // number of the first row of each tile
    size_t columns;
    size_t done, all; // pairs of rows that have left
};

struct product {
    const struct eo_gemm_tile *tile;
    size_t element;        // bytes of a result
    size_t heads;          // numbers at the head of a block of weights, for each column
    bool has_bias;         // they begin with what sums begin with
    const void *constants; // of `leave_pair`
    // The rest is set by tile_products.
    size_t depth, pieces;         // bytes of a piece of a row; how many make a row
    size_t step;                  // bytes of a step
    size_t line_rows, line_tiles; // rows that lie input_stride apart, and how many tiles make them
    size_t height;                // rows of a tile
    size_t pairs;                 // of rows, in a tile
    size_t leaving;               // pairs of rows that leave after a product of tiles
};

// Two rows of sums; `below` is 1 if there is a second one.
struct pair {
    const int32_t *sums;
    size_t row, below;
};
// They become results. `fast`: what the caller of tile_products knows.
static inline __attribute__((always_inline)) void leave_pair(const int fast, const struct product *product,
                                                             const struct block *block, struct pair pair);

SIMD void leave(const int fast, const struct product *p, struct block *b, size_t count) {
    for (; count > 0 && b->done < b->all; count--, b->done++) {
        const size_t tile = b->done >= p->pairs, row = 2 * (tile ? b->done - p->pairs : b->done);
        leave_pair(fast, p, b,
                   (struct pair){b->sums->values[tile * TILE_ROWS + row], b->row[tile] + row, row + 1 < p->height});
    }
}

// The tiles are named by constants.
#define MULTIPLY(sum, a, b)                                                                                            \
    do {                                                                                                               \
        if (numbers == BFLOATS)                                                                                        \
            _tile_dpbf16ps(sum, a, b);                                                                                 \
        else if (numbers == SIGNED_BYTES || (numbers == WORDS && a == 4))                                              \
            _tile_dpbssd(sum, a, b);                                                                                   \
        else                                                                                                           \
            _tile_dpbusd(sum, a, b);                                                                                   \
    } while (0)

// The sums of the block before make room; the register begins with the bias, the same row 16 times, or with zeros.
// (Setting a register to zero would be slower than loading zeros.)
#define EXCHANGE(sum)                                                                                                  \
    do {                                                                                                               \
        if (stored->all > 0 && (sum % 2 == 0 || stored->columns > LANES))                                              \
            _tile_stored(sum, stored->sums->values[sum / 2 * TILE_ROWS] + sum % 2 * LANES, sizeof(int32_t[NR]));       \
        _tile_loadd(sum, start + sum % 2 * TILE_BYTES, 0);                                                             \
    } while (0)

// A step; `first`: of the block.
SIMD void step(const enum numbers numbers, const int fast, const int first, const struct product *p,
               const struct block *now, const struct block *stored, struct block *leaves, const char *upper,
               const char *lower, const char *w) {
    static const _Alignas(64) char zeros[2 * TILE_BYTES];
    const char *start = p->has_bias ? now->head : zeros;
    const size_t stride = p->tile->input_stride;
    const int right = now->columns > LANES;
    _tile_loadd(6, w, TILE_BYTES);
    _tile_loadd(4, upper, stride);
    if (first) EXCHANGE(0);
    MULTIPLY(0, 4, 6);
    leave(fast, p, leaves, p->leaving);
    if (first) EXCHANGE(1);
    if (right) {
        _tile_loadd(7, w + p->step * LANES, TILE_BYTES);
        MULTIPLY(1, 4, 7);
        leave(fast, p, leaves, p->leaving);
    }
    _tile_loadd(5, lower, stride);
    if (first) EXCHANGE(2);
    MULTIPLY(2, 5, 6);
    leave(fast, p, leaves, p->leaving);
    if (first) EXCHANGE(3);
    if (right) {
        MULTIPLY(3, 5, 7);
        leave(fast, p, leaves, p->leaving);
    }
}

SIMD void run_block(const enum numbers numbers, const int fast, const struct product *p, const struct block *now,
                    const struct block *stored, struct block *leaves, const char *upper, const char *lower) {
    const size_t depth = p->depth;
    const char *w = now->head + p->heads * 4 * NR;
    step(numbers, fast, 1, p, now, stored, leaves, upper, lower, w);
    size_t k = 0;
    for (size_t piece = 0;;) {
        if (k + TILE_BYTES < depth) {
            // The last step overlaps the one before: what it has in common with it has weights of 0.
            k = k + 2 * TILE_BYTES <= depth ? k + TILE_BYTES : depth - TILE_BYTES;
        } else {
            if (++piece == p->pieces) break;
            k = 0;
            upper += p->tile->segment_stride;
            lower += p->tile->segment_stride;
        }
        w += p->step * NR;
        step(numbers, fast, 0, p, now, stored, leaves, upper + k, lower + k, w);
    }
    leave(fast, p, leaves, SIZE_MAX);
}

struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// For tiles of `height` rows, `depth` bytes (at most TILE_BYTES) at a time. Whoever configures the tiles releases them
// before it returns, so the host's threads never carry tile state.
static inline __attribute__((target("amx-tile"))) void tiles_configure(size_t height, size_t depth) {
    struct tile_configuration c = {.palette = 1};
    for (int tile = 0; tile < 6; tile++) {
        c.rows[tile] = (uint8_t)height;
        c.row_bytes[tile] = tile < 4 ? TILE_BYTES : (uint16_t)depth;
    }
    c.rows[6] = c.rows[7] = (uint8_t)(depth / 4);
    c.row_bytes[6] = c.row_bytes[7] = TILE_BYTES;
    _tile_loadconfig(&c);
}

// Where a tile of rows begins; *number becomes its first row's. The last tile of a line ends with the line.
SIMD const char *tile_rows(const struct product *p, size_t tile, size_t *number) {
    const struct eo_gemm_tile *t = p->tile;
    const size_t line = p->line_rows == t->rows ? 0 : (uint32_t)tile / (uint32_t)p->line_tiles;
    size_t row = (tile - line * p->line_tiles) * p->height;
    if (row + p->height > p->line_rows) row = p->line_rows - p->height;
    *number = line * p->line_rows + row;
    return (const char *)t->input + line * t->line_stride + row * t->input_stride;
}

static TARGET void plan_product(struct product *p, const enum numbers numbers) {
    const struct eo_gemm_tile *t = p->tile;
    p->pieces = t->segments ? t->segments : 1;
    p->depth = (numbers == BFLOATS ? 2 : 1) * t->depth / p->pieces;
    p->step = p->depth < TILE_BYTES ? p->depth : TILE_BYTES;
    p->line_rows = t->line_rows ? t->line_rows : t->rows;
    p->line_tiles = (p->line_rows + TILE_ROWS - 1) / TILE_ROWS;
    // Two at a time.
    if (p->line_rows == t->rows && numbers != WORDS) p->line_tiles = (p->line_tiles + 1) / 2 * 2;
    p->height = (p->line_rows + p->line_tiles - 1) / p->line_tiles;
    p->pairs = (p->height + 1) / 2;
    const size_t products = 4 * p->pieces * ((p->depth + TILE_BYTES - 1) / TILE_BYTES);
    p->leaving = ((numbers == WORDS ? 1 : 2) * p->pairs + products - 1) / products;
}

// Bytes of rows that stay in the first-level cache while the weights pass by.
enum { PANEL_SIZE = 16 * 1024 };

// All blocks: panels of rows, in them columns, in them rows.
SIMD void tile_products(const enum numbers numbers, const int fast, struct product *p) {
    const struct eo_gemm_tile *t = p->tile;
    const int halves = numbers == WORDS;
    plan_product(p, numbers);
    const size_t steps = p->pieces * ((p->depth + TILE_BYTES - 1) / TILE_BYTES);
    const size_t size = NR * (p->heads * 4 + steps * p->step);
    const size_t tiles = t->rows / p->line_rows * p->line_tiles, in_block = halves ? 1 : 2;
    const size_t panel = PANEL_SIZE / (p->depth * p->pieces * TILE_ROWS) / 2 * 2;
    struct sums sums[2];
    struct block blocks[3];
    struct block *now = blocks, *stored = blocks + 1, *leaves = blocks + 2;
    stored->all = leaves->all = leaves->done = 0;
    size_t turn = 0;
    tiles_configure(p->height, p->step);
    for (size_t top = 0, bottom; top < tiles; top = bottom) {
        bottom = tiles - top < panel ? tiles : top + (panel < 2 ? 2 : panel);
        if (bottom > tiles) bottom = tiles;
        const char *head = t->weights;
        for (size_t column = 0; column < t->columns; column += NR, head += size)
            for (size_t tile = top; tile < bottom; tile += in_block, turn ^= 1) {
                const char *upper = tile_rows(p, tile, now->row), *lower = upper + t->input_stride / 2;
                if (!halves) lower = tile_rows(p, tile + 1 < bottom ? tile + 1 : tile, now->row + 1);
                now->sums = sums + turn;
                now->head = head;
                now->output = (char *)t->output + column * p->element;
                now->columns = t->columns - column < NR ? t->columns - column : NR;
                now->done = 0;
                now->all = in_block * p->pairs;
                run_block(numbers, fast, p, now, stored, leaves, upper, lower);
                struct block *left = leaves;
                leaves = stored;
                stored = now;
                now = left;
            }
    }
    leave(fast, p, leaves, SIZE_MAX);
    int32_t(*values)[NR] = stored->sums->values;
    _tile_stored(0, values, sizeof *values);
    _tile_stored(1, values[0] + LANES, sizeof *values);
    _tile_stored(2, values + TILE_ROWS, sizeof *values);
    _tile_stored(3, values[TILE_ROWS] + LANES, sizeof *values);
    _tile_release();
    leave(fast, p, stored, SIZE_MAX);
}

#endif
