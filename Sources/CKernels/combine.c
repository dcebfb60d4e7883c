#include "combine.h"

#include "copy.h"

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

static int32_t on_common_scale(int32_t x, const struct eo_common_scale *s) {
    const int left = s->shift > 0 ? s->shift : 0, right = left - s->shift;
    const int32_t raised = left > 31 ? 0 : (int32_t)(((uint32_t)x - (uint32_t)s->zero) << 8 << left);
    const int64_t product = (int64_t)raised * s->significand;
    const int32_t high = (int32_t)((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / (1ll << 31));
    const int32_t mask = (int32_t)((1u << right) - 1);
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0));
}

// The next elements of the first or the second operand: where they lie, or in a row.
static __attribute__((noinline)) const void *operand(const struct eo_combination *c, bool second, const char *x,
                                                     bool single, size_t count, union row *row) {
    const size_t size = size_of(c->type), given = single ? 1 : count;
    if (c->tables) {
        for (size_t i = 0; i < given; i++) row->values[i] = c->tables[256 * second + (uint8_t)x[i]];
    } else if (c->scales) {
        for (size_t i = 0; i < given; i++)
            row->values[i] = on_common_scale(((const int16_t *)(const void *)x)[i], c->scales + second);
    } else if (single) {
        memcpy(row, x, size);
    } else {
        return x;
    }
    if (single) repeat(row->bytes, size, count);
    return row;
}

static __attribute__((noinline)) void clamp(eo_combine_function *run, const struct eo_combination *c, size_t size,
                                            size_t count, void *y) {
    union row row;
    const int64_t bounds[] = {c->low, c->high}; // their first bytes are the smaller types'
    for (int i = 0; i < 2; i++) {
        memcpy(&row, bounds + i, size);
        repeat(row.bytes, size, count);
        run(c, i ? EO_MINIMUM : EO_MAXIMUM, count, y, &row, y);
    }
}

static void combine(size_t n, const char *a, bool single_a, const char *b, bool single_b, char *y,
                    const struct eo_combination *c) {
    eo_combine_function *run = eo_combine__scalar;
#if defined(__x86_64__)
    if (kernels_isa_available(ISA_AVX2)) run = eo_combine__avx2;
#endif
    const size_t size = size_of(c->type), size_y = c->function < EO_ADD ? 1 : size;
    const size_t step = c->tables ? 1 : c->scales ? 2 : size, step_b = single_b ? 0 : step;
    const size_t step_a = single_a ? 0 : c->function == EO_ADD_LONG ? sizeof(int32_t) : step;
    const void *u = NULL, *v = NULL;
    union row rows[2];
    for (size_t count; n > 0; n -= count, y += count * size_y) {
        count = n < ROW_BYTES / size ? n : ROW_BYTES / size;
        // A single number is repeated for the first part, which is the longest.
        if (!single_a || !u) u = operand(c, false, a, single_a, count, rows);
        if (!single_b || !v) v = operand(c, true, b, single_b, count, rows + 1);
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

void eo_fold_start(const struct eo_fold *fold, size_t n, void *y) {
    if (n == 0) return;
    memcpy(y, &fold->start, fold->result_size);
    repeat(y, fold->result_size, n);
}

void eo_fold_rows(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const void *x, void *y) {
    for (size_t i = 0; i < rows; i++) fold->kernel(n, (const char *)x + i * stride * fold->size, y, y, &fold->step);
}

// A run as rows that fill some kilobytes, then the halves of those.
static void fold_long_run(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const char *x, char *y) {
    (void)rows, (void)stride;
    union row row;
    size_t width = ROW_BYTES / fold->result_size;
    eo_fold_start(fold, width, &row);
    eo_fold_rows(fold, width, n / width, width, x, &row);
    fold->kernel(n % width, x + (n - n % width) * fold->size, &row, &row, &fold->step);
    for (; width > 1; width /= 2)
        fold->kernel(width / 2, &row, row.bytes + width / 2 * fold->result_size, &row, &fold->join);
    fold->kernel(1, &row, y, y, &fold->join);
}

// Short runs side by side, as rows: for the kernel to have so many elements at a time.
enum { TOGETHER = 64, LONG = 1024 };

static void fold_short_runs(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const char *x, char *y) {
    union row tile;
    const size_t size = fold->size, most = ROW_BYTES / TOGETHER / size;
    for (size_t i = 0, width; i < n; i += width) {
        width = n - i < most ? n - i : most;
        eo_transpose(size, rows, width, x + i * size, (ptrdiff_t)(stride * size), &tile, (ptrdiff_t)(rows * size));
        eo_fold_rows(fold, rows, width, rows, &tile, y);
    }
}

void eo_fold_runs(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const void *x_, void *y_) {
    const char *x = x_;
    char *y = y_;
    const bool is_long = n >= LONG;
    for (size_t count; rows > 0; rows -= count, x += count * stride * fold->size, y += count * fold->result_size) {
        count = is_long ? 1 : rows < TOGETHER ? rows : TOGETHER;
        (is_long ? fold_long_run : fold_short_runs)(fold, n, count, stride, x, y);
    }
}

#pragma clang attribute pop
