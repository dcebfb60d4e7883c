// Tile registers in software, so that kernels that need them are tested on every machine with AVX-512 BF16: with
// `-include` of this file the compiler's tile intrinsics become these functions. They do what Intel's Software
// Developer's Manual (volume 2, LDTILECFG to TILEZERO) says of each instruction, and stop the program where the
// processor would raise an exception. Each source file has registers of its own: kernels release them before they
// return.
#ifndef EMULATED_TILES_H
#define EMULATED_TILES_H
#if defined(__x86_64__)
#define EDGEOPT_EMULATED_TILES 1

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef _DEFAULT_SOURCE // which sources that need it define, and these headers have defined by themselves

enum { EMULATED_TILES = 8, EMULATED_ROWS = 16, EMULATED_ROW_BYTES = 64 };

struct emulated_tile {
    size_t rows, row_bytes; // 0: not configured
    _Alignas(64) char numbers[EMULATED_ROWS][EMULATED_ROW_BYTES];
};
static _Thread_local struct emulated_tile emulated_tiles[EMULATED_TILES];

static inline void emulated_exception(bool raised, const char *why) {
    if (!raised) return;
    fprintf(stderr, "tiles: %s\n", why);
    abort();
}

static inline void emulated_release(void) { memset(emulated_tiles, 0, sizeof emulated_tiles); }

static inline void emulated_configure(const void *memory) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } configuration;
    memcpy(&configuration, memory, sizeof configuration);
    emulated_exception(configuration.palette != 1 || configuration.start_row != 0, "another palette or first row");
    emulated_release();
    for (int i = 0; i < 16; i++) {
        const size_t rows = configuration.rows[i], row_bytes = configuration.row_bytes[i];
        emulated_exception(i < 14 && configuration.reserved[i] != 0, "reserved bytes of a configuration");
        emulated_exception(i >= EMULATED_TILES && (rows || row_bytes), "more tiles than there are");
        emulated_exception(rows > EMULATED_ROWS || row_bytes > EMULATED_ROW_BYTES, "a tile too large");
        emulated_exception((rows == 0) != (row_bytes == 0), "rows without bytes, or bytes without rows");
        if (i >= EMULATED_TILES) continue;
        emulated_tiles[i].rows = rows;
        emulated_tiles[i].row_bytes = row_bytes;
    }
}

static inline struct emulated_tile *emulated_tile(int name) {
    emulated_exception(emulated_tiles[name].rows == 0, "a tile that is not configured");
    return &emulated_tiles[name];
}

static inline void emulated_load(int name, const void *base, ptrdiff_t stride) {
    struct emulated_tile *tile = emulated_tile(name);
    memset(tile->numbers, 0, sizeof tile->numbers);
    for (size_t i = 0; i < tile->rows; i++)
        memcpy(tile->numbers[i], (const char *)base + (ptrdiff_t)i * stride, tile->row_bytes);
}

static inline void emulated_store(int name, void *base, ptrdiff_t stride) {
    const struct emulated_tile *tile = emulated_tile(name);
    for (size_t i = 0; i < tile->rows; i++)
        memcpy((char *)base + (ptrdiff_t)i * stride, tile->numbers[i], tile->row_bytes);
}

// The tiles of a product: sums of rows by columns, four bytes of both for each step.
struct emulated_product {
    struct emulated_tile *sums;
    const struct emulated_tile *rows, *columns;
    size_t height, width, steps;
};

static inline struct emulated_product emulated_product(int sums, int rows, int columns) {
    struct emulated_product p = {emulated_tile(sums), emulated_tile(rows), emulated_tile(columns), 0, 0, 0};
    emulated_exception(sums == rows || sums == columns || rows == columns, "a product of a tile by itself");
    emulated_exception(p.sums->row_bytes % 4 || p.rows->row_bytes % 4 || p.columns->row_bytes % 4,
                       "a product of rows that are not whole numbers of 32 bits");
    emulated_exception(p.sums->rows != p.rows->rows || p.sums->row_bytes != p.columns->row_bytes ||
                           p.rows->row_bytes / 4 != p.columns->rows,
                       "a product of tiles that do not fit");
    p.height = p.sums->rows;
    p.width = p.sums->row_bytes / 4;
    p.steps = p.columns->rows;
    return p;
}

static inline void emulated_byte_product(bool rows_are_signed, int sums, int rows, int columns) {
    const struct emulated_product p = emulated_product(sums, rows, columns);
    for (size_t i = 0; i < p.height; i++) {
        uint32_t totals[EMULATED_ROW_BYTES / 4];
        memcpy(totals, p.sums->numbers[i], sizeof totals);
        for (size_t k = 0; k < p.steps; k++)
            for (size_t j = 0; j < p.width; j++)
                for (size_t b = 0; b < 4; b++) {
                    const char x = p.rows->numbers[i][4 * k + b], w = p.columns->numbers[k][4 * j + b];
                    totals[j] += (uint32_t)((rows_are_signed ? (int8_t)x : (uint8_t)x) * (int8_t)w);
                }
        memcpy(p.sums->numbers[i], totals, sizeof totals);
    }
}

// Numbers too small to be normal count as 0, and become 0.
static inline float emulated_normal(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000) == 0) bits &= 0x80000000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float emulated_bfloat(const char *at) {
    const uint32_t bits = (uint32_t)(uint8_t)at[0] << 16 | (uint32_t)(uint8_t)at[1] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    return emulated_normal(x);
}

// Even and odd products are summed apart, and joined before they are added to what was there.
static inline __attribute__((target("fma"))) void emulated_bfloat_product(int sums, int rows, int columns) {
    const struct emulated_product p = emulated_product(sums, rows, columns);
    for (size_t i = 0; i < p.height; i++) {
        float totals[EMULATED_ROW_BYTES / 4], halves[EMULATED_ROW_BYTES / 4][2] = {{0}};
        memcpy(totals, p.sums->numbers[i], sizeof totals);
        for (size_t k = 0; k < p.steps; k++)
            for (size_t j = 0; j < p.width; j++)
                for (size_t h = 0; h < 2; h++)
                    halves[j][h] = emulated_normal(
                        __builtin_fmaf(emulated_bfloat(&p.rows->numbers[i][4 * k + 2 * h]),
                                       emulated_bfloat(&p.columns->numbers[k][4 * j + 2 * h]), halves[j][h]));
        for (size_t j = 0; j < p.width; j++)
            totals[j] = emulated_normal(emulated_normal(totals[j]) + emulated_normal(halves[j][0] + halves[j][1]));
        memcpy(p.sums->numbers[i], totals, sizeof totals);
    }
}

#define _tile_loadconfig(memory) emulated_configure(memory)
#define _tile_release() emulated_release()
#undef _tile_loadd
#define _tile_loadd(tile, base, stride) emulated_load(tile, base, (ptrdiff_t)(stride))
#undef _tile_stored
#define _tile_stored(tile, base, stride) emulated_store(tile, base, (ptrdiff_t)(stride))
#undef _tile_dpbssd
#define _tile_dpbssd(sums, rows, columns) emulated_byte_product(true, sums, rows, columns)
#undef _tile_dpbusd
#define _tile_dpbusd(sums, rows, columns) emulated_byte_product(false, sums, rows, columns)
#undef _tile_dpbf16ps
#define _tile_dpbf16ps(sums, rows, columns) emulated_bfloat_product(sums, rows, columns)

#endif
#endif
