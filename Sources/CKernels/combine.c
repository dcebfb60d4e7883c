#include "combine.h"

#include <string.h>

#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Vectors only where they have instructions of their own: code size.
#if defined(__x86_64__)
#define LOOPS "clang loop vectorize(disable) unroll(disable)"
#else
#define LOOPS "clang loop vectorize(assume_safety) interleave_count(1) unroll(disable)"
#endif
#define COMBINE eo_combine__scalar
#include "simd/combine.h"

enum { ROW_BYTES = 4096 };
union row {
    char bytes[ROW_BYTES];
    int32_t values[ROW_BYTES / sizeof(int32_t)];
};

static size_t size_of(enum eo_number type) { return type == EO_U8 ? 1 : type == EO_S16 ? 2 : type == EO_S64 ? 8 : 4; }

// The first `size` bytes are there.
static __attribute__((noinline)) void repeat(char *row, size_t size, size_t count) {
    for (size_t done = size, total = size * count; done < total; done *= 2)
        memcpy(row + done, row, done < total - done ? done : total - done);
}

// An operand's next elements: where they lie, or in a row.
static __attribute__((noinline)) const void *operand(const char *x, bool single, const int32_t *table, size_t size,
                                                     size_t count, union row *row) {
    if (!single && !table) return x;
    if (!table) memcpy(row, x, size);
    for (size_t i = 0; table && i < (single ? 1 : count); i++) row->values[i] = table[(uint8_t)x[i]];
    if (single) repeat(row->bytes, size, count);
    return row;
}

static __attribute__((noinline)) void clamp(eo_combine_function *run, const struct eo_combination *c, size_t size,
                                            size_t count, void *y) {
    union row row;
    const int64_t bounds[] = {c->low, c->high}; // their first bytes are the smaller types'
    for (int i = 0; i < 2; i++) {
        const void *bound = operand((const char *)(bounds + i), true, NULL, size, count, &row);
        run(c, i ? EO_MINIMUM : EO_MAXIMUM, count, y, bound, y);
    }
}

static void combine(size_t n, const char *a, bool single_a, const char *b, bool single_b, char *y,
                    const struct eo_combination *c) {
    eo_combine_function *run = eo_combine__scalar;
#if defined(__x86_64__)
    if (kernels_isa_available(ISA_AVX2)) run = eo_combine__avx2;
#endif
    const size_t size = size_of(c->type), size_y = c->function < EO_ADD ? 1 : size;
    const size_t step = c->tables ? 1 : size, step_a = single_a ? 0 : step, step_b = single_b ? 0 : step;
    const int32_t *table_b = c->tables ? c->tables + 256 : NULL;
    const void *u = NULL, *v = NULL;
    union row rows[2];
    for (size_t count; n > 0; n -= count, y += count * size_y) {
        count = n < ROW_BYTES / size ? n : ROW_BYTES / size;
        // A single number is repeated for the first part, which is the longest.
        if (!single_a || !u) u = operand(a, single_a, c->tables, size, count, rows);
        if (!single_b || !v) v = operand(b, single_b, table_b, size, count, rows + 1);
        run(c, c->function, count, c->exchanges ? v : u, c->exchanges ? u : v, y);
        if (c->squares) run(c, EO_MULTIPLY, count, y, y, y);
        if (c->low <= c->high) clamp(run, c, size, count, y);
        a += count * step_a, b += count * step_b;
    }
}

static void vector_vector(size_t n, const void *a, const void *b, void *y, const void *c) {
    combine(n, a, false, b, false, y, c);
}
static void vector_scalar(size_t n, const void *a, const void *b, void *y, const void *c) {
    combine(n, a, false, b, true, y, c);
}
static void scalar_vector(size_t n, const void *a, const void *b, void *y, const void *c) {
    combine(n, a, true, b, false, y, c);
}

const struct eo_binary eo_combine = {vector_vector, vector_scalar, scalar_vector};

#pragma clang attribute pop
