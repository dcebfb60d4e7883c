// Sums of products of a tile's rows and a block's weights, over an integer vocabulary and
//   PRODUCTS    the header of `multiply`, if not integer_steps.h; it says which words it needs
//   ROW         element type of a row
//   VECTORS     vectors of columns in a block
//   MR          rows of a tile
//   ROWS_AT_ONCE  of them, that are multiplied together, if not all: those of a tile share what is in the nearest cache
//   HALF_COUNTS UP_TO_n of row_counts.h, n half of ROWS_AT_ONCE
//   BLOCKS      of columns that a single row is multiplied by at once, if that is worth its size
#include "row_counts.h"
#include <stddef.h>
#include <stdint.h>

#ifndef PRODUCTS
#define PRODUCTS "integer_steps.h"
#endif
#ifndef ROWS_AT_ONCE
#define ROWS_AT_ONCE MR
#endif
#define NR (VECTORS * LANES)

struct operands {
    const char *input;
    size_t stride; // bytes between rows
    size_t depth;
    const int8_t *weights;
    const int32_t *start; // [NR], what sums begin with
    size_t apart;         // bytes from the weights of a block to those of the next one
    size_t start_apart;   // the same of what sums begin with
    const int32_t *rests; // row_rest of each row, if there is such a word
};

// multiply(rows, vectors, operands, sums): sums[rows][NR]. `rows` and `vectors` are constants where it is called:
// everything unrolls and the sums stay in registers.
#include PRODUCTS

// The products exist for each number of rows up to half of those at once and for all: more copies are not worth their
// size.
typedef void multiplication(const struct operands *o, int32_t *sums);
#define PRODUCTS_OF(R, V, NAME)                                                                                        \
    static TARGET void NAME(const struct operands *o, int32_t *sums) { multiply(R, V, o, sums); }
// There is a copy for each number of vectors of columns, unless WHOLE_BLOCKS says that they are not worth it.
#if VECTORS == 4
enum { FORMS = 4 };
#define COPIES(R, NAME)                                                                                                \
    PRODUCTS_OF(R, 1, multiply_1_##NAME)                                                                               \
    PRODUCTS_OF(R, 2, multiply_2_##NAME)                                                                               \
    PRODUCTS_OF(R, 3, multiply_3_##NAME)                                                                               \
    PRODUCTS_OF(R, 4, multiply_##NAME)
#define NAMES(NAME) {multiply_1_##NAME, multiply_2_##NAME, multiply_3_##NAME, multiply_##NAME},
#elif VECTORS == 2 && !defined(WHOLE_BLOCKS)
enum { FORMS = 2 };
#define COPIES(R, NAME) PRODUCTS_OF(R, 1, multiply_1_##NAME) PRODUCTS_OF(R, 2, multiply_##NAME)
#define NAMES(NAME) {multiply_1_##NAME, multiply_##NAME},
#else
enum { FORMS = 1 };
#define COPIES(R, NAME) PRODUCTS_OF(R, VECTORS, multiply_##NAME)
#define NAMES(NAME) {multiply_##NAME},
#endif
#define MULTIPLY(R) COPIES(R, R)
HALF_COUNTS(MULTIPLY)
COPIES(ROWS_AT_ONCE, all)
// By the number of rows; 0: all.
static multiplication *const multiplications[][FORMS] = {NAMES(all) HALF_COUNTS(NAMES)};

// Any number of rows up to MR. `columns`: which count.
SIMD void multiply_rows(size_t rows, size_t columns, struct operands o, int32_t *sums) {
    const size_t vectors = columns < NR ? (columns + LANES - 1) / LANES : VECTORS;
    for (size_t left = rows, count; left > 0; left -= count, o.input += count * o.stride, sums += count * NR) {
        count = left >= ROWS_AT_ONCE ? ROWS_AT_ONCE : left > ROWS_AT_ONCE / 2 ? (left + 1) / 2 : left;
        multiplications[count % ROWS_AT_ONCE][FORMS > 1 ? vectors - 1 : 0](&o, sums);
#ifdef ROW_RESTS
        o.rests += count;
#endif
    }
}

// The next block of columns; of a single row as many as are worth it. Returns how many: sums[blocks][rows][NR].
SIMD size_t multiply_blocks(size_t rows, size_t columns, const struct operands *o, int32_t *sums) {
#ifdef BLOCKS
    if (rows == 1 && columns >= BLOCKS * NR) return multiply_row(o, sums), BLOCKS;
#endif
    multiply_rows(rows, columns, *o, sums);
    return 1;
}
