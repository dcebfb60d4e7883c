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
    struct block x = steps(n), dy = floats(n), left = floats(n), z = steps(n);
    EACH_ROW("clamp", FLOATS, n, 4, row->clamp(n, dy.base, x.base, y, -2, 2));
    EACH_ROW("add_scaled", FLOATS, n, 4, (memcpy(y, x.base, 4 * n), row->add_scaled(n, dy.base, 0.3f, y)));
    EACH_ROW("claim", FLOATS, 2 * n, 4,
             (memcpy(y, left.base, 4 * n), memcpy((float *)y + n, dy.base, 4 * n),
              row->claim(n, x.base, z.base, y, (float *)y + n)));
    EACH_ROW("gelu", LIBRARY, n, 4, row->gelu(n, dy.base, x.base, y, n % 2));
    block_free(&x), block_free(&dy), block_free(&left), block_free(&z);
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

void test_training(void) {
    for (size_t n = 0; n <= 70; n++) test_gradients(n), test_optimizers(n);
}
