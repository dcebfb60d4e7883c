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
    if (single) eo_fill(size * count, size, row, row);
    return row;
}

static __attribute__((noinline)) void clamp(eo_combine_function *run, const struct eo_combination *c, size_t size,
                                            size_t count, void *y) {
    union row row;
    const int64_t bounds[] = {c->low, c->high}; // their first bytes are the smaller types'
    for (int i = 0; i < 2; i++) {
        memcpy(&row, bounds + i, size);
        eo_fill(size * count, size, &row, &row);
        run(c, i ? EO_MINIMUM : EO_MAXIMUM, count, y, &row, y);
    }
}

static eo_combine_function *loops(void) {
#if defined(__x86_64__)
    if (kernels_isa_available(ISA_AVX2)) return eo_combine__avx2;
#endif
    return eo_combine__scalar;
}

void eo_convert(size_t n, const void *x, void *y, const void *params) {
    const struct eo_combination *c = params;
    loops()(c, c->function, n, x, x, y);
}

static void combine(size_t n, const char *a, bool single_a, const char *b, bool single_b, char *y,
                    const struct eo_combination *c) {
    eo_combine_function *const run = loops();
    struct eo_combination moving; // whose condition is that of the next elements
    if (c->condition) moving = *c, c = &moving;
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
        if (c->condition) moving.condition += count;
    }
}

void eo_choose(enum eo_number type, size_t n, const uint8_t *condition, const void *a, size_t step_a, const void *b,
               size_t step_b, void *y) {
    const struct eo_combination c = {.function = EO_CHOOSE, .type = type, .low = 1, .condition = condition};
    combine(n, a, step_a == 0, b, step_b == 0, y, &c);
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
    eo_fill(n * fold->result_size, fold->result_size, &fold->start, y);
}

// `count` elements as rows of `together` times n, then the halves of those. `together` is a power of two.
static void fold_wide(const struct eo_fold *fold, size_t n, size_t count, size_t together, const char *x, char *y) {
    union row row;
    const size_t width = n * together;
    eo_fold_start(fold, width, &row);
    for (size_t part; count > 0; count -= part, x += part * fold->size) {
        part = count < width ? count : width;
        fold->kernel(part, x, &row, &row, &fold->step);
    }
    for (; together > 1; together /= 2)
        fold->kernel(together / 2 * n, &row, row.bytes + together / 2 * n * fold->result_size, &row, &fold->join);
    fold->kernel(n, &row, y, y, &fold->join);
}

// Short rows that follow each other are folded together, to some hundred bytes: what is joined in the end is no less.
void eo_fold_rows(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const void *x_, void *y) {
    const char *x = x_;
    size_t together = 1;
    while (stride == n && 4 * together <= rows && 2 * together * n * fold->result_size <= ROW_BYTES / 4) together *= 2;
    if (together >= 4) return fold_wide(fold, n, rows * n, together, x, y);
    for (size_t i = 0; i < rows; i++) fold->kernel(n, x + i * stride * fold->size, y, y, &fold->step);
}

static void fold_long_run(const struct eo_fold *fold, size_t n, size_t rows, size_t stride, const char *x, char *y) {
    (void)rows, (void)stride;
    fold_wide(fold, 1, n, ROW_BYTES / fold->result_size, x, y);
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
