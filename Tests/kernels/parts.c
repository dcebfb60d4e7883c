// Products of floats in three parts of bfloat16: rows split, and their product.
#include "check.h"

#include <math.h>

// Floats of many sizes, with all bits.
static struct block wide_floats(size_t count) {
    struct block block = floats(count);
    for (size_t i = 0; i < count; i++) ((float *)block.base)[i] = ldexpf(real() * 1.1f, number(-6, 6));
    return block;
}

static struct eo_window any_window(size_t channels) {
    struct eo_window w = {.batch = (size_t)number(1, 3), .groups = (size_t)number(1, 2), .input_channels = channels};
    w.kernel_height = (size_t)number(1, 3), w.kernel_width = (size_t)number(1, 3);
    w.stride_height = (size_t)number(1, 2), w.stride_width = (size_t)number(1, 3);
    w.dilation_height = (size_t)number(1, 2), w.dilation_width = (size_t)number(1, 2);
    w.padding_top = (size_t)number(0, 2), w.padding_left = (size_t)number(0, 2);
    w.input_height = (size_t)number(1, 5), w.input_width = (size_t)number(1, 6);
    w.output_height = (size_t)number(1, 5), w.output_width = (size_t)number(1, 12);
    return w;
}

static struct block gathered(eo_gather_bf16x3_function *run, struct eo_gather g, size_t size) {
    struct block rows = block_of(size);
    memset(rows.base, 0, size);
    g.rows = rows.base;
    run(&g);
    return rows;
}

static void gather_case(const eo_gather_bf16x3_kernel *kernel, eo_gather_bf16x3_function *twin, size_t channels) {
    const struct eo_window w = any_window(channels);
    const size_t depth = w.kernel_height * w.kernel_width * channels, all = w.batch * w.output_height * w.output_width;
    struct block input = wide_floats(w.batch * w.input_height * w.input_width * w.groups * channels);
    struct eo_gather g = {.window = &w, .input = (float *)input.base + (w.groups - 1) * channels, .element_size = 4};
    g.first = (size_t)number(0, (int32_t)all - 1), g.pixels = (size_t)number(1, (int32_t)(all - g.first));
    g.row_stride = eo_bf16x3_row_size(depth);
    const size_t size = (g.pixels + 31) / 32 * 32 * g.row_stride;
    struct block found = gathered(kernel->run, g, size), expected = gathered(twin, g, size);
    check(memcmp(found.base, expected.base, size) == 0, kernel->name, "%zu pixels of %zu channels", g.pixels, channels);
    block_free(&input), block_free(&found), block_free(&expected);
}

// Against exact sums, by a part of the sum of the products' sizes: no more than sums of floats may err, and for few
// products far less than a part that is left out would cost.
static void product_case(const eo_bf16x3_gemm_kernel *kernel, size_t rows, size_t columns, size_t depth) {
    const struct eo_window w = {1, rows, 1, depth, rows, 1, columns, 1, 1, 1, 1, 1, 1, 0, 0, 1};
    const size_t stride = columns * 4 + 24, all = (rows + 31) / 32 * 32;
    const struct eo_f32_gemm_parameters parameters = {-1e4f, 1.5f};
    struct block input = wide_floats(rows * depth), weights = wide_floats(columns * depth), bias = floats(columns);
    struct eo_gather g = {.window = &w, .input = input.base, .pixels = rows, .element_size = 4};
    g.row_stride = eo_bf16x3_row_size(depth);
    struct block parts = gathered(eo_gather_bf16x3_best()->run, g, all * g.row_stride);
    struct block packed = block_of(eo_bf16x3_gemm_packed_size(depth, columns));
    struct block output = block_of(rows * stride - 24);
    eo_bf16x3_gemm_pack(depth, columns, weights.base, bias.base, packed.base);
    const struct eo_gemm_tile tile = {.rows = rows,
                                      .columns = columns,
                                      .depth = depth,
                                      .input = parts.base,
                                      .input_stride = g.row_stride,
                                      .weights = packed.base,
                                      .output = output.base,
                                      .output_stride = stride,
                                      .parameters = &parameters};
    kernel->run(&tile);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            const float *x = (const float *)input.base + i * depth, *v = (const float *)weights.base + j * depth;
            double sum = ((const float *)bias.base)[j], sizes = fabs(sum);
            for (size_t k = 0; k < depth; k++) sum += (double)x[k] * v[k], sizes += fabs((double)x[k] * v[k]);
            const double expected = fmin(fmax(sum, -1e4), 1.5),
                         found = ((float *)((char *)output.base + i * stride))[j];
            check(fabs(found - expected) <= sizes * (double)(depth + 4) * 0x1p-24, kernel->name,
                  "%zux%zux%zu: %g, not %g", rows, columns, depth, found, expected);
        }
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&parts), block_free(&packed);
    block_free(&output);
}

static void split_case(const eo_bf16x3_split_kernel *kernel, eo_bf16x3_split_function *twin) {
    enum { SIZE = 2 * EO_BF16X3_PARTS * EO_BF16X3_TILE };
    struct block weights = wide_floats(32 * 32), found = block_of(SIZE), expected = block_of(SIZE);
    kernel->run(weights.base, found.base), twin(weights.base, expected.base);
    check(memcmp(found.base, expected.base, SIZE) == 0, kernel->name, "32x32");
    block_free(&weights), block_free(&found), block_free(&expected);
}

void test_parts(void) {
    static const size_t sizes[][3] = {{1, 1, 1},    {2, 3, 1},    {16, 16, 2},  {17, 33, 5},   {31, 40, 32},
                                      {33, 16, 33}, {49, 64, 64}, {99, 17, 96}, {200, 65, 75}, {64, 32, 320}};
    int count, twin;
    const eo_gather_bf16x3_kernel *gathers = eo_gather_bf16x3_rows(&count);
    for (int i = 0; i < count - 1; i++)
        if (kernels_isa_available(gathers[i].isa)) {
            for (size_t channels = 1; channels <= 100; channels += number(0, 3) ? 1 : 31)
                gather_case(gathers + i, gathers[count - 1].run, channels);
            compared(gathers[i].name, NULL);
        }
    const eo_bf16x3_split_kernel *splits = eo_bf16x3_split_rows(&count);
    for (int i = 0; i < count - 1; i++)
        if (kernels_isa_available(splits[i].isa)) {
            split_case(splits + i, splits[count - 1].run);
            compared(splits[i].name, NULL);
        }
    const eo_bf16x3_gemm_kernel *products = eo_bf16x3_gemm_rows(&twin);
    for (int i = 0; i < twin; i++)
        if (kernels_isa_available(products[i].isa)) {
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                product_case(products + i, sizes[s][0], sizes[s][1], sizes[s][2]);
            if (i < twin - 1) compared(products[i].name, NULL);
        }
}
