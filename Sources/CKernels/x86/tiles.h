// Tile registers: how they are configured for blocks of 32 x 32 sums, and how the rows of a product are cut into such
// blocks. Whoever uses tiles configures them and releases them before it returns, so the host's threads never carry
// tile state.
#ifndef EDGEOPT_X86_TILES_H
#define EDGEOPT_X86_TILES_H

#include "../simd/i32_avx512.h"
#include <stddef.h>
#include <stdint.h>

// Registers: sums 0 1 over 2 3, rows 4 over 5, weights 6 7.
enum { TILE_ROWS = 16, TILE_BYTES = 64, BLOCK_ROWS = 2 * TILE_ROWS, NR = 32 };

struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// For `rows` rows of activations (at most BLOCK_ROWS), `depth` bytes (at most TILE_BYTES) at a time.
static inline __attribute__((target("amx-tile"))) void tiles_configure(size_t rows, size_t depth) {
    struct tile_configuration c = {.palette = 1};
    const size_t upper = rows < TILE_ROWS ? rows : TILE_ROWS, lower = rows - upper;
    for (int tile = 0; tile < 6; tile++) {
        const size_t count = tile == 0 || tile == 1 || tile == 4 ? upper : lower;
        c.rows[tile] = (uint8_t)(count > 0 ? count : 1);
        c.row_bytes[tile] = tile < 4 ? TILE_BYTES : (uint16_t)depth;
    }
    c.rows[6] = c.rows[7] = (uint8_t)(depth / 4);
    c.row_bytes[6] = c.row_bytes[7] = TILE_BYTES;
    _tile_loadconfig(&c);
}

#endif
