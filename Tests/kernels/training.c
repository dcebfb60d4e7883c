// The kernels of training: gradients and optimizers.
#include "pooled.h"
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
    float *fives[5];
    for (int t = 0; t < 5; t++) fives[t] = (float *)b.base + t * n;
    struct eo_normalization p = {fives[0], fives[1], fives[2], fives[3], fives[4], NULL, NULL, -1, 2};
    EACH_ROW("normalization_sums", FLOATS, 2 * n, 4,
             (memcpy(y, a.base, 8 * n), p.sums = y, p.products = (float *)y + n,
              row->normalization_sums(n, taps_a[0], taps_a[3], &p)));
    EACH_ROW("normalization", FLOATS, n, 4, (memcpy(y, a.base, 4 * n), row->normalization(n, y, taps_a[4], y, &p)));
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

static struct block small_numbers(size_t count) {
    struct block block = block_of(count * sizeof(float));
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = (float)number(-4, 4);
    return block;
}

// Whole numbers: sums are exact, and many maxima are equal.
static void pooled_case(const eo_f32_pooled_kernel *kernel, const eo_f32_pooled_kernel *twin, size_t windows,
                        size_t channels, size_t taps) {
    enum { ROWS = 2, COLUMNS = 3, KERNEL_ROWS = 3 };
    struct eo_pooled_line t = {.kernel_rows = KERNEL_ROWS, .row_products = taps, .rows = ROWS, .columns = COLUMNS};
    t.column_step = 2, t.window_step = COLUMNS * t.column_step, t.image_line = windows * t.window_step + taps;
    t.row_step = t.image_line, t.windows = windows, t.channels = channels, t.pixel = channels + 2;
    t.low = -20, t.high = 30;
    const size_t size = (1 + KERNEL_ROWS * taps) * EO_POOLED_CHANNELS, all = (windows - 1) * t.pixel + channels;
    struct block x = small_numbers((ROWS + KERNEL_ROWS - 1) * t.image_line), weights = small_numbers(size);
    struct block dy = small_numbers(all), start = small_numbers(size);
    struct block place[2], y[2], sums[2];
    t.x = x.base, t.weights = weights.base;
    for (int i = 0; i < 2; i++) {
        place[i] = block_of(windows * EO_POOLED_CHANNELS * sizeof(float)), y[i] = block_of(all * sizeof(float));
        sums[i] = block_copy(start.base, start.size);
        t.place = place[i].base, t.y = y[i].base, t.dy = NULL;
        (i ? twin : kernel)->run(&t);
        t.dy = dy.base, t.sums = sums[i].base;
        (i ? twin : kernel)->run(&t);
    }
    check(memcmp(y[0].base, y[1].base, y[0].size) == 0, kernel->name, "%zu maxima of %zu", windows, channels);
    for (size_t i = 0; i < windows; i++)
        check(memcmp((float *)place[0].base + i * EO_POOLED_CHANNELS, (float *)place[1].base + i * EO_POOLED_CHANNELS,
                     channels * sizeof(float)) == 0,
              kernel->name, "places of %zu", channels);
    for (size_t k = 0; k < 1 + KERNEL_ROWS * taps; k++)
        check(memcmp((float *)sums[0].base + k * EO_POOLED_CHANNELS, (float *)sums[1].base + k * EO_POOLED_CHANNELS,
                     channels * sizeof(float)) == 0,
              kernel->name, "gradients of %zu", channels);
    for (int i = 0; i < 2; i++) block_free(place + i), block_free(y + i), block_free(sums + i);
    block_free(&x), block_free(&weights), block_free(&dy), block_free(&start);
}

static void test_pooled(void) {
    int count;
    const eo_f32_pooled_kernel *rows = eo_f32_pooled_rows(&count);
    for (const eo_f32_pooled_kernel *kernel = rows; kernel < rows + count - 1; kernel++) {
        if (!kernels_isa_available(kernel->isa)) continue;
        for (size_t windows = EO_POOLED_WINDOWS; windows <= 2 * EO_POOLED_WINDOWS; windows++)
            for (size_t channels = 1; channels <= EO_POOLED_CHANNELS; channels++)
                for (size_t taps = 3; taps <= 6; taps += 3)
                    pooled_case(kernel, rows + count - 1, windows, channels, taps);
        compared(kernel->name, NULL);
    }
}

void test_training(void) {
    for (size_t n = 0; n <= 70; n++) test_gradients(n), test_optimizers(n);
    // Last: how many numbers it takes depends on how many kernels there are.
    test_outer();
    test_pooled();
}
