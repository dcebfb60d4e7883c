// Products of rows by packed weights on tile registers. Sums of a block of two tiles of rows and NR columns stay in
// four registers while the depth passes by. A block's sums are stored one by one just before the next block needs their
// registers, and become results during the rest of that block, or if it is short during the one after it, a pair of
// rows after each product of tiles: loads, products and what the including file's `leave_rows` does go on side by side
// only if they stand side by side.
#ifndef EDGEOPT_X86_TILE_PRODUCTS_H
#define EDGEOPT_X86_TILE_PRODUCTS_H

#include "../simd/i32_avx512.h"
#undef TARGET
#define TARGET                                                                                                         \
    __attribute__((                                                                                                    \
        target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,bmi2,fma,"    \
               "f16c")))
#include "gemm.h"

// Registers: sums 0 1 over 2 3, rows 4 over 5, weights 6 7.
enum { TILE_ROWS = 16, TILE_BYTES = 64, NR = 32 };

// What the rows hold; weights are bytes with a sign, or bfloat16 too. WORDS come in halves, see gemm.h: the upper ones
// in register 4, the lower ones of the same rows in 5.
enum numbers { UNSIGNED_BYTES, SIGNED_BYTES, WORDS, BFLOATS };

// A block on its way to the output: what leaves next, row `row` of its first tile and the same row of the other,
// `below` rows further on in the output, and how many are left.
struct leaving {
    int32_t *sums;
    char *output; // of row `row`
    size_t row, left;
    ptrdiff_t below;
    const char *head; // of the block of weights
    size_t columns;
};

struct product {
    const struct eo_gemm_tile *tile;
    size_t element;        // bytes of a result
    size_t heads;          // numbers at the head of a block of weights, for each column
    int32_t bias_factor;   // sums begin with so many times the first of them; 1 if they are floats
    const void *constants; // of `leave_rows`
};

// How rows are cut into tiles, and tiles into steps.
struct cut {
    size_t depth, pieces;         // bytes of a piece of a row; how many make a row
    size_t step, steps;           // bytes of a step; all steps
    size_t line_rows, line_tiles; // rows that lie input_stride apart, and how many tiles make them
    size_t height;                // rows of a tile
    bool soon;                    // sums leave during the block that stores them, before their lines leave the cache
    bool turns;                   // every other block goes through the depth backwards
};

// The next row of both tiles becomes results; of WORDS both tiles are halves of the same. `fast`: what the caller of
// tile_products knows.
static inline __attribute__((always_inline)) void leave_rows(const int fast, const struct product *product,
                                                             const struct leaving *leaving);

SIMD void leave_each(const int fast, const struct product *p, struct leaving *l, size_t count) {
    for (; count > 0 && l->left > 0; count--, l->left--) {
        leave_rows(fast, p, l);
        l->sums += NR;
        l->row++;
        l->output += p->tile->output_stride;
    }
}

static __attribute__((noinline)) TARGET void leave_any(const struct product *p, struct leaving *l, size_t count) {
    leave_each(0, p, l, count);
}

SIMD void leave(const int fast, const struct product *p, struct leaving *l, size_t count) {
    if (fast)
        leave_each(fast, p, l, count);
    else if (l->left > 0)
        leave_any(p, l, count);
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

static const _Alignas(64) char zeros[2 * TILE_BYTES];

// The sums of the block before make room; the register begins with the bias, the same row 16 times, or with zeros, as
// the upper halves of WORDS do. (Setting a register to zero would be slower than loading zeros.)
#define EXCHANGE(sum)                                                                                                  \
    do {                                                                                                               \
        if (stores) _tile_stored(sum, stores + sum / 2 * TILE_ROWS * NR + sum % 2 * LANES, sizeof(int32_t[NR]));       \
        _tile_loadd(sum, (numbers == WORDS && sum < 2 ? zeros : start) + sum % 2 * TILE_BYTES, 0);                     \
    } while (0)

SIMD bool in_tiles(const enum numbers numbers, const struct eo_gemm_tile *t) {
    return numbers == BFLOATS && t->in_tiles;
}

// Weights to be brought into the second-level cache, some lines after each step.
struct ahead {
    const char *at;
    size_t lines;
};

// A step of a block; the first one lets the sums of the block before go to `stores`. Without `right` there are at most
// 16 columns, and whatever the other registers hold.
SIMD void step(const enum numbers numbers, const int fast, const int first, const int right, const struct product *p,
               size_t step_size, const char *start, int32_t *stores, struct leaving *leaves, size_t count,
               const char *upper, const char *lower, const char *w) {
    const size_t stride = in_tiles(numbers, p->tile) ? TILE_BYTES : p->tile->input_stride;
    _tile_loadd(6, w, TILE_BYTES);
    _tile_loadd(4, upper, stride);
    if (first) EXCHANGE(0);
    MULTIPLY(0, 4, 6);
    leave(fast, p, leaves, count);
    if (first) EXCHANGE(1);
    if (right) {
        _tile_loadd(7, w + step_size * LANES, TILE_BYTES);
        MULTIPLY(1, 4, 7);
        leave(fast, p, leaves, count);
    }
    _tile_loadd(5, lower, stride);
    if (first) EXCHANGE(2);
    MULTIPLY(2, 5, 6);
    leave(fast, p, leaves, count);
    if (first) EXCHANGE(3);
    if (right) {
        MULTIPLY(3, 5, 7);
        leave(fast, p, leaves, count);
    }
}

// Where a block's numbers are.
struct block {
    const char *head, *start; // of the weights; what sums begin with
    const char *upper, *lower;
    int32_t *stores; // for the sums of the block before, or null
    bool back;       // from the last step to the first
};

SIMD void run_block(const enum numbers numbers, const int fast, const struct product *p, const struct cut *c,
                    const struct block *b, int right, struct leaving *leaves, size_t count, struct ahead *ahead) {
    const size_t depth = c->depth, last = depth - c->step, weights = c->step * NR;
    const char *upper = b->upper, *lower = b->lower, *w = b->head + p->heads * 4 * NR;
    ptrdiff_t segment = (ptrdiff_t)p->tile->segment_stride, next = (ptrdiff_t)weights;
    size_t k = 0;
    if (b->back) {
        k = last;
        upper += (ptrdiff_t)(c->pieces - 1) * segment;
        lower += (ptrdiff_t)(c->pieces - 1) * segment;
        w += (c->steps - 1) * weights;
        segment = -segment;
        next = -next;
    }
    step(numbers, fast, 1, right, p, c->step, b->start, b->stores, leaves, c->soon ? 0 : count, upper + k, lower + k,
         w);
    for (size_t piece = 0;;) {
        for (size_t i = 0; i < ahead->lines; i++, ahead->at += 64) _mm_prefetch(ahead->at, _MM_HINT_T1);
        // The last step of a piece overlaps the one before: what it has in common with it has weights of 0.
        if (b->back ? k > 0 : k < last) {
            k = b->back ? (k - 1) / TILE_BYTES * TILE_BYTES : k + TILE_BYTES < last ? k + TILE_BYTES : last;
        } else {
            if (++piece == c->pieces) break;
            k = b->back ? last : 0;
            upper += segment;
            lower += segment;
        }
        w += next;
        step(numbers, fast, 0, right, p, c->step, b->start, b->stores, leaves, count, upper + k, lower + k, w);
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

// Number of a tile's first row. The last tile of a line ends with the line.
SIMD size_t first_row(const struct cut *c, size_t rows, size_t tile, size_t *line) {
    *line = c->line_rows == rows ? 0 : (uint32_t)tile / (uint32_t)c->line_tiles;
    const size_t row = (tile - *line * c->line_tiles) * c->height;
    return row + c->height > c->line_rows ? c->line_rows - c->height : row;
}

static TARGET struct cut cut_rows(const struct eo_gemm_tile *t, const enum numbers numbers) {
    struct cut c = {.pieces = t->segments ? t->segments : 1};
    c.depth = (numbers == BFLOATS ? 2 : 1) * t->depth / c.pieces;
    c.step = c.depth < TILE_BYTES ? c.depth : TILE_BYTES;
    c.steps = c.pieces * ((c.depth + TILE_BYTES - 1) / TILE_BYTES);
    // Lines that touch are one: those of windows of one column.
    const bool one_line = t->line_rows == 0 || t->line_stride == t->line_rows * t->input_stride;
    c.line_rows = one_line ? t->rows : t->line_rows;
    c.line_tiles = (c.line_rows + TILE_ROWS - 1) / TILE_ROWS;
    // Two at a time.
    if (c.line_rows == t->rows && numbers != WORDS) c.line_tiles = (c.line_tiles + 1) / 2 * 2;
    c.height = (c.line_rows + c.line_tiles - 1) / c.line_tiles;
    return c;
}

// Where a tile's rows begin, of which the first one is row `at` of a line.
SIMD const char *tile_rows(const enum numbers numbers, const struct eo_gemm_tile *t, size_t tile, size_t line,
                           size_t at) {
    if (in_tiles(numbers, t)) return (const char *)t->input + tile * TILE_ROWS * t->input_stride;
    return (const char *)t->input + line * t->line_stride + at * t->input_stride;
}

// Bytes of rows that stay in the first-level cache while the weights pass by; but where there are many weights, and
// they leave the second-level cache room for all rows, each block of weights comes but once. Weights of as many blocks
// as fit NEAR_WEIGHTS pass by together, so that neighbouring results are stored while their line is in the nearest
// cache. Where a single block is larger, every other one begins with what the one before ended with. A block of
// SOON_DEPTH bytes is long enough for sums to leave in.
enum {
    PANEL_SIZE = 16 * 1024,
    MANY_WEIGHTS = 128 * 1024,
    ALL_ROWS = 256 * 1024,
    ALL_IN_TILES = 1024 * 1024,
    NEAR_WEIGHTS = 20 * 1024,
    SOON_DEPTH = 3 * TILE_BYTES
};

// What sums of a block begin with; `start` is room for it.
SIMD const char *start_of(const enum numbers numbers, const int fast, const struct product *p, const char *head,
                          int32_t *start) {
    if (numbers == WORDS && fast) {
        for (int j = 0; j < NR; j++) start[j] = (int32_t)((const int64_t *)head)[j];
        return (const char *)start;
    }
    if (p->bias_factor == 0) return zeros;
    if (p->bias_factor == 1 || numbers == BFLOATS) return head;
    for (int j = 0; j < NR; j += LANES)
        ivec_store(start + j, ivec_multiply(ivec_load((const int32_t *)head + j), ivec_set(p->bias_factor)));
    return (const char *)start;
}

// All blocks: panels of rows, in them some columns, in them rows, in them columns.
SIMD void tile_products(const enum numbers numbers, const int fast, const struct product *p) {
    const struct eo_gemm_tile *t = p->tile;
    struct cut c = cut_rows(t, numbers);
    const size_t size = NR * (p->heads * 4 + c.steps * c.step);
    const size_t near_columns = size > NEAR_WEIGHTS ? NR : NEAR_WEIGHTS / size * NR;
    c.soon = c.steps * c.step >= SOON_DEPTH && c.steps > 1;
    // Sums of bfloat16 depend on their order, which must not depend on where a block stands.
    c.turns = size > NEAR_WEIGHTS && numbers != BFLOATS;
    const size_t products = 4 * (c.steps - c.soon), count = (c.height + products - 1) / products;
    const size_t tiles = t->rows / c.line_rows * c.line_tiles, in_block = numbers == WORDS ? 1 : 2;
    // Neighbouring pixels share most of their pieces.
    const size_t row_size = in_tiles(numbers, t) || c.pieces == 1 ? c.pieces * c.depth : t->input_stride * c.pieces;
    const size_t fitting = PANEL_SIZE / (row_size * TILE_ROWS) / 2 * 2, weights = (t->columns + NR - 1) / NR * size;
    const bool once = weights > MANY_WEIGHTS && row_size * t->rows <= (in_tiles(numbers, t) ? ALL_IN_TILES : ALL_ROWS);
    const size_t panel = once ? tiles : fitting < 2 ? 2 : fitting;
    // The next blocks of weights come while these are multiplied.
    struct ahead ahead = {t->weights, 0};
    if (weights > MANY_WEIGHTS) {
        const size_t passes = ((once ? tiles : panel) + in_block - 1) / in_block * c.steps;
        ahead.lines = (size / 64 + passes - 1) / passes;
    }
    _Alignas(64) int32_t sums[2][2 * TILE_ROWS * NR];
    struct leaving stored = {.left = 0}, leaves = {.left = 0};
    struct block b = {.back = false};
    size_t turn = 0;
    tiles_configure(c.height, c.step);
    for (size_t top = 0, bottom; top < tiles; top = bottom) {
        bottom = tiles - top < panel ? tiles : top + panel;
        if (top > 0) ahead.lines = 0;
        for (size_t first = 0, end; first < t->columns; first = end) {
            end = t->columns - first < near_columns ? t->columns : first + near_columns;
            const char *heads = (const char *)t->weights + first / NR * size;
            ahead.at = heads + near_columns / NR * size;
            for (size_t tile = top; tile < bottom; tile += in_block) {
                size_t line;
                const size_t at = first_row(&c, t->rows, tile, &line), row = line * c.line_rows + at;
                b.upper = tile_rows(numbers, t, tile, line, at);
                b.lower = b.upper + t->input_stride / 2;
                b.head = heads;
                size_t other = row;
                if (numbers != WORDS) {
                    const size_t next = tile + 1 < bottom ? tile + 1 : tile;
                    const size_t at = first_row(&c, t->rows, next, &line);
                    b.lower = tile_rows(numbers, t, next, line, at);
                    other = line * c.line_rows + at;
                }
                for (size_t column = first; column < end; column += NR, b.head += size) {
                    _Alignas(64) int32_t start[NR];
                    b.start = start_of(numbers, fast, p, b.head, start);
                    const size_t columns = t->columns - column < NR ? t->columns - column : NR;
                    b.stores = stored.left > 0 ? stored.sums : NULL;
                    if (c.soon) leaves = stored;
                    // Code of its own where it is worth it.
                    const int right = columns > LANES;
                    if (fast && right && numbers != BFLOATS)
                        run_block(numbers, fast, p, &c, &b, 1, &leaves, count, &ahead);
                    else
                        run_block(numbers, fast, p, &c, &b, fast && numbers != BFLOATS ? 0 : right, &leaves, count,
                                  &ahead);
                    if (!c.soon) leaves = stored;
                    turn ^= !c.soon;
                    b.back ^= c.turns;
                    stored =
                        (struct leaving){.sums = sums[turn],
                                         .output = (char *)t->output + row * t->output_stride + column * p->element,
                                         .row = row,
                                         .left = c.height,
                                         .below = (ptrdiff_t)other - (ptrdiff_t)row,
                                         .head = b.head,
                                         .columns = columns};
                }
            }
        }
    }
    leave(fast, p, &leaves, SIZE_MAX);
    _tile_stored(0, stored.sums, sizeof(int32_t[NR]));
    _tile_stored(1, stored.sums + LANES, sizeof(int32_t[NR]));
    _tile_stored(2, stored.sums + TILE_ROWS * NR, sizeof(int32_t[NR]));
    _tile_stored(3, stored.sums + TILE_ROWS * NR + LANES, sizeof(int32_t[NR]));
    _tile_release();
    leave(fast, p, &stored, SIZE_MAX);
}

#endif
