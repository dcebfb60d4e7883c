// Rows of floats in parts of bfloat16, and their products: of three parts, or of one.
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

static void gather_case(const eo_gather_bf16x3_kernel *kernel, eo_gather_bf16x3_function *twin, size_t parts,
                        size_t channels) {
    const struct eo_window w = any_window(channels);
    const size_t depth = w.kernel_height * w.kernel_width * channels, all = w.batch * w.output_height * w.output_width;
    struct block input = wide_floats(w.batch * w.input_height * w.input_width * w.groups * channels);
    struct eo_gather g = {.window = &w, .input = (float *)input.base + (w.groups - 1) * channels, .element_size = 4};
    g.first = (size_t)number(0, (int32_t)all - 1), g.pixels = (size_t)number(1, (int32_t)(all - g.first));
    g.parts = parts;
    g.row_stride = parts * eo_bf16_row_size(depth);
    const size_t size = (g.pixels + 31) / 32 * 32 * g.row_stride;
    struct block found = gathered(kernel->run, g, size), expected = gathered(twin, g, size);
    check(memcmp(found.base, expected.base, size) == 0, kernel->name, "%zu pixels of %zu channels in %zu parts",
          g.pixels, channels, parts);
    block_free(&input), block_free(&found), block_free(&expected);
}

// A product that was computed: bytes between rows of the output, the rest without gaps.
struct multiplied {
    size_t rows, columns, depth, stride;
    const float *input, *weights, *bias;
    const char *output;
};

static double exact(float a, float b) { return (double)a * b; }
static double of_rounded(float a, float b) { return (double)rounded(a) * rounded(b); }

// Against exact sums, by a part of the sum of the products' sizes: no more than sums of floats may err, and for few
// products far less than a part that is left out would cost.
static void check_sums(const char *name, const struct multiplied *p, double product(float, float)) {
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->columns; j++) {
            const float *x = p->input + i * p->depth, *v = p->weights + j * p->depth;
            double sum = p->bias[j], sizes = fabs(sum);
            for (size_t k = 0; k < p->depth; k++) sum += product(x[k], v[k]), sizes += fabs(product(x[k], v[k]));
            const double expected = fmin(fmax(sum, -1e4), 1.5);
            const double found = ((const float *)(p->output + i * p->stride))[j];
            check(fabs(found - expected) <= sizes * (double)(p->depth + 4) * 0x1p-24, name, "%zux%zux%zu: %g, not %g",
                  p->rows, p->columns, p->depth, found, expected);
        }
}

static void product_case(const eo_bf16x3_gemm_kernel *kernel, size_t rows, size_t columns, size_t depth) {
    const struct eo_window w = {1, rows, 1, depth, rows, 1, columns, 1, 1, 1, 1, 1, 1, 0, 0, 1};
    const size_t stride = columns * 4 + 24, all = (rows + 31) / 32 * 32;
    const struct eo_f32_gemm_parameters parameters = {-1e4f, 1.5f};
    struct block input = wide_floats(rows * depth), weights = wide_floats(columns * depth), bias = floats(columns);
    struct eo_gather g = {.window = &w, .input = input.base, .pixels = rows, .element_size = 4};
    g.parts = EO_BF16X3_PARTS;
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
    const struct multiplied p = {rows, columns, depth, stride, input.base, weights.base, bias.base, output.base};
    check_sums(kernel->name, &p, exact);
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&parts), block_free(&packed);
    block_free(&output);
}

// Of one part.
static void rounded_case(const eo_bf16_gemm_kernel *kernel, size_t rows, size_t columns, size_t depth) {
    const struct eo_window w = {1, rows, 1, depth, rows, 1, columns, 1, 1, 1, 1, 1, 1, 0, 0, 1};
    const size_t stride = columns * 4 + 24, nr = (size_t)kernel->nr;
    const struct eo_f32_gemm_parameters parameters = {-1e4f, 1.5f};
    struct block input = wide_floats(rows * depth), weights = wide_floats(columns * depth), bias = floats(columns);
    struct eo_gather g = {.window = &w, .input = input.base, .pixels = rows, .element_size = 4, .parts = 1};
    g.row_stride = eo_bf16_row_size(depth);
    struct block tiles = gathered(eo_gather_bf16x3_best()->run, g, (rows + 31) / 32 * 32 * g.row_stride);
    struct block packed = block_of((columns + nr - 1) / nr * eo_bf16_gemm_packed_size(kernel, depth, 0));
    struct block output = block_of(rows * stride - 24);
    eo_bf16_gemm_pack(kernel, depth, 0, columns, weights.base, bias.base, packed.base);
    const struct eo_gemm_tile tile = {.rows = rows,
                                      .columns = columns,
                                      .depth = g.row_stride / sizeof(uint16_t),
                                      .input = tiles.base,
                                      .input_stride = g.row_stride,
                                      .weights = packed.base,
                                      .output = output.base,
                                      .output_stride = stride,
                                      .parameters = &parameters,
                                      .in_tiles = true};
    kernel->run(&tile);
    const struct multiplied p = {rows, columns, depth, stride, input.base, weights.base, bias.base, output.base};
    check_sums(kernel->name, &p, of_rounded);
    block_free(&input), block_free(&weights), block_free(&bias), block_free(&tiles), block_free(&packed);
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
                for (size_t parts = 1; parts <= EO_BF16X3_PARTS; parts += EO_BF16X3_PARTS - 1)
                    gather_case(gathers + i, gathers[count - 1].run, parts, channels);
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
    const eo_bf16_gemm_kernel *one = eo_bf16_gemm_rows(&twin);
    for (int i = 0; i < twin; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes && kernels_isa_available(one[i].isa); s++)
            rounded_case(one + i, sizes[s][0], sizes[s][1], sizes[s][2]);
}
