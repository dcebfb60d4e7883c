// Body of the sums of outer products over a float vocabulary and ROW_COUNTS, the numbers of rows that a block has, MR
// first and 1 last. A block has LANES columns. Include after them.
#include "gemm.h"

// Where lanes are masked for nothing, whole vectors are too: half the code.
SIMD vec load_columns(const float *p, size_t count) {
    return LANES == 4 && count == LANES ? vec_load(p) : vec_load_part(p, count);
}
SIMD void store_columns(float *p, vec x, size_t count) {
    if (LANES == 4 && count == LANES)
        vec_store(p, x);
    else
        vec_store_part(p, x, count);
}

// A block of `columns` columns. `rows` is a constant where this is called: the sums stay in registers, and each step
// takes its row factors straight from memory.
SIMD void add_outer(const int rows, const struct eo_outer_tile *t, size_t row, size_t column, size_t columns) {
    float *output = t->output + row * t->output_step + column;
    // A sum waits for the one before: with few rows, neighbouring pixels have sums of their own.
    const int chains = rows == 1 ? 4 : rows == 3 ? 2 : 1;
    vec sum[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < chains * rows; i++)
        sum[i] = i < rows ? load_columns(output + i * t->output_step, columns) : vec_set(0);
    for (const struct eo_outer_run *run = t->runs; run < t->runs + t->run_count; run++) {
        const float *a = run->a + row, *b = run->b + column;
        size_t p = 0;
#pragma clang loop unroll(disable)
        for (; p + (size_t)chains <= run->count; p += (size_t)chains)
#pragma clang loop unroll(full)
            for (int k = 0; k < chains; k++, a += t->a_step, b += t->b_step) {
                const vec x = load_columns(b, columns);
#pragma clang loop unroll(full)
                for (int i = 0; i < rows; i++) sum[k * rows + i] = vec_fma(vec_set(a[i]), x, sum[k * rows + i]);
            }
#pragma clang loop unroll(disable)
        for (; chains > 1 && p < run->count; p++, a += t->a_step, b += t->b_step) {
            const vec x = load_columns(b, columns);
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) sum[i] = vec_fma(vec_set(a[i]), x, sum[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = rows; i < chains * rows; i++) sum[i % rows] += sum[i];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) store_columns(output + i * t->output_step, sum[i], columns);
}

#define ADD_OUTER(R)                                                                                                   \
    static TARGET void add_outer_##R(const struct eo_outer_tile *t, size_t row, size_t column, size_t columns) {       \
        add_outer(R, t, row, column, columns);                                                                         \
    }
#define ADD_OUTER_ROW(R) {R, add_outer_##R},
ROW_COUNTS(ADD_OUTER)
static const struct {
    size_t rows;
    void (*run)(const struct eo_outer_tile *t, size_t row, size_t column, size_t columns);
} outer_blocks[] = {ROW_COUNTS(ADD_OUTER_ROW)};

// All rows and columns, in blocks of as many rows as there are left.
SIMD void outer(const struct eo_outer_tile *t) {
    size_t size = 0;
    for (size_t row = 0; row < t->rows; row += outer_blocks[size].rows) {
        while (outer_blocks[size].rows > t->rows - row) size++;
        for (size_t column = 0; column < t->columns; column += LANES) {
            const size_t left = t->columns - column;
            outer_blocks[size].run(t, row, column, left < LANES ? left : LANES);
        }
    }
}
