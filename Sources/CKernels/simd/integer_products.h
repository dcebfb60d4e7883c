// Sums of products of a tile's rows and a block's weights, over an integer vocabulary and
//   PRODUCTS    the header of `multiply`, if not integer_steps.h; it says which words it needs
//   ROW         element type of a row
//   VECTORS     vectors of columns in a block
//   MR          rows of a tile
//   HALF_COUNTS UP_TO_n of row_counts.h, n half of MR
//   BLOCKS      of columns that a single row is multiplied by at once, if that is worth its size
//   ROW_PIVOT   what is then taken off the row's numbers, if not 0: before the weights of a block stands as many times
//               their sum, int32 [NR]
#include "row_counts.h"
#include <stddef.h>
#include <stdint.h>

#ifndef PRODUCTS
#define PRODUCTS "integer_steps.h"
#endif
#ifndef ROW_PIVOT
#define ROW_PIVOT 0
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
    int32_t rest;         // row_rest of a single row
};

// multiply(rows, vectors, operands, sums): sums[rows][NR]. `rows` and `vectors` are constants where it is called:
// everything unrolls and the sums stay in registers.
#include PRODUCTS

// The products exist for each number of rows up to half of a tile's and for all: more copies are not worth their size.
typedef void multiplication(const struct operands *o, int32_t *sums);
#define PRODUCTS_OF(R, V, NAME)                                                                                        \
    static TARGET void NAME(const struct operands *o, int32_t *sums) { multiply(R, V, o, sums); }
// Where a block has more than one vector of columns, a narrow copy is for its first one alone, unless WHOLE_BLOCKS says
// that they are not worth it.
#if VECTORS > 1 && !defined(WHOLE_BLOCKS)
enum { FORMS = 2 };
#define COPIES(R, NAME) PRODUCTS_OF(R, 1, narrow_##NAME) PRODUCTS_OF(R, VECTORS, multiply_##NAME)
#define NAMES(NAME) {narrow_##NAME, multiply_##NAME},
#else
enum { FORMS = 1 };
#define COPIES(R, NAME) PRODUCTS_OF(R, VECTORS, multiply_##NAME)
#define NAMES(NAME) {multiply_##NAME},
#endif
#define MULTIPLY(R) COPIES(R, R)
HALF_COUNTS(MULTIPLY)
COPIES(MR, all)
// By the number of rows; 0: all.
static multiplication *const multiplications[][FORMS] = {NAMES(all) HALF_COUNTS(NAMES)};

// Any number of rows up to MR, others in two parts. `columns`: which count.
SIMD void multiply_rows(size_t rows, size_t columns, struct operands o, int32_t *sums) {
    const size_t each = rows < MR && rows > MR / 2 ? (rows + 1) / 2 : rows;
    for (size_t first = 0; first < rows; first += each, o.input += each * o.stride) {
        const size_t count = rows - first < each ? rows - first : each;
        multiplications[count % MR][FORMS > 1 && columns > LANES](&o, sums + first * NR);
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
