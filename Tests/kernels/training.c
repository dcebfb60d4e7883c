// The kernels of training: gradients and optimizers.
#include "runs.h"

// Values at which the derivatives of clamps and maxima change, often equal to one another.
static struct block steps(size_t count) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = (float)number(-3, 3);
    return block;
}

static void test_gradients(size_t n) {
    int row_count;
    const struct eo_gradients *const *rows = eo_gradients_rows(&row_count);
    struct block x = steps(n), dy = floats(n);
    EACH_ROW("clamp", FLOATS, n, 4, row->clamp(n, dy.base, x.base, y, -2, 2));
    EACH_ROW("add_scaled", FLOATS, n, 4, (memcpy(y, x.base, 4 * n), row->add_scaled(n, dy.base, 0.3f, y)));
    EACH_ROW("gelu", LIBRARY, n, 4, row->gelu(n, dy.base, x.base, y, n % 2));
    block_free(&x), block_free(&dy);
    // n channels of 5 pixels, 3 elements between pixels of one, none between those of the other.
    struct block a = floats(5 * (n + 3)), b = floats(5 * n), sums = floats(n);
    EACH_ROW("add_products", FLOATS, n, 4,
             (memcpy(y, sums.base, 4 * n), row->add_products(5, n, a.base, n + 3, b.base, n, y)));
    const float *taps_a[5], *taps_b[5];
    for (int t = 0; t < 5; t++) taps_a[t] = (float *)a.base + t * (n + 3), taps_b[t] = (float *)b.base + (4 - t) * n;
    EACH_ROW("sum_products", FLOATS, n, 4, row->sum_products(5, n, taps_a, taps_b, y));
    block_free(&a), block_free(&b), block_free(&sums);
    if (n == 1) EACH_TABLE("eo_gradients");
}

// Parameters and both values of the optimizer, one after the other.
static void test_optimizers(size_t n) {
    int row_count;
    const struct eo_optimizers *const *rows = eo_optimizers_rows(&row_count);
    const struct eo_optimizer_params params = {0.01f, 0.9f, 0.9f, 0.99f, 0x1p-20f};
    struct block start = scales(3 * n, 0.01f), gradient = floats(n);
#define STEP(name, m, v)                                                                                               \
    EACH_ROW(#name, FLOATS, 3 * n, 4,                                                                                  \
             (memcpy(y, start.base, start.size), row->name(n, y, gradient.base, m, v, &params)));
    STEP(sgd, NULL, NULL)
    STEP(momentum, (float *)y + n, NULL)
    STEP(nesterov, (float *)y + n, NULL)
    STEP(adam, (float *)y + n, (float *)y + 2 * n)
    STEP(rmsprop, (float *)y + n, (float *)y + 2 * n)
    STEP(rmsprop, NULL, (float *)y + 2 * n)
    EACH_ROW("blend", FLOATS, n, 4, (memcpy(y, start.base, 4 * n), row->blend(n, gradient.base, y, 0.7f)));
    EACH_ROW("decay", FLOATS, n, 4, (memcpy(y, start.base, 4 * n), row->decay(n, y, 0.03f)));
    block_free(&start), block_free(&gradient);
    if (n == 1) EACH_TABLE("eo_optimizers");
}

// Runs of 0, 1 and 7 pixels, which overlap; numbers lie between the rows, that must stay as they were.
static void outer_case(const eo_f32_outer_kernel *kernel, const eo_f32_outer_kernel *twin, size_t rows,
                       size_t columns) {
    enum { GAP = 3, PIXELS = 8 };
    const size_t step = columns + GAP, size = (rows - 1) * step + columns;
    struct block a = floats((PIXELS - 1) * (rows + 1) + rows), b = floats((PIXELS - 1) * (columns + 2) + columns);
    struct block start = floats(size), found = block_copy(start.base, start.size);
    struct block expected = block_copy(start.base, start.size);
    const struct eo_outer_run runs[] = {{a.base, b.base, 0},
                                        {(float *)a.base + rows + 1, (float *)b.base + columns + 2, 7},
                                        {a.base, (float *)b.base + columns + 2, 1}};
    struct eo_outer_tile tile = {.rows = rows, .columns = columns, .runs = runs, .run_count = 3};
    tile.a_step = rows + 1, tile.b_step = columns + 2, tile.output = found.base, tile.output_step = step;
    kernel->run(&tile);
    tile.output = expected.base;
    twin->run(&tile);
    check(alike(found.base, expected.base, size, 9 * 9 * 0x1p-23f), kernel->name, "%zux%zu", rows, columns);
    for (size_t i = 0; i + 1 < rows; i++)
        check(memcmp((float *)found.base + i * step + columns, (float *)start.base + i * step + columns, 4 * GAP) == 0,
              kernel->name, "%zux%zu: writes beside its columns", rows, columns);
    block_free(&a), block_free(&b), block_free(&start), block_free(&found), block_free(&expected);
}

static void test_outer(void) {
    int count;
    const eo_f32_outer_kernel *rows = eo_f32_outer_rows(&count);
    for (const eo_f32_outer_kernel *kernel = rows; kernel < rows + count - 1; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        for (size_t i = 1; i <= 37; i++)
            for (size_t j = 1; j <= 35; j++) outer_case(kernel, rows + count - 1, i, j);
        compared(kernel->name, NULL);
    }
}

void test_training(void) {
    for (size_t n = 0; n <= 70; n++) test_gradients(n), test_optimizers(n);
    // Last: how many numbers it takes depends on how many kernels there are.
    test_outer();
}
